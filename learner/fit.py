"""Fit a request model: count, hold out, calibrate.

Everything that a threshold rests on is measured out of fold: each session is scored by statistics
that never saw it. The final model then counts all sessions, so what it promises is a little
pessimistic, never optimistic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cnaf.learner.forest import fit_forest
from cnaf.learner.samples import Samples
from cnaf.learner.tally import ScopeStatistics, Tally
from cnaf.models.calibration import Calibration, fit_tail
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Location
from cnaf.models.kernels import (
    MEASURES,
    SURPRISE_CAP,
    dense_features,
    fuse,
    measure_values,
    relate_values,
    surprise,
)
from cnaf.models.ngrams import FOLD, SYMBOLS
from cnaf.models.request_model import (
    ENOUGH_SESSIONS,
    ENOUGH_SIGHTINGS,
    NOTHING_NEW,
    TYPE_PREFIX,
    Endpoint,
    FieldProfile,
    RequestModel,
    is_news,
)
from cnaf.models.scoring import MEASURE_FLOORS, MEASURE_WEIGHTS
from cnaf.models.value_types import ValueType, kind_of
from joblib import Parallel, delayed

__all__ = ["FitOptions", "FitResult", "Progress", "calibrate", "fit"]

#: Called with a stage's name, steps done and steps in all.
Progress = Callable[[str, int, int], None]
_M = len(MEASURES)
#: A field's own scale counts against its group's as if the group had shown so many values.
_PRIOR_VALUES = 8.0
#: Scores kept above the median in full; the rest is thinned (see Calibration).
_KEPT_SCORES = 1000


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit; the defaults are the measured ones (docs/detection.md)."""

    folds: int = 5
    trees: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FitResult:
    """A model and what calibrated it: out-of-fold scores, and their blockable part.

    Both are float64, one a request.
    """

    model: RequestModel
    held_out: npt.NDArray[np.float64]
    blockable: npt.NDArray[np.float64]


def fit(samples: Samples, options: FitOptions, progress: Progress) -> FitResult:
    """Return the model of the samples; deterministic in samples and options.

    Raises ValueError where the samples were dealt to another number of folds.
    """
    if samples.fold_weights.shape[1] != options.folds:
        raise ValueError(f"samples in {samples.fold_weights.shape[1]} folds, not {options.folds}")
    return _Fit(samples, options, progress).run()


class _Fit:
    def __init__(self, samples: Samples, options: FitOptions, progress: Progress) -> None:
        self.samples = samples
        self.options = options
        self.progress = progress
        self.profiles = len(samples.keys)
        self.news = np.array([is_news(location) for location, _ in samples.keys], bool)
        self.image = self.profiles + len(ValueType)
        self.groups = np.array([self.profiles + t for t in samples.types], np.int64)
        scopes = np.stack(
            [
                samples.owner,
                self.groups[samples.owner],
                np.full(len(samples.values), self.image, np.int64),
            ],
            axis=1,
        )
        progress("Taking values apart", 0, 1)
        self.tally = Tally(samples.values, scopes, self.image + 1)
        # Where a value stands if its field is new: with the values of its own kind.
        self.own_kind = self.profiles + np.array(
            [kind_of(value[:TYPE_PREFIX]) for value in samples.values], np.int64
        )
        progress("Taking values apart", 1, 1)

    def run(self) -> FitResult:
        samples, folds = self.samples, self.options.folds
        total = samples.fold_weights.sum(axis=1)
        held = []
        for fold in range(folds):
            self.progress("Cross-validating n-grams", fold, folds)
            held.append(self._hold_out(fold, total))
        self.progress("Cross-validating n-grams", folds, folds)
        measures = np.concatenate([h.measures for h in held])
        scopes = np.concatenate([h.scopes for h in held])
        where = np.concatenate([np.full(len(h.values), k) for k, h in enumerate(held)])
        scales = self._scales(measures, scopes)
        relative = np.empty_like(measures)
        for fold in range(folds):
            out = where == fold
            own = self._scales(measures[~out], scopes[~out])
            relative[out] = _relative(measures[out], scopes[out], own)
        # Tails come from fields that are known well: a new field is told as structure. A corpus of
        # one or two sessions has none of them.
        known = scopes < self.profiles
        known |= not known.any()
        tails = [fit_tail(relative[known, m]) for m in range(_M)]
        surprises = _surprises(relative, tails)
        structure = self._structure(held)
        rows, scores, places = self._rows(held, where, surprises, structure)
        forest, forest_held = self._forest(rows)
        tails.append(fit_tail(forest_held))
        points = np.stack([t[0] for t in tails])
        slopes = np.array([t[1] for t in tails], np.float32)
        requests = np.array(
            [
                fuse(scores[i], rows[i, _UNSEEN : _UNSEEN + 3], points, slopes, forest_held[i])
                for i in range(len(rows))
            ]
        )
        blockable = requests.copy()
        for i in (index for h in held for index, row in h.flags.items() if row.thin):
            elsewhere = scores[i][places[i] != Location.PATH]
            blockable[i] = fuse(elsewhere, NOTHING_NEW, points, slopes, forest_held[i])
        self.progress("Counting all sessions", 0, 1)
        final = self.tally.statistics(total)
        tree = samples.tree(np.ones(len(samples.requests), bool))
        model = RequestModel(
            self._profiles(), self._endpoints(tree), tree, final.table, final.escapes,
            final.seen, final.usual, scales, points, slopes, structure, forest,
            calibrate(requests), calibrate(blockable),
        )  # fmt: skip
        self.progress("Counting all sessions", 1, 1)
        return FitResult(model, requests, blockable)

    def _hold_out(self, fold: int, total: npt.NDArray[np.float64]) -> _HeldOut:
        """Measure the values and routes of one fold by statistics of the others."""
        samples = self.samples
        kept = total - samples.fold_weights[:, fold]
        statistics = self.tally.statistics(kept)
        outside = samples.sessions_of(without=fold)
        known, enough = outside > 0, outside >= ENOUGH_SESSIONS
        scored = enough | self.news
        values = np.flatnonzero(samples.fold_weights[:, fold] > 0)
        values = values[scored[samples.owner[values]]]
        owner = samples.owner[values]
        groups = np.where(known[owner], self.groups[owner], self.own_kind[values])
        scopes = np.where(enough[owner], owner, groups)
        measures = _measure(
            [samples.values[i] for i in values], scopes, groups, self.image, statistics
        )
        inside = samples.folds == fold
        tree = samples.tree(~inside)
        seen = self._fields_of(tree, np.flatnonzero(~inside))
        flags = {}
        for index in np.flatnonzero(inside):
            request = samples.requests[index]
            owners = samples.owner[request.values]
            owners = owners[scored[owners]]
            here = seen.get((request.method, tree.match(request.path).template))
            strange = here is not None and any(
                known[o] and o not in here.fields for o in owners.tolist()
            )
            rarity = (len(samples.requests) + 1) / ((here.count if here else 0) + 1)
            flags[int(index)] = _Flags(
                here is None, not known[owners].all(), strange, np.log2(rarity),
                here is None or here.count < ENOUGH_SIGHTINGS,
            )  # fmt: skip
        return _HeldOut(values, scopes, measures, flags)

    def _fields_of(
        self, tree: object, indices: npt.NDArray[np.int64]
    ) -> dict[tuple[str, str], _Seen]:
        found: dict[tuple[str, str], _Seen] = {}
        for index in indices:
            request = self.samples.requests[index]
            key = (request.method, tree.match(request.path).template)  # type: ignore[attr-defined]
            seen = found.setdefault(key, _Seen(set(), 0))
            seen.fields.update(self.samples.owner[request.values].tolist())
            seen.count += 1
        return found

    def _scales(
        self, measures: npt.NDArray[np.float32], scopes: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Return each scope's mean measures, drawn towards its group's where it showed little."""
        count = self.image + 1
        overall = measures.mean(axis=0)
        group = np.where(scopes < self.profiles, 0, scopes)
        inside = scopes < self.profiles
        group[inside] = self.groups[scopes[inside]]
        by_group = _shrunk(measures, group, count, np.tile(overall, (count, 1)))
        prior = by_group.copy()
        prior[: self.profiles] = by_group[self.groups]
        result = _shrunk(measures, scopes, count, prior)
        result[self.profiles :] = by_group[self.profiles :]
        return result.astype(np.float32)

    def _structure(self, held: list[_HeldOut]) -> npt.NDArray[np.float32]:
        flags = np.array([row[:3] for h in held for row in h.flags.values()], np.float64)
        rate = (flags.sum(axis=0) + 1.0) / (len(flags) + 1.0)
        costs: npt.NDArray[np.float32] = np.minimum(SURPRISE_CAP, -np.log10(rate)).astype(
            np.float32
        )
        return costs

    def _rows(
        self,
        held: list[_HeldOut],
        where: npt.NDArray[np.int64],
        surprises: npt.NDArray[np.float32],
        structure: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.float32], list[npt.NDArray[np.float32]], list[npt.NDArray[np.int64]]]:
        """Return each request's dense features, out of fold, its value scores and their places."""
        samples = self.samples
        lengths = np.array([len(v) for v in samples.values], np.int64)
        value_scores = (surprises * MEASURE_WEIGHTS).sum(axis=1).astype(np.float32)
        rows = np.zeros((len(samples.requests), len(COLUMNS)), np.float32)
        scores: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
        places: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(rows)
        for fold, out in enumerate(held):
            place = np.full(len(samples.values), -1, np.int64)
            place[out.values] = np.flatnonzero(where == fold)
            for index, flags in out.flags.items():
                request = samples.requests[index]
                at = place[request.values]
                # A cookie or header that the other folds hardly showed is not measured.
                measured = at >= 0
                at, places[index] = at[measured], request.places[measured]
                costs = structure * np.array(flags[:3], np.float32)
                scores[index] = value_scores[at]
                dense_features(
                    surprises[at], value_scores[at], lengths[request.values[measured]],
                    places[index],
                    np.append(costs, flags.rarity).astype(np.float32),
                    np.array(request.counts, np.float32),
                    rows[index],
                )  # fmt: skip
        return rows, scores, places

    def _forest(self, rows: npt.NDArray[np.float32]):  # type: ignore[no-untyped-def]
        """Return the forest of all rows, and each request's score by a forest of other folds."""
        options, folds = self.options, self.samples.folds
        masks = [folds != fold for fold in range(options.folds)]
        masks.append(np.ones(len(rows), bool))
        self.progress("Growing forests", 0, len(masks))
        # Threads by default; joblib.parallel_config lets the same line run elsewhere.
        forests = Parallel(n_jobs=2, prefer="threads")(
            delayed(fit_forest)(rows[mask], trees=options.trees, seed=options.seed)
            for mask in masks
        )
        self.progress("Growing forests", len(masks), len(masks))
        scores = np.empty(len(rows))
        for fold, forest in enumerate(forests[:-1]):
            out = folds == fold
            if out.any():
                scores[out] = forest.score(rows[out])
        return forests[-1], scores

    def _profiles(self) -> tuple[FieldProfile, ...]:
        samples = self.samples
        sightings = np.zeros(self.profiles, np.int64)
        for request in samples.requests:
            np.add.at(sightings, samples.owner[request.values], 1)
        sessions = samples.sessions_of()
        lengths: list[list[int]] = [[] for _ in samples.keys]
        for owner, value in zip(samples.owner.tolist(), samples.values, strict=True):
            lengths[owner].append(len(value))
        return tuple(
            FieldProfile(
                location, name, samples.types[i], int(sightings[i]), int(sessions[i]),
                int(np.quantile(lengths[i], 0.95)),
            )
            for i, (location, name) in enumerate(samples.keys)
        )  # fmt: skip

    def _endpoints(self, tree: object) -> tuple[Endpoint, ...]:
        seen = self._fields_of(tree, np.arange(len(self.samples.requests)))
        return tuple(
            Endpoint(method, template, found.count, frozenset(found.fields))
            for (method, template), found in sorted(seen.items())
        )


@dataclass(slots=True)
class _Seen:
    fields: set[int]
    count: int


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """One fold's values (indices), their scopes and measures, and per request its structure."""

    values: npt.NDArray[np.int64]
    scopes: npt.NDArray[np.int64]
    measures: npt.NDArray[np.float32]
    flags: dict[int, _Flags]


class _Flags(NamedTuple):
    """What is new about a held-out request, how rare its endpoint is (log2), and if it is thin."""

    unseen_endpoint: bool
    unseen_name: bool
    unseen_here: bool
    rarity: float
    thin: bool


_UNSEEN = COLUMNS.index("unseen-endpoint")


def _measure(
    values: list[bytes],
    scopes: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    image: int,
    statistics: ScopeStatistics,
) -> npt.NDArray[np.float32]:
    lengths = np.array([len(v) for v in values], np.int64)
    starts = np.cumsum(lengths) - lengths
    out = np.empty((len(values), _M), np.float32)
    measure_values(
        np.frombuffer(b"".join(values) or b"\0", np.uint8), starts, lengths, scopes, groups, image,
        statistics.table.tags, statistics.table.bits, statistics.escapes, statistics.seen,
        statistics.usual, SYMBOLS, FOLD, out,
    )  # fmt: skip
    return out


def _shrunk(
    measures: npt.NDArray[np.float32],
    scopes: npt.NDArray[np.int64],
    count: int,
    prior: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    sums = np.zeros((count, _M))
    np.add.at(sums, scopes, measures)
    n = np.bincount(scopes, minlength=count)[:, None]
    result: npt.NDArray[np.float64] = (sums + _PRIOR_VALUES * prior) / (n + _PRIOR_VALUES)
    return result


def _relative(
    measures: npt.NDArray[np.float32],
    scopes: npt.NDArray[np.int64],
    scales: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    result = np.empty_like(measures)
    relate_values(measures, scopes, scales, MEASURE_FLOORS, result)
    return result


def _surprises(
    relative: npt.NDArray[np.float32], tails: list[tuple[npt.NDArray[np.float32], float]]
) -> npt.NDArray[np.float32]:
    result = np.empty_like(relative)
    for m, (points, slope) in enumerate(tails):
        for i, value in enumerate(relative[:, m]):
            result[i, m] = min(SURPRISE_CAP, surprise(value, points, slope))
    return result


def calibrate(scores: npt.NDArray[np.float64]) -> Calibration:
    """Return the calibration by held-out scores (float64, one a request, at least one)."""
    ordered = np.sort(scores.astype(np.float32))
    n = len(ordered)
    ranks = n - np.searchsorted(ordered, ordered, side="left")
    keep = np.zeros(n, bool)
    keep[max(0, n - _KEPT_SCORES) :] = True
    keep[n // 2 :: max(1, n // 500)] = True
    return Calibration(ordered[keep], ranks[keep].astype(np.int32), n)
