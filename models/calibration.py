"""From scores to p-values and thresholds: what a number means in false positives.

A tail is the distribution of a statistic on held-out benign traffic, kept as the statistic's value
at fixed steps of -log10 p. Beyond the last step, where no data is, it goes on with the slope of an
exponential tail.

Some hundred requests of a test suite cannot say what one in a thousand looks like. A tail and a
calibration therefore start from a reference, the same statistic on other traffic, which counts as
so many observations (:data:`REFERENCE_WEIGHT`): with little data the reference speaks, with much
the data does. The p-value of a score is the share of both that is at least so high, the posterior
mean under a Dirichlet prior in place of the uniform one behind (rank + 1) / (n + 1).

Requests with and without a body, whose oddest value is free text or is not, are different
populations; one threshold for all would let the many speak for the few. Each category is held
against its own (Mondrian conformal prediction, Vovk et al. 2003), so that a rate holds in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from cnaf.models.kernels import SURPRISE_CAP, TAIL_STEP, surprise

__all__ = [
    "CATEGORIES",
    "RAREST",
    "REFERENCE_WEIGHT",
    "SPENT",
    "STEPS",
    "Calibration",
    "MondrianCalibration",
    "Tail",
    "category_of",
    "fit_tail",
]

#: A tail holds its statistic at -log10 p = 0, 0.1, … 4.9.
STEPS = 50
#: Share of the sample that the exponential continuation is fitted on.
_TAIL_SHARE = 0.02
#: Observations that a reference counts for. With 100, sites that gave no reference exceed a rate
#: of one in a hundred at 200 requests; with 300 they keep it.
REFERENCE_WEIGHT: Final = 300.0
#: Shares are as exact as float32, in which tails are kept.
_ROUNDING = 1e-6
#: Past this neither a corpus nor the reference backs a number.
RAREST: Final = 1e-5
#: A tail without spread is given one of a tenth, so that its slope stays finite.
_LEAST_SPREAD = 0.1
#: Halvings after which a threshold is exact for scores, which are float32 up to SURPRISE_CAP.
_HALVINGS = 48


class Tail(NamedTuple):
    """Values at the steps (float32, shape (STEPS,), infinity where unknown), and the slope.

    The slope is in units of -log10 p per unit of the statistic.
    """

    points: npt.NDArray[np.float32]
    slope: float

    def share(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return which share of the distribution is at least so high, for each value."""
        found = [surprise(value, self.points, self.slope) for value in values]
        return np.asarray(10.0 ** -np.array(found, np.float64))


def fit_tail(
    sample: npt.NDArray[np.float64], reference: Tail | None = None, weight: float = REFERENCE_WEIGHT
) -> Tail:
    """Return the tail of a sample, on top of a reference that counts ``weight`` observations."""
    ordered = np.sort(np.asarray(sample, np.float64))
    if reference is None:
        return _own_tail(ordered)
    n = len(ordered)
    known = reference.points[np.isfinite(reference.points)].astype(np.float64)
    # Past its last step the reference is a line: two points of it a step are enough.
    beyond = known[-1] + np.arange(1, STEPS) * TAIL_STEP / reference.slope
    grid = np.unique(np.concatenate([ordered, known, beyond]))
    above = n - np.searchsorted(ordered, grid, side="left")
    share = (above + weight * reference.share(grid)) / (n + weight)
    points = np.full(STEPS, np.inf, np.float32)
    for step in range(STEPS):
        # The last value that is still so common: what lies beyond a tie is as rare as it looks.
        common = np.flatnonzero(share >= 10.0 ** (-TAIL_STEP * step) * (1.0 - _ROUNDING))
        points[step] = grid[common[-1]] if len(common) else grid[0]
    expected = _TAIL_SHARE * weight
    excess = expected / (reference.slope * np.log(10.0))
    count = expected
    if n:
        start = ordered[int(n * (1.0 - _TAIL_SHARE))]
        own = ordered[ordered > start] - start
        excess, count = excess + float(own.sum()), count + len(own)
    return Tail(points, _slope(excess / count))


def _own_tail(ordered: npt.NDArray[np.float64]) -> Tail:
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
    return Tail(points, _slope(float(beyond.mean()) if len(beyond) else 0.0))


def _slope(spread: float) -> float:
    return float(1.0 / (max(spread, _LEAST_SPREAD) * np.log(10.0)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Request scores of held-out benign traffic, and what follows from them.

    ``scores`` (float32, shape (m,), ascending) holds the upper tail of the ``total`` held-out
    scores: everything above the median, thinned below the top 1,000.
    ``ranks`` (int32, shape (m,)) is how many held-out scores are at least so high. ``reference``
    counts as ``weight`` more of them.
    """

    scores: npt.NDArray[np.float32]
    ranks: npt.NDArray[np.int32]
    total: int
    reference: Tail
    weight: float = REFERENCE_WEIGHT

    def p_value(self, score: float) -> float:
        """Return the share of held-out scores, and of the reference, that is at least so high."""
        index = int(np.searchsorted(self.scores, score, side="left"))
        if index == 0 and (not len(self.scores) or score < self.scores[0]):
            # Below what is kept, all may be above: a p-value may be too great, never too small.
            above = self.total
        else:
            above = int(self.ranks[index]) if index < len(self.ranks) else 0
        reference = max(RAREST, 10.0 ** -surprise(score, *self.reference))
        return float((above + self.weight * reference) / (self.total + self.weight))

    def threshold(self, false_positive_rate: float) -> float:
        """Return the least score whose p-value is at most the rate; infinity where none is."""
        low, high = 0.0, SURPRISE_CAP
        if self.p_value(high) > false_positive_rate:
            return float("inf")
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            if self.p_value(middle) <= false_positive_rate:
                high = middle
            else:
                low = middle
        return high


#: What a request may be, in the order of their numbers.
CATEGORIES: Final = (
    "without a body", "without a body, odd in free text",
    "with a body", "with a body, odd in free text",
)  # fmt: skip
#: Part of a rate that thresholds use up: sessions of tomorrow differ from those of the corpus more
#: than these do from each other, and rules of medium confidence need a share.
SPENT = 0.5
#: Requests with a body get up to so many times the rate of the target, and at most this share of
#: all false positives: what they carry is what an attacker writes, too.
_BODY_RATE, _BODY_SHARE = 5.0, 0.5


def category_of(body: bool, rich: bool) -> int:
    """Return the number of a request's category: has it a body, is its oddest value free text."""
    return 2 * body + rich


@dataclass(frozen=True, slots=True)
class MondrianCalibration:
    """One calibration a category."""

    categories: tuple[Calibration, ...]

    @property
    def total(self) -> int:
        """How many held-out requests all of it rests on."""
        return sum(calibration.total for calibration in self.categories)

    def thresholds(self, false_positive_rate: float) -> tuple[float, ...]:
        """Return the threshold of each category; together they keep the rate."""
        rate = SPENT * false_positive_rate
        bodies = sum(calibration.total for calibration in self.categories[2:])
        share = (bodies + 1.0) / (self.total + 2.0)
        body = min(_BODY_RATE, _BODY_SHARE / share)
        plain = (1.0 - share * body) / (1.0 - share)
        return tuple(
            calibration.threshold(rate * (body if number >= category_of(True, False) else plain))
            for number, calibration in enumerate(self.categories)
        )
