"""Every engine behind the interface, on a small rule set."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from cnaf.evaluation.core_rules import CoreRules
from cnaf.evaluation.rule_engines import (
    LibModSecurity,
    Outcome,
    RuleEngine,
    SecLangEngine,
    log_line,
)
from cnaf.models.errors import InputError
from cnaf.models.exchange import Request
from cnaf.signatures.seclang.errors import SecLangError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.core_rules import write_core_rules

ENGINES = [LibModSecurity, SecLangEngine]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=ENGINES, ids=lambda made: made.__name__)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> RuleEngine:
    made: RuleEngine = request.param(CoreRules(write_core_rules(tmp_path), 2))
    return made


def get(target: bytes, method: str = "GET", *headers: tuple[bytes, bytes]) -> Request:
    return Request(method, target, ((b"host", b"a"), *headers))


def test_rules_that_log_are_named_once(engine: RuleEngine) -> None:
    assert engine.evaluate(get(b"/?a=1")) == Outcome((), (0, 0))
    assert engine.evaluate(get(b"/?a=secret")) == Outcome((), (0, 0))
    twice = get(b"/?a=union%20select&b=UNION%20SELECT")
    assert engine.evaluate(twice).ids == (942100,)


def test_scores_are_of_both_phases_and_all_levels(engine: RuleEngine) -> None:
    request = get(b"/?a=union%20select", "FOO", (b"user-agent", b""))
    assert engine.evaluate(request) == Outcome((911100, 911200, 942100), (5, 10))


def test_lines_hold_message_and_data(engine: RuleEngine) -> None:
    lines = engine.log(get(b"/?a=union%0aselect", "FOO")).splitlines()
    assert lines == [
        '[id "911100"] [msg "Odd method"] [data "FOO"]',
        '[id "942100"] [msg "SQL"] [data "Matched Data: union\\x0aselect found within ARGS:a: '
        'union\\x0aselect"]',
    ]


def test_bytes_that_are_no_text_are_taken(engine: RuleEngine) -> None:
    odd = get(b"/?a=union\xff%fe\x80select&\xfe=\xff", "GET", (b"x\xff", b"\x80"))
    assert engine.evaluate(odd).ids == (942100,)
    assert "942100" in engine.log(odd)


def test_nothing_is_written_to_the_terminal(
    engine: RuleEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = ((b"content-type", b"text/xml"),)
    engine.evaluate(Request("POST", b"/", headers, b"<a><b>union select</a>", 22))
    engine.evaluate(get(b"/?a=union%20select"))
    gc.collect()
    assert capfd.readouterr() == ("", "")


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.sampled_from([b"", b"text/xml", b"application/json"]),
)
def test_any_bytes_have_an_outcome(
    engine: RuleEngine, target: bytes, body: bytes, content_type: bytes
) -> None:
    headers = ((b"content-type", content_type), (b"x", target))
    outcome = engine.evaluate(Request("POST", b"/?" + target, headers, body, len(body)))
    assert outcome == engine.evaluate(Request("POST", b"/?" + target, headers, body, len(body)))


def test_a_rule_that_is_taken_out_does_not_fire(tmp_path: Path) -> None:
    rules = CoreRules(write_core_rules(tmp_path), removed=(942100,))
    assert LibModSecurity(rules).evaluate(get(b"/?a=union%20select")) == Outcome((), (0, 0))


def test_rules_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    folder = write_core_rules(tmp_path)
    (folder / "rules" / "REQUEST-920-X.conf").write_text("SecNonsense on", "utf-8")
    with pytest.raises(InputError, match=r"cannot load .*REQUEST-920-X"):
        LibModSecurity(CoreRules(folder))
    with pytest.raises(SecLangError, match=r"REQUEST-920-X"):
        SecLangEngine(CoreRules(folder))


def test_log_lines_escape_what_does_not_print() -> None:
    assert log_line(1, "a\nb", "\x00é") == '[id "1"] [msg "a\\x0ab"] [data "\\x00\\xe9"]'
