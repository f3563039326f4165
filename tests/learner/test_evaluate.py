"""The reached rate is measured by thresholds that never saw the scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.calibrating import calibrate
from cnaf.learner.evaluate import ReachedRate, reached_rates
from cnaf.models.calibration import CATEGORIES, SPENT, Tail, fit_tail

from tests.support.tails import SHY, STRAIGHT

Numbers = npt.NDArray[np.float64]


def scores_of(random: np.random.Generator, count: int) -> Numbers:
    return np.abs(random.normal(size=count))


def rates(
    scores: Numbers,
    targets: list[float],
    folds: npt.NDArray[np.int64],
    categories: npt.NDArray[np.int64] | None = None,
    reference: Tail = STRAIGHT,
) -> tuple[ReachedRate, ...]:
    """The rates of requests that each have a session of their own, of all categories."""
    random = np.random.default_rng(5)
    kinds = random.integers(0, len(CATEGORIES), len(scores)) if categories is None else categories
    references = (reference,) * len(CATEGORIES)
    return reached_rates(scores, kinds, np.arange(len(scores)), folds, references, targets)


def test_rates_of_exchangeable_scores_stay_within_what_was_promised() -> None:
    rng = np.random.default_rng(1)
    scores, folds = scores_of(rng, 20_000), rng.integers(0, 5, 20_000)
    reference = fit_tail(scores_of(rng, 20_000))
    for rate in rates(scores, [0.05, 0.01, 0.002], folds, reference=reference):
        # Thresholds use a part of the target up.
        assert rate.low <= rate.target * SPENT <= rate.high
        assert rate.rate == rate.alarms / rate.requests
        assert all(0 < threshold < math.inf for threshold in rate.thresholds)


def test_each_category_is_held_to_its_own_threshold() -> None:
    rng = np.random.default_rng(4)
    scores, folds = scores_of(rng, 40_000), rng.integers(0, 5, 40_000)
    categories = rng.choice(4, size=40_000, p=[0.6, 0.2, 0.1, 0.1])
    shift = np.array([0.0, 1.5, 0.5, 2.0])
    (rate,) = rates(scores + shift[categories], [0.02], folds, categories)
    # Bodies are a fifth of all, and get two and a half times the rate.
    assert rate.thresholds[1] > rate.thresholds[0] + 1
    assert rate.thresholds[3] > rate.thresholds[2] + 1
    assert rate.low <= 0.02 * SPENT <= rate.high


def test_one_odd_fold_shows_as_a_broken_promise() -> None:
    rng = np.random.default_rng(2)
    scores, folds = scores_of(rng, 5_000), np.repeat(np.arange(5), 1_000)
    scores[folds == 3] += 2.0
    (rate,) = rates(scores, [0.01], folds)
    assert rate.low > rate.target


def test_thresholds_told_are_those_of_all_folds() -> None:
    scores = scores_of(np.random.default_rng(3), 3_000)
    one, other = (rates(scores, [0.05], np.arange(3_000) % folds)[0] for folds in (2, 7))
    assert one.thresholds == other.thresholds
    each = np.random.default_rng(5).integers(0, 4, 3_000)
    overall = calibrate(scores, each, np.arange(3_000), (STRAIGHT,) * 4)
    assert one.thresholds == overall.thresholds(0.05)


def test_a_small_corpus_leans_on_its_reference_for_a_rate_that_it_cannot_show() -> None:
    (rate,) = rates(np.linspace(0, 2, 50), [0.001], np.arange(50) % 5)
    assert all(2.0 < threshold < math.inf for threshold in rate.thresholds)
    assert rate.alarms == 0
    # And says how little fifty requests can say.
    assert rate.high > 0.01


def test_where_nothing_is_known_nothing_is_promised() -> None:
    (rate,) = rates(np.linspace(0, 2, 50), [0.001], np.arange(50) % 5, reference=SHY)
    assert (rate.thresholds, rate.alarms) == ((math.inf,) * 4, 0)


@pytest.mark.parametrize("target", [0.5, 0.1])
def test_equal_scores_alarm_on_nobody(target: float) -> None:
    (rate,) = rates(np.full(10_000, 0.25), [target], np.arange(10_000) % 5)
    assert rate.alarms == 0
    assert all(threshold < math.inf for threshold in rate.thresholds)
