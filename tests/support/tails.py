"""Reference tails to calibrate with, made by hand or drawn."""

from __future__ import annotations

import numpy as np
from cnaf.models.calibration import STEPS, Tail
from cnaf.models.kernels import TAIL_STEP
from hypothesis import strategies as st


def tail_of(values: list[float], slope: float = 1.0) -> Tail:
    """A tail that holds these values at its first steps, and does not know the others."""
    points = np.full(STEPS, np.inf, np.float32)
    points[: len(values)] = values
    return Tail(points, slope)


#: -log10 p of a score is the score itself, as if it were calibrated already.
STRAIGHT = tail_of([TAIL_STEP * step for step in range(STEPS)])
#: Every score is as ordinary as can be: what it counts for keeps every p-value high.
SHY = tail_of([1e6])
#: None that was fitted is steeper: a tail without spread is given some.
_SLOPES = st.floats(0.05, 4.34)
_VALUES = st.integers(0, 6).map(float) | st.floats(2.0**-10, 6.0, width=32)


def tails(*, ties: bool = True) -> st.SearchStrategy[Tail]:
    """Any tail of scores; without ties no value is as common as several steps."""
    several = st.lists(_VALUES, min_size=1, max_size=STEPS, unique=not ties).map(sorted)
    return st.builds(tail_of, several, _SLOPES)
