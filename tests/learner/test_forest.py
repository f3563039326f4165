"""A flattened forest scores as scikit-learn does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.forest import fit_forest, flatten
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import IsolationForest

Rows = npt.NDArray[np.float32]
#: Few distinct numbers make duplicates and constant columns; wide ones test the rounding down.
numbers = st.sampled_from([0.0, 1.0, 1.0 + 2**-23, -1.0, 0.1]) | st.floats(
    -(2.0**100), 2.0**100, width=32
)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 6))
tables = shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=numbers))


def assert_equal_scores(forest: IsolationForest, rows: Rows) -> None:
    flat = flatten(forest)
    np.testing.assert_allclose(flat.score(rows), -forest.score_samples(rows), rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(tables, st.integers(0, 1000), st.integers(1, 40))
def test_scores_equal_score_samples(rows: Rows, seed: int, max_samples: int) -> None:
    forest = IsolationForest(
        n_estimators=5, max_samples=min(max_samples, len(rows)), random_state=seed
    )
    forest.fit(rows)
    assert_equal_scores(forest, rows)
    # Rows at the very thresholds, where rounding would send one to the other side.
    cuts = np.concatenate([tree.tree_.threshold for tree in forest.estimators_])
    near = np.float32(cuts)[:, None] * np.ones(rows.shape[1], np.float32)
    for probe in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, -near)):
        assert_equal_scores(forest, probe.astype(np.float32))


def test_realistic_sizes() -> None:
    random = np.random.default_rng(1)
    rows = random.gamma(2.0, size=(2_000, 27)).astype(np.float32)
    rows[:, 3] = 0.0
    rows[500:900] = rows[0]
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=0).fit(rows)
    assert_equal_scores(forest, rows)
    assert_equal_scores(forest, random.normal(scale=50, size=(500, 27)).astype(np.float32))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_tiny_samples(rows: int) -> None:
    made = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    assert_equal_scores(
        IsolationForest(n_estimators=3, max_samples=rows, random_state=0).fit(made), made
    )


def test_equal_rows_make_leaves_of_all() -> None:
    made = np.ones((30, 4), np.float32)
    forest = IsolationForest(n_estimators=3, max_samples=30, random_state=0).fit(made)
    assert_equal_scores(forest, made)
    assert len(flatten(forest).step) == 3


def test_nodes_are_in_preorder_and_only_lead_on() -> None:
    rows = np.random.default_rng(2).normal(size=(300, 5)).astype(np.float32)
    flat = fit_forest(rows, trees=10, seed=4)
    inner = flat.step > 0
    assert (flat.step[inner] >= 2).all()
    assert (flat.roots == np.sort(flat.roots)).all()
    assert len(flat.roots) == 10
    assert (flat.feature < 5).all()


def test_equal_seeds_give_equal_forests() -> None:
    rows = np.random.default_rng(3).normal(size=(100, 5)).astype(np.float32)
    one, same, other = (fit_forest(rows, trees=5, seed=seed) for seed in (1, 1, 2))
    assert one.value.tobytes() == same.value.tobytes()
    assert one.value.tobytes() != other.value.tobytes()


def test_what_stands_alone_scores_higher() -> None:
    rows = np.random.default_rng(5).normal(size=(400, 3)).astype(np.float32)
    scores = fit_forest(rows, trees=50, seed=0).score(np.array([[0, 0, 0], [9, 9, 9]], np.float32))
    assert scores[1] > 0.7 > 0.5 > scores[0]
