"""Thresholds for the traffic of production: what CI showed of shapes, held against real rates.

A model that was learned in CI promises its rates for traffic like that of CI. Real visitors are
more varied. What they sent, recorded in alert mode, is scored here by the model as it is: first in
the shadow, to see how often it would have alarmed, then, if someone says so, as the calibration of
a new artifact. N-grams and endpoints are not touched: nobody can teach the model a shape this way,
and what looks like an attack to a rule does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from cnaf.datasets.split import kfold
from cnaf.datasets.stats import wilson_interval
from cnaf.learner.calibrating import calibrate
from cnaf.learner.evaluate import ReachedRate, reached_rates
from cnaf.learner.selection import Selection, select
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange
from cnaf.models.model_codec import TARGET_RATES
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer
from cnaf.signatures.engine import SignatureEngine

__all__ = ["Recalibration", "Strange", "recalibrate"]

_FOLDS = 5
#: Fewer distinct requests say nothing about a rate of one in a hundred.
_LEAST = 100
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Strange:
    """One of the requests that thresholds rest on: look at it before they are believed."""

    exchange: str
    endpoint: str
    field: str
    score: float


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The model under new thresholds, and what the old and the new ones make of the traffic.

    ``before`` are the rates that the model as it is would have reached, ``after`` those of the new
    thresholds on sessions that had no say in them; both over ``distinct`` requests.
    """

    model: RequestModel
    selection: Selection
    distinct: int
    before: tuple[ReachedRate, ...]
    after: tuple[ReachedRate, ...]
    strangest: tuple[Strange, ...]


def recalibrate(
    model: RequestModel,
    exchanges: Iterable[Exchange],
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _all: None,
) -> Recalibration:
    """Hold a model against accepted traffic; raises CorpusError where that is too little."""
    progress("Setting attacks aside", 0, 1)
    selection = select(exchanges, SignatureEngine.load())
    progress("Setting attacks aside", 1, 1)
    distinct: dict[tuple[str, bytes, bytes], Exchange] = {}
    for exchange in selection.kept:
        request = exchange.request
        distinct.setdefault((request.method, request.target, request.body), exchange)
    if len(distinct) < _LEAST:
        raise CorpusError(
            f"{len(distinct)} distinct accepted requests are too few to calibrate on",
            hint=f"record at least {_LEAST}, better some thousands, over many sessions",
        )
    parser, scorer = RequestParser(), Scorer(model)
    blockable, categories = [], []
    strange: list[Strange] = []
    for done, exchange in enumerate(distinct.values()):
        if not done % 256:
            progress("Scoring traffic", done, len(distinct))
        parsed = parser.parse(exchange.request)
        score = scorer.score(parsed)
        blockable.append(scorer.blockable(parsed, score))
        categories.append(score.category)
        worst = parsed.fields[score.indices[int(np.argmax(score.values))]].label
        route = f"{score.method} {score.template}"
        strange.append(Strange(exchange.id, route, worst, blockable[-1]))
    progress("Scoring traffic", len(distinct), len(distinct))
    names = [exchange.session for exchange in distinct.values()]
    numbers = {session: number for number, session in enumerate(sorted(set(names)))}
    sessions = np.array([numbers[name] for name in names], np.int64)
    folds = np.array([kfold(name, _FOLDS) for name in names], np.int64)
    values, kinds = np.array(blockable), np.array(categories, np.int64)
    references = tuple(category.reference for category in model.calibration.categories)
    return Recalibration(
        replace(model, calibration=calibrate(values, kinds, sessions, references)),
        selection,
        len(distinct),
        tuple(_before(model, rate, values, kinds) for rate in TARGET_RATES),
        reached_rates(values, kinds, sessions, folds, references, TARGET_RATES),
        tuple(sorted(strange, key=lambda item: -item.score)[:_SHOWN]),
    )


def _before(
    model: RequestModel,
    rate: float,
    scores: npt.NDArray[np.float64],
    categories: npt.NDArray[np.int64],
) -> ReachedRate:
    thresholds = model.calibration.thresholds(rate)
    alarms = int((scores >= np.array(thresholds)[categories]).sum())
    return ReachedRate(rate, thresholds, alarms, len(scores), *wilson_interval(alarms, len(scores)))
