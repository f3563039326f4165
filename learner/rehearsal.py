"""Make the reference: learn small corpora of a recorded site, hold them against the rest of it.

A test suite shows an app in two ways: long visits of a few users, or many short test cases. A small
corpus is drawn in both; its model is then held against requests of the site that it never saw, and
what comes of that is pooled over the draws. Tails stand on each other (measures and news, then
what a request is judged by, then its score), so each stage is measured under the tails of the one
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import numpy.typing as npt
from cnaf.datasets.split import request_key
from cnaf.learner.fit import FitOptions, fit
from cnaf.learner.reference import TAILS, Reference
from cnaf.learner.samples import collect
from cnaf.models.calibration import CATEGORIES, STEPS, Tail, fit_tail
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange
from cnaf.models.fields import ParsedRequest
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Score, Scorer
from cnaf.models.scoring import TAIL_GROUP_COUNT, TAIL_GROUPS

__all__ = ["Draw", "make_reference", "small_corpora"]

_M = len(MEASURES)
#: Requests of a small corpus, and how often each size is drawn in each way.
_SIZES = (100, 200, 400, 800)
_REPEATS = 3
#: Distinct requests of the rest that a model is held against: as many for each draw.
_HELD = 600
#: Requests of a test case, where a suite is many short ones.
_CASE = 2
_LEAST = 2 * max(_SIZES)
_LEARNING, _AGAIN = "Learning small corpora", "Learning them again"


@dataclass(frozen=True, slots=True)
class Draw:
    """A small corpus, and requests of the same site that are not in it."""

    size: int
    train: tuple[Exchange, ...]
    rest: tuple[Exchange, ...]


def small_corpora(exchanges: Sequence[Exchange]) -> tuple[Draw, ...]:
    """Draw small corpora, by a fixed seed; raises CorpusError where there is too little traffic."""
    if len(exchanges) < _LEAST:
        raise CorpusError(
            f"{len(exchanges)} exchanges are too few for a reference",
            hint=f"give {_LEAST} or more, of many sessions",
        )
    by_session: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        by_session.setdefault(exchange.session, []).append(exchange)
    return tuple(
        draw(by_session, size, Random(f"{size}:{repeat}"))  # noqa: S311 - to be repeatable
        for size in _SIZES
        for repeat in range(_REPEATS)
        for draw in (_of_visits, _of_cases)
    )


def _of_visits(by_session: dict[str, list[Exchange]], size: int, random: Random) -> Draw:
    """Whole sessions, the last one up to the size."""
    sessions = random.sample(sorted(by_session), len(by_session))
    train: list[Exchange] = []
    while len(train) < size and sessions:
        train += by_session[sessions.pop()]
    return Draw(size, tuple(train[:size]), _rest([by_session[s] for s in sessions], random))


def _of_cases(by_session: dict[str, list[Exchange]], size: int, random: Random) -> Draw:
    """Requests of all sessions, a few at a time."""
    shuffled = [e for session in sorted(by_session) for e in by_session[session]]
    random.shuffle(shuffled)
    train = tuple(
        replace(exchange, session=f"case {number // _CASE}")
        for number, exchange in enumerate(shuffled[:size])
    )
    return Draw(size, train, _rest([shuffled[size:]], random))


def _rest(groups: Sequence[Sequence[Exchange]], random: Random) -> tuple[Exchange, ...]:
    distinct: dict[bytes, Exchange] = {}
    for group in groups:
        for exchange in group:
            distinct.setdefault(request_key(exchange.request), exchange)
    return tuple(random.sample(list(distinct.values()), min(_HELD, len(distinct))))


def make_reference(
    draws: Sequence[Draw],
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _all: None,
) -> Reference:
    """Return the reference of some draws; equal draws give an equal reference.

    Raises CorpusError where the site shows too little variety.
    """
    # Nothing is known of any tail yet: what is learned under this one is used for its counts only.
    flat = Tail(np.zeros(STEPS, np.float32), 1.0)
    scores_of_none = (flat,) * len(CATEGORIES)
    tails = [flat] * TAILS
    seen = [
        seen
        for one in _learned(draws, Reference(tuple(tails), scores_of_none), _LEARNING, progress)
        for seen in one.seen
    ]
    for group in range(TAIL_GROUP_COUNT):
        for measure in range(_M):
            values = [s.relative[s.groups == group, measure] for s in seen]
            tails[group * _M + measure] = _tail(np.concatenate(values))
    first = TAIL_GROUP_COUNT * _M
    for number in range(len(NOVELTIES)):
        tails[first + number] = _tail(np.array([s.score.news[number] for s in seen]))
    # Forests grow on surprises, so they are grown anew under these tails.
    held = list(_learned(draws, Reference(tuple(tails), scores_of_none), _AGAIN, progress))
    forest = first + len(NOVELTIES)
    tails[forest] = _tail(np.array([s.score.forest for one in held for s in one.seen]))
    progress("Judging the rest", 0, 2)
    channels = np.array([row for one in held for row in one.channels(tails)])
    for number in range(len(CHANNELS)):
        tails[forest + 1 + number] = _tail(channels[:, number])
    progress("Judging the rest", 1, 2)
    scores = np.array([row for one in held for row in one.scores(tails)])
    progress("Judging the rest", 2, 2)
    return Reference(
        tuple(tails),
        tuple(_tail(scores[scores[:, 0] == n, 1]) for n in range(len(CATEGORIES))),
    )


def _learned(
    draws: Sequence[Draw],
    reference: Reference,
    stage: str,
    progress: Callable[[str, int, int], None],
) -> Iterator[_Held]:
    for number, draw in enumerate(draws):
        progress(stage, number, len(draws))
        yield _Held.of(draw, reference)
    progress(stage, len(draws), len(draws))


def _tail(sample: npt.NDArray[np.float64]) -> Tail:
    if not len(sample):
        raise CorpusError(
            "the site never shows some kind of request or value that others show",
            hint="give traffic with and without bodies, of numbers, tokens and free text, of many "
            "sessions",
        )
    return fit_tail(sample)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A request that the model never saw: measures of its well-known fields, and their groups."""

    request: ParsedRequest
    score: Score
    relative: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Held:
    """A model of a small corpus, and what the rest looks like to it."""

    model: RequestModel
    seen: tuple[_Seen, ...]

    @classmethod
    def of(cls, draw: Draw, reference: Reference) -> _Held:
        options = FitOptions()
        samples = collect(draw.train, folds=options.folds, seed=options.seed)
        model = fit(samples, options, lambda _stage, _done, _all: None, reference).model
        parser, scorer = RequestParser(), Scorer(model)
        requests = [parser.parse(exchange.request) for exchange in draw.rest]
        return cls(model, tuple(_look(scorer, request) for request in requests))

    def channels(self, tails: Sequence[Tail]) -> list[npt.NDArray[np.float64]]:
        scorer = self._scorer(tails)
        return [scorer.channels(scorer.score(s.request)) for s in self.seen]

    def scores(self, tails: Sequence[Tail]) -> list[tuple[int, float]]:
        scorer = self._scorer(tails)
        found = [(scorer.score(s.request), s.request) for s in self.seen]
        return [(score.category, scorer.blockable(request, score)) for score, request in found]

    def _scorer(self, tails: Sequence[Tail]) -> Scorer:
        points = np.stack([tail.points for tail in tails])
        slopes = np.array([tail.slope for tail in tails], np.float32)
        return Scorer(replace(self.model, tail_points=points, tail_slopes=slopes))


def _look(scorer: Scorer, request: ParsedRequest) -> _Seen:
    score = scorer.score(request)
    relative, types, known = scorer.related(request)
    return _Seen(request, score, relative[known], TAIL_GROUPS[types[known]])
