"""How often the model alarms on traffic that it never saw: the rate reached beside the promised.

Scores are out of fold already. The threshold that is held against one fold's scores comes from the
other folds, so that neither a request nor its session had a say in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.datasets.stats import wilson_interval
from cnaf.learner.fit import split_calibration

__all__ = ["ReachedRate", "reached_rates"]


@dataclass(frozen=True, slots=True)
class ReachedRate:
    """One target false-positive rate: its thresholds, and what held-out requests made of it.

    ``plain`` is the threshold of requests without a body, ``body`` of those with one; infinity
    where the corpus is too small for the rate: then nothing is blocked on it. ``low`` and ``high``
    bound the reached rate with 95 % confidence (Wilson).
    """

    target: float
    plain: float
    body: float
    alarms: int
    requests: int
    low: float
    high: float

    @property
    def possible(self) -> bool:
        """Whether the corpus can promise the rate at all."""
        return min(self.plain, self.body) < float("inf")

    @property
    def rate(self) -> float:
        """Share of held-out requests beyond the threshold."""
        return self.alarms / self.requests


def reached_rates(
    scores: npt.NDArray[np.float64],
    bodies: npt.NDArray[np.bool_],
    sessions: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    targets: Sequence[float],
) -> tuple[ReachedRate, ...]:
    """Return one entry a target; the four arrays have one entry a request."""
    overall = split_calibration(scores, bodies, sessions)
    # With a single fold there is nobody else to ask; calibration has refused such a corpus.
    rest = [
        (scores[folds == fold], bodies[folds == fold],
         split_calibration(*(a[folds != fold] for a in (scores, bodies, sessions))))
        for fold in np.unique(folds)
    ]  # fmt: skip
    rates = []
    for target in targets:
        alarms = 0
        for own, with_body, other in rest:
            plain, body = other.thresholds(target)
            alarms += int((own >= np.where(with_body, body, plain)).sum())
        low, high = wilson_interval(alarms, len(scores))
        thresholds = overall.thresholds(target)
        rates.append(ReachedRate(target, *thresholds, alarms, len(scores), low, high))
    return tuple(rates)
