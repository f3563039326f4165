"""Operators change how an attack looks, never what it does: each is held against an interpreter.

SQL runs in SQLite, shell commands in bash, markup through a parser of HTML, paths through the
decodings that the operators name. What only MySQL or a browser's scripts understand is undone by
a reference written for the purpose.
"""

from __future__ import annotations

import posixpath
import re
import sqlite3
import subprocess
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pytest
from cnaf.evaluation.mutations import OPERATORS, Kind, Operator, mutate, operators_of
from cnaf.evaluation.sql_tokens import comparisons, join, tokenize
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = range(12)

# (query with a place for the payload, payloads)
QUERIES = {
    "SELECT id, name FROM users WHERE id = {} ORDER BY id": [
        "1 OR 1=1",
        "1 OR 'a'='a'",
        "1 AND 2<>2 -- -",
        "1 or 3 > 2 AND 5<=4",
        "-1 UNION SELECT 7, 'hacked' FROM users -- -",
        "-1 union all select id, upper('abc') from users where 1=1 --",
        "1 AND (SELECT count(*) FROM users WHERE 4=4)>2",
        "2 AND CASE WHEN 1=1 THEN 1 ELSE 0 END",
        "1 OR NOT 1=2 LIMIT 2 -- -",
        "1 OR id BETWEEN 1 AND 2 AND 3=3",
    ],
    "SELECT id, name FROM users WHERE name = '{}' ORDER BY id": [
        "' OR 1=1 -- -",
        "' OR 'a'='a",
        "x' AND 'a'='b",
        "kim' AND 1=1 AND 'q'<>'r' --",
        "x' UNION SELECT 1, 'left' WHERE 2=2 -- ",
        "x' OR (1=1 AND 'z'='z') AND 'abc'='abc' -- x",
        "'/**/OR/**/'1'='1",
    ],
    'SELECT id FROM users WHERE (name = "{}" AND id > 1)': ['x") OR ("ab"="ab', 'x" OR 1=1) -- -'],
}
CASES = [(query, payload) for query, payloads in QUERIES.items() for payload in payloads]

MYSQL_ONLY = [
    ("wide_space", re.compile("[\v\udca0]"), " "),
    ("comment_versioned", re.compile(r"/\*!\d{0,5}(\w+)\*/"), r"\1"),
    ("equal_null_safe", re.compile("<=>"), "="),
    ("equal_regexp", re.compile(r" R(?:EGEXP|LIKE) '\^(\w+)\$'"), r"=\1"),
    ("union_distinct", re.compile(r"(?i)(union) distinct"), r"\1"),
    ("string_adjacent", re.compile(r"(?<=[a-z])' '(?=[a-z])"), ""),
]

MARKUP = [
    '"><script>alert(1)</script>',
    "<img src=x onerror=alert(document.cookie)>",
    "<svg/onload='prompt(\"hi there\")'>",
    '<a href="javascript:alert(1)" class=b>x</a>',
    "<a href=javascript:confirm()>y</a >",
    "javascript:eval('1+1')",
    "<details open ontoggle=alert`1`>",
    "'-alert(7)-'",
    '<ScRiPt >alert("x")</sCrIpT>',
    '<IMG SRC="x" ALT="a b"/onerror="fetch(\'//e.example/\')">',
]
PATHS = [
    "../../../../etc/passwd",
    "..\\..\\..\\windows\\win.ini",
    "/var/www/../../etc/shadow",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "../../../proc/self/environ",
]
SHELL = [
    "; echo hello world",
    "; cat /etc/hostname",
    "| tr a-z A-Z",
    "$(echo one two)",
    "`echo three`; echo four five",
    "; echo 'a b' \"c d\" ; printf xyz",
    "; echo a && echo b || echo c",
    "; cd /etc ; cat hostname | cat -n",
    "\nid -u\n",
]


def each(kind: Kind, dialect: str = "mysql") -> list[pytest.param]:
    return [pytest.param(o, id=o.name) for o in operators_of(kind, dialect)]


def variants(operator: Operator, payload: str) -> set[str]:
    return {operator.apply(payload, Random(seed)) for seed in SEEDS}


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE users (id INTEGER, name TEXT)")
    connection.executemany("INSERT INTO users VALUES (?, ?)", enumerate(("kim", "lee", "zoe"), 1))
    return connection


@pytest.mark.parametrize("operator", each(Kind.SQL, "sqlite"))
def test_mutated_queries_have_the_same_result(
    operator: Operator, database: sqlite3.Connection
) -> None:
    changed = 0
    for query, payload in CASES:
        expected = database.execute(query.format(payload)).fetchall()
        for mutated in variants(operator, payload):
            assert database.execute(query.format(mutated)).fetchall() == expected, mutated
            changed += mutated != payload
    assert changed


@pytest.mark.parametrize("query_and_payload", CASES, ids=lambda case: case[1])
def test_composed_mutations_have_the_same_result(
    query_and_payload: tuple[str, str], database: sqlite3.Connection
) -> None:
    query, payload = query_and_payload
    expected = database.execute(query.format(payload)).fetchall()
    for seed in range(25):
        mutated = mutate(payload, Kind.SQL, 4, seed, dialect="sqlite")
        assert database.execute(query.format(mutated)).fetchall() == expected, mutated
        assert mutated != payload


@pytest.mark.parametrize(("name", "pattern", "undone"), MYSQL_ONLY, ids=lambda x: str(x)[:20])
def test_what_only_mysql_reads_is_undone_by_its_rule(
    name: str, pattern: re.Pattern[str], undone: str
) -> None:
    operator = next(o for o in OPERATORS[Kind.SQL] if o.name == name)
    changed = 0
    for _, payload in CASES:
        for mutated in variants(operator, payload):
            plain = pattern.sub(undone, mutated)
            assert _bare(plain) == _bare(payload), mutated
            changed += mutated != payload
    assert changed


def _bare(text: str) -> str:
    return re.sub(r"[\s'\"]", "", text)


def test_symbols_stand_for_words_but_not_in_between() -> None:
    operator = next(o for o in OPERATORS[Kind.SQL] if o.name == "words_to_symbols")
    made = variants(operator, "1 OR id BETWEEN 1 AND 2 AND 'and'='and'")
    assert made == {
        f"1 {either} id BETWEEN 1 AND 2 {both} 'and'='and'"
        for either, both in (("||", "AND"), ("OR", "&&"), ("||", "&&"))
    }


def test_strings_in_hexadecimal_and_hash_comments() -> None:
    by_name = {o.name: o for o in OPERATORS[Kind.SQL]}
    assert variants(by_name["string_hex"], "1 AND 'a'='a'") > {"1 AND  0x61= 0x61"}
    # A column may compare by a collation; a number would be another number.
    for kept in ("1 OR name='abc'", "1 OR 'a'<name", "1 OR 3='3'", "1 INTO OUTFILE 'abc'"):
        assert variants(by_name["string_hex"], kept) == {kept}
    assert all("#" in made for made in variants(by_name["comment_hash"], "' OR 1=1 -- -"))


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="aO Rr1=<>'\"()-/*#\t!;,.", max_size=40))
def test_tokens_are_the_payload(text: str) -> None:
    tokens = tokenize(text)
    assert join(tokens) == text
    for place in comparisons(tokens):
        assert 0 < place.left < place.operator < place.right < len(tokens)


class _Events(HTMLParser):
    """What a parser sees: elements with their attributes, and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kept = {name: _url(value or "") for name, value in attrs if not _is_inert(name)}
        self.seen.append((tag, kept))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def _is_inert(name: str) -> bool:
    return re.fullmatch("[bcdfghjkl]{1,5}", name) is not None


def _url(value: str) -> str:
    """A URL as a browser takes it: without tabs and newlines, the scheme in lower case."""
    bare = re.sub("[\t\r\n]", "", value)
    return (
        bare.replace(bare[:11], bare[:11].lower(), 1)
        if bare[:11].lower() == "javascript:"
        else value
    )


def parsed(markup: str) -> list[object]:
    events = _Events()
    events.feed(markup)
    events.close()
    return events.seen


SCRIPT_OPERATORS = {
    "scheme_case", "scheme_split", "other_element", "script_to_handler", "name_escaped",
    "string_escaped", "call_template", "call_indirect", "call_comment", "number_form",
}  # fmt: skip


@pytest.mark.parametrize(
    "operator",
    [o for o in OPERATORS[Kind.MARKUP] if o.name not in SCRIPT_OPERATORS],
    ids=lambda o: o.name,
)
def test_mutated_markup_parses_to_the_same_elements(operator: Operator) -> None:
    changed = 0
    for payload in MARKUP:
        for mutated in variants(operator, payload):
            # The library's parser wants closing tags plain; browsers pass over the rest of them.
            plain = re.sub(r"(</\w+)[^>]*>", r"\1>", mutated)
            assert parsed(plain) == parsed(payload), mutated
            changed += mutated != payload
    assert changed


@pytest.mark.parametrize("name", ["scheme_case", "scheme_split"])
def test_a_scheme_is_the_same_to_a_browser(name: str) -> None:
    operator = next(o for o in OPERATORS[Kind.MARKUP] if o.name == name)
    for payload in (p for p in MARKUP if "javascript:" in p):
        for mutated in variants(operator, payload):
            assert mutated != payload or name == "scheme_case"
            assert [_plain(e) for e in parsed(mutated)] == [_plain(e) for e in parsed(payload)]


def _plain(event: object) -> object:
    return _url(event) if isinstance(event, str) else event


def test_escapes_in_scripts_are_the_characters() -> None:
    by_name = {o.name: o for o in OPERATORS[Kind.MARKUP]}
    escape = re.compile(r"\\(?:u\{0*([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
    for name in ("name_escaped", "string_escaped"):
        changed = 0
        for payload in MARKUP:
            for mutated in variants(by_name[name], payload):
                plain = escape.sub(lambda m: chr(int(m[1] or m[2] or m[3], 16)), mutated)
                assert plain == payload
                changed += mutated != payload
        assert changed


@pytest.mark.parametrize(
    ("name", "payload", "forms"),
    [
        ("call_template", "alert('a b')", {"alert`a b`"}),
        ("call_template", "x.alert(1)", {"x.alert(1)"}),
        ("call_comment", "alert(1)", {"alert/**/(1)", "alert/*x*/(1)"}),
        (
            "number_form",
            "alert(10)",
            {"alert(0xa)", "alert(10e0)", "alert(+10)", "alert(10.0)", "alert((10))"},
        ),
        ("script_to_handler", "<script></script>", {"<script></script>"}),
        (
            "other_element",
            "<img src=x onerror=alert(this.src)>",
            {"<img src=x onerror=alert(this.src)>"},
        ),
        ("other_element", "<img src=x onclick=alert(1)>", {"<img src=x onclick=alert(1)>"}),
    ],
)
def test_forms_of_calls(name: str, payload: str, forms: set[str]) -> None:
    operator = next(o for o in OPERATORS[Kind.MARKUP] if o.name == name)
    assert variants(operator, payload) <= forms


@pytest.mark.parametrize("name", ["other_element", "script_to_handler"])
def test_another_element_runs_the_same_script(name: str) -> None:
    operator = next(o for o in OPERATORS[Kind.MARKUP] if o.name == name)
    payload = {
        "other_element": "<svg onload=\"alert('1&quot;')\">",
        "script_to_handler": "<script>alert('1\"')</script>",
    }
    for mutated in variants(operator, payload[name]):
        (_, attributes), *_ = (event for event in parsed(mutated) if isinstance(event, tuple))
        assert "alert('1\"')" in attributes.values()


def resolve(path: str) -> str:
    """The file that a lenient server reads: all decodings, either slash, from the root."""
    for _ in range(4):
        path = re.sub("%u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), path)
        path = re.sub("%c([01])%([89ab])([0-9a-f])", _short_two, path)
        path = re.sub("%e0%8([01])%([89ab])([0-9a-f])", _short_two, path)
        path = unicodedata.normalize("NFKC", unquote(path))
    path = path.partition("\0")[0].removeprefix("file://").replace("\\", "/")
    path = re.sub(r"(?<=\.\.);[^/]*", "", path)
    return posixpath.normpath("/" + path.lstrip("/"))


def _short_two(match: re.Match[str]) -> str:
    return chr(int(match[1]) << 6 | int(match[2], 16) << 4 & 0x30 | int(match[3], 16))


@pytest.mark.parametrize("operator", each(Kind.PATH))
def test_mutated_paths_lead_to_the_same_file(operator: Operator) -> None:
    changed = 0
    for payload in PATHS:
        for mutated in variants(operator, payload):
            read = _filtered(mutated) if operator.name == "nested" else mutated
            assert resolve(read) == resolve(payload), mutated
            changed += mutated != payload
    assert changed


def _filtered(path: str) -> str:
    return path.replace("../", "")


@pytest.mark.parametrize("operator", each(Kind.SHELL))
def test_mutated_commands_print_the_same(operator: Operator) -> None:
    changed = {(m, p) for p in SHELL for m in variants(operator, p) if m != p}
    assert changed
    for mutated, payload in sorted(changed)[::5]:
        assert _run(mutated) == _run(payload), mutated


@pytest.mark.parametrize("payload", SHELL)
def test_composed_commands_print_the_same(payload: str) -> None:
    expected = _run(payload)
    for seed in range(4):
        mutated = mutate(payload, Kind.SHELL, 3, seed)
        assert _run(mutated) == expected, mutated


def _run(payload: str) -> tuple[int, bytes]:
    command = ["bash", "-c", f"echo ping {payload}"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=Path("/"), timeout=20)
    return done.returncode, done.stdout


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(list(Kind)), st.text(max_size=60), st.integers(0, 9), st.integers(0, 5))
def test_any_text_is_mutated_alike_each_time(
    kind: Kind, payload: str, seed: int, rounds: int
) -> None:
    mutated = mutate(payload, kind, rounds, seed)
    assert mutated == mutate(payload, kind, rounds, seed)
    assert rounds or mutated == payload


def test_a_seed_means_the_same_on_every_machine() -> None:
    assert mutate("' OR 1=1 -- -", Kind.SQL, 3, 7) == mutate("' OR 1=1 -- -", Kind.SQL, 3, 7)
    assert len({mutate("' OR 1=1 -- -", Kind.SQL, 3, seed) for seed in range(50)}) > 40


def test_growth_is_bounded() -> None:
    assert len(mutate("1 OR 1=1 " * 60, Kind.SQL, 100, 1)) < 20_000


def test_every_operator_has_its_own_name_and_a_reason() -> None:
    for operators in OPERATORS.values():
        assert len({o.name for o in operators}) == len(operators)
        assert all(o.reason and "\n" not in o.reason for o in operators)
