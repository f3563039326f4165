"""A rule file is read whole or refused, with file, line, what is wrong, and what is supported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cnaf.models.fields import Field, Location
from cnaf.models.verdict import Confidence
from cnaf.signatures import rule_targets
from cnaf.signatures.rule import Pattern, Severity, Syntax, is_prose
from cnaf.signatures.rule_files import built_in_files, built_in_rules, parse_rules, read_rules
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.reader import MAX_FILE_BYTES

ACTIONS = {
    "id": "1001",
    "phase": "2",
    "pass": None,
    "t": "none,t:urlDecodeUni,t:htmlEntityDecode",
    "msg": "'found, at last'",
    "logdata": "'%{TX.0} in %{MATCHED_VAR_NAME}; expected a plain, short value'",
    "severity": "'ERROR'",
    "ver": "'own/1'",
    "tag": (
        "'cnaf-test-001',tag:'attack-test',tag:'CWE-89',tag:'CAPEC-66',tag:'T1059.004',"
        "tag:'cnaf/confidence/medium'"
    ),
}
NAMES = "tag:'cnaf-test-001',tag:'attack-test',tag:'CWE-89'"
LENGTH = 'SecRule MATCHED_VARS "@le 9" "t:none,t:length"'


def text(
    rx: str = "@rx (?i-m)a", targets: str = "ARGS_GET", then: str = "", **actions: str | None
) -> str:
    """A rule; ``actions`` replace those of the same name, or are left out where they are empty."""
    said = {name: value for name, value in (ACTIONS | actions).items() if value != ""}
    listed = ",".join(name if value is None else f"{name}:{value}" for name, value in said.items())
    chain = ",chain" if then else ""
    return f'SecRule {targets} "{rx}" \\\n    "{listed}{chain}"\n{then}\n'


def patterns(rx: str) -> tuple[Pattern, ...]:
    (rule,) = parse_rules(text(f"@rx (?i-m){rx}"), "own.conf")
    return rule.patterns


def one_less(confidence: Confidence) -> Confidence:
    return Confidence.MEDIUM if confidence is Confidence.HIGH else Confidence.LOW


def test_a_whole_file() -> None:
    source = r"""
# A comment.
SecRule ARGS_POST|REQUEST_HEADERS:Referer|!ARGS_POST:Content \
    "@rx (?i-m)(?#\
    )(?(DEFINE)(?<word>[a-z]+)(?#\
    )(?<pair>(?&word)=(?&word)))(?#\
    )^(?&pair)$(?# what is a price \
    )|\$x\$(?#\
    )|a.[^b\"]\S" \
    "id:1001,phase:2,block,capture,t:none,t:urlDecodeUni,t:htmlEntityDecode,\
    msg:'found, the app\'s own',\
    logdata:'%{TX.0} in %{MATCHED_VAR_NAME}; expected nothing, really',\
    severity:'NOTICE',ver:'own/1',tag:'cnaf-test-001',tag:'attack-test',\
    tag:'CWE-89',tag:'T1059.004',tag:'cnaf/confidence/high',chain"
    SecRule MATCHED_VARS "@detectSQLi" "t:none,chain"
    SecRule MATCHED_VARS "@le 9" "t:none,t:length"
"""
    (rule,) = parse_rules(source, "own.conf")
    assert rule.patterns == (
        Pattern("(?:(?:[a-z]+)=(?:[a-z]+))", at_start=True, at_end=True),
        Pattern(r"\$x\$"),
        Pattern(r'a[^\x00][^\x00b"][^\s\x00]'),
    )
    assert (rule.id, rule.number, rule.version) == ("cnaf-test-001", 1001, "own/1")
    assert (rule.place.file, rule.place.line) == ("own.conf", 3)
    assert (rule.message, rule.expected) == ("found, the app's own", "nothing, really")
    assert (rule.severity, rule.confidence) == (Severity.LOW, Confidence.HIGH)
    assert rule.tags == ("CWE-89", "T1059.004")
    assert (rule.syntax, rule.max_length) == (Syntax.SQL, 9)
    said = rule.confidence
    assert rule.confidence_in(Field(Location.HEADER, "referer", b"x")) is said
    assert rule.confidence_in(Field(Location.FORM, "title", b"x" * 9)) is said
    assert rule.confidence_in(Field(Location.MULTIPART, "title", b"x" * 9)) is said
    # In a longer value a match says one step less; elsewhere it says nothing.
    assert rule.confidence_in(Field(Location.FORM, "title", b"x" * 10)) is one_less(said)
    assert rule.confidence_in(Field(Location.FORM, "content", b"x")) is None
    assert rule.confidence_in(Field(Location.QUERY, "title", b"x")) is None


@pytest.mark.parametrize(
    ("severity", "ours"),
    [
        ("CRITICAL", Severity.CRITICAL), ("ERROR", Severity.HIGH), ("WARNING", Severity.MEDIUM),
        ("NOTICE", Severity.LOW), ("notice", Severity.LOW),
    ],
)  # fmt: skip
def test_severities(severity: str, ours: Severity) -> None:
    (rule,) = parse_rules(text(severity=f"'{severity}'"), "own.conf")
    assert rule.severity is ours


@pytest.mark.parametrize(
    ("rx", "bodies"),
    [
        ("a|b", ["a", "b"]),
        ("(?:a|b)|c", ["(?:a|b)", "c"]),
        (r"a\|b|[|]|c", [r"a\|b", "[|]", "c"]),
        (r"[]|]|[^]|]", ["[]|]", r"[^\x00]|]"]),
        (r"\(|\)", [r"\(", r"\)"]),
        ("a(?#b|c)d|e", ["ad", "e"]),
        (r"[(|)]|a\(?#|b", ["[(|)]", r"a\(?#", "b"]),
        ("(?(DEFINE)(?<x>a|b))(?&x)c|d", ["(?:a|b)c", "d"]),
        (r"(?(DEFINE)(?<x>\)|[)]))(?&x)", [r"(?:\)|[)])"]),
    ],
)
def test_bars_part_patterns_where_no_bracket_is_open(rx: str, bodies: list[str]) -> None:
    assert [pattern.body for pattern in patterns(rx)] == bodies


def test_anchors_belong_to_their_pattern() -> None:
    assert patterns(r"^a|b$|^c$|d\$|\^e") == (
        Pattern("a", at_start=True), Pattern("b", at_end=True),
        Pattern("c", at_start=True, at_end=True), Pattern(r"d\$"), Pattern(r"\^e"),
    )  # fmt: skip


FIELDS = [Field(location, name, b"x") for location in Location for name in ("", "q", "(name)")]


@pytest.mark.parametrize(
    ("variables", "fields"),
    [
        ("ARGS", ["query:*", "form:*", "json:*", "multipart:*"]),
        ("ARGS_NAMES", ["query:(name)", "form:(name)", "json:(name)", "multipart:(name)"]),
        ("ARGS_GET", ["query:*"]),
        ("ARGS_GET_NAMES", ["query:(name)"]),
        ("ARGS_POST", ["form:*", "multipart:*"]),
        ("ARGS_POST_NAMES", ["form:(name)", "multipart:(name)"]),
        ("ARGS:Q", ["query:q", "form:q", "multipart:q"]),
        ("ARGS:json.q", ["json:q"]),
        ("FILES", ["filename:*"]),
        ("FILES_TMP_CONTENT:q", ["file:q"]),
        ("REQUEST_BODY", ["body:*"]),
        ("REQUEST_COOKIES|REQUEST_COOKIES_NAMES", ["cookie:*"]),
        ("REQUEST_COOKIES:q", ["cookie:q"]),
        ("REQUEST_COOKIES_NAMES", ["cookie:(name)"]),
        ("REQUEST_FILENAME", ["path:*"]),
        ("REQUEST_HEADERS|!REQUEST_HEADERS:Q", ["header:", "header:(name)"]),
        ("REQUEST_HEADERS:Q|!REQUEST_HEADERS:q|REQUEST_COOKIES:q", ["cookie:q"]),
        ("XML:/*", ["xml:*"]),
        ("XML://@*", ["xml:*"]),
    ],
)
def test_variables_are_places_of_fields(variables: str, fields: list[str]) -> None:
    (rule,) = parse_rules(text(targets=variables), "own.conf")
    covered = {f"{f.location.label}:{f.name}" for f in FIELDS if rule.targets.covers(f)}
    expected = set()
    for label in fields:
        place, _, name = label.partition(":")
        expected.update(f"{place}:{n}" for n in (("", "q", "(name)") if name == "*" else (name,)))
    assert covered == expected


def test_elements_of_a_list_in_json() -> None:
    (rule,) = parse_rules(text(targets="ARGS:json.users.array_0.roles.array_0"), "own.conf")
    assert rule.targets.covers(Field(Location.JSON, "users[].roles[]", b"x"))


def test_prose_by_tag() -> None:
    tags = f"{ACTIONS['tag']},tag:'cnaf/prose'"
    (rule,) = parse_rules(text(targets="ARGS", tag=tags), "own.conf")
    said = rule.confidence
    assert rule.confidence_in(Field(Location.JSON, "title", b"x")) is said
    assert rule.confidence_in(Field(Location.JSON, "Content", b"x")) is one_less(said)
    assert rule.confidence_in(Field(Location.QUERY, "content", b"x")) is said
    for location in (Location.QUERY, Location.FORM, Location.JSON, Location.MULTIPART):
        prose = rule.confidence_in(Field(location, "content", b"x")) is one_less(said)
        assert is_prose(Field(location, "Content", b"x")) is prose
    assert not is_prose(Field(Location.FORM, "title", b"x"))


#: A file, and what the error says is wrong with it.
REFUSED = {
    "a quote that is open": ('SecRule ARGS "@rx a', "a quote is not closed"),
    "an unknown directive": ("SecRuleEngine On", "the directive SecRuleEngine"),
    "an action without a rule": ('SecAction "id:1"', "the directive SecAction"),
    "a chain without an end": (text(chain=None), "a chain without its last link"),
    "a rule without actions": ('SecRule ARGS "@rx (?i-m)a"', "id is not said once"),
    "no id": (text(id=""), "id is not said once"),
    "two ids": (text(capture="1,id:2"), "id is not said once"),
    "an id that is a word": (text(id="x"), "the id 'x'"),
    "an id that is too high": (text(id="9999999999"), "the id '9999999999'"),
    "another phase": (text(phase="1"), "phase 1"),
    "no transformations": (text(t="none"), "the transformations none"),
    "other transformations": (text(t="none,t:lowercase"), "the transformations none, lowercase"),
    "an empty message": (text(msg="' '"), "msg is not said once"),
    "no logdata": (text(logdata=""), "logdata is not said once"),
    "logdata without what is expected": (text(logdata="'%{TX.0}'"), "the logdata '%{TX.0}'"),
    "an unknown severity": (text(severity="'DIRE'"), "the severity 'DIRE'"),
    "no version": (text(ver=""), "ver is not said once"),
    "an unknown action": (text(setvar="'tx.a=1'"), "the action setvar"),
    "no name": (
        text(tag="'attack-test',tag:'CWE-1',tag:'cnaf/confidence/low'"), "tags without one name",
    ),
    "two names": (text(tag=f"'cnaf-test-2',tag:{ACTIONS['tag']}"), "tags without one name"),
    "no confidence": (text(tag=NAMES[4:]), "tags without one name and one confidence"),
    "an unknown confidence": (
        text(tag=f"{NAMES[4:]},tag:'cnaf/confidence/sure'"), "the confidence 'sure'",
    ),
    "an unknown tag": (text(tag=f"'OWASP-1',tag:{ACTIONS['tag']}"), "an unknown tag 'OWASP-1'"),
    "another class": (
        text(tag=ACTIONS["tag"].replace("attack-test", "attack-sqli")),
        "an unknown tag 'attack-sqli'",
    ),
    "no class": (
        text(tag=ACTIONS["tag"].replace("tag:'attack-test',", "")), "tags without attack-test",
    ),
    "no reference": (
        text(tag="'cnaf-test-1',tag:'attack-test',tag:'cnaf/confidence/low'"),
        "or without a reference",
    ),
    "block without confidence": (text(**{"pass": "", "block": None}), "does not fit the"),
    "neither block nor pass": (text(**{"pass": ""}), "neither block nor pass"),
    "block and pass": (text(block=None), "neither block nor pass, or both"),
    "another operator": (text("@pm a b"), "an operator that finds no patterns"),
    "a negated operator": (text("!@rx (?i-m)a"), "an operator that finds no patterns"),
    "no flags": (text("@rx a"), "an expression that starts with 'a'"),
    "other flags": (text("@rx (?i)a"), "an expression that starts with '(?i)a'"),
    "nothing": (text("@rx (?i-m)"), "a pattern that is empty"),
    "an empty pattern": (text("@rx (?i-m)a|"), "a pattern that is empty"),
    "anchors alone": (text("@rx (?i-m)^$"), "a pattern that is empty"),
    "an open bracket": (text("@rx (?i-m)(a"), "a bracket is not closed"),
    "a closed bracket": (text("@rx (?i-m)a)"), "a bracket is closed that is not open"),
    "letters that are not ASCII": (text("@rx (?i-m)å"), "a byte that is not ASCII"),
    "look-ahead": (text("@rx (?i-m)a(?=b)"), "not for Hyperscan: 'a(?=b)'"),
    "a flag": (text("@rx (?i-m)(?s)a"), "not for Hyperscan"),
    "a back-reference": (text(r"@rx (?i-m)(a)\1"), "not for Hyperscan"),
    "an anchor inside": (text("@rx (?i-m)(?:^|b)a"), "an anchor inside of"),
    "a NUL": (text(r"@rx (?i-m)a\x00"), "not for Hyperscan"),
    "a class with a negated escape": (text(r"@rx (?i-m)[\s\S]a"), "not for Hyperscan"),
    "a NUL as it is": (text("@rx (?i-m)a\0"), "not for Hyperscan"),
    "a NUL in braces": (text(r"@rx (?i-m)a\x{0}"), "not for Hyperscan"),
    "all but a line end": (text(r"@rx (?i-m)a\N"), "not for Hyperscan"),
    "all but a blank": (text(r"@rx (?i-m)a[\H]"), "not for Hyperscan"),
    "a class of POSIX": (text("@rx (?i-m)[[:^alpha:]]a"), "not for Hyperscan"),
    "a quotation": (text(r"@rx (?i-m)\Qa\E"), "not for Hyperscan"),
    "an unknown piece": (text("@rx (?i-m)(?&gap)a"), "an unknown piece (?&gap)"),
    "a piece of itself": (
        text("@rx (?i-m)(?(DEFINE)(?<x>(?&x)))(?&x)a"), "an unknown piece (?&x)",
    ),
    "a piece twice": (text("@rx (?i-m)(?(DEFINE)(?<x>a)(?<x>b))(?&x)"), "no piece"),
    "a piece without a name": (text("@rx (?i-m)(?(DEFINE)a)a"), "no piece: 'a'"),
    "pieces that are not closed": (text("@rx (?i-m)(?(DEFINE)(?<x>a)"), "a bracket is not closed"),
    "a piece that doubles": (
        text(f"@rx (?i-m)(?(DEFINE)(?<x>{'a' * 3000}))(?&x)(?&x)"), "a pattern that is too long",
    ),
    "a piece that changes": (
        text("@rx (?i-m)(?(DEFINE)(?<x>a))(?&x)")
        + text("@rx (?i-m)(?(DEFINE)(?<x>b))(?&x)", id="2"),
        "the piece x says something else than in line 1",
    ),
    "an unknown variable": (text(targets="REMOTE_ADDR"), "no fields for REMOTE_ADDR"),
    "a count": (text(targets="&ARGS"), "no fields for &ARGS"),
    "names by an expression": (text(targets="ARGS:/^a/"), "no fields for ARGS:/^a/"),
    "a name of what has none": (text(targets="REQUEST_BODY:a"), "no fields for REQUEST_BODY:a"),
    "an exclusion without a name": (text(targets="ARGS|!ARGS_GET"), "no fields for !ARGS_GET"),
    "another path of XML": (text(targets="XML:/a/b"), "no fields for XML:/a/b"),
    "an unknown condition": (text(then='SecRule ARGS "@le 9" "t:none"'), "a condition that is"),
    "a length that is none": (text(then=LENGTH.replace("9", "-1")), "a condition that is"),
    "a length of the raw value": (text(then=LENGTH.replace("t:none,", "")), "a condition that is"),
    "a negated condition": (text(then=LENGTH.replace("@le", "!@le")), "a condition that is"),
    "a tokenizer behind the length": (
        text(then=LENGTH.replace("length", "length,chain")
             + '\nSecRule MATCHED_VARS "@detectXSS" "t:none"'),
        "a condition that is unknown or out of order",
    ),
    "the same number twice": (
        text() + text(tag=ACTIONS["tag"].replace("-001", "-2")), "1001 stands in own.conf:1",
    ),
    "the same name twice": (text() + text(id="1002"), "cnaf-test-001 stands in own.conf:1"),
}  # fmt: skip


@pytest.mark.parametrize("title", REFUSED)
def test_refused(title: str) -> None:
    source, problem = REFUSED[title]
    with pytest.raises(SecLangError) as caught:
        parse_rules(source, "own.conf")
    assert re.match(r"own\.conf:[1-9]\d*: ", str(caught.value))
    assert problem in str(caught.value)
    assert caught.value.hint


def test_an_error_names_the_line_of_the_rule() -> None:
    source = f"# a comment\n\n{text()}\n{text(id='2', phase='3')}"
    with pytest.raises(SecLangError) as caught:
        parse_rules(source, "own.conf")
    assert (caught.value.file, caught.value.line) == ("own.conf", 7)
    assert "supported: phase:2" in str(caught.value.hint)


def test_files_are_read_in_order_and_names_are_their_own(tmp_path: Path) -> None:
    other = text(id="2", tag=ACTIONS["tag"].replace("-001", "-2"))
    (tmp_path / "b.conf").write_text(other)
    (tmp_path / "a.conf").write_text(text())
    assert [rule.id for rule in read_rules(tmp_path.iterdir())] == ["cnaf-test-001", "cnaf-test-2"]
    (tmp_path / "c.conf").write_text(text())
    with pytest.raises(SecLangError, match=r"c\.conf:1: cnaf-test-001 stands in a\.conf:1"):
        read_rules(tmp_path.iterdir())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(SecLangError, match=r"a\.conf:1: cannot be read"):
        read_rules(tmp_path.iterdir())
    with pytest.raises(SecLangError, match="cannot be read"):
        read_rules([tmp_path / "none.conf"])
    (tmp_path / "a.conf").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SecLangError, match=r"a\.conf:1: more than 8388608 bytes"):
        read_rules(tmp_path.iterdir())


def test_the_readme_beside_the_rules_names_every_variable() -> None:
    readme = Path(str(built_in_files()[0])).with_name("README.md").read_text("utf-8")
    tables = (rule_targets._COLLECTIONS, rule_targets._NAMES, rule_targets._WHOLE)
    for variable in (name for table in tables for name in table):
        assert f"`{variable}`" in readme, variable


def test_the_example_of_the_readme_is_a_rule() -> None:
    readme = Path(str(built_in_files()[0])).with_name("README.md").read_text("utf-8")
    (rule,) = parse_rules(readme.split("```")[1], "README.md")
    assert [pattern.at_start for pattern in rule.patterns] == [False, True, False]
    assert (rule.syntax, rule.max_length) == (Syntax.SQL, 600)


def test_shared_pieces_are_explained_in_the_head_of_their_file() -> None:
    for file in built_in_files():
        source = file.read_text("utf-8")
        head = source[: source.index("SecRule")]
        for piece in re.findall(r"\(\?<(\w+)>", source):
            assert f"\n#   {piece}: " in head, f"{file.name}: {piece}"


def test_built_in_rules_share_a_version() -> None:
    assert {rule.version for rule in built_in_rules()} == {"cnaf/0.1"}
