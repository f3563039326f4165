"""Operators by vectors, and the promise that what they imply is found wherever they match."""

from __future__ import annotations

import pytest
from cnaf.models.exchange import Request
from cnaf.signatures.seclang.limits import EngineLimits
from cnaf.signatures.seclang.operators import compile_operator
from cnaf.signatures.seclang.reader import parse_operator
from cnaf.signatures.seclang.regexes import MATCH_LIMIT
from cnaf.signatures.seclang.scanner import WORD_BYTES
from cnaf.signatures.seclang.syntax import Place
from cnaf.signatures.seclang.transaction import Transaction
from hypothesis import given, settings
from hypothesis import strategies as st

PLACE = Place("test", 1)


def transaction(**tx: str) -> Transaction:
    made = Transaction(Request("GET", b"/", ()), (), "127.0.0.1", EngineLimits())
    made.tx = {name.encode(): value.encode() for name, value in tx.items()}
    return made


def matches(text: str, value: bytes, **tx: str) -> bool:
    matcher = compile_operator(parse_operator(text, PLACE), PLACE, lambda _n, _p: ["# c", "Ab"])
    return (matcher.test(value, transaction(**tx)) is None) == matcher.negated


@pytest.mark.parametrize(
    ("operator", "yes", "no"),
    [
        ("@rx ^a.c$", b"x\na\nc", b"abd"),
        ("@rx (?i)select", b"SELECT", b"selec"),
        ("@rx [\\x7f-\\x{ff}]", b"\xff", b"a"),
        ("!@rx ^a", b"b", b"a"),
        ("@rx", b"anything", None),
        ("@pm foo BAR", b"a bar", b"ba r"),
        ("@pm |41 42| |43|", b"xabx", b"d"),
        # Behind "ab", the words "bd" and "/p" both go on: a search that tries one misses this.
        ("@pm ab/c bd /p", b"ab/p", b"ab/"),
        ("@pmFromFile x", b"xAB", b"c"),
        ("@contains %{tx.a}", b"xby", b"xay"),
        ("@containsWord abc", b"1abc2", b"xabc"),
        ("@beginsWith a", b"ab", b"ba"),
        ("@endsWith a", b"ba", b"ab"),
        ("@streq a", b"a", b"A"),
        ("@within GET POST", b"GET", b"PUT"),
        ("@within GET", b"", None),
        ("@eq 1", b" +1x", b"a"),
        ("@eq 0", b"x", b"1"),
        ("@ge %{tx.n}", b"5", b"4"),
        ("@gt 4", b"5", b"4"),
        ("@le 4", b"4", b"5"),
        ("@lt 4", b"-3", b"4"),
        ("@ipMatch 10.0.0.0/8,::1", b"10.1.2.3", b"11.1.2.3"),
        ("@ipMatch 10.0.0.0/8,::1", b"::1", b"no address"),
        ("@validateByteRange 32-126,9", b"a\n", b"a\t"),
        ("@validateUrlEncoding", b"%4", b"%41"),
        ("@validateUtf8Encoding", b"\xc0\xaf", "é".encode()),
        ("@detectSQLi", b"1' or '1'='1", b"hello world"),
        ("@detectXSS", b"<script>alert(1)</script>", b"a < b"),
        ("@unconditionalMatch", b"", None),
        ("!@noMatch", b"", None),
    ],
)
def test_vectors(operator: str, yes: bytes, no: bytes | None) -> None:
    assert matches(operator, yes, a="b", n="5")
    if no is not None:
        assert not matches(operator, no, a="b", n="5")


def test_captures_are_the_match_and_its_groups() -> None:
    matcher = compile_operator(parse_operator("@rx (a)(x)?(b)", PLACE), PLACE, lambda _n, _p: [])
    assert matcher.test(b"-ab", transaction()) == (b"ab", b"a", None, b"b")


def test_an_expression_that_would_run_away_is_stopped_and_counted() -> None:
    t = transaction()
    matcher = compile_operator(parse_operator("@rx ^(a+)+$", PLACE), PLACE, lambda _n, _p: [])
    assert matcher.test(b"a" * 64 + b"!", t) is None
    assert t.pcre_errors == 1
    assert t.is_limited
    assert MATCH_LIMIT <= 100_000


@given(
    st.binary(max_size=60).map(lambda data: bytes(WORD_BYTES[c % len(WORD_BYTES)] for c in data))
)
def test_no_word_is_an_injection(word: bytes) -> None:
    """What the prefilter leaves out for libinjection: asked directly, it says no, too."""
    import libinjection  # noqa: PLC0415

    assert not libinjection.is_sql_injection(word.decode())["is_sqli"]
    assert not libinjection.is_xss(word.decode())["is_xss"]


MARKUP = [
    "onload", "onerror", " ", "/", '"', "'", "`", ">", "script", "style", "href", "javascript:",
    "!--", "[if", "?xml", "!doctype", "!ENTITY", "\t", "\n", "x", "1", "(", ";", "&#", "svg",
]  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(MARKUP), max_size=9).map("".join))
def test_nothing_without_a_tag_or_an_assignment_is_markup(text: str) -> None:
    import libinjection  # noqa: PLC0415

    assert not libinjection.is_xss(text)["is_xss"]


def test_neither_is_any_word_of_its_own_vocabulary() -> None:
    import libinjection  # noqa: PLC0415

    known = [
        "select", "union", "and", "or", "not", "null", "true", "sleep", "exec", "waitfor",
        "onload", "script", "style",
    ]  # fmt: skip
    for first in known:
        for second in ["", *known]:
            for text in (first + second, first + "_" + second, "1" + first, first + "1"):
                assert not libinjection.is_sql_injection(text)["is_sqli"]
                assert not libinjection.is_xss(text)["is_xss"]
