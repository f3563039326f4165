"""p-values and thresholds: monotone, consistent with each other, honest about what is not known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.fit import calibrate, split_calibration
from cnaf.models.calibration import SPENT, STEPS, Calibration, SplitCalibration, fit_tail
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


by_session = st.lists(
    st.tuples(st.integers(0, 6).map(float), st.integers(0, 4)), min_size=1, max_size=60
)


class TestSessions:
    """Requests of one session are not independent, so a rank counts a session like the worst."""

    @bounded
    @given(by_session)
    def test_a_rank_counts_the_worst_session_once_more(self, made: list[tuple[float, int]]) -> None:
        values, sessions = (np.array(part) for part in zip(*made, strict=True))
        calibration = calibrate(values, sessions)
        for score in range(7):
            above = [session for value, session in made if value >= score]
            worst = max(map(above.count, above), default=1)
            expected = min(len(made), len(above) + worst - 1)
            assert calibration.p_value(score) == (expected + 1) / (len(made) + 1)

    @bounded
    @given(scores)
    def test_sessions_of_one_request_change_nothing(self, values: list[float]) -> None:
        alone = calibrate(np.array(values), np.arange(len(values)))
        assert alone.ranks.tolist() == of(values).ranks.tolist()

    @bounded
    @given(by_session, rates)
    def test_they_only_ever_make_a_threshold_higher(
        self, made: list[tuple[float, int]], rate: float
    ) -> None:
        values, sessions = (np.array(part) for part in zip(*made, strict=True))
        aware = calibrate(values, sessions)
        assert aware.threshold(rate) >= calibrate(values).threshold(rate)
        assert all(aware.p_value(v) >= calibrate(values).p_value(v) for v in values)

    @bounded
    @given(by_session, st.floats(-1, 8), st.floats(-1, 8))
    def test_p_values_still_fall_as_scores_rise(
        self, made: list[tuple[float, int]], a: float, b: float
    ) -> None:
        values, sessions = (np.array(part) for part in zip(*made, strict=True))
        calibration = calibrate(values, sessions)
        assert calibration.p_value(max(a, b)) <= calibration.p_value(min(a, b))

    def test_visits_that_are_odd_all_through_do_not_break_the_promise(self) -> None:
        """Sessions of twenty requests, one in twenty of them odd: the rate holds on average."""
        random = np.random.default_rng(11)

        def traffic(count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
            sessions = np.repeat(np.arange(count), 20)
            odd = random.random(count) < 0.05
            return random.normal(size=len(sessions)) + 6.0 * odd[sessions], sessions

        reached: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(100):
            (old, sessions), (new, _) = traffic(30), traffic(200)
            for aware, shares in reached.items():
                calibration = calibrate(old, sessions if aware else None)
                shares.append(float(np.mean(new >= calibration.threshold(0.05))))
        assert np.mean(reached[True]) < 0.05 < np.mean(reached[False])


split = st.tuples(
    st.lists(st.tuples(st.integers(0, 30).map(float), st.booleans()), min_size=10, max_size=120),
    st.integers(10, 40),
)


def split_of(made: list[tuple[float, bool]], sessions: int) -> SplitCalibration:
    values, bodies = (np.array(part) for part in zip(*made, strict=True))
    return split_calibration(values, bodies, np.arange(len(made)) % sessions)


class TestSplit:
    """Requests with and without a body have a threshold each; together they keep the rate."""

    @bounded
    @given(split, st.floats(0.001, 0.5))
    def test_both_thresholds_together_keep_a_part_of_the_rate_back(
        self, made: tuple[list[tuple[float, bool]], int], rate: float
    ) -> None:
        requests, sessions = made
        plain, body = split_of(requests, sessions).thresholds(rate)
        alarms = sum(value >= (body if with_body else plain) for value, with_body in requests)
        # A request of each kind beyond those that were counted is what the bound allows for.
        assert alarms <= SPENT * rate * (len(requests) + 2) * 1.0000001

    @bounded
    @given(split, st.floats(0.001, 0.4), st.floats(1.0, 2.0))
    def test_a_greater_rate_never_has_a_higher_threshold_of_all(
        self, made: tuple[list[tuple[float, bool]], int], rate: float, more: float
    ) -> None:
        one = split_of(*made)
        tight, loose = one.thresholds(rate), one.thresholds(rate * more)
        # Of one kind it may rise where a common threshold gives way to one for each.
        assert min(loose) <= max(tight)

    @pytest.mark.parametrize(
        ("share", "body_rate"), [(0.02, 5.0), (0.1, 5.0), (0.2, 2.5), (0.5, 1.0), (0.8, 0.625)]
    )
    def test_bodies_get_five_times_the_rate_or_half_of_all(
        self, share: float, body_rate: float
    ) -> None:
        random = np.random.default_rng(3)
        values = random.normal(size=20_000)
        bodies = np.arange(20_000) < share * 20_000
        both = split_calibration(values, bodies, np.arange(20_000))
        rate = 0.02
        plain, body = both.thresholds(rate)
        plain_rate = (1 - share * body_rate) / (1 - share)
        assert body == both.body.threshold(SPENT * rate * body_rate)
        assert plain == pytest.approx(both.plain.threshold(SPENT * rate * plain_rate), abs=1e-6)
        assert share * body_rate <= 0.5 + 1e-9
        assert np.mean(values >= np.where(bodies, body, plain)) == pytest.approx(
            SPENT * rate, rel=0.05
        )

    @pytest.mark.parametrize("bodies", [False, True])
    def test_one_kind_alone_has_all_of_the_rate(self, bodies: bool) -> None:
        values = np.arange(1_000.0)
        one = split_calibration(values, np.full(1_000, bodies), np.arange(1_000))
        only = one.body if bodies else one.plain
        assert one.thresholds(0.02) == (only.threshold(0.02 * SPENT),) * 2
        assert math.isfinite(one.thresholds(0.02)[0])

    def test_a_kind_too_rare_for_its_rate_shares_a_threshold_of_both(self) -> None:
        values, bodies = np.arange(2_000.0), np.arange(2_000) % 400 == 0
        one = split_calibration(values, bodies, np.arange(2_000))
        # Five bodies cannot promise one in twenty.
        assert one.body.threshold(0.05) == math.inf
        assert one.thresholds(0.02) == (calibrate(values).threshold(0.02 * SPENT),) * 2

    @pytest.mark.parametrize(("sessions", "finite"), [(1, False), (9, False), (10, True)])
    def test_few_sessions_promise_nothing(self, sessions: int, finite: bool) -> None:
        values = np.tile(np.arange(100.0), 10 * sessions)
        bodies = np.arange(len(values)) % 2 == 0
        one = split_calibration(values, bodies, np.arange(len(values)) % sessions)
        assert np.isfinite(one.thresholds(0.5)).tolist() == [finite, finite]

    def test_a_rate_that_nobody_can_promise(self) -> None:
        one = split_calibration(np.arange(100.0), np.arange(100) % 2 == 0, np.arange(100))
        assert one.thresholds(0.001) == (math.inf, math.inf)

    def test_no_request_at_all(self) -> None:
        empty = Calibration(np.zeros(0, np.float32), np.zeros(0, np.int32), 0)
        assert SplitCalibration(empty, empty, 50).thresholds(0.5) == (math.inf, math.inf)

    @bounded
    @given(scores, st.lists(st.floats(-10, 60, width=32), max_size=20))
    def test_ranks_of_any_scores(self, values: list[float], asked: list[float]) -> None:
        found = of(values).ranks_of(np.array(asked, np.float32))
        assert found.tolist() == [sum(value >= score for value in values) for score in asked]


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
