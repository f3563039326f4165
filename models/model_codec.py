"""A request model as plain JSON and arrays, and back: the inside of an artifact.

Reading trusts nothing: :mod:`cnaf.models.artifact` has checked sizes, dtypes and hashes, and this
module checks that the parts fit each other, so that no kernel can read outside of an array or
walk in a circle. Whatever does not fit is an ArtifactFormatError that names the part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from cnaf.models.calibration import CATEGORIES, STEPS, Calibration, MondrianCalibration, Tail
from cnaf.models.endpoints import EndpointTree
from cnaf.models.errors import ArtifactFormatError
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Location
from cnaf.models.forest import FlatForest
from cnaf.models.forest_checks import check_forest
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES
from cnaf.models.ngrams import NgramTable
from cnaf.models.prior import general_prior
from cnaf.models.refusals import of_type, refused, require
from cnaf.models.request_model import Endpoint, FieldProfile, RequestModel
from cnaf.models.scoring import TAIL_GROUP_COUNT
from cnaf.models.structure import News
from cnaf.models.value_types import ValueType

__all__ = ["MODEL_VERSION", "TARGET_RATES", "model_from_parts", "model_to_parts"]

#: Raised whenever a reader of the previous version would score differently.
MODEL_VERSION = 3
_MAX_PROFILES = 4096
_MAX_ENDPOINTS = 65_536
_MAX_TREES = 1000
#: scikit-learn stops at the logarithm of the samples a tree was grown on, which is 8 for 256.
_MAX_DEPTH = 32
#: False-positive rates whose thresholds are written out for readers; any other can be computed.
TARGET_RATES = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05)
#: Artifacts hold finite numbers only; this one stands for "no value of the sample was so rare".
_NEVER = np.finfo(np.float32).max

_Arrays = Mapping[str, npt.NDArray[Any]]


def model_to_parts(model: RequestModel) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return the model's JSON part and its arrays by name."""
    # fmt: off
    described: dict[str, Any] = {
        "version": MODEL_VERSION,
        "measures": list(MEASURES),
        "columns": list(COLUMNS),
        "held_out": [calibration.total for calibration in model.calibration.categories],
        "forest_normal": model.forest.normal,
        "profiles": [
            [
                p.location, p.name, p.kind, p.value_type, p.sightings, p.sessions, p.usual_length,
                sorted(p.marks),
            ]
            for p in model.profiles
        ],
        "endpoints": [
            [
                e.method, e.template, e.sightings, e.sessions, _ranges(sorted(e.fields)),
                len(e.compositions), [e.news.sightings, e.news.once],
            ]
            for e in model.endpoints
        ],
        "names": [model.names.sightings, model.names.once],
        "news": {
            place: {shape: [news.sightings, news.once] for shape, news in by_shape.items()}
            for place, by_shape in model.tree.news().items()
        },
        "prior": model.prior,
        "templates": _without(model.tree.templates(), {e.template for e in model.endpoints}),
        # For people and other tools: scoring derives thresholds from the held-out scores.
        "thresholds": {
            f"{rate:g}": _finite(model.calibration.thresholds(rate)) for rate in TARGET_RATES
        },
    }
    categories = model.calibration.categories
    # fmt: on
    arrays: dict[str, npt.NDArray[Any]] = {
        # Each endpoint's, one after the other.
        "compositions": np.array(
            [number for e in model.endpoints for number in sorted(e.compositions)], np.uint32
        ),
        "ngram_tags": model.table.tags,
        "ngram_bits": model.table.bits,
        "escapes": model.escapes,
        "seen": model.seen,
        "longest": model.longest,
        "shortest": model.shortest,
        "scales": model.scales,
        "tail_points": np.minimum(model.tail_points, _NEVER),
        "tail_slopes": model.tail_slopes,
        "forest_step": model.forest.step,
        "forest_feature": model.forest.feature,
        "forest_value": model.forest.value,
        "forest_roots": model.forest.roots,
        # Each category's, one after the other; then what they started from.
        "held_out_scores": np.concatenate([c.scores for c in categories]),
        "held_out_ranks": np.concatenate([c.ranks for c in categories]),
        "held_out_kept": np.array([len(c.scores) for c in categories], np.int32),
        "reference_points": np.minimum([c.reference.points for c in categories], _NEVER),
        "reference_slopes": np.array([c.reference.slope for c in categories], np.float32),
        "reference_weights": np.array([c.weight for c in categories], np.float32),
    }
    return described, arrays


def model_from_parts(described: Mapping[str, Any], arrays: _Arrays) -> RequestModel:
    """Return the model; raises ArtifactFormatError where a part is missing or does not fit."""
    try:
        return _read(described, arrays)
    except ArtifactFormatError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise refused(
            f"its description is malformed: {type(error).__name__} {str(error)[:200]}"
        ) from error


def _read(described: Mapping[str, Any], arrays: _Arrays) -> RequestModel:
    version = of_type(described["version"], int, "model version")
    require(version == MODEL_VERSION, f"its model version {version} is unknown")
    require(described["measures"] == list(MEASURES), "its measures are not those of this release")
    require(described["columns"] == list(COLUMNS), "its features are not those of this release")
    prior = general_prior().digest
    require(
        described["prior"] == prior,
        "it was learned with another general prior than that of this release",
    )
    profiles = tuple(_profile(row) for row in _rows(described, "profiles", _MAX_PROFILES))
    numbers = iter(_array(arrays, "compositions", np.uint32, (None,)).tolist())
    endpoints = tuple(
        _endpoint(row, len(profiles), numbers)
        for row in _rows(described, "endpoints", _MAX_ENDPOINTS)
    )
    require(next(numbers, None) is None, "it holds compositions of no endpoint")
    require(len(endpoints) > 0, "it knows no endpoint")
    others = _rows(described, "templates", _MAX_ENDPOINTS)
    templates = {e.template for e in endpoints} | {_text(template) for template in others}
    scopes = len(profiles) + len(ValueType) + 1
    m = len(MEASURES)
    tails = TAIL_GROUP_COUNT * m + len(NOVELTIES) + 1 + len(CHANNELS)
    tags = _array(arrays, "ngram_tags", np.uint16, (None,))
    require(len(tags) >= 64, "the n-gram table is too small")
    # A table without an empty slot would make every lookup walk all probes.
    require(bool((tags == 0).any()), "the n-gram table is full")
    return RequestModel(
        profiles,
        endpoints,
        EndpointTree.of_templates(sorted(templates), _places(described["news"])),
        _news(described["names"]),
        NgramTable(tags, _array(arrays, "ngram_bits", np.uint8, (len(tags),))),
        _array(arrays, "escapes", np.uint8, (scopes, 2)),
        _array(arrays, "seen", np.uint64, (scopes,)),
        _array(arrays, "longest", np.float32, (scopes,)),
        _array(arrays, "shortest", np.float32, (scopes,)),
        _positive(_array(arrays, "scales", np.float32, (scopes, m)), "scales"),
        _tails(_array(arrays, "tail_points", np.float32, (tails, STEPS))),
        _positive(_array(arrays, "tail_slopes", np.float32, (tails,)), "tail_slopes"),
        _forest(arrays, described["forest_normal"]),
        _calibration(arrays, _rows(described, "held_out", len(CATEGORIES))),
        prior,
    )


def _rows(described: Mapping[str, Any], name: str, most: int) -> list[Any]:
    rows = of_type(described[name], list, f"list of {name}")
    require(len(rows) <= most, f"it has more than {most} {name}")
    return rows


def _profile(row: Sequence[Any]) -> FieldProfile:
    location, name, kind, value_type, sightings, sessions, usual, marks = row
    return FieldProfile(
        Location(location), _text(name), ValueType(kind), ValueType(value_type), int(sightings),
        int(sessions), int(usual), frozenset(_text(mark) for mark in marks),
    )  # fmt: skip


def _endpoint(row: Sequence[Any], profiles: int, numbers: Iterator[int]) -> Endpoint:
    method, template, sightings, sessions, ranges, count, news = row
    compositions = frozenset(islice(numbers, of_type(count, int, "number of compositions")))
    require(len(compositions) == count, f"endpoint {template!r} lacks compositions")
    fields: set[int] = set()
    for first, last in ranges:
        require(0 <= first <= last < profiles, f"endpoint {template!r} names no known field")
        fields.update(range(first, last + 1))
    return Endpoint(
        _text(method), _text(template), int(sightings), int(sessions), frozenset(fields),
        compositions, _news(news),
    )  # fmt: skip


def _news(row: Sequence[Any]) -> News:
    sightings, once = row
    sound = type(sightings) is int and type(once) is int and 0 <= once <= sightings
    require(sound, "its news are no counts")
    return News(sightings, once)


def _places(described: Mapping[str, Any]) -> dict[str, dict[str, News]]:
    return {
        _text(place): {_text(shape): _news(row) for shape, row in by_shape.items()}
        for place, by_shape in of_type(described, dict, "news of paths").items()
    }


def _forest(arrays: _Arrays, normal: float) -> FlatForest:
    # Canonical JSON writes a whole number without its fraction.
    require(type(normal) in {int, float}, "its forest's scale is no number")
    step = _array(arrays, "forest_step", np.uint16, (None,))
    feature = _array(arrays, "forest_feature", np.uint8, (len(step),))
    value = _array(arrays, "forest_value", np.float32, (len(step),))
    roots = _array(arrays, "forest_roots", np.int32, (None,))
    require(len(roots) <= _MAX_TREES and 0 < normal < np.inf, "its forest has no scale of depth")
    # Preorder: the left child is the next node, the right one a step away; step 0 is a leaf.
    index = np.arange(len(step))
    leaf = step == 0
    left, right = np.where(leaf, -1, index + 1), np.where(leaf, -1, index + step)
    check_forest(left, right, feature, roots, len(COLUMNS), _MAX_DEPTH)
    return FlatForest(step, feature, value, roots, float(normal))


def _calibration(arrays: _Arrays, totals: list[Any]) -> MondrianCalibration:
    n = len(CATEGORIES)
    require(len(totals) == n, "it is not calibrated for each category of requests")
    scores = _array(arrays, "held_out_scores", np.float32, (None,))
    ranks = _array(arrays, "held_out_ranks", np.int32, (len(scores),))
    kept = _array(arrays, "held_out_kept", np.int32, (n,))
    require(bool((kept >= 0).all()) and kept.sum() == len(scores), "its calibrations do not fit")
    points = _tails(_array(arrays, "reference_points", np.float32, (n, STEPS)))
    slopes = _positive(_array(arrays, "reference_slopes", np.float32, (n,)), "reference_slopes")
    weights = _positive(_array(arrays, "reference_weights", np.float32, (n,)), "reference_weights")
    require(bool((weights > 0).all()), "its calibrations start from nothing")
    ends = np.cumsum(kept)
    return MondrianCalibration(
        tuple(
            _category(scores[end - size : end], ranks[end - size : end], total,
                      Tail(points[i], float(slopes[i])), float(weights[i]))
            for i, (total, size, end) in enumerate(zip(totals, kept, ends, strict=True))
        )
    )  # fmt: skip


def _category(
    scores: npt.NDArray[np.float32],
    ranks: npt.NDArray[np.int32],
    total: object,
    reference: Tail,
    weight: float,
) -> Calibration:
    count = of_type(total, int, "number of held-out requests")
    require(len(scores) > 0 or not count, "it was never calibrated")
    require(bool((np.diff(scores) >= 0).all()), "calibration scores do not ascend")
    require(bool((ranks > 0).all() and (ranks <= count).all()), "calibration ranks are wrong")
    return Calibration(scores, ranks, count, reference, weight)


def _array(
    arrays: _Arrays, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    require(name in arrays, f"the array {name} is missing")
    array = arrays[name]
    fits = array.dtype == dtype and array.ndim == len(shape)
    fits = fits and all(s is None or s == n for s, n in zip(shape, array.shape, strict=True))
    require(fits, f"the array {name} is {array.dtype}{array.shape}, not {dtype.__name__}{shape}")
    return np.ascontiguousarray(array)


def _tails(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    require(bool((np.diff(points, axis=1) >= 0).all()), "its tails do not ascend")
    return np.where(points == _NEVER, np.float32(np.inf), points)


def _finite(thresholds: Iterable[float]) -> list[float | None]:
    return [threshold if threshold < np.inf else None for threshold in thresholds]


def _positive(array: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    require(bool((array >= 0).all()), f"the array {name} holds a negative number")
    return array


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 4096:
        raise refused("a name is no text, or too long")
    return value


def _ranges(numbers: list[int]) -> list[list[int]]:
    """Return ascending numbers as [first, last] runs."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _without(templates: list[str], known: set[str]) -> list[str]:
    return [template for template in templates if template not in known]
