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
from cnaf.learner.fit import calibrate

__all__ = ["ReachedRate", "reached_rates"]


@dataclass(frozen=True, slots=True)
class ReachedRate:
    """One target false-positive rate: its threshold, and what held-out requests made of it.

    ``threshold`` is None where the corpus is too small for the rate: then nothing is blocked on
    it. ``low`` and ``high`` bound the reached rate with 95 % confidence (Wilson).
    """

    target: float
    threshold: float | None
    alarms: int
    requests: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of held-out requests beyond the threshold."""
        return self.alarms / self.requests


def reached_rates(
    scores: npt.NDArray[np.float64], folds: npt.NDArray[np.int64], targets: Sequence[float]
) -> tuple[ReachedRate, ...]:
    """Return one entry a target; ``scores`` and ``folds`` have one entry a request."""
    overall = calibrate(scores)
    # With a single fold there is nobody else to ask; calibration has refused such a corpus.
    rest = [(scores[folds == fold], calibrate(scores[folds != fold])) for fold in np.unique(folds)]
    rates = []
    for target in targets:
        alarms = sum(int((own >= other.threshold(target)).sum()) for own, other in rest)
        threshold = overall.threshold(target)
        low, high = wilson_interval(alarms, len(scores))
        rates.append(
            ReachedRate(
                target,
                threshold if np.isfinite(threshold) else None,
                alarms,
                len(scores),
                low,
                high,
            )
        )
    return tuple(rates)
