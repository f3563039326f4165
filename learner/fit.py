"""Fit a request model: count, hold out, calibrate.

Everything that a threshold rests on is measured out of fold: each session is scored by statistics
that never saw it. The final model then counts all sessions, so what it promises is a little
pessimistic, never optimistic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cnaf.learner.calibrating import calibrate
from cnaf.learner.forest import fit_forest
from cnaf.learner.measuring import measure
from cnaf.learner.reference import Reference, general_reference
from cnaf.learner.samples import Samples
from cnaf.learner.tally import Tally
from cnaf.models.calibration import Tail, category_of, fit_tail
from cnaf.models.endpoints import EndpointTree
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Location
from cnaf.models.kernels import (
    CHANNELS,
    MEASURES,
    NOVELTIES,
    SURPRISE_CAP,
    dense_features,
    fuse,
    relate_values,
    surprise,
)
from cnaf.models.prior import general_prior
from cnaf.models.request_model import (
    ENOUGH_SESSIONS,
    FIRM_BITS,
    TYPE_PREFIX,
    Endpoint,
    FieldProfile,
    RequestModel,
    is_news,
)
from cnaf.models.scoring import (
    MEASURE_FLOORS,
    MEASURE_WEIGHTS,
    RICH,
    SPELLED,
    SYNTAX_WEIGHTS,
    TAIL_GROUP_COUNT,
    TAIL_GROUPS,
)
from cnaf.models.structure import News, news_of
from cnaf.models.value_types import ValueType, kind_of, law_of
from joblib import Parallel, delayed

__all__ = ["FitOptions", "FitResult", "Progress", "fit"]

#: Called with a stage's name, steps done and steps in all.
Progress = Callable[[str, int, int], None]
_M = len(MEASURES)
#: A field's own scale counts against its group's as if the group had shown so many values.
_PRIOR_VALUES = 8.0


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit; the defaults are the measured ones (docs/detection.md)."""

    folds: int = 5
    trees: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FitResult:
    """A model and what calibrated it: the blockable part of out-of-fold scores.

    ``blockable`` is float64, one a distinct request; ``categories`` (int64) says what each is held
    against, ``sessions`` and ``folds`` (int64) which belong together.
    """

    model: RequestModel
    blockable: npt.NDArray[np.float64]
    categories: npt.NDArray[np.int64]
    sessions: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]


def fit(
    samples: Samples,
    options: FitOptions,
    progress: Progress,
    reference: Reference | None = None,
) -> FitResult:
    """Return the model of the samples; deterministic in samples and options.

    Tails and calibration start from ``reference``, the one of the package unless given.

    Raises ValueError where the samples were dealt to another number of folds.
    """
    if samples.fold_weights.shape[1] != options.folds:
        raise ValueError(f"samples in {samples.fold_weights.shape[1]} folds, not {options.folds}")
    return _Fit(samples, options, progress, reference or general_reference()).run()


class _Fit:
    def __init__(
        self, samples: Samples, options: FitOptions, progress: Progress, reference: Reference
    ) -> None:
        self.samples = samples
        self.options = options
        self.reference = reference
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
        spelled = SPELLED[np.array(samples.types, np.int64)[samples.owner]]
        self.tally = Tally(samples.values, scopes, self.image + 1, spelled)
        # Where a value stands if its field is new: with the values of its own kind.
        self.own_kind = np.array(
            [kind_of(value[:TYPE_PREFIX]) for value in samples.values], np.int64
        )
        self.types = np.array(samples.types, np.int64)
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
        types = np.concatenate([h.types for h in held])
        where = np.concatenate([np.full(len(h.values), k) for k, h in enumerate(held)])
        scales = self._scales(measures, scopes)
        relative = np.empty_like(measures)
        for fold in range(folds):
            out = where == fold
            own = self._scales(measures[~out], scopes[~out])
            relative[out] = _relative(measures[out], scopes[out], own)
        tails = self._tails(relative, scopes, TAIL_GROUPS[types])
        surprises = _surprises(relative, TAIL_GROUPS[types], tails)
        news = np.zeros((len(samples.requests), len(NOVELTIES)))
        for index, row in ((i, row) for h in held for i, row in h.flags.items()):
            news[index] = row.news
        # From here on a request counts once, however many sent it.
        distinct = samples.distinct()
        # What the tails start from, in the order of the model's rows.
        start = iter(self.reference.tails[len(tails) :])
        news_tails = [fit_tail(news[distinct, k], next(start)) for k in range(len(NOVELTIES))]
        novelties = _novelties(news, news_tails)
        rows, scores, forgotten, rich = self._rows(held, where, surprises, novelties, types)
        forest, forest_held = self._forest(rows)
        tails += [*news_tails, fit_tail(forest_held[distinct], next(start))]
        firm = (novelties * (news >= FIRM_BITS)).astype(np.float32)
        unknown = {i for h in held for i, row in h.flags.items() if row.unseen_endpoint}
        kept = {
            i: forgotten[i] if i in unknown and news[i, 0] < FIRM_BITS else scores[i]
            for i in distinct.tolist()
        }
        # Flat tails stand in while the channels' own are measured.
        flat = fit_tail(np.zeros(1))
        channels = np.empty((len(distinct), len(CHANNELS)))
        points, slopes = _stacked([*tails, flat, flat, flat])
        for n, i in enumerate(kept):
            fuse(scores[i], novelties[i], points, slopes, forest_held[i], channels[n])
        tails += [fit_tail(channels[:, k], next(start)) for k in range(len(CHANNELS))]
        points, slopes = _stacked(tails)
        blockable = np.empty(len(distinct))
        scratch = np.empty(len(CHANNELS))
        for n, i in enumerate(kept):
            blockable[n] = fuse(kept[i], firm[i], points, slopes, forest_held[i], scratch)
        self.progress("Counting all sessions", 0, 1)
        final = self.tally.statistics(total, samples.sessions_of() >= ENOUGH_SESSIONS)
        everything = np.ones(len(samples.requests), bool)
        tree = samples.tree(everything)
        chosen = [samples.requests[i] for i in distinct]
        sessions = np.array([request.session for request in chosen], np.int64)
        categories = np.array(
            [
                category_of(request.counts[1] > 0, rich[i])
                for i, request in zip(distinct.tolist(), chosen, strict=True)
            ],
            np.int64,
        )
        model = RequestModel(
            self._profiles(), self._endpoints(tree), tree, self._names(everything), final.table,
            final.escapes, final.seen, final.longest, final.shortest, scales, points, slopes,
            forest, calibrate(blockable, categories, sessions, self.reference.scores),
            general_prior().digest,
        )  # fmt: skip
        self.progress("Counting all sessions", 1, 1)
        return FitResult(model, blockable, categories, sessions, samples.folds[distinct])

    def _hold_out(self, fold: int, total: npt.NDArray[np.float64]) -> _HeldOut:
        """Measure the values and routes of one fold by statistics of the others."""
        samples = self.samples
        kept = total - samples.fold_weights[:, fold]
        outside = samples.sessions_of(without=fold)
        known, enough = outside > 0, outside >= ENOUGH_SESSIONS
        statistics = self.tally.statistics(kept, enough)
        scored = enough | self.news
        values = np.flatnonzero(samples.fold_weights[:, fold] > 0)
        values = values[scored[samples.owner[values]]]
        owner = samples.owner[values]
        types = np.where(known[owner], self.types[owner], self.own_kind[values])
        scopes = np.where(enough[owner], owner, self.profiles + types)
        measures = measure(
            [samples.values[i] for i in values], scopes, types, self.profiles, self.image,
            statistics,
        )  # fmt: skip
        inside = samples.folds == fold
        tree = samples.tree(~inside)
        seen = self._seen(tree, np.flatnonzero(~inside))
        methods: dict[str, list[int]] = {}
        answered: Counter[str] = Counter()
        for (method, template), endpoint in seen.items():
            methods.setdefault(template, []).append(len(endpoint.sessions))
            answered[method] += len(endpoint.sessions)
        new_method = news_of(answered.values()).bits
        new_name = self._names(~inside).bits
        flags = {}
        for index in np.flatnonzero(inside):
            request = samples.requests[index]
            owners = samples.owner[request.values]
            unseen = not known[owners[self.news[owners]]].all()
            path = tree.match(request.path)
            here = seen.get((request.method, path.template))
            news = (0.0, 0.0, 0.0, new_name if unseen else 0.0)
            unanswered = 0.0 if request.method in answered else new_method
            if here is None and path.known and path.template in methods:
                bits = max(news_of(methods[path.template]).bits, unanswered)
                news = (0.0, bits, 0.0, news[3])
            elif here is None:
                news = (path.news, unanswered, 0.0, news[3])
            elif request.composition not in here.compositions:
                news = (0.0, 0.0, here.news.bits, news[3])
            rarity = (len(samples.requests) + 1) / ((here.count if here else 0) + 1)
            flags[int(index)] = _Flags(news, here is None, np.log2(rarity))
        return _HeldOut(values, scopes, types, measures, flags)

    def _seen(
        self, tree: EndpointTree, indices: npt.NDArray[np.int64]
    ) -> dict[tuple[str, str], _Seen]:
        found: dict[tuple[str, str], _Seen] = {}
        for index in indices:
            request = self.samples.requests[index]
            key = (request.method, tree.match(request.path).template)
            seen = found.setdefault(key, _Seen())
            seen.fields.update(self.samples.owner[request.values].tolist())
            seen.count += 1
            seen.sessions.add(request.session)
            seen.compositions.setdefault(request.composition, set()).add(request.session)
        return found

    def _names(self, keep: npt.NDArray[np.bool_]) -> News:
        """Return how often a field name that no other session showed came up."""
        inside = np.isin(self.samples.shown[:, 1], np.unique(self.samples.folds[keep]))
        pairs = np.unique(self.samples.shown[inside][:, [0, 2]], axis=0)
        counts = np.bincount(pairs[:, 0], minlength=self.profiles)[self.news]
        return news_of(counts[counts > 0].tolist())

    def _tails(
        self,
        relative: npt.NDArray[np.float32],
        scopes: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64],
    ) -> list[Tail]:
        """Return the tail of each measure in each group, group by group.

        Tails come from fields that are known well: a new field is told as structure.
        """
        known = scopes < self.profiles
        return [
            fit_tail(relative[known & (groups == group), m], self.reference.tails[group * _M + m])
            for group in range(TAIL_GROUP_COUNT)
            for m in range(_M)
        ]

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

    def _rows(
        self,
        held: list[_HeldOut],
        where: npt.NDArray[np.int64],
        surprises: npt.NDArray[np.float32],
        novelties: npt.NDArray[np.float32],
        types: npt.NDArray[np.int64],
    ) -> tuple[
        npt.NDArray[np.float32],
        list[npt.NDArray[np.float32]],
        list[npt.NDArray[np.float32]],
        npt.NDArray[np.bool_],
    ]:
        """Return each request's dense features, out of fold, and its value scores.

        Then the scores again as they count where the endpoint is new: only syntax of the path; and
        whether the oddest value is free text.
        """
        samples = self.samples
        lengths = np.array([len(v) for v in samples.values], np.int64)
        value_scores = (surprises * MEASURE_WEIGHTS).sum(axis=1).astype(np.float32)
        rows = np.zeros((len(samples.requests), len(COLUMNS)), np.float32)
        scores: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
        forgotten = list(scores)
        rich = np.zeros(len(rows), bool)
        syntax = (surprises * SYNTAX_WEIGHTS).sum(axis=1).astype(np.float32)
        for fold, out in enumerate(held):
            place = np.full(len(samples.values), -1, np.int64)
            place[out.values] = np.flatnonzero(where == fold)
            for index, flags in out.flags.items():
                request = samples.requests[index]
                at = place[request.values]
                # A cookie or header that the other folds hardly showed is not measured.
                measured = at >= 0
                at, places = at[measured], request.places[measured]
                scores[index] = value_scores[at]
                if len(at):
                    rich[index] = TAIL_GROUPS[types[at[np.argmax(scores[index])]]] == RICH
                forgotten[index] = np.where(places == Location.PATH, syntax[at], value_scores[at])
                dense_features(
                    surprises[at], value_scores[at], lengths[request.values[measured]],
                    places,
                    novelties[index], flags.rarity,
                    np.array(request.counts, np.float32),
                    rows[index],
                )  # fmt: skip
        return rows, scores, forgotten, rich

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
        shown = samples.fold_weights.sum(axis=1)
        values: list[list[int]] = [[] for _ in samples.keys]
        for index, owner in enumerate(samples.owner.tolist()):
            values[owner].append(index)
        profiles = []
        for i, (location, name) in enumerate(samples.keys):
            lengths = [len(samples.values[v]) for v in values[i]]
            law = law_of(samples.types[i], lengths, shown[values[i]].tolist())
            usual = int(np.quantile(lengths, 0.95)) if lengths else 0
            marks = frozenset(samples.marks.get((location, name), ()))
            profiles.append(
                FieldProfile(
                    location,
                    name,
                    samples.types[i],
                    law,
                    int(sightings[i]),
                    int(sessions[i]),
                    usual,
                    marks,
                )
            )
        return tuple(profiles)

    def _endpoints(self, tree: EndpointTree) -> tuple[Endpoint, ...]:
        seen = self._seen(tree, np.arange(len(self.samples.requests)))
        return tuple(
            Endpoint(
                method,
                template,
                found.count,
                len(found.sessions),
                frozenset(found.fields),
                frozenset(found.compositions),
                found.news,
            )
            for (method, template), found in sorted(seen.items())
        )


@dataclass(slots=True)
class _Seen:
    """An endpoint in some of the sessions; ``compositions`` with the sessions of each."""

    fields: set[int] = field(default_factory=set)
    count: int = 0
    sessions: set[int] = field(default_factory=set)
    compositions: dict[int, set[int]] = field(default_factory=dict)

    @property
    def news(self) -> News:
        return news_of(len(sessions) for sessions in self.compositions.values())


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """One fold's values (indices), their scopes, types and measures; per request its structure."""

    values: npt.NDArray[np.int64]
    scopes: npt.NDArray[np.int64]
    types: npt.NDArray[np.int64]
    measures: npt.NDArray[np.float32]
    flags: dict[int, _Flags]


class _Flags(NamedTuple):
    """What is new about a held-out request, in bits, and how rare its endpoint is (log2)."""

    news: tuple[float, float, float, float]
    unseen_endpoint: bool
    rarity: float


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


def _stacked(
    tails: list[Tail],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return np.stack([t[0] for t in tails]), np.array([t[1] for t in tails], np.float32)


def _surprises(
    relative: npt.NDArray[np.float32],
    groups: npt.NDArray[np.int64],
    tails: list[Tail],
) -> npt.NDArray[np.float32]:
    result = np.empty_like(relative)
    for i, group in enumerate(groups.tolist()):
        for m in range(_M):
            points, slope = tails[group * _M + m]
            result[i, m] = min(SURPRISE_CAP, surprise(relative[i, m], points, slope))
    return result


def _novelties(news: npt.NDArray[np.float64], tails: list[Tail]) -> npt.NDArray[np.float32]:
    result = np.zeros(news.shape, np.float32)
    for i, k in zip(*np.nonzero(news), strict=True):
        result[i, k] = min(SURPRISE_CAP, surprise(news[i, k], *tails[k]))
    return result
