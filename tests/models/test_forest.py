"""The flat forest by itself: walks, scores and the expected path length."""

from __future__ import annotations

import numpy as np
import pytest
from cnaf.models.forest import FlatForest, average_path_length


def forest(*trees: tuple[list[int], list[int], list[float]], normal: float = 2.0) -> FlatForest:
    sizes = [len(step) for step, _, _ in trees]
    return FlatForest(
        np.array([s for step, _, _ in trees for s in step], np.uint16),
        np.array([f for _, feature, _ in trees for f in feature], np.uint8),
        np.array([v for _, _, value in trees for v in value], np.float32),
        np.array(np.cumsum([0, *sizes[:-1]]), np.int32),
        normal,
    )


#: x[0] <= 1 ? (x[1] <= 2 ? depth 2 : depth 3) : depth 4
STUMP = ([4, 2, 0, 0, 0], [0, 1, 0, 0, 0], [1.0, 2.0, 2.0, 3.0, 4.0])
LEAF = ([0], [0], [1.0])


@pytest.mark.parametrize(
    ("row", "depth"), [((1, 2), 2.0), ((0, 2.5), 3.0), ((1.5, 0), 4.0), ((np.inf, 0), 4.0)]
)
def test_a_walk_ends_where_the_questions_lead(row: tuple[float, float], depth: float) -> None:
    rows = np.array([row], np.float32)
    assert forest(STUMP).score(rows)[0] == pytest.approx(2.0 ** (-depth / 2.0))
    # The mean over the trees decides, not their sum.
    both = forest(STUMP, LEAF).score(rows)[0]
    assert both == pytest.approx(2.0 ** (-(depth + 1.0) / 2 / 2.0))


def test_shallow_leaves_are_more_anomalous() -> None:
    scores = forest(STUMP).score(np.array([[1, 2], [0, 3], [2, 0]], np.float32))
    assert scores[0] > scores[1] > scores[2] > 0


def test_other_dtypes_and_layouts_are_taken() -> None:
    rows = np.array([[1, 2], [2, 0]], np.float64, order="F")
    assert forest(STUMP).score(rows).tolist() == forest(STUMP).score(rows.astype("f4")).tolist()
    assert forest(STUMP).score(np.empty((0, 2), np.float32)).shape == (0,)


def test_expected_path_length_of_liu_ting_and_zhou() -> None:
    found = average_path_length(np.array([0, 1, 2, 3, 256]))
    harmonic = sum(1 / i for i in range(1, 256))
    assert found[:3].tolist() == [0.0, 0.0, 1.0]
    assert found[3] == pytest.approx(2 * (np.log(2) + np.euler_gamma) - 4 / 3)
    # They put ln(n - 1) + gamma for the harmonic number, which is off by 1/2(n - 1).
    assert found[4] == pytest.approx(2 * harmonic - 2 * 255 / 256, abs=0.01)
