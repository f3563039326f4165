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

__all__ = ["SPENT", "STEPS", "Calibration", "SplitCalibration", "fit_tail"]

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

    def ranks_of(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Return how many held-out scores are at least so high, for each score (float32)."""
        padded = np.append(self.ranks, np.int32(0))
        ranks = padded[np.searchsorted(self.scores, scores, side="left")]
        if len(self.scores):
            ranks[scores < self.scores[0]] = self.total
        return ranks

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
#: Part of a rate that thresholds use up: sessions of tomorrow differ from those of the corpus more
#: than these do from each other, and rules of medium confidence need a share.
SPENT = 0.75
#: Below so many sessions nothing is promised.
_ENOUGH_SESSIONS = 10


@dataclass(frozen=True, slots=True)
class SplitCalibration:
    """The calibrations of requests without a body and of those with one, and of how many sessions.

    A promise holds for sessions like those of the corpus; a few sessions are like no others.
    """

    plain: Calibration
    body: Calibration
    sessions: int

    def thresholds(self, false_positive_rate: float) -> tuple[float, float]:
        """Return the thresholds of both kinds that together keep the rate; infinity where none do.

        Where one kind is too rare to promise its rate, both are held to one threshold.
        """
        bodies, others = self.body.total, self.plain.total
        false_positive_rate *= SPENT
        if self.sessions < _ENOUGH_SESSIONS:
            return float("inf"), float("inf")
        if bodies and others:
            share = bodies / (bodies + others)
            body_rate = min(_BODY_RATE, _BODY_SHARE / share) * false_positive_rate
            plain_rate = (false_positive_rate - share * body_rate) / (1.0 - share)
            both = self.plain.threshold(plain_rate), self.body.threshold(body_rate)
            if np.isfinite(both).all():
                return both
        pooled = self._pooled().threshold(false_positive_rate)
        return pooled, pooled

    def _pooled(self) -> Calibration:
        scores = np.sort(np.concatenate([self.plain.scores, self.body.scores]))
        ranks = self.plain.ranks_of(scores) + self.body.ranks_of(scores)
        return Calibration(scores, ranks, self.plain.total + self.body.total)
