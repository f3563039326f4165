"""A model survives the way through an artifact, and nothing else gets through."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.learn import Learned
from cnaf.models.artifact import Artifact, ArtifactFiles, unpack
from cnaf.models.calibration import CATEGORIES
from cnaf.models.digest import Digest
from cnaf.models.errors import ArtifactError, ArtifactFormatError, ArtifactMismatchError
from cnaf.models.exchange import Exchange, Request
from cnaf.models.model_codec import MODEL_VERSION, model_from_parts, model_to_parts
from cnaf.models.parsing import RequestParser
from cnaf.models.prior import general_prior
from cnaf.models.request_model import RequestModel, Scorer
from cnaf.models.stored_model import unpack_model
from hypothesis import given, settings
from hypothesis import strategies as st

Parts = tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]
REQUESTS = (
    Request("GET", b"/?s=hello%20world&p=12", ((b"host", b"h"),)),
    Request("POST", b"/wp-login.php", (), b"log=a&pwd=' OR 1=1 -- ", 24),
    Request("PUT", b"/never/seen", ((b"cookie", b"a=b; c=%00%ff"),)),
)


@pytest.fixture(scope="module")
def artifact(learned: Learned) -> Artifact:
    return unpack(learned.files.config, learned.files.tensors)


@pytest.fixture
def parts(artifact: Artifact) -> Parts:
    described = copy.deepcopy(artifact.metadata["model"])
    assert isinstance(described, dict)
    return described, {name: array.copy() for name, array in artifact.arrays.items()}


def scores(model: RequestModel, requests: tuple[Request, ...] = REQUESTS) -> list[float]:
    parser, scorer = RequestParser(), Scorer(model)
    return [scorer.score(parser.parse(request)).score for request in requests]


def test_a_model_scores_alike_after_the_round_trip(
    learned: Learned, wordpress_sessions: list[Exchange]
) -> None:
    model = unpack_model(learned.files).model
    described, arrays = model_to_parts(model)
    again = model_from_parts(described, arrays)
    requests = tuple(exchange.request for exchange in wordpress_sessions[:300])
    assert scores(model, requests) == scores(again, requests)
    for rate in (0.5, 0.01, 1e-9):
        assert model.calibration.thresholds(rate) == again.calibration.thresholds(rate)
    for one, other in zip(model.calibration.categories, again.calibration.categories, strict=True):
        assert (one.total, one.weight) == (other.total, other.weight)
        assert one.scores.tolist() == other.scores.tolist()
        assert one.ranks.tolist() == other.ranks.tolist()
        assert one.reference.slope == other.reference.slope
        assert one.reference.points.tobytes() == other.reference.points.tobytes()
    # Nothing is lost: what scores alike now would do so whatever it is asked.
    assert (model.profiles, model.endpoints, model.names) == (
        again.profiles,
        again.endpoints,
        again.names,
    )
    assert model.tree.news() == again.tree.news()


def test_artifact_fits_a_small_budget_and_names_its_thresholds(
    learned: Learned, artifact: Artifact
) -> None:
    assert learned.files.size < 500_000
    described = artifact.metadata["model"]
    assert isinstance(described, dict)
    thresholds = described["thresholds"]
    assert isinstance(thresholds, dict)
    assert {len(each) for each in thresholds.values()} == {len(CATEGORIES)}
    for category in range(len(CATEGORIES)):
        told = [each[category] for each in thresholds.values() if each[category] is not None]
        assert told
        assert told == sorted(told, reverse=True)


def test_a_model_is_refused_for_another_image(learned: Learned) -> None:
    with pytest.raises(ArtifactMismatchError, match="was learned from"):
        unpack_model(learned.files, expect=Digest.parse("sha256:" + "9" * 64))


@pytest.mark.parametrize("wrong", ["missing", "dtype", "shape", "empty"])
def test_arrays_that_do_not_fit_are_refused_by_name(parts: Parts, wrong: str) -> None:
    described, arrays = parts
    for name, array in list(arrays.items()):
        changed = dict(arrays)
        if wrong == "missing":
            del changed[name]
        elif wrong == "dtype":
            changed[name] = array.astype(np.float64)
        elif wrong == "shape":
            changed[name] = array.reshape(1, *array.shape)
        else:
            changed[name] = array[:0]
        with pytest.raises(ArtifactFormatError) as caught:
            model_from_parts(described, changed)
        assert caught.value.hint


@pytest.mark.parametrize(
    "value", [None, True, -1, 10**400, "x" * 5000, [], [[]], {}, [[1, 2, 3]], float("nan")]
)
def test_description_that_is_malformed_is_refused(parts: Parts, value: object) -> None:
    described, arrays = parts
    for key in described.keys() - {"thresholds"}:
        if (key, value) in (("templates", []), ("news", {})):
            continue  # no other templates, and no news
        with pytest.raises(ArtifactFormatError):
            model_from_parts(described | {key: value}, arrays)


def test_a_model_of_another_prior_is_refused(parts: Parts) -> None:
    described, arrays = parts
    assert described["prior"] == general_prior().digest
    with pytest.raises(ArtifactFormatError, match="another general prior"):
        model_from_parts(described | {"prior": "0" * 64}, arrays)


NO_COUNTS = [[3, 4], [-1, 0], [4, -1], [1.0, 1], [1, 1.0], [True, True], ["2", "1"], [1], [1, 1, 1],
             None, 7, {}]  # fmt: skip


@pytest.mark.parametrize("counts", NO_COUNTS)
@pytest.mark.parametrize("place", ["names", "news", "endpoints"])
def test_news_that_are_no_counts_are_refused(parts: Parts, place: str, counts: object) -> None:
    described, arrays = parts
    if place == "names":
        described["names"] = counts
    elif place == "news":
        described["news"] = {"": {"": counts}}
    else:
        described["endpoints"][0][-1] = counts
    with pytest.raises(ArtifactFormatError):
        model_from_parts(described, arrays)


@pytest.mark.parametrize(
    "news", [{"/no/such/place": {"": [2, 1]}}, {"": [2, 1]}, {"": {"x" * 5000: [2, 1]}}, [["", {}]]]
)
def test_news_of_places_that_are_none_are_refused(parts: Parts, news: object) -> None:
    described, arrays = parts
    with pytest.raises(ArtifactFormatError):
        model_from_parts(described | {"news": news}, arrays)


@pytest.mark.parametrize("change", [1, -1])
def test_compositions_of_no_endpoint_and_of_none_are_refused(parts: Parts, change: int) -> None:
    described, arrays = parts
    described["endpoints"][-1][5] += change
    with pytest.raises(ArtifactFormatError, match="compositions"):
        model_from_parts(described, arrays)


def test_another_version_is_refused(parts: Parts) -> None:
    described, arrays = parts
    for version in (MODEL_VERSION - 1, MODEL_VERSION + 1):
        with pytest.raises(ArtifactFormatError, match=f"version {version} is unknown"):
            model_from_parts(described | {"version": version}, arrays)


@pytest.mark.parametrize("totals", [[], [1], [900] * 3, [900] * 5, [900, 900, 900, None], [0] * 4])
def test_calibrations_of_other_categories_are_refused(parts: Parts, totals: list[object]) -> None:
    described, arrays = parts
    with pytest.raises(ArtifactFormatError):
        model_from_parts(described | {"held_out": totals}, arrays)


@pytest.mark.parametrize("total", [0, 1, -1, 1.5, "9", True])
def test_fewer_requests_than_ranks_are_refused(parts: Parts, total: object) -> None:
    described, arrays = parts
    totals = described["held_out"]
    most = int(np.argmax(totals))
    changed = [*totals[:most], total, *totals[most + 1 :]]
    with pytest.raises(ArtifactFormatError, match=r"ranks are wrong|number of held-out"):
        model_from_parts(described | {"held_out": changed}, arrays)


def test_a_category_that_was_never_seen_is_its_reference(parts: Parts) -> None:
    """Nothing is held out of it, and it still has thresholds."""
    described, arrays = parts
    kept = arrays["held_out_kept"]
    last = len(arrays["held_out_scores"]) - int(kept[3])
    without = arrays | {
        "held_out_scores": arrays["held_out_scores"][:last],
        "held_out_ranks": arrays["held_out_ranks"][:last],
        "held_out_kept": np.array([*kept[:3], 0], np.int32),
    }
    totals = [*described["held_out"][:3], 0]
    model = model_from_parts(described | {"held_out": totals}, without)
    empty = model.calibration.categories[3]
    assert (empty.total, len(empty.scores)) == (0, 0)
    assert empty.threshold(0.1) < np.inf
    # But what counts requests needs to have kept their scores.
    with pytest.raises(ArtifactFormatError, match="never calibrated"):
        model_from_parts(described | {"held_out": [*totals[:3], 5]}, without)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("forest_step", lambda a: np.where(a > 0, 65535, 0)),
        ("forest_step", lambda a: np.where(a > 0, 1, 0)),
        ("forest_step", np.ones_like),
        ("forest_feature", lambda a: np.full_like(a, 255)),
        ("forest_roots", lambda a: a[::-1]),
        ("forest_roots", lambda a: a + 1),
        ("forest_roots", lambda a: a * -1),
        ("ngram_tags", np.ones_like),
        ("scales", np.negative),
        ("tail_slopes", np.negative),
        ("tail_points", lambda a: a[:, ::-1]),
        ("held_out_scores", lambda a: a[::-1]),
        ("held_out_ranks", lambda a: a * 0),
        ("held_out_ranks", lambda a: a + 10**6),
        ("held_out_ranks", np.negative),
        ("held_out_kept", np.negative),
        ("held_out_kept", lambda a: a + 1),
        ("held_out_kept", lambda a: a * 0),
        # As many scores in all, but fewer than none of one kind.
        ("held_out_kept", lambda a: np.array([-1, a.sum() + 1, 0, 0])),
        ("reference_points", lambda a: a[:, ::-1]),
        ("reference_slopes", np.negative),
        ("reference_weights", np.negative),
        ("reference_weights", lambda a: a * 0),
    ],
)
def test_arrays_that_would_mislead_a_kernel_are_refused(
    parts: Parts, name: str, change: Any
) -> None:
    described, arrays = parts
    changed = np.ascontiguousarray(change(arrays[name]).astype(arrays[name].dtype))
    with pytest.raises(ArtifactFormatError):
        model_from_parts(described, arrays | {name: changed})


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_an_array_with_any_bytes_is_refused_or_scores(artifact: Artifact, data: Any) -> None:
    """Whatever passes the checks must not crash, loop or read outside of an array."""
    described: Any = artifact.metadata["model"]
    name = data.draw(st.sampled_from(sorted(artifact.arrays)))
    array = artifact.arrays[name].copy()
    raw = array.view(np.uint8).reshape(-1)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    # As an artifact gives it out; the kernel would be compiled anew for one that can be written.
    array.setflags(write=False)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return  # refused before: an artifact holds finite numbers only
    try:
        model = model_from_parts(described, {**artifact.arrays, name: array})
    except ArtifactFormatError:
        return
    assert len(scores(model)) == len(REQUESTS)


def test_every_region_of_the_files_is_guarded(learned: Learned) -> None:
    """A flipped bit anywhere is found: 400 places over both blobs."""
    files = learned.files
    for blob in ("config", "tensors"):
        data = getattr(files, blob)
        for at in range(0, len(data), max(1, len(data) // 200)):
            flipped = bytearray(data)
            flipped[at] ^= 0x10
            blobs = {"config": files.config, "tensors": files.tensors, blob: bytes(flipped)}
            with pytest.raises(ArtifactError):
                unpack_model(ArtifactFiles(**blobs))


def test_truncated_files_are_refused(learned: Learned) -> None:
    files = learned.files
    for share in (0, 0.01, 0.5, 0.999):
        for blob in ("config", "tensors"):
            data = getattr(files, blob)
            blobs = {"config": files.config, "tensors": files.tensors}
            blobs[blob] = data[: int(len(data) * share)]
            with pytest.raises(ArtifactError):
                unpack_model(ArtifactFiles(**blobs))
