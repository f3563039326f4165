"""Little traffic, attacks in the traffic, and time."""

from __future__ import annotations

import pytest
from cnaf.evaluation.experiments import poisoned, small_corpus
from cnaf.evaluation.speed import measure_speed, replicated
from cnaf.models.exchange import Label

from tests.support.published import shop_attacks
from tests.support.shop import shop_traffic

BENIGN = shop_traffic(30)
ATTACKS = shop_attacks()


def test_a_small_corpus_gives_a_point_for_each_pipeline_and_target() -> None:
    points = small_corpus("shop", BENIGN, ATTACKS, 200, 0)
    assert {(p.pipeline, p.target) for p in points} == {
        ("model", 0.01), ("product", 0.01), ("model", 0.001), ("product", 0.001),
    }  # fmt: skip
    for point in points:
        assert point.attacks.n == len(ATTACKS)
        # The sessions that were drawn, and the rest of the one that was cut, are not inspected.
        assert len(BENIGN) - 200 - 30 < point.benign.n <= len(BENIGN) - 200
    by = {(p.pipeline, p.target): p for p in points}
    for target in (0.01, 0.001):
        model, product = by["model", target], by["product", target]
        # So few requests promise no rate by themselves; the model finds attacks all the same.
        assert model.attacks.hits >= len(ATTACKS) - 2
        assert product.attacks.hits >= model.attacks.hits
        assert model.benign.share <= target
    assert by["model", 0.01].attacks.hits >= by["model", 0.001].attacks.hits
    assert points == small_corpus("shop", BENIGN, ATTACKS, 200, 0)


def test_held_out_requests_take_the_place_of_the_sessions_that_were_not_drawn() -> None:
    points = small_corpus("shop", BENIGN[100:], ATTACKS, 100, 0, held_out=BENIGN[:90])
    assert {point.benign.n for point in points} == {90}


@pytest.mark.parametrize("size", [3, len(BENIGN), len(BENIGN) + 1])
def test_too_little_to_learn_from_or_to_inspect_gives_nothing(size: int) -> None:
    assert small_corpus("shop", BENIGN, ATTACKS, size, 0) == ()


def test_poison_is_mixed_in_to_its_share() -> None:
    clean = poisoned(BENIGN[200:], BENIGN[:200], ATTACKS, 0.0, 0, 0.01)
    bad = poisoned(BENIGN[200:], BENIGN[:200], ATTACKS, 0.05, 0, 0.01)
    assert {p.pipeline for p in bad} == {"model", "product"}
    for before, after in zip(clean, bad, strict=True):
        assert before.mixed_in == 0
        assert after.mixed_in / (after.mixed_in + len(BENIGN) - 200) == pytest.approx(
            0.05, abs=0.001
        )
        assert after.known.n + after.others.n == len(ATTACKS)
        assert after.benign.n == 200


def test_copies_are_new_sessions_with_new_identifiers() -> None:
    made = replicated(BENIGN, 2 * len(BENIGN) + 7)
    assert len(made) == 2 * len(BENIGN) + 7
    assert len({e.id for e in made}) == len(made)
    assert made[: len(BENIGN)] == list(BENIGN)
    first, second = made[0], made[len(BENIGN)]
    assert first.session != second.session
    assert first.request.header(b"cookie") != second.request.header(b"cookie")
    for exchange, copy in zip(BENIGN, made[len(BENIGN) :], strict=False):
        old, new = exchange.request, copy.request
        assert len(old.target) == len(new.target)
        assert len(old.body) == len(new.body)
        assert old.method == new.method
        assert copy.label is Label.BENIGN
    assert replicated([], 5) == []


def test_speed_is_measured() -> None:
    speed = measure_speed(BENIGN, 500, 0.01)
    assert speed.us_per_request > 0
    assert speed.learn_s > 0
    assert (speed.learned, speed.fields > 0) == (500, True)
    assert speed.model_bytes > 10_000
