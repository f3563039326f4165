"""Recorded attacks, explained: where the payload stands, what belongs there, and no secrets.

Chosen are unambiguous attacks of the recorded corpus whose carrier, by the corpus' own notes, is
one named parameter that the benign sessions show, too, and that takes no markup by design: the
first four of each carrier by their ids. Attacks in a path, a header, a file or in parameters that
no benign session sent are told as news instead, see test_explain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from cnaf.learner.learn import Learned
from cnaf.models.exchange import Exchange
from cnaf.models.explain import explain
from cnaf.models.fields import Location
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer, is_learned
from cnaf.models.stored_model import unpack_model
from cnaf.models.value_types import ValueType
from cnaf.models.verdict import Confidence, Detector, Evidence

#: The corpus' names of carriers, and the fields that they are.
CARRIERS = {
    "ajax_id": "form:id",
    "cat": "query:cat",
    "comment_author": "form:author",
    "comment_id": "form:comment_post_ID",
    "comment_url": "form:url",
    "contact": "form:your-subject",
    "login_log": "form:log",
    "m": "query:m",
    "orderby": "query:orderby",
    "p": "query:p",
    "paged": "query:paged",
    "rest_search": "query:search",
    "s": "query:s",
}
_EACH = 4
#: A carrier's benign value stands before the payload: numbers, or plain words.
_LEAD = re.compile(rb"[A-Za-z0-9 .]*")


@dataclass(frozen=True)
class Explained:
    """An attack, the field that carries it, its value, and what the model says."""

    id: str
    field: str
    value: bytes
    evidence: tuple[Evidence, ...]

    @property
    def payload(self) -> tuple[int, int]:
        lead = _LEAD.match(self.value)
        assert lead
        return lead.end(), len(self.value)

    @property
    def worst(self) -> Evidence:
        """The first evidence on a value; what is new about the request comes before."""
        return next(e for e in self.evidence if e.confidence is Confidence.MEDIUM)


@pytest.fixture(scope="module")
def model(learned: Learned) -> RequestModel:
    return unpack_model(learned.files).model


@pytest.fixture(scope="module")
def explained(model: RequestModel, wordpress_attacks: list[Exchange]) -> list[Explained]:
    parser, scorer = RequestParser(), Scorer(model)
    found: dict[str, list[Explained]] = {carrier: [] for carrier in CARRIERS}
    for attack in sorted(wordpress_attacks, key=lambda e: e.id):
        carrier = str(attack.meta["carrier"])
        if carrier not in CARRIERS or attack.meta["ambiguous"] or len(found[carrier]) == _EACH:
            continue
        parsed = parser.parse(attack.request)
        field = next(f for f in parsed.fields if f.label == CARRIERS[carrier])
        evidence = explain(model, parsed, scorer.score(parsed), limit=256)
        found[carrier].append(Explained(attack.id, field.label, field.value, evidence))
    return [each for carrier in found.values() for each in carrier]


def test_carriers_are_fields_that_the_model_knows(
    model: RequestModel, explained: list[Explained]
) -> None:
    kinds = {f"{p.location.label}:{p.name}": p.kind for p in model.profiles}
    assert {each.field for each in explained} == set(CARRIERS.values()) <= kinds.keys()
    assert ValueType.MARKUP not in {kinds[each.field] for each in explained}
    assert len(explained) >= 30
    for each in explained:
        start, end = each.payload
        assert start < end, each.id


def test_the_field_that_carries_the_attack_is_named_first(explained: list[Explained]) -> None:
    assert {e.id: e.worst.field for e in explained} == {e.id: e.field for e in explained}


def test_the_mark_overlaps_the_payload(explained: list[Explained]) -> None:
    for each in explained:
        worst, (start, end) = each.worst, each.payload
        assert worst.start < end, each.id
        assert worst.end > start, each.id
        ((first, last),) = worst.marks
        assert first < last
        marked = worst.excerpt[first:last]
        assert each.value[worst.start : worst.end].decode("utf-8", "replace") == marked
        assert any(mark in marked for mark in "'\"<>=;(){}$`|/\\,*\n-^&#"), (each.id, marked)


def test_most_marks_lie_within_the_payload_and_cover_much_of_it(
    explained: list[Explained],
) -> None:
    covered = []
    for each in explained:
        start, end = each.payload
        covered.append((min(end, each.worst.end) - max(start, each.worst.start)) / (end - start))
    assert sorted(covered)[len(covered) // 2] >= 0.8


def test_what_belongs_there_is_told_by_type_length_and_classes(
    model: RequestModel, explained: list[Explained]
) -> None:
    profiles = {f"{p.location.label}:{p.name}": p for p in model.profiles}
    for each in explained:
        profile, worst = profiles[each.field], each.worst
        assert worst.expected.startswith(profile.value_type.noun + ", ")
        told = re.search(
            r", (\d+ to )?(\d+) bytes, of (.+) \(seen in (\d+) sessions\)$", worst.expected
        )
        assert told, worst.expected
        assert int(told[4]) == profile.sessions
        assert re.match(rf"{len(each.value)} bytes", worst.seen)


def test_rarity_is_told_and_what_would_pass(explained: list[Explained]) -> None:
    for each in explained:
        assert each.worst.detector is Detector.MODEL
        assert each.worst.p_value is not None
        assert 0 < each.worst.p_value < 0.05, each.id
        for item in each.evidence:
            assert item.would_pass
            assert item.message


def test_no_learned_value_is_given_away(
    explained: list[Explained], wordpress_sessions: list[Exchange]
) -> None:
    parser = RequestParser()
    learned = {
        field.value.decode("utf-8", "replace")
        for exchange in wordpress_sessions
        for field in parser.parse(exchange.request).fields
        if len(field.value) > 8
        and field.location is not Location.PATH
        and is_learned(field.location, field.name)
    }
    assert len(learned) > 400
    for each in explained:
        # The excerpt and what was seen are the attack's own; all else is said of the model.
        texts = [t for e in each.evidence for t in (e.expected, e.would_pass, e.message)]
        said = "\n".join(texts)
        assert [value for value in learned if value in said] == [], each.id
