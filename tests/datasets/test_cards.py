"""The card of the recorded corpus, against its files and its text."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.cards import read_card, verify_card
from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.jsonl import read_jsonl
from cnaf.datasets.split import deduplicate
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable

WORDPRESS = Path(__file__).parents[2] / "datasets" / "wordpress"


def test_the_card_is_that_of_the_files() -> None:
    corpus = open_corpus([WORDPRESS])
    verify_card(read_card(WORDPRESS / "card.json"), corpus)
    assert corpus.facts.broken == corpus.facts.skipped == 0
    left = sum(1 for _ in deduplicate(corpus))
    assert f"{left} are left by" in (WORDPRESS / "CARD.md").read_text("utf-8")


def test_roles_and_classes_are_those_of_the_files() -> None:
    card = read_card(WORDPRESS / "card.json")
    roles = Counter(path.name.split(".")[0].rpartition("-")[2] for path in WORDPRESS.glob("har/*"))
    assert roles == card.sessions_by_role
    attacks = list(read_jsonl(WORDPRESS / "attacks.jsonl"))
    assert Counter(attack.meta["class"] for attack in attacks) == card.attacks_by_class
    assert sum(bool(attack.meta["ambiguous"]) for attack in attacks) == 10
    assert card.sessions == sum(roles.values()) + len({attack.session for attack in attacks})


def test_every_attack_body_is_as_long_as_it_says() -> None:
    for attack in read_jsonl(WORDPRESS / "attacks.jsonl"):
        announced = attack.request.header(b"content-length")
        assert int(announced or 0) == len(attack.request.body), attack.id


def test_the_text_says_the_same_as_the_card() -> None:
    card = read_card(WORDPRESS / "card.json")
    text = (WORDPRESS / "CARD.md").read_text("utf-8")
    assert card.sha256 in text
    assert f"{card.exchanges['benign']} benign, {card.exchanges['attack']} attacks" in text
    assert f"{sum(card.exchanges.values())} exchanges" in text
    assert f"{card.sessions}: {sum(card.sessions_by_role.values())} benign" in text
    assert ", ".join(f"{role} {n}" for role, n in card.sessions_by_role.items()) in text
    table = dict(re.findall(r"([a-z0-9_]+) \| (\d+) \|", text))
    assert {name: int(count) for name, count in table.items()} == card.attacks_by_class
    assert card.recorded in text
    assert card.licence in text


CARD = b"""{"name": "n", "title": "t", "licence": "l", "recorded": "r", "sessions": 1,
"exchanges": {"benign": 2}, "sha256": "0"}"""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"{", b"", "unexpected content"),
        (b'"n"', b"7", "name is of type int"),
        (b'"sessions": 1', b'"sessions": -1', "sessions is not a count"),
        (b'"sessions": 1', b'"sessions": true', "sessions is not a count"),
        (b'{"benign": 2}', b"[]", "exchanges is of type list"),
        (b'"benign": 2', b'"benign": "2"', "exchanges.benign is not a count"),
    ],
)
def test_a_wrong_card_is_named(old: bytes, new: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(CARD.replace(old, new, 1))
    with pytest.raises(CorpusError, match=rf"card\.json is no corpus card.*({reason})"):
        read_card(path)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'"sessions": 1', b'"sessions": 2', "sessions is 1, not 2"),
        (b'"benign": 2', b'"benign": 3', "exchanges is"),
        (b"", b"", "sha256 is [0-9a-f]{64}, not 0"),
    ],
)
def test_a_corpus_that_is_not_the_one_of_its_card_is_refused(
    old: bytes,
    new: bytes,
    what: str,
    tmp_path: Path,
    line: Callable[..., dict[str, object]],
    write_lines: Callable[..., Path],
) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(CARD.replace(old, new, 1))
    corpus = open_corpus([write_lines(line(), line({"id": "2"}))])
    with pytest.raises(CorpusError, match=f"corpus n differs from its card: {what}"):
        verify_card(read_card(path), corpus)
