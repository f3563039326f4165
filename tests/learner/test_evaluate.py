"""The reached rate is measured by thresholds that never saw the scores."""

from __future__ import annotations

import numpy as np
import pytest
from cnaf.learner.evaluate import reached_rates


def test_rates_of_exchangeable_scores_are_what_was_promised() -> None:
    rng = np.random.default_rng(1)
    scores, folds = rng.normal(size=20_000), rng.integers(0, 5, 20_000)
    for rate in reached_rates(scores, folds, [0.05, 0.01, 0.001]):
        assert rate.low <= rate.target <= rate.high
        assert rate.rate == rate.alarms / rate.requests
        assert rate.threshold is not None


def test_one_odd_session_shows_as_a_broken_promise() -> None:
    rng = np.random.default_rng(2)
    scores, folds = rng.normal(size=5_000), np.repeat(np.arange(5), 1_000)
    scores[folds == 3] += 5.0
    (rate,) = reached_rates(scores, folds, [0.01])
    assert rate.low > rate.target


def test_a_corpus_too_small_for_a_rate_promises_nothing() -> None:
    (rate,) = reached_rates(np.arange(50.0), np.arange(50) % 5, [0.001])
    assert (rate.threshold, rate.alarms) == (None, 0)
    assert rate.high > 0.01


@pytest.mark.parametrize("target", [0.5, 0.1])
def test_equal_scores_alarm_on_nobody(target: float) -> None:
    (rate,) = reached_rates(np.ones(100), np.arange(100) % 5, [target])
    assert rate.alarms == 0
