"""One poisoned session is outvoted; ordinary variety is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import numpy as np
import pytest
from cnaf.learner.learn import learn
from cnaf.learner.poisoning import outvoted, without_outvoted
from cnaf.learner.report import Source
from cnaf.learner.samples import collect
from cnaf.learner.selection import select
from cnaf.models.exchange import Exchange, Label, Response
from cnaf.signatures.engine import SignatureEngine

from tests.support.shop import OPTIONS, request, shop_traffic

#: A rule of medium confidence, and none of a higher one, finds something in each.
ATTACKS = [
    "<b style=(x)>{[;]}<",
    "<p style=((y))>;;{}<",
    "<u style=[[z]]>{};[<",
]


def poisoned(count: int) -> list[Exchange]:
    made = list(shop_traffic())
    for i in range(count):
        text = quote(ATTACKS[i % len(ATTACKS)])
        odd = request(target=f"/products?page={text}&sort=name")
        made.append(Exchange(f"poison-{i}", f"s{i}", Label.BENIGN, odd, Response(200)))
    return made


def votes(made: list[Exchange]) -> set[str]:
    selection = select(made, SignatureEngine.load())
    samples = collect(selection.kept, folds=5, seed=3)
    return {selection.kept[v.request].id for v in outvoted(samples, selection.suspects)}


def test_a_clean_corpus_is_left_alone() -> None:
    samples = collect(shop_traffic(), folds=5, seed=3)
    assert votes(list(shop_traffic())) == set()
    # Not even if every request were suspect.
    assert len(outvoted(samples, range(len(samples.requests)))) < 0.01 * len(samples.requests)


def test_what_no_rule_finds_anything_in_is_only_unusual() -> None:
    odd = request(target="/products?page=" + quote("~~ ^^ 5 ^^ ~~") + "&sort=name")
    made = [*shop_traffic(), Exchange("odd", "s1", Label.BENIGN, odd, Response(200))]
    assert votes(made) == set()
    samples = collect(made, folds=5, seed=3)
    assert outvoted(samples, [len(made) - 1])


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_other_sessions_speak_against_it(count: int) -> None:
    made = poisoned(count)
    assert votes(made) == {f"poison-{i}" for i in range(count)}
    samples = collect(made, folds=5, seed=3)
    for item in outvoted(samples, range(len(shop_traffic()), len(made))):
        assert samples.keys[samples.owner[item.value]][1] == "page"


def test_a_corpus_of_nothing_but_oddities_is_no_poisoned_one() -> None:
    made = [e for e in shop_traffic() if e.request.target.startswith(b"/products?")][:60]
    odd = [e for e in poisoned(30) if e.id.startswith("poison")]
    samples = collect([*made, *odd], folds=5, seed=3)
    assert outvoted(samples, range(len(samples.requests))) == ()


def test_what_is_outvoted_is_set_aside_and_told() -> None:
    made = poisoned(4)
    selection = select(made, SignatureEngine.load())
    samples = collect(selection.kept, folds=5, seed=3)
    cleaned = without_outvoted(selection, samples, outvoted(samples, selection.suspects))
    assert cleaned.seen == selection.seen
    aside = {item.exchange: item for item in cleaned.attacks if item.rule == "vote"}
    assert sorted(aside) == [f"poison-{i}" for i in range(4)]
    assert all(item.field == "query:page" for item in aside.values())
    assert not any(e.id.startswith("poison") for e in cleaned.kept)


def test_learning_sets_it_aside() -> None:
    source = Source("shop", "sha256:" + "0" * 64, "given", "0" * 64, 0, 0)
    learned = learn(
        poisoned(5), source, target_fpr=0.01, created=datetime.now(UTC),
        progress=lambda *_: None, options=replace(OPTIONS, trees=5),
    )  # fmt: skip
    assert {a.exchange for a in learned.report.set_aside} >= {f"poison-{i}" for i in range(5)}
    assert np.isfinite(learned.held_out).all()
