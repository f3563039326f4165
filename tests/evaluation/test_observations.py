"""Counting: requests, distinct requests, and thresholds."""

from __future__ import annotations

import numpy as np
from cnaf.evaluation.observations import (
    Observation,
    Rate,
    blocked_by,
    least_threshold,
    rates,
    seen_by,
)
from cnaf.models.verdict import Action
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.observed import observed

BLOCK, ALERT, PASS = Action.BLOCK, Action.ALERT, Action.PASS
model = blocked_by("model")


def test_the_worst_of_equal_requests_counts() -> None:
    benign = [observed(key=b"1", action=PASS), observed(key=b"1", action=BLOCK)]
    attacks = [observed("set", key=b"1", action=PASS), observed("set", key=b"1", action=BLOCK)]
    assert rates(benign, model).distinct == Rate.of(1, 1)
    assert rates(attacks, model).distinct == Rate.of(0, 1)
    assert rates(benign + attacks, model).requests == Rate.of(2, 4)
    assert rates(benign + attacks, model).distinct.n == 2


def test_pipelines_are_told_apart() -> None:
    seen = observed(actions=(PASS, ALERT, BLOCK))
    decisions = [
        (blocked_by(name)(seen), seen_by(name)(seen)) for name in ("model", "signatures", "product")
    ]
    assert decisions == [(False, False), (False, True), (True, True)]


def test_nothing_has_no_share() -> None:
    none = rates([], model).requests
    assert (none.hits, none.n, none.low, none.high) == (0, 0, 0.0, 1.0)
    assert np.isnan(none.share)
    assert Rate.of(1, 4).share == 0.25


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 8).map(float), min_size=1, max_size=60),
    st.floats(0.0, 1.0),
)
def test_a_threshold_keeps_its_rate_and_is_the_least(scores: list[float], target: float) -> None:
    limit = least_threshold(scores, target)
    reached = sum(score >= limit for score in scores)
    assert reached <= target * len(scores)
    below = [score for score in scores if score < limit]
    if below:
        assert sum(score >= max(below) for score in scores) > int(target * len(scores))


def test_an_observation_is_a_value() -> None:
    assert isinstance(observed(), Observation)
