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
from cnaf.learner.calibrating import calibrate
from cnaf.models.calibration import Tail

__all__ = ["ReachedRate", "reached_rates"]


@dataclass(frozen=True, slots=True)
class ReachedRate:
    """One target false-positive rate: its thresholds, and what held-out requests made of it.

    ``thresholds`` are those of each category of requests; infinity where held-out requests reach
    the highest score too often: then nothing of it is blocked. ``low`` and ``high`` bound the
    reached rate with 95 % confidence (Wilson).
    """

    target: float
    thresholds: tuple[float, ...]
    alarms: int
    requests: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of held-out requests beyond the threshold."""
        return self.alarms / self.requests


def reached_rates(
    scores: npt.NDArray[np.float64],
    categories: npt.NDArray[np.int64],
    sessions: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    references: Sequence[Tail],
    targets: Sequence[float],
) -> tuple[ReachedRate, ...]:
    """Return one entry a target; the four arrays have one entry a request."""
    overall = calibrate(scores, categories, sessions, references)
    # With a single fold there is nobody else to ask; calibration has refused such a corpus.
    rest = [
        (scores[out], categories[out],
         calibrate(scores[~out], categories[~out], sessions[~out], references))
        for out in (folds == fold for fold in np.unique(folds))
    ]  # fmt: skip
    rates = []
    for target in targets:
        alarms = 0
        for own, kinds, other in rest:
            alarms += int((own >= np.array(other.thresholds(target))[kinds]).sum())
        low, high = wilson_interval(alarms, len(scores))
        thresholds = overall.thresholds(target)
        rates.append(ReachedRate(target, thresholds, alarms, len(scores), low, high))
    return tuple(rates)
