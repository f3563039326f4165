"""From held-out scores to a calibration: ranks that count sessions, one category at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cnaf.models.calibration import CATEGORIES, Calibration, MondrianCalibration, Tail

__all__ = ["calibrate"]

#: Scores kept above the median in full; the rest is thinned (see Calibration).
_KEPT_SCORES = 1000


def calibrate(
    scores: npt.NDArray[np.float64],
    categories: npt.NDArray[np.int64],
    sessions: npt.NDArray[np.int64],
    references: Sequence[Tail],
) -> MondrianCalibration:
    """Return the calibration by held-out scores (float64) of categories and sessions (int64).

    ``references`` are what each category starts from.
    """
    return MondrianCalibration(
        tuple(
            _category(scores[categories == number], sessions[categories == number], reference)
            for number, reference in zip(range(len(CATEGORIES)), references, strict=True)
        )
    )


def _category(
    scores: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64], reference: Tail
) -> Calibration:
    """Return the calibration of one category.

    Requests of one session are not independent: one unusual visit makes several alarms. A rank
    therefore counts, beyond the scores at least so high, as many as the worst session has among
    them, where for independent requests it would be one: the promise is for one more session like
    the worst one (hierarchical conformal prediction, Dunn et al. 2022).
    """
    order = np.argsort(scores.astype(np.float32), kind="stable")
    ordered = scores.astype(np.float32)[order]
    n = len(ordered)
    ranks = n - np.searchsorted(ordered, ordered, side="left")
    ranks = np.minimum(n, ranks + _worst_sessions(ordered, sessions[order]) - 1)
    keep = np.zeros(n, bool)
    keep[max(0, n - _KEPT_SCORES) :] = True
    keep[n // 2 :: max(1, n // 500)] = True
    return Calibration(ordered[keep], ranks[keep].astype(np.int32), n, reference)


def _worst_sessions(
    ordered: npt.NDArray[np.float32], sessions: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return, for each ascending score, how many at least so high one session has at most."""
    counts: Counter[int] = Counter()
    worst = np.ones(len(ordered), np.int64)
    most = 0
    for i in range(len(ordered) - 1, -1, -1):
        session = int(sessions[i])
        counts[session] += 1
        most = max(most, counts[session])
        worst[i] = most
    # Ties stand or fall together: the first of them has counted all.
    first = np.searchsorted(ordered, ordered, side="left")
    return worst[first]
