"""Whether the links of a forest make trees: a kernel walks them without looking."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from cnaf.models.refusals import refused, require

__all__ = ["check_forest"]

_LEAF = -1


def check_forest(
    left: npt.NDArray[Any],
    right: npt.NDArray[Any],
    feature: npt.NDArray[Any],
    roots: npt.NDArray[Any],
    features: int,
    depth_cap: int,
) -> None:
    """Raise ArtifactFormatError unless every walk ends at a leaf and stays inside of its tree.

    ``left``, ``right`` and ``feature`` (integers, shape (nodes,)) hold the trees one after
    another, ``roots`` (integers, shape (trees,)) where each starts. A leaf has -1 on both sides; a
    child stands after its parent in the same tree, which excludes cycles, and has one parent. The
    feature of an inner node is under ``features``; no leaf is more than ``depth_cap`` links deep.
    """
    _check_arrays(left, right, feature, roots)
    nodes = len(left)
    starts = roots.astype(np.int64)
    ascending = starts[0] == 0 and bool((starts[1:] > starts[:-1]).all())
    require(
        ascending and int(starts[-1]) < nodes,
        "the forest's roots do not ascend from 0 inside of it",
    )
    leaf = left == _LEAF
    require(bool((leaf == (right == _LEAF)).all()), "a node of the forest has one child only")
    inner = np.flatnonzero(~leaf)
    asked = feature[inner]
    require(
        bool(((asked >= 0) & (asked < features)).all()),
        "a node of the forest asks for no known feature",
    )
    ends = np.repeat(np.append(starts[1:], nodes), np.diff(starts, append=nodes))[inner]
    sides = left[inner].astype(np.int64), right[inner].astype(np.int64)
    for child in sides:
        inside = (child > inner) & (child < ends)
        require(bool(inside.all()), "a node of the forest is not after its parent in the same tree")
    # Children point forward inside of their tree, so who has one parent hangs on the root.
    parents = np.bincount(np.concatenate(sides), minlength=nodes)
    parents[starts] += 1
    require(bool((parents == 1).all()), "a node of the forest is reached never or more than once")
    _check_depth(left, right, starts, depth_cap)


def _check_arrays(*arrays: npt.NDArray[Any]) -> None:
    for array in arrays:
        require(
            array.ndim == 1 and array.dtype.kind in "iu", "its forest is not flat integer arrays"
        )
    left, right, feature, roots = arrays
    require(len(left) == len(right) == len(feature), "its forest's arrays differ in length")
    require(len(left) > 0 and len(roots) > 0, "its forest is empty")


def _check_depth(
    left: npt.NDArray[Any], right: npt.NDArray[Any], roots: npt.NDArray[np.int64], cap: int
) -> None:
    level = roots
    for _ in range(cap + 1):
        level = level[left[level] != _LEAF]
        if not len(level):
            return
        level = np.concatenate((left[level], right[level]))
    raise refused(f"a leaf of the forest is deeper than {cap}")
