from __future__ import annotations

import json
from dataclasses import dataclass, field

from cnaf.evaluation.rule_comparison import SCORE, compare, request_text
from cnaf.evaluation.rule_engines import Outcome
from cnaf.models.exchange import Request


@dataclass
class Words:
    """Fires the rules whose words stand in the target; each counts 5 unless said otherwise."""

    name: str
    rules: dict[int, bytes]
    points: dict[int, int] = field(default_factory=dict)

    def evaluate(self, request: Request) -> Outcome:
        ids = tuple(sorted(rule for rule, word in self.rules.items() if word in request.target))
        score = sum(self.points.get(rule, 5) for rule in ids)
        return Outcome((*ids, 949110) if score >= 5 else ids, (0, score))

    def inspect(self, request: Request) -> None:
        self.evaluate(request)

    def log(self, request: Request) -> str:
        return ""


def get(target: bytes) -> Request:
    return Request("GET", target, ((b"host", b"a"),))


REQUESTS = [
    get(b"/?q=one&x=abc"),
    get(b"/?q=one+two"),
    get(b"/?q=two"),
    get(b"/plain"),
    get(b"/?a=one"),
]
FIRST = Words("first", {1: b"one", 2: b"two"})


def test_equal_engines_do_not_differ() -> None:
    found = compare(REQUESTS, FIRST, Words("second", dict(FIRST.rules)))
    assert (found.requests, found.differing, found.differences) == (5, 0, ())
    assert found.fired == 9, "five rules, and four times the sum"


def test_a_missing_rule_is_one_group_with_the_smallest_example() -> None:
    steps: list[int] = []
    found = compare(REQUESTS, FIRST, Words("second", {2: b"two"}), progress=lambda: steps.append(1))
    assert len(steps) == 5
    assert found.differing == 3
    (difference,) = found.differences
    assert (difference.rule, difference.only_in, difference.count) == (1, "first", 3)
    assert difference.numbers == (0, 1, 4)
    assert difference.example == Request("GET", b"/?one", ())


def test_a_rule_too_much_and_a_score_are_groups_of_their_own() -> None:
    second = Words("second", {1: b"one", 2: b"two", 3: b"plain"}, {1: 6})
    found = compare(REQUESTS, FIRST, second, shrinks=False)
    assert [(d.rule, d.only_in, d.count) for d in found.differences] == [
        (SCORE, "both", 3), (3, "second", 1),
    ]  # fmt: skip
    assert found.differences[1].example == get(b"/plain")
    assert [o.scores for o in found.differences[0].outcomes] == [(0, 5), (0, 6)]


def test_tables_and_json_hold_every_difference() -> None:
    found = compare(REQUESTS, FIRST, Words("second", {2: b"two"}))
    assert "| 1 | first | 3 | (0, 5) and (0, 0) | `GET /?one 1.1` |" in found.markdown()
    written = json.loads(json.dumps(found.as_json()))
    assert written["differences"][0]["example"]["target"] == "/?one"
    assert written["differing_requests"] == 3


def test_a_request_on_one_line_has_escapes() -> None:
    request = Request("POST", b"/\xff", ((b"a", b"b\t"),), b"x\0y\r\n", 5)
    assert request_text(request) == "POST /\\xff 1.1\\na: b\\t\\n\\nx\\x00y\\r\\n"
