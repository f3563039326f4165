"""The constants that turn measures into a score, with their reasons.

The arithmetic is in :mod:`cnaf.models.kernels`: a value's measure, related to what is usual in its
field, becomes a surprise (-log10 p on held-out benign traffic); weighted surprises add up to the
value's score; the worst value, structure and the isolation forest add up to the request's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from cnaf.models.value_types import ValueType

__all__ = [
    "MEASURE_FLOORS",
    "MEASURE_WEIGHTS",
    "RICH",
    "SPELLED",
    "SYNTAX_WEIGHTS",
    "TAIL_GROUPS",
    "TAIL_GROUP_COUNT",
]

#: What a measure must exceed before a field that never varied counts it: one odd trigram (8
#: quarter bits of syntax, 16 of vocabulary), 1 to 1.5 bits on average, two bits of new tokens, a
#: third of a doubling.
MEASURE_FLOORS: npt.NDArray[np.float32] = np.array([8.0, 4.0, 16.0, 6.0, 2.0, 0.3, 0.3], np.float32)
#: Syntax and new kinds of token decide; vocabulary and length are what benign news mostly looks
#: like, so that they support the others.
MEASURE_WEIGHTS: npt.NDArray[np.float32] = np.array(
    [1.0, 0.5, 0.5, 0.5, 1.0, 0.25, 0.25], np.float32
)
#: Of a path that CI never requested only syntax counts: its words and its length are news by
#: themselves.
SYNTAX_WEIGHTS: npt.NDArray[np.float32] = np.array([1.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0], np.float32)
_RICH = frozenset(
    {ValueType.NAME, ValueType.TEXT, ValueType.MARKUP, ValueType.BINARY, ValueType.CODE}
)
#: The tail group of what people write; the kernel names it, too.
RICH = 1
#: Which tails a type is held against: what people write, what machines draw at random, the rest.
#: What is written has a long tail, which must not hide an oddity in a number.
TAIL_GROUPS: npt.NDArray[np.int64] = np.array(
    [RICH if t in _RICH else 2 if t is ValueType.TOKEN else 0 for t in ValueType], np.int64
)
TAIL_GROUP_COUNT = 3
#: Whether the letters of a type are read at all (uint8 by type). Those of what machines draw or
#: count follow from no vocabulary: only the syntax of such a value can be odd.
SPELLED: npt.NDArray[np.uint8] = np.array(
    [
        t
        not in {
            ValueType.EMPTY, ValueType.INTEGER, ValueType.NUMBER, ValueType.DATE, ValueType.UUID,
            ValueType.TOKEN,
        }
        for t in ValueType
    ],
    np.uint8,
)  # fmt: skip
