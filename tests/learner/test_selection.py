"""What is learned from, and what is set aside and told."""

from __future__ import annotations

from cnaf.learner.selection import select
from cnaf.models.exchange import Exchange, Label, Request, Response
from cnaf.signatures.engine import SignatureEngine

ENGINE = SignatureEngine.load()


def exchange(
    name: str, target: bytes, status: int | None = 200, label: Label = Label.BENIGN
) -> Exchange:
    response = None if status is None else Response(status)
    return Exchange(name, "s", label, Request("GET", target, ()), response)


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


def test_recorded_benign_sessions_lose_nothing_to_rules(
    wordpress_sessions: list[Exchange],
) -> None:
    assert select(wordpress_sessions, ENGINE).attacks == ()
