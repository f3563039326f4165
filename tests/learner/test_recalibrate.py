"""Production traffic moves thresholds, and nothing else; attacks in it do not count."""

from __future__ import annotations

import numpy as np
import pytest
from cnaf.learner.recalibrate import recalibrate
from cnaf.models.calibration import CATEGORIES
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Response
from cnaf.models.model_codec import model_to_parts
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import Scorer

from tests.support.shop import exchanges_of, request, shop_fit, shop_traffic

THRESHOLDS = {"held_out_scores", "held_out_ranks", "held_out_kept"}


def test_only_thresholds_change() -> None:
    model = shop_fit().model
    found = recalibrate(model, shop_traffic(30, seed=9))
    before, after = model_to_parts(model)[1], model_to_parts(found.model)[1]
    changed = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert changed
    assert changed <= THRESHOLDS


def test_rates_before_and_after_are_those_of_the_traffic() -> None:
    found = recalibrate(shop_fit().model, shop_traffic(60, seed=7))
    assert found.distinct > 500
    for before, after in zip(found.before, found.after, strict=True):
        assert before.target == after.target
        assert before.requests == after.requests == found.distinct
        assert before.low <= before.rate <= before.high
    rarer = [rate.alarms for rate in found.before]
    assert rarer == sorted(rarer)


def test_visitors_who_type_otherwise_raise_thresholds_that_ci_set_too_low() -> None:
    model = shop_fit().model
    made = [
        e
        for number in range(30)
        for e in exchanges_of(
            [request(target=f"/search?q=%23{number}-{i}%20%26%20(%C3%BC)") for i in range(8)],
            f"visitor-{number}",
        )
    ]
    found = recalibrate(model, [*made, *shop_traffic(10, seed=5)])
    one_percent = next(i for i, rate in enumerate(found.before) if rate.target == 0.01)
    assert found.before[one_percent].rate > 0.1
    assert found.after[one_percent].rate < found.before[one_percent].rate
    parsed = RequestParser().parse(made[0].request)
    category = Scorer(model).score(parsed).category
    after, before = (m.calibration.thresholds(0.05)[category] for m in (found.model, model))
    assert after > before
    # Kinds of requests that these visitors did not send keep what they start from.
    kinds = zip(found.model.calibration.categories, model.calibration.categories, strict=True)
    assert all(new.reference is old.reference for new, old in kinds)
    assert {item.field for item in found.strangest} == {"query:q"}
    scores = [item.score for item in found.strangest]
    assert scores == sorted(scores, reverse=True)


def test_attacks_and_refused_requests_do_not_count() -> None:
    attack = request(target="/search?q=%27%20UNION%20SELECT%20password%20FROM%20users--%20-")
    made = list(shop_traffic(20, seed=4))
    seen = [
        *made,
        Exchange("a", "s0", Label.BENIGN, attack, Response(200)),
        Exchange("r", "s0", Label.BENIGN, request(target="/search?q=%3C%3E"), Response(403)),
    ]
    found = recalibrate(shop_fit().model, seen)
    assert [item.exchange for item in found.selection.attacks] == ["a"]
    assert found.selection.refused == {403: 1}
    assert found.distinct == recalibrate(shop_fit().model, made).distinct
    again = recalibrate(shop_fit().model, made).model.calibration
    for one, other in zip(found.model.calibration.categories, again.categories, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.ranks, other.ranks)


def test_it_calibrates_on_what_the_traffic_scores() -> None:
    """Each request by its firm score, in its own category."""
    model, seen = shop_fit().model, shop_traffic(20, seed=4)
    found = recalibrate(model, seen).model.calibration
    parser, scorer = RequestParser(), Scorer(model)
    distinct = {(e.request.method, e.request.target, e.request.body): e.request for e in seen}
    by_category: list[list[float]] = [[] for _ in CATEGORIES]
    for made in distinct.values():
        parsed = parser.parse(made)
        score = scorer.score(parsed)
        by_category[score.category].append(scorer.blockable(parsed, score))
    for scores, calibration in zip(by_category, found.categories, strict=True):
        assert calibration.total == len(scores)
        assert calibration.scores.tolist() == sorted(scores)


def test_too_little_traffic_is_refused() -> None:
    made = [request(target=f"/products?page={i}&sort=name") for i in (1, 2, 3, 3)]
    with pytest.raises(CorpusError, match="3 distinct accepted requests"):
        recalibrate(shop_fit().model, exchanges_of(made, "s"))
