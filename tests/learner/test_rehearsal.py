"""How the reference is made: from small corpora of a site, held against what they never saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random
from urllib.parse import quote

import numpy as np
import pytest
from cnaf.datasets.split import request_key
from cnaf.learner.fit import FitOptions, fit
from cnaf.learner.reference import TAILS, Reference, pack_reference
from cnaf.learner.rehearsal import Draw, make_reference, small_corpora
from cnaf.learner.samples import collect
from cnaf.models.calibration import CATEGORIES, STEPS
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES, surprise
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer
from cnaf.models.scoring import TAIL_GROUP_COUNT, TAIL_GROUPS

from tests.support.shop import exchanges_of, request, shop_traffic

SIZES = (100, 200, 400, 800)


def site() -> tuple[Exchange, ...]:
    """A hundred visits to the shop: about 2,000 requests."""
    return shop_traffic(100, seed=2)


@cache
def drawn() -> tuple[Draw, ...]:
    return small_corpora(site())


def notes(number: int) -> list[Exchange]:
    """Free text in a query, which the shop does not show by itself."""
    pick = Random(number)
    words = ["red", "green", "blue", "hat", "scarf", "large", "small", "wool", "cotton", "silk"]
    made = []
    for _ in range(4):
        text = " ".join(pick.choices(words, k=pick.randint(2, 9)))
        made.append(request(target=f"/note?text={quote(f'<p>{text}</p> <b>{text[:9]}</b>')}"))
    return exchanges_of(made, f"s{number}")


@cache
def few() -> tuple[Draw, ...]:
    """Two small corpora, and what their models never saw."""
    made = [e for visit in range(12) for e in (*visits()[f"s{visit}"], *notes(visit))]
    halves = [tuple(e for e in made if int(e.session[1:]) % 2 == half) for half in (0, 1)]
    return (Draw(len(halves[0]), *halves), Draw(len(halves[1]), *reversed(halves)))


def visits() -> dict[str, list[Exchange]]:
    by_session: dict[str, list[Exchange]] = {}
    for exchange in shop_traffic(12, seed=3):
        by_session.setdefault(exchange.session, []).append(exchange)
    return by_session


@cache
def told() -> list[tuple[str, int, int]]:
    return []


@cache
def made() -> Reference:
    return make_reference(few(), lambda *step: told().append(step))


@cache
def model_of(number: int) -> RequestModel:
    options = FitOptions()
    return fit(
        collect(few()[number].train, folds=options.folds, seed=0), options, lambda *_: None
    ).model


class TestDraws:
    def test_each_size_is_drawn_as_often_in_both_ways(self) -> None:
        assert Counter(draw.size for draw in drawn()) == dict.fromkeys(SIZES, 6)
        for draw in drawn():
            assert len(draw.train) == draw.size
            assert 0 < len(draw.rest) <= 600

    def test_what_is_held_against_a_model_it_never_saw(self) -> None:
        visits = 0
        for draw in drawn():
            learned = {e.session for e in draw.train}
            if any(session.startswith("case ") for session in learned):
                # Requests of all sessions: none is in both by itself.
                assert not {e.id for e in draw.train} & {e.id for e in draw.rest}
            else:
                visits += 1
                assert not learned & {e.session for e in draw.rest}
        assert visits == len(drawn()) // 2

    def test_what_is_held_are_distinct_requests_of_the_site(self) -> None:
        known = {e.id + e.session for e in site()}
        for draw in drawn():
            keys = [request_key(e.request) for e in draw.rest]
            assert len(set(keys)) == len(keys)
            assert all(e.id + e.session in known for e in draw.rest)

    def test_test_cases_are_short(self) -> None:
        cases = [d for d in drawn() if any(e.session.startswith("case ") for e in d.train)]
        for draw in cases:
            assert set(Counter(e.session for e in draw.train).values()) == {2}
            # They come from all over the site.
            assert len({e.id.split("-")[0] for e in draw.train}) > 50

    def test_visits_are_whole_but_the_last(self) -> None:
        whole = Counter(e.session for e in site())
        for draw in drawn():
            taken = Counter(e.session for e in draw.train)
            if not any(session.startswith("case ") for session in taken):
                cut = [session for session, count in taken.items() if count < whole[session]]
                assert cut in ([], [draw.train[-1].session])

    def test_equal_traffic_gives_equal_draws_in_whatever_order_its_sessions_come(self) -> None:
        assert small_corpora(list(site())) == drawn()
        turned = sorted(site(), key=lambda e: e.session, reverse=True)
        assert small_corpora(turned) == drawn()

    def test_draws_differ(self) -> None:
        assert len({tuple(e.id + e.session for e in draw.train) for draw in drawn()}) == 24

    @pytest.mark.parametrize("count", [0, 1, 1_599])
    def test_too_little_traffic_is_refused(self, count: int) -> None:
        with pytest.raises(CorpusError, match=f"{count} exchanges are too few") as caught:
            small_corpora(site()[:count])
        assert "1600" in caught.value.hint

    def test_as_much_as_is_asked_for_will_do(self) -> None:
        assert len(small_corpora(site()[:1_600])) == 24


class TestReference:
    def test_it_has_a_monotone_tail_for_each_row_and_category(self) -> None:
        assert (len(made().tails), len(made().scores)) == (TAILS, len(CATEGORIES))
        for tail in (*made().tails, *made().scores):
            assert tail.points.shape == (STEPS,)
            assert tail.points.dtype == np.float32
            assert (tail.points[1:] >= tail.points[:-1]).all()
            assert np.isfinite(tail.points[:10]).all()
            assert 0 < tail.slope < np.inf

    def test_equal_draws_give_equal_bytes(self) -> None:
        assert pack_reference(make_reference(few()), {}) == pack_reference(made(), {})

    def test_tails_of_measures_are_those_of_well_known_fields_of_the_rest(self) -> None:
        """Counted again here, one value at a time, by models that are learned again."""
        values: dict[tuple[int, int], list[float]] = {}
        for number, draw in enumerate(few()):
            scorer, parser = Scorer(model_of(number)), RequestParser()
            for exchange in draw.rest:
                relative, types, known = scorer.related(parser.parse(exchange.request))
                for row, kind in zip(relative[known], types[known], strict=True):
                    for measure, value in enumerate(row.tolist()):
                        values.setdefault((int(TAIL_GROUPS[kind]), measure), []).append(value)
        assert len(values) == TAIL_GROUP_COUNT * len(MEASURES)
        for (group, measure), sample in values.items():
            tail = made().tails[group * len(MEASURES) + measure]
            assert tail.points[0] == pytest.approx(min(sample), abs=1e-6)
            # Half of all values are at least so high, give or take one.
            half = float(np.quantile(sample, 1 - 10**-0.3, method="higher"))
            assert tail.points[3] == pytest.approx(half, rel=0.1, abs=0.05)

    def test_tails_of_news_are_in_bits_and_of_scores_below_the_cap(self) -> None:
        first = TAIL_GROUP_COUNT * len(MEASURES)
        news = made().tails[first : first + len(NOVELTIES)]
        assert len(made().tails[first + len(NOVELTIES) :]) == 1 + len(CHANNELS)
        for tail in news:
            known = tail.points[np.isfinite(tail.points)]
            # Most requests show nothing new.
            assert known[0] == 0.0
            assert known[-1] < 20
        forest = made().tails[first + len(NOVELTIES)]
        assert 0 < forest.points[0] < forest.points[np.isfinite(forest.points)][-1] < 1
        for tail in made().scores:
            assert tail.points[0] >= 0
            assert tail.points[np.isfinite(tail.points)][-1] <= 6.0

    def test_models_that_start_from_it_hold_its_scores(self) -> None:
        """The scores of a category are those of its rest, under the reference's own tails."""
        points = np.stack([tail.points for tail in made().tails])
        slopes = np.array([tail.slope for tail in made().tails], np.float32)
        for number, draw in enumerate(few()):
            scorer = Scorer(replace(model_of(number), tail_points=points, tail_slopes=slopes))
            parser, seen = RequestParser(), set()
            for exchange in draw.rest:
                parsed = parser.parse(exchange.request)
                score = scorer.score(parsed)
                seen.add(score.category)
                firm = scorer.blockable(parsed, score)
                assert surprise(firm, *made().scores[score.category]) < 3
            assert seen == set(range(len(CATEGORIES)))

    def test_progress_ends_each_stage(self) -> None:
        assert made().scores
        stages = {stage for stage, _, _ in told()}
        assert len(stages) == 3
        for stage in stages:
            steps = [(done, total) for name, done, total in told() if name == stage]
            assert steps == sorted(steps)
            assert steps[-1][0] == steps[-1][1]

    def test_a_site_that_lacks_a_kind_of_request_is_refused(self) -> None:
        """Of requests with free text in a query, say: nobody knows what they would look like."""
        plain = tuple(
            replace(
                draw,
                train=tuple(e for e in draw.train if not e.request.body)[:40],
                rest=tuple(e for e in draw.rest if not e.request.body)[:40],
            )
            for draw in few()[:1]
        )
        with pytest.raises(CorpusError) as caught:
            make_reference(plain)
        assert caught.value.hint
