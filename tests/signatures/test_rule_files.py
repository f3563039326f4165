"""A rule file is read whole or refused, with its name, the rule and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cnaf.models.fields import Field, Location
from cnaf.models.verdict import Confidence
from cnaf.signatures.rule import Pattern, Severity, Syntax, is_prose
from cnaf.signatures.rule_files import RuleError, parse_rules, read_rules

if TYPE_CHECKING:
    from pathlib import Path

RULE = {
    "id": '"cnaf-test-001"',
    "message": '"found"',
    "expected": '"nothing"',
    "severity": '"high"',
    "confidence": '"medium"',
    "tags": '["CWE-89", "CAPEC-66", "T1059.004"]',
    "patterns": "['a']",
    "targets": '["query"]',
    "must_fire": '["a", "aa"]',
    "must_not_fire": '["b", "c"]',
}


def text(top: str = 'class = "test"', **entries: str | None) -> str:
    keys = {key: value for key, value in (RULE | entries).items() if value is not None}
    return "\n".join([top, "[[rule]]", *(f"{key} = {value}" for key, value in keys.items())])


def test_a_whole_file() -> None:
    top = """
class = "test"
[fragments]
word = '''[a-z]+'''
pair = '''(?&word)=(?&word)'''
[defaults]
severity = "low"
targets = ["form", "header:Referer", "!form:Content"]
"""
    (rule,) = parse_rules(
        text(
            top,
            severity=None,
            targets=None,
            patterns="""['^(?&pair)$', '\\$x\\$', 'a.[^b]\\S']""",
            must_fire='["a=b", { value = "\\u00e5", in = "header:Referer" }]',
            syntax='"sql"',
            max_length="9",
        ),
        "a.toml",
    )
    assert rule.patterns == (
        Pattern("(?:(?:[a-z]+)=(?:[a-z]+))", at_start=True, at_end=True),
        Pattern(r"\$x\$"),
        Pattern(r"a[^\x00][^\x00b][^\s\x00]"),
    )
    assert (rule.severity, rule.confidence) == (Severity.LOW, Confidence.MEDIUM)
    assert (rule.syntax, rule.max_length) == (Syntax.SQL, 9)
    assert rule.must_fire[0].location is Location.FORM
    assert (rule.must_fire[1].value, rule.must_fire[1].location) == (b"\xe5", Location.HEADER)
    said = rule.confidence
    assert rule.confidence_in(Field(Location.HEADER, "referer", b"x")) is said
    assert rule.confidence_in(Field(Location.FORM, "title", b"x" * 9)) is said
    # In a longer value a match says one step less; elsewhere it says nothing.
    assert rule.confidence_in(Field(Location.FORM, "title", b"x" * 10)) is one_less(said)
    assert rule.confidence_in(Field(Location.FORM, "content", b"x")) is None
    assert rule.confidence_in(Field(Location.QUERY, "title", b"x")) is None


def one_less(confidence: Confidence) -> Confidence:
    return Confidence.MEDIUM if confidence is Confidence.HIGH else Confidence.LOW


def test_short_forms_of_targets() -> None:
    (rule,) = parse_rules(text(targets='["@values", "~@prose"]'), "a.toml")
    said = rule.confidence
    assert rule.confidence_in(Field(Location.JSON, "title", b"x")) is said
    assert rule.confidence_in(Field(Location.HEADER, "user-agent", b"x")) is said
    assert rule.confidence_in(Field(Location.HEADER, "accept", b"x")) is None
    assert rule.confidence_in(Field(Location.JSON, "Content", b"x")) is one_less(said)
    assert rule.confidence_in(Field(Location.QUERY, "content", b"x")) is said
    for location in Location:
        prose = rule.confidence_in(Field(location, "content", b"x")) is one_less(said)
        assert is_prose(Field(location, "Content", b"x")) is prose
    assert not is_prose(Field(Location.FORM, "title", b"x"))


REFUSED = {
    "not TOML": ("class = ", "the file", "file"),
    "no class": (text(""), "the file", "class"),
    "an odd class": (text('class = "A b"'), "the file", "class"),
    "an unknown key of the file": (text('class = "test"\nother = 1'), "the file", "other"),
    "no rule": ('class = "test"', "the file", "rule"),
    "rules that are no tables": ('class = "test"\nrule = [1]', "the file", "rule"),
    "an unknown default": (
        text('class = "test"\n[defaults]\nid = "x"'), "the file", "defaults.id",
    ),
    "defaults that are no table": (text('class = "test"\ndefaults = 1'), "the file", "defaults"),
    "no id": (text(id=None), "rule number 1", "id"),
    "an id of another class": (text(id='"cnaf-other-1"'), "rule cnaf-other-1", "id"),
    "an unknown key": (text(colour='"red"'), "rule cnaf-test-001", "colour"),
    "an empty message": (text(message='" "'), "rule cnaf-test-001", "message"),
    "a message that is a number": (text(message="1"), "rule cnaf-test-001", "message"),
    "no expected": (text(expected=None), "rule cnaf-test-001", "expected"),
    "an unknown severity": (text(severity='"dire"'), "rule cnaf-test-001", "severity"),
    "an unknown confidence": (text(confidence='"sure"'), "rule cnaf-test-001", "confidence"),
    "an unknown tag": (text(tags='["OWASP-1"]'), "rule cnaf-test-001", "tags"),
    "no tags": (text(tags="[]"), "rule cnaf-test-001", "tags"),
    "no patterns": (text(patterns="[]"), "rule cnaf-test-001", "patterns"),
    "a pattern that is a number": (text(patterns="[1]"), "rule cnaf-test-001", "patterns"),
    "an open bracket": (text(patterns="['(a']"), "rule cnaf-test-001", "patterns"),
    "an empty match": (text(patterns="['a*']"), "rule cnaf-test-001", "patterns"),
    "letters that are not ASCII": (text(patterns="['å']"), "rule cnaf-test-001", "patterns"),
    "look-ahead": (text(patterns="['a(?=b)']"), "rule cnaf-test-001", "patterns"),
    "a flag": (text(patterns="['(?i)a']"), "rule cnaf-test-001", "patterns"),
    "a back-reference": (text(patterns="['(a)\\1']"), "rule cnaf-test-001", "patterns"),
    "an anchor inside": (text(patterns="['(?:^|b)a']"), "rule cnaf-test-001", "patterns"),
    "a NUL": (text(patterns="['a\\x00']"), "rule cnaf-test-001", "patterns"),
    "a class with a negated escape": (
        text(patterns="['[\\s\\S]a']"), "rule cnaf-test-001", "patterns",
    ),
    "an unknown fragment": (text(patterns="['(?&gap)a']"), "rule cnaf-test-001", "patterns"),
    "a fragment of itself": (
        text("class = \"test\"\n[fragments]\nx = '(?&x)'", patterns="['(?&x)a']"),
        "rule cnaf-test-001", "patterns",
    ),
    "a fragment that doubles": (
        text("class = \"test\"\n[fragments]\nx = '" + "a" * 3000 + "'",
             patterns="['(?&x)(?&x)']"),
        "rule cnaf-test-001", "patterns",
    ),
    "no targets": (text(targets="[]"), "rule cnaf-test-001", "targets"),
    "an unknown place": (text(targets='["uri"]'), "rule cnaf-test-001", "targets"),
    "prose without a name": (text(targets='["~form"]'), "rule cnaf-test-001", "targets"),
    "prose as an exception": (
        text(targets='["@values", "!@prose"]'), "rule cnaf-test-001", "targets",
    ),
    "an exception without a name": (text(targets='["!form"]'), "rule cnaf-test-001", "targets"),
    "a name that is empty": (text(targets='["form:"]'), "rule cnaf-test-001", "targets"),
    "a negative length": (text(max_length="-1"), "rule cnaf-test-001", "max_length"),
    "a length that is true": (text(max_length="true"), "rule cnaf-test-001", "max_length"),
    "an unknown syntax": (text(syntax='"css"'), "rule cnaf-test-001", "syntax"),
    "one sample": (text(must_fire='["a"]'), "rule cnaf-test-001", "must_fire"),
    "an empty sample": (text(must_fire='["a", ""]'), "rule cnaf-test-001", "must_fire"),
    "a sample beyond a byte": (
        text(must_not_fire='["a", "\\u20ac"]'), "rule cnaf-test-001", "must_not_fire",
    ),
    "a sample without a place": (
        text(must_fire='["a", {value = "a"}]'), "rule cnaf-test-001", "must_fire",
    ),
    "a sample in an unknown place": (
        text(must_fire='["a", {value = "a", in = "uri:x"}]'), "rule cnaf-test-001", "must_fire",
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", REFUSED)
def test_refused(title: str) -> None:
    document, rule, key = REFUSED[title]
    with pytest.raises(RuleError) as caught:
        parse_rules(document, "own.toml")
    assert str(caught.value).startswith(f"own.toml: {rule}: {key}: ")
    assert caught.value.hint


def test_files_are_read_in_order_and_ids_are_their_own(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(text(id='"cnaf-test-2"'))
    (tmp_path / "a.toml").write_text(text())
    assert [rule.id for rule in read_rules(tmp_path.iterdir())] == ["cnaf-test-001", "cnaf-test-2"]
    (tmp_path / "c.toml").write_text(text())
    with pytest.raises(
        RuleError, match=r"c\.toml: rule cnaf-test-001: id: used before, in a\.toml"
    ):
        read_rules(tmp_path.iterdir())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match=r"a\.toml: the file: file: cannot be read"):
        read_rules(tmp_path.iterdir())
    with pytest.raises(RuleError, match="cannot be read"):
        read_rules([tmp_path / "none.toml"])
