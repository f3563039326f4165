"""Fitting: deterministic, sound on small corpora, honest in what it promises."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from cnaf.learner.calibrating import calibrate
from cnaf.learner.fit import FitOptions, FitResult, fit
from cnaf.learner.reference import TAILS, Reference, general_reference
from cnaf.learner.samples import collect
from cnaf.models.calibration import (
    REFERENCE_WEIGHT,
    SPENT,
    STEPS,
    category_of,
)
from cnaf.models.exchange import Exchange, Request
from cnaf.models.fields import Location
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES, hash_gram, lookup, surprise
from cnaf.models.model_codec import model_to_parts
from cnaf.models.ngrams import TOKENS, grams_of
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import Scorer
from cnaf.models.scoring import TAIL_GROUP_COUNT, TAIL_GROUPS
from cnaf.models.structure import News
from cnaf.models.value_types import ValueType

from tests.support.shop import (
    OPTIONS,
    Shopper,
    exchanges_of,
    request,
    shop_fit,
    shop_samples,
    shop_traffic,
)
from tests.support.tails import STRAIGHT, tail_of


def learn(exchanges: list[Exchange], folds: int = 5, seed: int = 0) -> FitResult:
    options = FitOptions(folds=folds, trees=10, seed=seed)
    return fit(collect(exchanges, folds=folds, seed=seed), options, lambda *_: None)


def score(fitted: FitResult, made: Request) -> float:
    return Scorer(fitted.model).score(RequestParser().parse(made)).score


def growing() -> FitResult:
    """A site where one session in twenty asks for a page that no other asks for."""
    targets = ["/main?q=red+hat"] * 200 + [f"/{name * 4}-page?q=hat" for name in "abcdefghijk"]
    made = [exchanges_of([request(target=t)], f"s{i}")[0] for i, t in enumerate(targets)]
    return learn(made)


class TestDeterminism:
    def test_equal_samples_and_options_give_equal_models(self) -> None:
        again = fit(shop_samples(), OPTIONS, lambda *_: None)
        described, arrays = model_to_parts(shop_fit().model)
        described_again, arrays_again = model_to_parts(again.model)
        assert described == described_again
        assert {k: a.tobytes() for k, a in arrays.items()} == {
            k: a.tobytes() for k, a in arrays_again.items()
        }
        assert np.array_equal(shop_fit().blockable, again.blockable)
        assert np.array_equal(shop_fit().categories, again.categories)

    def test_the_seed_matters(self) -> None:
        made = list(shop_traffic())[:200]
        one, other = learn(made, seed=1), learn(made, seed=2)
        assert not np.array_equal(one.blockable, other.blockable)


class TestSmallCorpora:
    @pytest.mark.parametrize("count", [5, 50])
    @pytest.mark.parametrize("per_session", [1, 1000])
    def test_few_requests_of_many_sessions_or_one(self, count: int, per_session: int) -> None:
        made = [
            Exchange(str(i), str(i // per_session), e.label, e.request, e.response)
            for i, e in enumerate(shop_traffic()[:count])
        ]
        fitted = learn(made)
        # Equal requests are one to whoever counts surprises.
        distinct = {repr(e.request) for e in made}
        assert len(fitted.blockable) == fitted.model.calibration.total == len(distinct)
        assert np.isfinite(fitted.blockable).all()
        assert (fitted.blockable >= 0).all()
        # So few requests say next to nothing of rare ones: there the reference speaks.
        for own, other in zip(
            fitted.model.calibration.categories, general_reference().scores, strict=True
        ):
            assert own.reference is other
            alone = replace(own, scores=own.scores[:0], ranks=own.ranks[:0], total=0)
            for rate in (0.01, 0.001):
                assert math.isfinite(own.threshold(rate))
                # A few requests more, all of them ordinary, bring a rate down by their share.
                least = alone.threshold(rate * (1 + count / REFERENCE_WEIGHT))
                assert own.threshold(rate) >= least - 1e-6
        attack = score(fitted, request(target="/search?q=<script>alert(1)</script>"))
        assert attack >= fitted.blockable.min()

    @pytest.mark.parametrize("folds", [2, 5])
    def test_equal_requests(self, folds: int) -> None:
        made = exchanges_of([request(target="/products?page=1&sort=name")] * 40, "a")
        fitted = learn(made, folds)
        assert len(fitted.blockable) == 1
        assert np.isfinite(fitted.model.scales).all()
        assert score(fitted, made[0].request) < score(fitted, request(target="/products?page='"))

    def test_one_endpoint(self) -> None:
        shopper = Shopper(3)
        fitted = learn(exchanges_of([shopper.search() for _ in range(200)], "a"))
        assert [e.template for e in fitted.model.endpoints] == ["/search"]
        assert fitted.model.endpoints[0].sightings == 200
        assert score(fitted, request(target="/search?q=%27--")) > fitted.blockable.max()

    def test_a_request_without_a_value(self) -> None:
        fitted = learn(exchanges_of([Request("GET", b"", ())] * 10, "a"))
        assert np.isfinite(fitted.blockable).all()


class TestReference:
    """What tails and thresholds start from."""

    def test_each_row_of_tails_starts_from_its_own(self) -> None:
        slopes = 1.0 + 0.05 * np.arange(TAILS)
        own = Reference(
            tuple(tail_of([0.0, 1e3], slope) for slope in slopes), general_reference().scores
        )
        made = list(shop_traffic()[:30])
        model = fit(collect(made, folds=2, seed=0), FitOptions(folds=2, trees=5), lambda *_: None,
                    own).model  # fmt: skip
        # Values of a few requests bend a slope a little: rows that were mixed up would be far off.
        assert np.corrcoef(model.tail_slopes, slopes)[0, 1] > 0.9
        # Nobody has seen a number here that the reference calls ordinary.
        assert (model.tail_points[:, 10] > 100).all()

    def test_the_one_of_the_package_unless_given(self) -> None:
        made = collect(list(shop_traffic()[:30]), folds=2, seed=0)
        options = FitOptions(folds=2, trees=5)
        usual, same, straight = (
            fit(made, options, lambda *_: None, reference).model
            for reference in (
                None, general_reference(), replace(general_reference(), scores=(STRAIGHT,) * 4)
            )
        )  # fmt: skip
        assert usual.tail_points.tobytes() == same.tail_points.tobytes()
        assert usual.calibration.thresholds(0.01) == same.calibration.thresholds(0.01)
        assert usual.tail_points.tobytes() == straight.tail_points.tobytes()
        assert usual.calibration.thresholds(0.01) != straight.calibration.thresholds(0.01)
        (empty,) = [c for c in straight.calibration.categories if not c.total][:1]
        assert empty.threshold(0.001) == pytest.approx(3.0, abs=1e-5)


class TestHonesty:
    def test_held_out_scores_calibrate_the_model(self) -> None:
        fitted = shop_fit()
        arrays = (fitted.categories, fitted.sessions, fitted.folds)
        # One a distinct request, the first of its kind.
        distinct = shop_samples().distinct()
        assert all(len(a) == len(fitted.blockable) == len(distinct) for a in arrays)
        bodies = np.array([shop_samples().requests[i].counts[1] > 0 for i in distinct])
        assert np.array_equal(fitted.categories >= category_of(True, False), bodies)
        again = calibrate(
            fitted.blockable, fitted.categories, fitted.sessions, general_reference().scores
        )
        assert len(np.unique(fitted.sessions)) == 40
        for one, other, number in zip(
            again.categories, fitted.model.calibration.categories, range(4), strict=True
        ):
            assert np.array_equal(one.scores, other.scores)
            assert np.array_equal(one.ranks, other.ranks)
            assert one.total == other.total == np.sum(fitted.categories == number)
        for rate in (0.01, 0.05, 0.2):
            thresholds = np.array(fitted.model.calibration.thresholds(rate))
            blocked = fitted.blockable >= thresholds[fitted.categories]
            assert np.mean(blocked) <= SPENT * rate + 1e-12

    def test_what_may_block_is_at_most_the_whole_score(self) -> None:
        """News that the image shows all the time can only be left out."""
        parser = RequestParser()
        for fitted in (growing(), shop_fit()):
            scorer, left_out = Scorer(fitted.model), False
            for target in ("/main?q=red+hat", "/a-new-page?q=hat", "/search?q=a%27--"):
                parsed = parser.parse(request(target=target))
                found = scorer.score(parsed)
                part = scorer.blockable(parsed, found)
                assert 0 <= part <= found.score
                left_out |= part < found.score
            assert left_out

    def test_pages_that_each_session_has_to_itself_are_no_reason_to_block(self) -> None:
        """Out of fold, each of them is new to the others."""
        fitted = growing()
        assert fitted.blockable.max() < min(fitted.model.calibration.thresholds(0.01))

    def test_p_values_of_new_sessions_are_what_they_say(self) -> None:
        """Exchangeable sessions of one request each: no session repeats what it showed."""
        words = ["red", "green", "blue", "large", "small", "wool", "cotton", "silk", "linen"]

        def search(number: int) -> Exchange:
            pick = random.Random(number)
            text = "+".join(pick.choices(words, k=pick.randint(1, 6)))
            made = request(target=f"/search?q={text}&page={pick.randint(1, 40)}")
            return exchanges_of([made], str(number))[0]

        fitted = learn([search(i) for i in range(800)])
        scorer, parser = Scorer(fitted.model), RequestParser()
        p_values = []
        for i in range(800, 2_800):
            parsed = parser.parse(search(i).request)
            found = scorer.score(parsed)
            own = fitted.model.calibration.categories[found.category]
            p_values.append(own.p_value(scorer.blockable(parsed, found)))
        for rate in (0.01, 0.05, 0.1, 0.3):
            # Four deviations of a binomial share in both samples. The final model has seen more
            # than any that calibrated it, so below the rate there is slack; above there is none.
            margin = 4 * math.sqrt(rate * (1 - rate) * (1 / 800 + 1 / 2_000))
            share = np.mean(np.array(p_values) <= rate)
            assert share <= rate + margin
            assert share >= rate / 3 - margin

    def test_news_costs_what_held_out_traffic_shows_of_it(self) -> None:
        parser, made = RequestParser(), request(target="/a-new-page")
        settled = Scorer(shop_fit().model).score(parser.parse(made))
        found = Scorer(growing().model).score(parser.parse(made))
        # Of 211 visits eleven were of a page that nobody else saw.
        assert found.news[0] == News(211, 11).bits < settled.news[0]
        # Nearly all distinct requests are such pages: one more is less of a surprise than to the
        # reference, which counts for more than the twelve of them.
        (tail,) = general_reference().tails[TAIL_GROUP_COUNT * len(MEASURES) :][:1]
        assert found.novelties[0] < surprise(found.news[0], *tail)
        assert found.novelties[0] < 1.5 < 2 < settled.novelties[0]

    def test_compositions_and_names_are_counted_by_session(self) -> None:
        made = [
            exchanges_of(
                [request(target="/a?x=1&y=2")] * 9 + [request(target=f"/a?x=1&{'pqrst'[i]}=1")],
                f"s{i}",
            )
            for i in range(5)
        ]
        model = learn([e for session in made for e in session]).model
        (endpoint,) = model.endpoints
        assert (endpoint.sightings, endpoint.sessions) == (50, 5)
        # One set that all five showed, and one that each showed by itself.
        assert len(endpoint.compositions) == 6
        assert endpoint.news == News(10, 5)
        # Names: x and y by all five, five by one each; headers and the path are no news.
        path = 5
        assert model.names == News(path + 5 + 5 + 5, 5)

    def test_marks_reach_the_profiles(self) -> None:
        marks = {(Location.QUERY, "q"): {"cnaf-b", "cnaf-a"}, (Location.QUERY, "none"): {"x"}}
        samples = collect(shop_traffic()[:200], folds=2, seed=0, marks=marks)
        model = fit(samples, FitOptions(folds=2, trees=5), lambda *_: None).model
        told = {(p.location, p.name): p.marks for p in model.profiles if p.marks}
        assert told == {(Location.QUERY, "q"): frozenset(("cnaf-a", "cnaf-b"))}

    def test_laws_are_told_beside_the_kind_that_statistics_lean_on(self) -> None:
        told = {p.name: (p.kind.name, p.value_type.name) for p in shop_fit().model.profiles}
        assert told["sort"] == ("WORD", "ENUM")
        assert told["session"] == told["password"] == ("TOKEN", "NONCE")
        assert told["items[].sku"] == ("SLUG", "SLUG")
        assert told["page"] == ("INTEGER", "INTEGER")

    def test_tails_are_those_of_each_group_of_types(self) -> None:
        """What people write has a long tail, which must not hide an oddity in a number."""
        model = shop_fit().model
        rows = TAIL_GROUP_COUNT * len(MEASURES) + len(NOVELTIES) + 1 + len(CHANNELS)
        assert model.tail_points.shape == (rows, STEPS)
        assert model.tail_slopes.shape == (rows,)
        groups = model.tail_points[: TAIL_GROUP_COUNT * len(MEASURES)].reshape(
            TAIL_GROUP_COUNT, len(MEASURES), STEPS
        )
        # Letters of numbers are not read, so they never differ; those of text do.
        letters = MEASURES.index("byte-mean")
        rich, drawn = TAIL_GROUPS[ValueType.TEXT], TAIL_GROUPS[ValueType.TOKEN]
        slopes = model.tail_slopes[: TAIL_GROUP_COUNT * len(MEASURES)].reshape(
            TAIL_GROUP_COUNT, len(MEASURES)
        )
        in_text, in_token = (
            surprise(0.5, groups[group, letters], slopes[group, letters]) for group in (rich, drawn)
        )
        assert in_text < 1.0
        assert in_token > 4.0

    def test_a_thin_field_has_no_scope_of_its_own(self) -> None:
        made = [
            exchanges_of(
                [request(target=f"/a?q=red+hat&{'rare' if i < 2 else 'usual'}=red+shirt")], f"s{i}"
            )[0]
            for i in range(20)
        ]
        model = learn(made).model
        thin = {p.name: p.thin for p in model.profiles if p.location is Location.QUERY}
        assert thin == {"q": False, "rare": True, "usual": False}
        gram = int(grams_of(b"red")[1][0])
        for index, profile in enumerate(model.profiles):
            if profile.name in thin:
                hashed = np.uint64(hash_gram(index, TOKENS, gram))
                found = lookup(model.table.tags, model.table.bits, hashed)
                assert (found >= 0) is not thin[profile.name]

    def test_evidence_is_counted(self) -> None:
        model = shop_fit().model
        assert sum(e.sightings for e in model.endpoints) == len(shop_traffic())
        page = next(p for p in model.profiles if p.name == "page")
        requests = [e for e in shop_traffic() if b"page=" in e.request.target]
        assert page.sightings == len(requests)
        assert 1 <= page.sessions <= len({e.session for e in requests})
        assert page.usual_length == 2


def test_samples_in_other_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="5 folds, not 3"):
        fit(shop_samples(), FitOptions(folds=3), lambda *_: None)


def test_progress_ends_each_stage() -> None:
    told: list[tuple[str, int, int]] = []
    fit(
        collect(shop_traffic()[:60], folds=2, seed=0),
        FitOptions(folds=2, trees=5),
        lambda stage, done, total: told.append((stage, done, total)),
    )
    stages = {stage for stage, _, _ in told}
    assert len(stages) == 4
    for stage in stages:
        steps = [(done, total) for name, done, total in told if name == stage]
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]
