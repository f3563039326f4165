from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cnaf.models.errors import ArtifactFormatError
from cnaf.models.forest_checks import check_forest
from hypothesis import given, settings
from hypothesis import strategies as st

FEATURES, CAP = 5, 6
Forest = tuple[list[int], list[int], list[int], list[int]]


def grow(rng: np.random.Generator, trees: int, depth: int) -> Forest:
    """Return a random forest in preorder."""
    left: list[int] = []
    right: list[int] = []
    feature: list[int] = []
    roots = []

    def node(level: int) -> int:
        index = len(left)
        left.append(-1)
        right.append(-1)
        feature.append(-2)
        if level < depth and rng.random() < 0.7:
            feature[index] = int(rng.integers(FEATURES))
            left[index] = node(level + 1)
            right[index] = node(level + 1)
        return index

    for _ in range(trees):
        roots.append(node(0))
    return left, right, feature, roots


def is_forest(forest: Forest) -> bool:
    """The plain reference: walk every tree and count."""
    left, right, feature, roots = forest
    ends = [*roots[1:], len(left)]
    if roots[0] != 0 or any(a >= b for a, b in zip(roots, ends, strict=True)):
        return False
    visits = [0] * len(left)
    for root, end in zip(roots, ends, strict=True):
        waiting = [(root, 0)]
        while waiting:
            node, depth = waiting.pop()
            visits[node] += 1
            if visits[node] > 1 or depth > CAP:
                return False
            if left[node] == right[node] == -1:
                continue
            if not 0 <= feature[node] < FEATURES:
                return False
            for child in (left[node], right[node]):
                if not node < child < end:
                    return False
                waiting.append((child, depth + 1))
    return all(count == 1 for count in visits)


def check(forest: Forest) -> None:
    left, right, feature, roots = (np.array(part, np.int32) for part in forest)
    check_forest(left, right, feature.astype(np.int16), roots, FEATURES, CAP)


def accepts(forest: Forest) -> bool:
    try:
        check(forest)
    except ArtifactFormatError:
        return False
    return True


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, CAP))
def test_grown_forests_pass(seed: int, trees: int, depth: int) -> None:
    forest = grow(np.random.default_rng(seed), trees, depth)
    assert is_forest(forest)
    assert accepts(forest)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(0, 60), st.integers(-3, 60))
def test_a_changed_link_is_judged_as_the_reference_does(
    seed: int, part: int, position: int, value: int
) -> None:
    forest = grow(np.random.default_rng(seed), 3, 4)
    forest[part][position % len(forest[part])] = value
    assert accepts(forest) == is_forest(forest)


LEAF = -1
HOSTILE: dict[str, tuple[Forest, str]] = {
    "its own child": (([0, LEAF, LEAF], [2, LEAF, LEAF], [0, 0, 0], [0]), "not after its parent"),
    "a cycle of two": (
        ([1, 0, LEAF, LEAF], [2, 3, LEAF, LEAF], [0, 0, 0, 0], [0]), "not after its parent"
    ),
    "a child beyond the end": (([1, LEAF, LEAF], [3, LEAF, LEAF], [0] * 3, [0]), "not after"),
    "a child in the next tree": (([1, LEAF, LEAF], [2, LEAF, LEAF], [0] * 3, [0, 2]), "not after"),
    "a negative child": (([1, LEAF, LEAF], [-2, LEAF, LEAF], [0] * 3, [0]), "not after"),
    "one child": (([1, LEAF], [LEAF, LEAF], [0, 0], [0]), "one child only"),
    "one child twice": (([1, LEAF, LEAF], [1, LEAF, LEAF], [0] * 3, [0]), "never or more"),
    "a node with two parents": (
        ([1, 2, LEAF, LEAF], [2, 3, LEAF, LEAF], [0] * 4, [0]), "never or more"
    ),
    "a node that nothing reaches": (([LEAF, LEAF], [LEAF, LEAF], [0, 0], [0]), "never or more"),
    "a feature too high": (([1, LEAF, LEAF], [2, LEAF, LEAF], [5, 0, 0], [0]), "no known feature"),
    "a negative feature": (([1, LEAF, LEAF], [2, LEAF, LEAF], [-1, 0, 0], [0]), "no known feature"),
    "a root in the middle": (([LEAF], [LEAF], [0], [1]), "roots"),
    "roots that descend": (([LEAF] * 3, [LEAF] * 3, [0] * 3, [0, 2, 1]), "roots"),
    "a root twice": (([LEAF] * 2, [LEAF] * 2, [0] * 2, [0, 0]), "roots"),
    "a root beyond the end": (([LEAF] * 2, [LEAF] * 2, [0] * 2, [0, 2]), "roots"),
    "no trees": (([LEAF], [LEAF], [0], []), "empty"),
    "no nodes": (([], [], [], [0]), "empty"),
    "arrays of two lengths": (([LEAF], [LEAF, LEAF], [0], [0]), "length"),
    "a tree too deep": (
        ([i + 1 if i % 2 == 0 and i < 14 else LEAF for i in range(15)],
         [i + 2 if i % 2 == 0 and i < 14 else LEAF for i in range(15)], [0] * 15, [0]),
        "deeper than 6",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_forests_are_refused_with_a_reason(case: str) -> None:
    forest, reason = HOSTILE[case]
    with pytest.raises(ArtifactFormatError, match=reason):
        check(forest)


@pytest.mark.parametrize("spoiled", [np.zeros((1, 1), np.int32), np.zeros(1, np.float32)])
def test_other_arrays_are_refused(spoiled: np.ndarray[Any, Any]) -> None:
    leaf = np.array([LEAF], np.int32)
    with pytest.raises(ArtifactFormatError, match="flat integer"):
        check_forest(leaf, leaf, leaf, spoiled, FEATURES, CAP)
