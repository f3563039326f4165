"""What is learned from, and what is set aside and told."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.learner.selection import select
from cnaf.models.exchange import Exchange, Label, Request, Response
from cnaf.models.fields import Location
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Confidence
from cnaf.signatures.engine import SignatureEngine

from tests.support.rule_sets import SCORED
from tests.support.rule_sets import engine as rule_engine

ENGINE = SignatureEngine.load()
DENYING = 'SecRule ARGS "@contains free" "id:9301,phase:2,deny,t:none,msg:\'Free\'"'


def exchange(
    name: str,
    target: bytes,
    status: int | None = 200,
    label: Label = Label.BENIGN,
    session: str = "s",
) -> Exchange:
    response = None if status is None else Response(status)
    return Exchange(name, session, label, Request("GET", target, ()), response)


def test_a_corpus_is_sorted_without_losing_an_exchange() -> None:
    found = select(
        [
            exchange("ok", b"/?q=tea"),
            exchange("no answer recorded", b"/?q=milk", None),
            exchange("redirect", b"/login", 302),
            exchange("missing", b"/?q=tea", 404),
            exchange("also missing", b"/?q=tea", 404),
            exchange("broken", b"/?q=tea", 500),
            exchange("labelled", b"/?q=tea", 200, Label.ATTACK),
            exchange("attack", b"/?file=../../../../etc/passwd"),
        ],
        ENGINE,
    )
    assert [e.id for e in found.kept] == ["ok", "no answer recorded", "redirect"]
    assert found.refused == {404: 2, 500: 1}
    assert found.labelled == 1
    assert [(a.exchange, a.field) for a in found.attacks] == [("attack", "query:file")]
    assert found.seen == 8


def test_what_is_set_aside_is_told_without_its_value() -> None:
    secret = b"/?file=../../../../etc/passwd&token=s3cr3t"
    (attack,) = select([exchange("a", secret)], ENGINE).attacks
    assert attack.rule.startswith("cnaf-")
    assert attack.message
    assert "s3cr3t" not in repr(attack)
    assert "passwd" not in attack.field


class TestMarks:
    """A rule of medium confidence that benign values of a field set off says nothing there."""

    #: A medium rule matches this, and no rule of high confidence.
    NOTED = b"/?note=eval($x);"

    def marks(
        self, noted: int, plain: int, target: bytes = NOTED
    ) -> dict[tuple[Location, str], frozenset[str]]:
        """What is marked where so many sessions set a rule off, and so many others do not."""
        made = [exchange(f"n{i}", target, session=f"n{i}") for i in range(noted)]
        made += [exchange(f"p{i}", b"/?note=tea", session=f"p{i}") for i in range(plain)]
        found = select(made, ENGINE)
        assert found.attacks == ()
        assert len(found.kept) == noted + plain
        return dict(found.marks)

    def test_the_sample_sets_off_medium_rules_alone(self) -> None:
        request = RequestParser().parse(Request("GET", self.NOTED, ()))
        assert {m.confidence for m in ENGINE.match(request)} == {Confidence.MEDIUM}

    @pytest.mark.parametrize(
        ("noted", "plain", "marked"),
        [(1, 0, False), (2, 0, True), (2, 18, True), (2, 19, False), (3, 27, True), (3, 28, False)],
    )
    def test_two_sessions_and_a_tenth_must_agree(
        self, noted: int, plain: int, marked: bool
    ) -> None:
        request = RequestParser().parse(Request("GET", self.NOTED, ()))
        rules = frozenset(m.rule.id for m in ENGINE.match(request))
        expected = {(Location.QUERY, "note"): rules} if marked else {}
        assert self.marks(noted, plain) == expected

    def test_one_session_that_repeats_itself_is_one(self) -> None:
        made = [exchange(f"e{i}", self.NOTED, session="one") for i in range(30)]
        assert select(made, ENGINE).marks == {}

    def test_what_is_refused_or_labelled_marks_nothing(self) -> None:
        made = [exchange(f"r{i}", self.NOTED, 403, session=f"r{i}") for i in range(9)]
        made += [
            exchange(f"a{i}", self.NOTED, 200, Label.ATTACK, session=f"a{i}") for i in range(9)
        ]
        assert select(made, ENGINE).marks == {}


def test_recorded_benign_sessions_lose_nothing_to_rules(
    wordpress_sessions: list[Exchange],
) -> None:
    assert select(wordpress_sessions, ENGINE).attacks == ()


class TestRegisteredSets:
    """What the rules of registered sets find is noted by field, and sets nothing aside."""

    def marks(self, folder: Path, *exchanges: Exchange) -> dict[str, frozenset[str]]:
        rules = rule_engine(folder, SCORED + DENYING)
        found = select(exchanges, ENGINE, rules)
        assert len(found.kept) == len(exchanges)
        return {f"{place.label}:{name}": marks for (place, name), marks in found.marks.items()}

    def test_families_of_rules_are_noted_where_sessions_agree(self, tmp_path: Path) -> None:
        found = self.marks(
            tmp_path,
            exchange("a", b"/?note=the+union&q=tea", session="1"),
            exchange("b", b"/?note=a+union&q=union", session="2"),
            exchange("c", b"/?q=free+tea", session="3"),
            exchange("d", b"/?q=free+milk", session="4"),
        )
        assert found == {"query:note": {"attack-sqli"}, "query:q": {"9301"}}

    def test_one_session_is_not_enough(self, tmp_path: Path) -> None:
        assert (
            self.marks(tmp_path, exchange("a", b"/?note=union"), exchange("b", b"/?note=1")) == {}
        )
