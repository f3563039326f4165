"""Transformations: vectors, sameness with libmodsecurity, and the promises of traits."""

from __future__ import annotations

import random

import libmodsecurity
import pytest
from cnaf.signatures.seclang.pipelines import Pipeline
from cnaf.signatures.seclang.transformations import TRANSFORMATIONS, is_plain, traits_of
from cnaf.signatures.seclang.variants import Variants
from hypothesis import given, settings
from hypothesis import strategies as st

VECTORS = [
    ("urlDecodeUni", b"%41%u0042%uff43+%zz%u12", b"AB\x63 %zz%u12"),
    ("urlDecode", b"a+%41%u0041", b"a A%u0041"),
    ("htmlEntityDecode", b"&lt;&#x3E;&#65&nbsp;&amp;&foo;&#000106;", b"<>A\xa0&&foo;j"),
    ("jsDecode", rb"\x41\u0042\103\n\'\uff43", b"ABC\n'c"),
    ("cssDecode", rb"\41 \000042c\z" + b"\\\n\\", b"ABcz"),
    ("escapeSeqDecode", rb"\x41\103\\n\q", rb"AC\nq"),
    ("cmdLine", b'C^:\\Win"dows  ,;cat /etc', b"c:windows cat/etc"),
    ("normalizePath", b"/a//./b/../c/.", b"/a/c"),
    ("normalizePathWin", b"a\\..\\..\\b", b"../b"),
    ("compressWhitespace", b"a \t\n b", b"a b"),
    ("removeWhitespace", b"a \t\xc2\xa0b", b"ab"),
    ("removeComments", b"a/*b*/c<!--d-->e--f", b"ace"),
    ("removeCommentsChar", b"a/*b*/c--d#e", b"abcde"),
    ("replaceComments", b"a/*b*/c/*d", b"a c "),
    ("removeNulls", b"a\0b", b"ab"),
    ("utf8toUnicode", "a€".encode(), b"a%u20ac"),
    ("base64Decode", b"YWJj", b"abc"),
    ("base64Decode", b"no base64!", b"no base64!"),
    ("base64DecodeExt", b"Y W*Jj", b"abc"),
    ("hexDecode", b"616263", b"abc"),
    ("sqlHexDecode", b"0x414243 0x", b"ABC 0x"),
    ("length", b"abc", b"3"),
    ("lowercase", b"AbC\xc0", b"abc\xc0"),
    ("trim", b" \ta ", b"a"),
    ("sha1", b"", bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709")),
]


@pytest.mark.parametrize(("name", "value", "expected"), VECTORS)
def test_vectors(name: str, value: bytes, expected: bytes) -> None:
    assert TRANSFORMATIONS[name.lower()].apply(value) == expected


PIECES = [
    b"%", b"u", b"+", b"&", b"#", b"x", b";", b"\\", b"/", b".", b"..", b"*", b"/*", b"*/", b"--",
    b"<!--", b"-->", b" ", b"  ", b"\t", b"\n", b"\xa0", b"\xc2", b"\xff", b"\xe2\x82\xac",
    b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"a", b"A", b"0", b"9", b"ff", b"7", b"'", b'"', b"^",
    b",", b"(", b"quot", b"lt", b"=", b"0x41", b"\x00", b"%41", b"%u0041", b"../", b"//", b"n",
    b"101", b"YWJj",
]  # fmt: skip
values = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
NAMES = sorted(set(TRANSFORMATIONS) - {"none"})


@settings(deadline=None)
@given(values)
def test_a_transformation_that_says_to_change_nothing_changes_nothing(value: bytes) -> None:
    traits = traits_of(value)
    for transformation in TRANSFORMATIONS.values():
        if not transformation.changes(traits):
            assert transformation.apply(value) == value, transformation.name
    if is_plain(value):
        for names in (("urldecodeuni", "htmlentitydecode", "cmdline"), ("lowercase",)):
            assert Pipeline(names).apply(value) == value


@settings(deadline=None)
@given(values, st.lists(st.lists(st.sampled_from(NAMES), max_size=4).map(tuple), max_size=6))
def test_variants_hold_what_each_pipeline_makes(
    value: bytes, pipelines: list[tuple[str, ...]]
) -> None:
    found = {value}
    Variants(pipelines).add_to(found, value)
    for names in pipelines:
        assert Pipeline(names).apply(value) in found


#: parity… and hexEncode are not told apart from others by what follows; the rest is compared.
@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("parity")])
def test_libmodsecurity_makes_the_same_of_a_thousand_values(name: str) -> None:
    engine = libmodsecurity.ModSecurity()
    engine.set_log_callback(lambda _message: None)
    rules = libmodsecurity.RulesSet()
    loaded = rules.load(
        "SecRuleEngine On\n"
        'SecRule REQUEST_HEADERS:x-v "@unconditionalMatch" "id:1,phase:1,t:none,'
        f't:{name},t:hexEncode,pass,nolog,setvar:tx.v=%{{MATCHED_VAR}}"\n'
        'SecAction "id:2,phase:1,redirect:x%{tx.v},status:302,nolog"'
    )
    assert loaded >= 0, rules.get_parser_error()
    source = random.Random(f"{name} 1")
    for _ in range(1000):
        value = b"".join(source.choice(PIECES) for _ in range(source.randint(1, 8)))
        with engine.transaction(rules) as transaction:
            transaction.process_connection("127.0.0.1", 1, "127.0.0.1", 80)
            transaction.process_uri("/", "GET", "1.1")
            transaction.add_request_header(b"x-v", value)  # type: ignore[arg-type]
            transaction.process_request_headers()
            decision = transaction.intervention()
        assert decision is not None
        assert decision.url is not None
        assert TRANSFORMATIONS[name].apply(value) == bytes.fromhex(decision.url[1:]), value
