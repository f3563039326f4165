"""Train an isolation forest with scikit-learn and flatten it for the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from cnaf.models.forest import FlatForest, average_path_length

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

__all__ = ["fit_forest", "flatten"]


def fit_forest(rows: npt.NDArray[np.float32], *, trees: int, seed: int) -> FlatForest:
    """Return a forest of ``trees`` trees over rows (n, features), flattened."""
    # Importing scikit-learn takes two seconds that only a command that trains should pay.
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415

    forest = IsolationForest(
        n_estimators=trees, max_samples=min(256, len(rows)), random_state=seed, n_jobs=1
    )
    return flatten(forest.fit(rows))


def flatten(forest: IsolationForest) -> FlatForest:
    """Return the trees of a fitted forest as one set of flat arrays.

    Its ``score`` equals the negated ``score_samples`` within 1e-6: thresholds are rounded down to
    float32, which decides alike for every float32 input; only leaf depths are rounded.
    """
    steps, features, values, roots = [], [], [], []
    offset = 0
    for estimator in forest.estimators_:
        tree = estimator.tree_
        inner = tree.children_left >= 0
        nodes = np.arange(tree.node_count)
        if not (tree.children_left[inner] == nodes[inner] + 1).all():
            raise RuntimeError("scikit-learn no longer numbers the nodes of a tree in preorder")
        steps.append(np.where(inner, tree.children_right - nodes, 0))
        features.append(np.where(inner, tree.feature, 0))
        leaf = _depths(tree) + average_path_length(tree.n_node_samples)
        if forest.max_samples_ == 1:
            # Of one sample scikit-learn says 0.5: a mean depth of 1 over a normal of 1.
            leaf += 1.0
        values.append(np.where(inner, _round_down(tree.threshold), leaf.astype(np.float32)))
        roots.append(offset)
        offset += tree.node_count
    return FlatForest(
        np.concatenate(steps).astype(np.uint16),
        np.concatenate(features).astype(np.uint8),
        np.concatenate(values).astype(np.float32),
        np.array(roots, np.int32),
        float(average_path_length(np.array([forest.max_samples_]))[0]) or 1.0,
    )


def _depths(tree: object) -> npt.NDArray[np.float64]:
    """Return each node's depth; scikit-learn numbers children after their parent."""
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    depths = np.zeros(len(left))
    for node in np.flatnonzero(left >= 0):
        depths[left[node]] = depths[right[node]] = depths[node] + 1
    return depths


def _round_down(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    rounded = values.astype(np.float32)
    too_high = rounded.astype(np.float64) > values
    rounded[too_high] = np.nextafter(rounded[too_high], np.float32(-np.inf))
    return rounded
