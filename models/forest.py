"""An isolation forest as flat arrays: the same score as scikit-learn's, a thousand times sooner.

Source: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008. Training stays with scikit-learn
(:mod:`cnaf.learner.forest`); this is the form that an artifact holds and a node runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.models.kernels import forest_scores

__all__ = ["FlatForest", "average_path_length"]


def average_path_length(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return c(n), the mean depth of an unsuccessful search in a binary tree of n samples."""
    samples = np.asarray(samples, np.float64)
    result = np.zeros_like(samples)
    many = samples > 2
    n = samples[many]
    result[many] = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    result[samples == 2] = 1.0
    return result


@dataclass(frozen=True, slots=True)
class FlatForest:
    """All nodes of all trees, tree after tree, each in preorder: a left child follows its parent.

    ``step`` (uint16, shape (nodes,)) is how far ahead the right child is, 0 at a leaf; ``feature``
    (uint8) and ``value`` (float32) decide at an inner node, left where ``x <= value``; at a leaf
    ``value`` is its depth plus the expected remainder. ``roots`` (int32, shape (trees,)) ascend;
    ``normal`` is c(max_samples). Every move goes forward, so no walk can loop.
    """

    step: npt.NDArray[np.uint16]
    feature: npt.NDArray[np.uint8]
    value: npt.NDArray[np.float32]
    roots: npt.NDArray[np.int32]
    normal: float

    def score(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return anomaly scores in (0, 1], higher is more anomalous, for rows (n, features).

        They are the negated ``score_samples`` of scikit-learn.
        """
        rows = np.ascontiguousarray(rows, np.float32)
        result: npt.NDArray[np.float64] = forest_scores(
            rows, self.step, self.feature, self.value, self.roots, self.normal
        )
        return result
