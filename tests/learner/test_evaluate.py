"""The reached rate is measured by thresholds that never saw the scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.evaluate import ReachedRate, reached_rates
from cnaf.models.calibration import SPENT

Numbers = npt.NDArray[np.float64]


def rates(
    scores: Numbers, targets: list[float], folds: npt.NDArray[np.int64], share: float = 0.3
) -> tuple[ReachedRate, ...]:
    """The rates of requests that each have a session of their own, some with a body."""
    bodies = np.random.default_rng(5).random(len(scores)) < share
    return reached_rates(scores, bodies, np.arange(len(scores)), folds, targets)


def test_rates_of_exchangeable_scores_stay_within_what_was_promised() -> None:
    rng = np.random.default_rng(1)
    scores, folds = rng.normal(size=20_000), rng.integers(0, 5, 20_000)
    for rate in rates(scores, [0.05, 0.01, 0.002], folds):
        # Thresholds use a part of the target up.
        assert rate.low <= rate.target * SPENT <= rate.high
        assert rate.rate == rate.alarms / rate.requests
        assert rate.possible
        assert -math.inf < min(rate.plain, rate.body)


def test_bodies_are_held_to_their_own_threshold() -> None:
    rng = np.random.default_rng(4)
    scores, folds = rng.normal(size=20_000), rng.integers(0, 5, 20_000)
    bodies = rng.random(20_000) < 0.1
    scores[bodies] += 2.0
    (rate,) = reached_rates(scores, bodies, np.arange(20_000), folds, [0.02])
    assert rate.body > rate.plain + 1
    assert rate.low <= 0.02 * SPENT <= rate.high


def test_one_odd_fold_shows_as_a_broken_promise() -> None:
    rng = np.random.default_rng(2)
    scores, folds = rng.normal(size=5_000), np.repeat(np.arange(5), 1_000)
    scores[folds == 3] += 5.0
    (rate,) = rates(scores, [0.01], folds)
    assert rate.low > rate.target


def test_thresholds_told_are_those_of_all_folds() -> None:
    scores = np.random.default_rng(3).normal(size=3_000)
    one, other = (rates(scores, [0.05], np.arange(3_000) % folds)[0] for folds in (2, 7))
    assert (one.plain, one.body) == (other.plain, other.body)


def test_a_corpus_too_small_for_a_rate_promises_nothing() -> None:
    (rate,) = rates(np.arange(50.0), [0.001], np.arange(50) % 5)
    assert (rate.plain, rate.body, rate.possible, rate.alarms) == (math.inf, math.inf, False, 0)
    assert rate.high > 0.01


@pytest.mark.parametrize("target", [0.5, 0.1])
def test_equal_scores_alarm_on_nobody(target: float) -> None:
    (rate,) = rates(np.ones(100), [target], np.arange(100) % 5)
    assert rate.alarms == 0
    assert rate.possible
