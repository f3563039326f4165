"""The constants that turn measures into a score, with their reasons.

The arithmetic is in :mod:`cnaf.models.kernels`: a value's measure, related to what is usual in its
field, becomes a surprise (-log10 p on held-out benign traffic); weighted surprises add up to the
value's score; the worst value, structure and the isolation forest add up to the request's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MEASURE_FLOORS", "MEASURE_WEIGHTS"]

#: What a measure must exceed before a field that never varied counts it: one odd trigram (8
#: quarter bits of shape, 16 of vocabulary), 1 to 1.5 bits on average, a third of a symbol.
MEASURE_FLOORS: npt.NDArray[np.float32] = np.array([8.0, 4.0, 16.0, 6.0, 0.3, 0.3], np.float32)
#: Means repeat what peaks say, at half the weight. A new kind of character and a greater length are
#: what benign news mostly looks like (half of the false positives of held-out sessions rested on
#: them alone): they support the others and do not decide.
MEASURE_WEIGHTS: npt.NDArray[np.float32] = np.array([1.0, 0.5, 1.0, 0.5, 0.5, 0.25], np.float32)
