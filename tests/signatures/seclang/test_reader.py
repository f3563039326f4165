"""SecLang text becomes directives, targets, operators and actions, or an error with its line."""

from __future__ import annotations

import contextlib

import pytest
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.reader import (
    parse_actions,
    parse_operator,
    parse_rule,
    parse_variables,
    read_directives,
)
from cnaf.signatures.seclang.syntax import Action, Operator, Place, Variable
from hypothesis import given, settings
from hypothesis import strategies as st

PLACE = Place("f.conf", 3)


def test_lines_are_continued_and_comments_left_out() -> None:
    text = '# a\n\nSecRule ARGS \\\n  "@rx a b" \\\n  "id:1,\\\n  pass"\n  # b\nSecMarker END\n'
    rule, marker = read_directives(text, "f.conf")
    assert rule.arguments == ("ARGS", "@rx a b", "id:1,pass")
    assert rule.place == Place("f.conf", 3)
    assert (marker.name, marker.arguments, marker.place.line) == ("SecMarker", ("END",), 8)


def test_quotes_inside_of_quotes() -> None:
    (directive,) = read_directives(r'SecRule ARGS "@rx \"a\\\"" "id:1"', "f")
    assert directive.arguments[1] == r"@rx " r'"a\\"'
    (directive,) = read_directives("SecAction 'id:1,pass'", "f")
    assert directive.arguments == ("id:1,pass",)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('SecRule ARGS "@rx a', 1, "a quote is not closed"),
        ('\n\nSecRule ARGS "a"b "id:1"', 3, "a quote is not closed"),
        ("<Location />", 1, "no directive"),
        ('SecMarker A\n"x" y', 2, "no directive"),
    ],
)
def test_what_is_no_directive_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(SecLangError, match=problem) as caught:
        list(read_directives(text, "f.conf"))
    assert (caught.value.file, caught.value.line) == ("f.conf", line)


def test_targets() -> None:
    assert parse_variables(
        "ARGS|!ARGS:/^a|b\\/$/|&REQUEST_HEADERS:Host|XML:/*|XML://@*", PLACE
    ) == (
        Variable("ARGS"),
        Variable("ARGS", r"^a|b\/$", is_regex=True, is_exclusion=True),
        Variable("REQUEST_HEADERS", "Host", is_count=True),
        Variable("XML", "/*"),
        Variable("XML", "//@*"),
    )
    assert parse_variables("tx.a|&TX:'/B/'", PLACE) == (
        Variable("TX", "a"),
        Variable("TX", "B", is_regex=True, is_count=True),
    )


def test_operators() -> None:
    assert parse_operator("!@beginsWith  a b ", PLACE) == Operator("beginswith", "a b", True)
    assert parse_operator("a b", PLACE) == Operator("rx", "a b")
    assert parse_operator("!a", PLACE) == Operator("rx", "a", True)
    assert parse_operator("@detectSQLi", PLACE) == Operator("detectsqli", "")


def test_actions() -> None:
    text = r"id:1, phase:2,msg:'it\'s, a', t:none,setvar:'tx.a=%{tx.b},c',setvar:tx.d='e,f',pass"
    assert parse_actions(text, PLACE) == (
        Action("id", "1"), Action("phase", "2"), Action("msg", "it's, a"), Action("t", "none"),
        Action("setvar", "tx.a=%{tx.b},c"), Action("setvar", "tx.d='e,f'"), Action("pass"),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["id:1 pass", "msg:'a", ":a", "id:1,,=", "SecRule", "&", "a:b:'"])
def test_bad_actions_are_refused_or_read(text: str) -> None:
    with contextlib.suppress(SecLangError):
        assert all(action.name.islower() for action in parse_actions(text, PLACE))


@pytest.mark.parametrize("text", ["SecRule ARGS", "SecRule A B C D", "SecAction", "SecRule A: b"])
def test_rules_with_too_few_or_too_many_arguments(text: str) -> None:
    (directive,) = read_directives(text, "f.conf")
    with pytest.raises(SecLangError):
        parse_rule(directive)


@settings(deadline=None)
@given(st.text(alphabet="SecRule ARGS\"'\\|:/@!&,\n#=a1", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SecLangError):
        for directive in read_directives(text, "f"):
            assert parse_rule(directive).place.file == "f"
