"""From scores to p-values and thresholds: what a number means in false positives.

Requests with a body are few and varied, those without are many and alike; one threshold for both
would let the many speak for the few. Each kind is held against its own (Mondrian conformal
prediction, Vovk et al. 2003), and the false positives that a target allows are shared out.

A tail is the distribution of a statistic on held-out benign traffic, kept as the statistic's value
at fixed steps of -log10 p. Beyond the last step, where no data is, it goes on with the slope of an
exponential tail; a p-value that a person or a threshold sees never goes below 1 / (n + 1), the
bound that conformal prediction guarantees (Vovk et al., "Algorithmic Learning in a Random World").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.models.kernels import TAIL_STEP

__all__ = ["STEPS", "Calibration", "SplitCalibration", "fit_tail"]

#: A tail holds its statistic at -log10 p = 0, 0.1, … 4.9.
STEPS = 50
#: Share of the sample that the exponential continuation is fitted on.
_TAIL_SHARE = 0.02


def fit_tail(sample: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], float]:
    """Return the tail of a sample: values at the steps (float32, shape (STEPS,)), and the slope.

    The slope is in units of -log10 p per unit of the statistic. A step beyond what the sample can
    show holds infinity.
    """
    ordered = np.sort(np.asarray(sample, np.float64))
    n = len(ordered)
    points = np.full(STEPS, np.inf, np.float32)
    for step in range(STEPS):
        share = 10.0 ** (-TAIL_STEP * step)
        if share * (n + 1) < 1.0:
            break
        # The smallest value that at most this share of the sample reaches.
        rank = min(n - 1, int(np.ceil(n - share * (n + 1))))
        points[step] = ordered[max(0, rank)]
    start = ordered[int(n * (1.0 - _TAIL_SHARE))]
    beyond = ordered[ordered > start] - start
    scale = float(beyond.mean()) if len(beyond) else 0.0
    # A tail without spread is given one of a tenth, so that its slope stays finite.
    return points, 1.0 / (max(scale, 0.1) * np.log(10.0))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Request scores of held-out benign traffic, and what follows from them.

    ``scores`` (float32, shape (m,), ascending) holds the upper tail of the ``total`` held-out
    scores: everything above the median, thinned below the top 1,000.
    ``ranks`` (int32, shape (m,)) is how many held-out scores are at least so high.
    """

    scores: npt.NDArray[np.float32]
    ranks: npt.NDArray[np.int32]
    total: int

    def p_value(self, score: float) -> float:
        """Return the conformal p-value: (held-out scores at least so high + 1) / (total + 1)."""
        index = int(np.searchsorted(self.scores, score, side="left"))
        if index == 0 and (not len(self.scores) or score < self.scores[0]):
            # Below what is kept, all may be above: a p-value may be too great, never too small.
            return 1.0
        above = int(self.ranks[index]) if index < len(self.ranks) else 0
        return (above + 1) / (self.total + 1)

    def threshold(self, false_positive_rate: float) -> float:
        """Return the least score whose p-value is at most the rate; infinity where none is."""
        if not len(self.scores) or 1.0 / (self.total + 1.0) > false_positive_rate:
            return float("inf")
        p = (self.ranks.astype(np.float64) + 1.0) / (self.total + 1.0)
        too_common = np.flatnonzero(p > false_positive_rate)
        if not len(too_common):
            return float(self.scores[0])
        # Just above the last score that is too common: p-values fall there, not at the next one.
        return float(np.nextafter(np.float64(self.scores[too_common[-1]]), np.inf))


#: Requests with a body get up to this many times the rate of the target, and at most this share of
#: all false positives: what they carry is what an attacker writes, too.
_BODY_RATE, _BODY_SHARE = 5.0, 0.5


@dataclass(frozen=True, slots=True)
class SplitCalibration:
    """The calibrations of requests without a body and of those with one."""

    plain: Calibration
    body: Calibration

    def thresholds(self, false_positive_rate: float) -> tuple[float, float]:
        """Return the thresholds of both kinds that together keep the rate; infinity where none do.

        A kind too rare to promise its rate is held to the highest score that it showed and to the
        other's threshold, whichever is greater.
        """
        bodies, others = self.body.total, self.plain.total
        share = bodies / max(1, bodies + others)
        if not bodies or not others:
            only = self.body if bodies else self.plain
            both = only.threshold(false_positive_rate)
            return both, both
        body_rate = min(_BODY_RATE * false_positive_rate, _BODY_SHARE * false_positive_rate / share)
        plain_rate = (false_positive_rate - share * body_rate) / (1.0 - share)
        plain, body = self.plain.threshold(plain_rate), self.body.threshold(body_rate)
        if not np.isfinite(plain) and np.isfinite(body):
            plain = max(body, _beyond(self.plain))
        elif not np.isfinite(body) and np.isfinite(plain):
            body = max(plain, _beyond(self.body))
        return plain, body


def _beyond(calibration: Calibration) -> float:
    return float(np.nextafter(np.float64(calibration.scores[-1]), np.inf))
