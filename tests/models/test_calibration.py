"""p-values and thresholds: monotone, consistent with each other, honest about what is not known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.calibrating import calibrate
from cnaf.models.calibration import (
    CATEGORIES,
    RAREST,
    REFERENCE_WEIGHT,
    SPENT,
    STEPS,
    Calibration,
    MondrianCalibration,
    Tail,
    category_of,
    fit_tail,
)
from cnaf.models.kernels import SURPRISE_CAP, TAIL_STEP, surprise
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tails import SHY, STRAIGHT, tail_of, tails

bounded = settings(deadline=None, max_examples=200)
#: Few distinct numbers, so that ties are the rule; scores lie between nothing and the cap.
one_score = st.integers(0, 6).map(float) | st.floats(2.0**-10, SURPRISE_CAP, width=32)
scores = st.lists(one_score, max_size=60)
asked = one_score | st.floats(-1, 10)
rates = st.floats(1e-6, 0.999)
W = REFERENCE_WEIGHT


def of(
    values: list[float] | npt.NDArray[np.float64],
    reference: Tail = STRAIGHT,
    sessions: npt.NDArray[np.int64] | None = None,
) -> Calibration:
    """The calibration of one category; each score has a session of its own unless said."""
    given_scores = np.array(values, np.float64)
    own = np.arange(len(given_scores)) if sessions is None else sessions
    none = np.zeros(len(given_scores), np.int64)
    return calibrate(given_scores, none, own, (reference,) * len(CATEGORIES)).categories[0]


def conformal(
    values: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64] | None = None
) -> Calibration:
    """As conformal prediction has it: one more request, that nothing is known of."""
    return replace(of(values, SHY, sessions), weight=1.0)


@bounded
@given(scores, tails(), asked)
def test_a_p_value_is_the_share_of_scores_and_reference(
    values: list[float], reference: Tail, score: float
) -> None:
    above = sum(value >= score for value in values)
    share = max(RAREST, 10.0 ** -surprise(score, *reference))
    assert of(values, reference).p_value(score) == pytest.approx(
        (above + W * share) / (len(values) + W), rel=1e-12
    )


@bounded
@given(scores, tails(), asked, asked)
def test_higher_scores_never_have_higher_p_values(
    values: list[float], reference: Tail, a: float, b: float
) -> None:
    calibration = of(values, reference)
    assert calibration.p_value(max(a, b)) <= calibration.p_value(min(a, b)) <= 1.0


@bounded
@given(scores, tails(), rates, one_score)
def test_a_threshold_is_passed_where_the_p_value_is_within_the_rate(
    values: list[float], reference: Tail, rate: float, score: float
) -> None:
    calibration = of(values, reference)
    threshold = calibration.threshold(rate)
    assert threshold >= 0.0
    near: list[float] = []
    if math.isfinite(threshold):
        assert calibration.p_value(threshold) <= rate
        # The scores next to it: they are float32.
        close = np.float32(threshold)
        near = [float(np.nextafter(close, np.float32(to))) for to in (0.0, 9.0)] + [float(close)]
    for one in (score, SURPRISE_CAP, *near, *values):
        if 2.0**-20 < one <= SURPRISE_CAP:
            assert (one >= threshold) == (calibration.p_value(one) <= rate)


@bounded
@given(scores, tails(), rates)
def test_no_more_held_out_requests_pass_than_the_rate_says(
    values: list[float], reference: Tail, rate: float
) -> None:
    threshold = of(values, reference).threshold(rate)
    passed = sum(value >= threshold for value in values)
    # Together with what the reference counts for, which passes as often as it says itself.
    counted = W * 10.0 ** -surprise(threshold, *reference) if math.isfinite(threshold) else 0.0
    assert passed + counted <= rate * (len(values) + W) * (1 + 1e-9)


@bounded
@given(scores, tails(), rates, st.floats(1.0, 10.0))
def test_a_greater_rate_never_has_a_higher_threshold(
    values: list[float], reference: Tail, rate: float, more: float
) -> None:
    calibration = of(values, reference)
    assert calibration.threshold(rate * more) <= calibration.threshold(rate)


def test_large_samples_are_thinned_below_the_tail() -> None:
    sample = np.random.default_rng(1).gamma(2.0, 0.3, size=20_000).astype(np.float32)
    calibration = of(sample.astype(np.float64))
    assert len(calibration.scores) < 3_200
    for score in np.quantile(sample, [0.501, 0.7, 0.95, 0.999, 1.0]):
        share = 10.0 ** -surprise(score, *STRAIGHT)
        exact = (np.sum(sample >= score) + W * share) / (20_000 + W)
        assert calibration.p_value(float(score)) == pytest.approx(exact, abs=0.0011)
    # Below the median nothing is kept: a p-value may be too great there, never too small.
    low = float(np.quantile(sample, 0.3))
    share = 10.0 ** -surprise(low, *STRAIGHT)
    assert calibration.p_value(low) == pytest.approx((20_000 + W * share) / (20_000 + W))
    for rate in (0.05, 0.01, 0.001):
        passed = np.sum(sample >= calibration.threshold(rate))
        counted = W * 10.0 ** -surprise(calibration.threshold(rate), *STRAIGHT)
        assert (passed + counted) / (20_000 + W) == pytest.approx(rate, rel=0.1)


class TestWhoSpeaks:
    """With little data the reference does, with much the data."""

    @bounded
    @given(tails(), rates)
    def test_a_reference_alone_gives_its_own_thresholds(self, reference: Tail, rate: float) -> None:
        threshold = of([], reference).threshold(rate)
        reached = surprise(SURPRISE_CAP, *reference)
        assert math.isfinite(threshold) == (max(RAREST, 10.0**-reached) <= rate)
        if math.isfinite(threshold):
            least = -math.log10(rate)
            assert surprise(threshold, *reference) >= least - 1e-9
            if threshold > 2.0**-10:
                below = float(np.nextafter(np.float32(threshold - 1e-9), np.float32(0)))
                assert surprise(below, *reference) < least + 1e-9

    def test_a_straight_reference_says_what_its_scores_say(self) -> None:
        for rate in (0.05, 0.01, 0.001, 1e-5):
            assert of([]).threshold(rate) == pytest.approx(-math.log10(rate), abs=1e-5)

    @pytest.mark.parametrize("reference", [STRAIGHT, SHY, tail_of([0.0], 50.0)])
    def test_much_data_is_believed_whatever_the_reference_says(self, reference: Tail) -> None:
        sample = np.random.default_rng(2).exponential(0.5, size=200_000).clip(0, SURPRISE_CAP)
        threshold = of(sample, reference).threshold(0.01)
        assert np.mean(sample >= threshold) == pytest.approx(0.01, rel=0.2)

    @pytest.mark.parametrize(("count", "low", "high"), [(30, 1.9, 2.0), (300, 1.0, 1.95)])
    def test_between_them_both_do(self, count: int, low: float, high: float) -> None:
        """Data that is more ordinary than the reference brings a threshold down, bit by bit."""
        calm = np.random.default_rng(3).exponential(0.1, size=count)
        assert low < of(calm).threshold(0.01) < high
        assert low < of(calm + 1.0).threshold(0.01)

    @bounded
    @given(scores, tails(), rates)
    def test_scores_at_the_cap_only_ever_raise_a_threshold(
        self, values: list[float], reference: Tail, rate: float
    ) -> None:
        more = [*values, *[SURPRISE_CAP] * 20]
        assert of(more, reference).threshold(rate) >= of(values, reference).threshold(rate)


class TestFreshTraffic:
    """What thresholds promise holds for requests that nobody has seen."""

    @pytest.mark.parametrize("count", [0, 50, 2_000])
    def test_rates_hold_where_the_reference_is_of_such_traffic(self, count: int) -> None:
        random = np.random.default_rng(7)
        reference = fit_tail(random.exponential(0.7, size=5_000))
        new = random.exponential(0.7, size=50_000)
        for rate in (0.01, 0.05, 0.2):
            reached = [
                np.mean(new >= of(random.exponential(0.7, size=count), reference).threshold(rate))
                for _ in range(20)
            ]
            assert np.mean(reached) == pytest.approx(rate, rel=0.15)

    def test_p_values_of_exchangeable_scores_are_uniform(self) -> None:
        random = np.random.default_rng(7)
        calibration = conformal(random.normal(size=1_999))
        p_values = np.array([calibration.p_value(score) for score in random.normal(size=4_000)])
        for rate in (0.01, 0.05, 0.2, 0.5):
            # Four deviations of both samples together.
            margin = 4 * math.sqrt(rate * (1 - rate) * (1 / 4_000 + 1 / 1_999))
            assert abs(np.mean(p_values <= rate) - rate) < margin

    def test_a_reference_of_odder_traffic_costs_no_false_positive(self) -> None:
        random = np.random.default_rng(8)
        odder = fit_tail(random.exponential(1.0, size=5_000))
        new = random.exponential(0.5, size=50_000)
        for rate in (0.01, 0.1):
            assert np.mean(new >= of(new[:100], odder).threshold(rate)) < rate


class TestEdges:
    def test_one_score(self) -> None:
        calibration = conformal(np.array([2.0]))
        assert [calibration.p_value(score) for score in (1.0, 2.0, 3.0)] == [1.0, 1.0, 0.5]
        assert calibration.threshold(0.1) == math.inf
        assert calibration.threshold(0.5) == pytest.approx(2.0, abs=1e-12)
        assert calibration.threshold(0.5) > 2.0

    def test_all_equal(self) -> None:
        calibration = conformal(np.ones(99))
        assert calibration.p_value(1.0) == 1.0
        assert calibration.threshold(0.01) == pytest.approx(1.0, abs=1e-12)
        assert calibration.threshold(0.01) > 1.0
        assert calibration.threshold(0.005) == math.inf

    def test_where_nothing_is_known_nothing_blocks(self) -> None:
        empty = of([], SHY)
        assert empty.p_value(SURPRISE_CAP) == 1.0
        assert empty.threshold(0.999) == math.inf

    @bounded
    @given(scores, tails())
    def test_where_too_many_reach_the_cap_nothing_blocks(
        self, values: list[float], reference: Tail
    ) -> None:
        calibration = of([*values, *[SURPRISE_CAP] * 100], reference)
        assert calibration.threshold(99 / (len(values) + 100 + W)) == math.inf


by_session = st.lists(
    st.tuples(st.integers(0, 6).map(float), st.integers(0, 4)), min_size=1, max_size=60
)


class TestSessions:
    """Requests of one session are not independent, so a rank counts a session like the worst."""

    @bounded
    @given(by_session, tails())
    def test_a_rank_counts_the_worst_session_once_more(
        self, made: list[tuple[float, int]], reference: Tail
    ) -> None:
        values, sessions = (np.array(part) for part in zip(*made, strict=True))
        calibration = of(values, reference, sessions)
        for score in range(7):
            above = [session for value, session in made if value >= score]
            worst = max(map(above.count, above), default=1)
            expected = min(len(made), len(above) + worst - 1)
            share = max(RAREST, 10.0 ** -surprise(float(score), *reference))
            assert calibration.p_value(score) == pytest.approx(
                (expected + W * share) / (len(made) + W), rel=1e-12
            )

    @bounded
    @given(scores)
    def test_sessions_of_one_request_change_nothing(self, values: list[float]) -> None:
        ranks = [sum(other >= value for other in values) for value in sorted(values)]
        assert of(values).ranks.tolist() == ranks

    @bounded
    @given(by_session, tails(), rates)
    def test_they_only_ever_make_a_threshold_higher(
        self, made: list[tuple[float, int]], reference: Tail, rate: float
    ) -> None:
        values, sessions = (np.array(part) for part in zip(*made, strict=True))
        aware, unaware = of(values, reference, sessions), of(values, reference)
        assert aware.threshold(rate) >= unaware.threshold(rate)
        assert all(aware.p_value(v) >= unaware.p_value(v) for v in values)

    @bounded
    @given(by_session, tails(), st.floats(-1, 8), st.floats(-1, 8))
    def test_p_values_still_fall_as_scores_rise(
        self, made: list[tuple[float, int]], reference: Tail, a: float, b: float
    ) -> None:
        values, sessions = (np.array(part) for part in zip(*made, strict=True))
        calibration = of(values, reference, sessions)
        assert calibration.p_value(max(a, b)) <= calibration.p_value(min(a, b))

    def test_visits_that_are_odd_all_through_do_not_break_the_promise(self) -> None:
        """Sessions of twenty requests, one in twenty of them odd: the rate holds on average."""
        random = np.random.default_rng(11)

        def traffic(count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
            sessions = np.repeat(np.arange(count), 20)
            odd = random.random(count) < 0.05
            made = np.abs(random.normal(size=len(sessions))) / 3 + 3.0 * odd[sessions]
            return made, sessions

        reached: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(100):
            (old, sessions), (new, _) = traffic(30), traffic(200)
            for aware, shares in reached.items():
                calibration = conformal(old, sessions if aware else None)
                shares.append(float(np.mean(new >= calibration.threshold(0.05))))
        assert np.mean(reached[True]) < 0.05 < np.mean(reached[False])


kinds = st.lists(st.tuples(one_score, st.integers(0, 3)), min_size=1, max_size=120)
references = st.tuples(*[tails()] * len(CATEGORIES))


def mondrian(
    values: npt.NDArray[np.float64],
    categories: npt.NDArray[np.int64],
    tails_of_each: tuple[Tail, ...] = (STRAIGHT,) * len(CATEGORIES),
) -> MondrianCalibration:
    return calibrate(values, categories, np.arange(len(values)), tails_of_each)


class TestCategories:
    """Each kind of request has a threshold of its own; together they keep the rate."""

    def test_their_numbers_say_what_they_are(self) -> None:
        numbers = [category_of(body, rich) for body in (False, True) for rich in (False, True)]
        assert numbers == list(range(len(CATEGORIES)))
        for number, name in enumerate(CATEGORIES):
            assert ("with a body" in name) == (number >= 2)
            assert ("free text" in name) == (number % 2 == 1)

    @bounded
    @given(kinds, references)
    def test_each_is_calibrated_by_its_own_scores_and_reference_alone(
        self, made: list[tuple[float, int]], each: tuple[Tail, ...]
    ) -> None:
        values, categories = (np.array(part) for part in zip(*made, strict=True))
        found = mondrian(values, categories, each)
        assert found.total == len(made)
        for number, (calibration, reference) in enumerate(zip(found.categories, each, strict=True)):
            alone = of(values[categories == number], reference)
            assert calibration.total == alone.total
            assert calibration.scores.tolist() == alone.scores.tolist()
            assert calibration.ranks.tolist() == alone.ranks.tolist()
            assert calibration.reference is reference

    @bounded
    @given(kinds, references, st.floats(0.001, 0.5), st.floats(1.0, 2.0))
    def test_a_greater_rate_never_has_a_higher_threshold(
        self, made: list[tuple[float, int]], each: tuple[Tail, ...], rate: float, more: float
    ) -> None:
        values, categories = (np.array(part) for part in zip(*made, strict=True))
        found = mondrian(values, categories, each)
        tight, loose = found.thresholds(rate), found.thresholds(rate * more)
        assert all(one >= other for one, other in zip(tight, loose, strict=True))

    @bounded
    @given(kinds, references, st.floats(0.001, 0.5))
    def test_all_thresholds_together_keep_a_part_of_the_rate_back(
        self, made: list[tuple[float, int]], each: tuple[Tail, ...], rate: float
    ) -> None:
        values, categories = (np.array(part) for part in zip(*made, strict=True))
        found = mondrian(values, categories, each)
        shares = []
        for calibration, threshold in zip(found.categories, found.thresholds(rate), strict=True):
            shares.append(calibration.p_value(threshold) if math.isfinite(threshold) else 0.0)
        # A body, and a request without one, beyond those that were counted.
        bodies = (np.sum(categories >= 2) + 1) / (len(made) + 2)
        assert (1 - bodies) * max(shares[:2]) + bodies * max(shares[2:]) <= SPENT * rate * (
            1 + 1e-9
        )
        assert bodies * max(shares[2:]) <= 0.5 * SPENT * rate * (1 + 1e-9)

    @pytest.mark.parametrize(
        ("share", "body_rate"), [(0.02, 5.0), (0.1, 5.0), (0.2, 2.5), (0.5, 1.0), (0.8, 0.625)]
    )
    def test_bodies_get_five_times_the_rate_or_half_of_all(
        self, share: float, body_rate: float
    ) -> None:
        random, count = np.random.default_rng(3), 200_000
        values = np.abs(random.normal(size=count))
        bodies = np.arange(count) < share * count
        categories = 2 * bodies + random.integers(0, 2, count)
        found, rate = mondrian(values, categories), 0.02
        thresholds = found.thresholds(rate)
        plain_rate = (1 - share * body_rate) / (1 - share)
        for number, calibration in enumerate(found.categories):
            own = body_rate if number >= 2 else plain_rate
            # Shares are of one request more of each, so of nearly the same.
            assert thresholds[number] == pytest.approx(
                calibration.threshold(SPENT * rate * own), abs=1e-3
            )
        assert share * body_rate <= 0.5 + 1e-9
        alarms = values >= np.array(thresholds)[categories]
        assert np.mean(alarms) == pytest.approx(SPENT * rate, rel=0.06)
        assert np.mean(alarms & bodies) <= 0.5 * SPENT * rate * 1.06

    def test_each_category_holds_its_own_rate_on_fresh_traffic(self) -> None:
        """One is far odder than the others, and costs them nothing."""
        random, count = np.random.default_rng(5), 40_000
        categories = np.repeat(np.arange(4), count // 4)
        shift = np.array([0.0, 1.0, 0.5, 2.5])[categories]
        old, new = (np.abs(random.normal(size=count)) / 2 + shift for _ in range(2))
        thresholds = mondrian(old, categories).thresholds(0.02)
        assert thresholds[3] > thresholds[1] > thresholds[2] > thresholds[0]
        for number, threshold in enumerate(thresholds):
            own = new[categories == number]
            # Half of the requests have a body: each kind gets the rate itself.
            assert np.mean(own >= threshold) == pytest.approx(SPENT * 0.02, rel=0.4)

    def test_one_kind_alone_has_nearly_all_of_the_rate(self) -> None:
        values = np.linspace(0, 5, 10_000)
        plain = mondrian(values, np.zeros(10_000, np.int64))
        assert plain.thresholds(0.02)[0] == pytest.approx(
            plain.categories[0].threshold(0.02 * SPENT), abs=0.01
        )
        bodies = mondrian(values, np.full(10_000, 2))
        assert bodies.thresholds(0.02)[2] == pytest.approx(
            bodies.categories[2].threshold(0.01 * SPENT), abs=0.01
        )

    @pytest.mark.parametrize("count", [0, 5])
    def test_a_kind_too_rare_for_its_rate_leans_on_its_reference(self, count: int) -> None:
        values = np.linspace(0, 1, 2_000 + count)
        categories = np.repeat([0, 2], [2_000, count])
        own = tail_of([0.0, 3.0], 2.0)
        found = mondrian(values, categories, (STRAIGHT, STRAIGHT, own, STRAIGHT))
        alone = of([], own)
        rate = 0.02
        assert found.thresholds(rate)[2] == pytest.approx(
            alone.threshold(SPENT * rate * 5), abs=0.05
        )
        assert math.isfinite(found.thresholds(rate)[2])

    def test_no_request_at_all_has_the_thresholds_of_the_references(self) -> None:
        nothing = np.zeros(0, np.int64)
        each = tuple(tail_of([0.0], slope) for slope in (1.0, 2.0, 3.0, 4.0))
        found = mondrian(np.zeros(0), nothing, each).thresholds(0.1)
        # Who has shown nothing may have as many bodies as not.
        for threshold, reference in zip(found, each, strict=True):
            assert threshold == of([], reference).threshold(SPENT * 0.1)


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
        tails() | st.none(),
        st.floats(0, 200),
        st.floats(0, 200),
    )
    def test_surprise_rises_with_the_statistic(
        self, values: list[float], reference: Tail | None, a: float, b: float
    ) -> None:
        points, slope = fit_tail(np.array(values), reference)
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

    @bounded
    @given(st.lists(asked, max_size=20), tails())
    def test_a_share_is_what_surprise_says(self, values: list[float], tail: Tail) -> None:
        found = tail.share(np.array(values))
        assert found.tolist() == pytest.approx([10.0 ** -surprise(v, *tail) for v in values])


class TestTailsOnAReference:
    @bounded
    @given(st.lists(one_score, max_size=60), tails(), st.floats(1.0, 1_000.0))
    def test_a_tail_never_says_rarer_than_both_back(
        self, values: list[float], reference: Tail, weight: float
    ) -> None:
        points, slope = fit_tail(np.array(values), reference, weight)
        assert points.shape == (STEPS,)
        assert points.dtype == np.float32
        assert np.all(points[:-1] <= points[1:])
        assert 0 < slope < math.inf
        for value in (*values, *reference.points[np.isfinite(reference.points)].tolist()):
            above = sum(one >= value for one in values)
            share = 10.0 ** -surprise(value, *reference)
            mixed = (above + weight * share) / (len(values) + weight)
            if value <= points[np.isfinite(points)][-1]:
                assert surprise(value, points, slope) <= -math.log10(mixed) + TAIL_STEP + 1e-6

    @bounded
    @given(tails(ties=False), st.floats(0.0, 6.0))
    def test_without_a_sample_it_is_the_reference(self, reference: Tail, value: float) -> None:
        own = fit_tail(np.zeros(0), reference)
        assert own.slope == pytest.approx(reference.slope)
        known = reference.points[np.isfinite(reference.points)]
        assert own.points[: len(known)].tolist() == pytest.approx(known.tolist())
        # Where a step falls between two numbers, the value beyond it speaks.
        assert surprise(value, *own) <= surprise(value, *reference) + TAIL_STEP + 1e-3
        assert surprise(value, *own) >= surprise(value, *reference) - TAIL_STEP - 1e-3

    def test_a_sample_of_such_traffic_changes_little(self) -> None:
        random = np.random.default_rng(4)
        reference = fit_tail(random.exponential(size=50_000))
        for count in (10, 300, 10_000):
            own = fit_tail(random.exponential(size=count), reference)
            for value in (0.5, 2.0, 4.0):
                # A surprise of one is a value of 2.3.
                assert surprise(value, *own) == pytest.approx(value / math.log(10), abs=0.2)

    def test_much_data_is_believed(self) -> None:
        random = np.random.default_rng(6)
        sample = random.exponential(size=100_000)
        own, alone = fit_tail(sample, tail_of([0.0], 0.05)), fit_tail(sample)
        for value in (0.5, 2.0, 4.0, 6.0):
            assert surprise(value, *own) == pytest.approx(surprise(value, *alone), abs=0.3)
        # What few observations show, the reference still shows as likely as it is there.
        assert surprise(50.0, *own) < surprise(50.0, *alone)

    def test_little_data_bends_it_by_its_weight(self) -> None:
        """A hundred values that the reference calls impossible are a quarter of all there is."""
        own = fit_tail(np.full(100, 5.0), STRAIGHT, 300.0)
        assert surprise(4.9, *own) == pytest.approx(-math.log10(0.25), abs=TAIL_STEP)
        assert surprise(1.0, *own) < 1.0 < surprise(5.5, *own)

    def test_a_step_that_neither_shows_is_past_the_line(self) -> None:
        own = fit_tail(np.zeros(10), tail_of([0.0, 1.0], 2.0))
        assert surprise(20.0, *own) > 10.0
