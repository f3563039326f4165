"""p-values and thresholds: monotone, consistent with each other, honest about what is not known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.fit import calibrate
from cnaf.models.calibration import STEPS, Calibration, fit_tail
from cnaf.models.kernels import TAIL_STEP, surprise
from hypothesis import given, settings
from hypothesis import strategies as st

bounded = settings(deadline=None, max_examples=200)
#: Few distinct numbers, so that ties are the rule.
scores = st.lists(
    st.integers(0, 6).map(float) | st.floats(-5, 50, width=32), min_size=1, max_size=60
)
rates = st.floats(1e-6, 0.999)


def of(values: list[float]) -> Calibration:
    return calibrate(np.array(values))


@bounded
@given(scores, st.floats(-10, 60))
def test_a_p_value_is_the_conformal_share(values: list[float], score: float) -> None:
    above = sum(value >= score for value in values)
    assert of(values).p_value(score) == (above + 1) / (len(values) + 1)


@bounded
@given(scores, st.floats(-10, 60), st.floats(-10, 60))
def test_higher_scores_never_have_higher_p_values(values: list[float], a: float, b: float) -> None:
    calibration = of(values)
    assert calibration.p_value(max(a, b)) <= calibration.p_value(min(a, b))


@bounded
@given(scores, rates, st.floats(-10, 60))
def test_a_threshold_is_passed_where_the_p_value_is_within_the_rate(
    values: list[float], rate: float, score: float
) -> None:
    calibration = of(values)
    threshold = calibration.threshold(rate)
    near = [threshold, math.nextafter(threshold, -math.inf), math.nextafter(threshold, math.inf)]
    for one in (score, *near, *values):
        if math.isfinite(one):
            assert (one >= threshold) == (calibration.p_value(one) <= rate)


@bounded
@given(scores, rates)
def test_no_more_held_out_requests_pass_than_the_rate_says(
    values: list[float], rate: float
) -> None:
    threshold = of(values).threshold(rate)
    assert sum(value >= threshold for value in values) <= rate * (len(values) + 1)


def test_large_samples_are_thinned_below_the_tail() -> None:
    sample = np.random.default_rng(1).gamma(2.0, size=20_000).astype(np.float32)
    calibration = calibrate(sample.astype(np.float64))
    assert len(calibration.scores) < 3_200
    for score in np.quantile(sample, [0.501, 0.7, 0.95, 0.999, 1.0]):
        exact = (np.sum(sample >= score) + 1) / 20_001
        assert calibration.p_value(float(score)) == pytest.approx(exact, abs=0.0011)
    assert calibration.p_value(float(np.quantile(sample, 0.3))) == 1.0
    for rate in (0.05, 0.01, 0.001):
        assert np.mean(sample >= calibration.threshold(rate)) == pytest.approx(rate, rel=0.1)


def test_p_values_of_exchangeable_scores_are_uniform() -> None:
    random = np.random.default_rng(7)
    calibration = calibrate(random.normal(size=1_999))
    p_values = np.array([calibration.p_value(score) for score in random.normal(size=4_000)])
    for rate in (0.01, 0.05, 0.2, 0.5):
        # Four deviations of both samples together.
        margin = 4 * math.sqrt(rate * (1 - rate) * (1 / 4_000 + 1 / 1_999))
        assert abs(np.mean(p_values <= rate) - rate) < margin


class TestEdges:
    def test_one_score(self) -> None:
        calibration = of([2.0])
        assert [calibration.p_value(score) for score in (1.0, 2.0, 3.0)] == [1.0, 1.0, 0.5]
        assert calibration.threshold(0.1) == math.inf
        assert calibration.threshold(0.5) == math.nextafter(2.0, math.inf)

    def test_all_equal(self) -> None:
        calibration = of([1.0] * 99)
        assert calibration.p_value(1.0) == 1.0
        assert calibration.threshold(0.01) == math.nextafter(1.0, math.inf)
        assert calibration.threshold(0.005) == math.inf

    def test_no_score_blocks_nothing(self) -> None:
        empty = Calibration(np.zeros(0, np.float32), np.zeros(0, np.int32), 0)
        assert empty.p_value(1e9) == 1.0
        assert empty.threshold(0.5) == math.inf
        assert empty.threshold(1.0) == math.inf


class TestTails:
    @bounded
    @given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=200))
    def test_a_tail_never_says_rarer_than_the_sample_backs(self, values: list[float]) -> None:
        sample = np.array(values)
        points, slope = fit_tail(sample)
        assert points.shape == (STEPS,)
        assert points.dtype == np.float32
        assert np.all(points[:-1] <= points[1:])
        assert points[0] == sample.min()
        assert 0 < slope < math.inf
        for value in values:
            share = np.mean(sample >= value)
            within = surprise(value, points, slope)
            # Between two steps it interpolates; past the last, the slope speaks.
            if np.isfinite(points[points >= np.float32(value)][:1]).any():
                assert within <= -math.log10(share) + TAIL_STEP + 1e-6

    @bounded
    @given(
        st.lists(st.floats(0, 100, width=32), min_size=1, max_size=100),
        st.floats(0, 200),
        st.floats(0, 200),
    )
    def test_surprise_rises_with_the_statistic(
        self, values: list[float], a: float, b: float
    ) -> None:
        points, slope = fit_tail(np.array(values))
        assert 0 <= surprise(min(a, b), points, slope) <= surprise(max(a, b), points, slope)

    def test_known_quantiles(self) -> None:
        sample: npt.NDArray[np.float64] = np.arange(1, 1_000, dtype=np.float64)
        points, slope = fit_tail(sample)
        assert surprise(900.0, points, slope) == pytest.approx(1.0, abs=0.1)
        assert surprise(990.0, points, slope) == pytest.approx(2.0, abs=0.1)
        assert surprise(5_000.0, points, slope) > 3.0

    def test_a_tie_is_as_rare_as_all_of_it(self) -> None:
        tied = np.float32(0.1)
        points, slope = fit_tail(np.array([0.0] * 50 + [float(tied)] * 50))
        # Whatever double the statistic comes as, it is the float32 that the tail was fitted on.
        assert surprise(0.1, points, slope) == surprise(float(tied), points, slope)
        assert surprise(0.1, points, slope) <= -math.log10(0.5) + TAIL_STEP
