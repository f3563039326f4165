"""How both engines read a request, in hexadecimal, and what transformations make of any bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from cnaf.evaluation.core_rules import CoreRules
from cnaf.evaluation.rule_engines import LibModSecurity, RuleEngine
from cnaf.evaluation.rule_probes import TRANSFORMATIONS, RuleProbes, read_probes
from cnaf.models.exchange import Request
from cnaf.signatures.seclang.transformations import TRANSFORMATIONS as OURS
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_rules import write_core_rules

#: What transformations look for, in pieces that hypothesis puts together.
PIECES = (
    b"&#x3c;", b"&#60", b"&lt;", b"&quot", b"&nbsp;", b"&#0;", b"&#300;", b"&#0000106", b"&#x",
    b"&none;", b"\\x41", b"\\u0041", b"\\uff21", b"\\101", b"\\8", b"\\n", b"\\", b"\\\n", b"\\41 ",
    b"\\000041", b"%u0041", b"%uff1c", b"%u", b"%4", b"%zz", b"%41", b"+", b"/*", b"*/", b"--",
    b"#", b"<!--", b"-->", b"..", b"../", b"./", b"/", b"//", b"\\..\\", b"0x41", b"0x4142zz", b"^",
    b",", b";", b"(", b" ", b"\0", b"\xc2\xa0", b"\xe2\x80\x98", b"\xf0\x9f\x98\x80", b"\xc0\xaf",
    b"\xff", b"QUJD", b"QUI=", b"Q=Q", b"\t", b"\v", b"\x85", b"\xa0", b'"', b"'", b"a", b"Z", b"9",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=8).map(b"".join)


@cache
def transformations() -> LibModSecurity:
    return LibModSecurity(RuleProbes("SecRuleEngine On\n", variables=()))


def seen(engine: RuleEngine, value: bytes) -> dict[str, bytes]:
    """Return what every transformation makes of a value."""
    argument = "".join(f"%{byte:02x}" for byte in value).encode()
    return read_probes(engine.log(Request("GET", b"/?x=" + argument, ())))


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_transformations_are_those_of_libmodsecurity(value: bytes) -> None:
    theirs = seen(transformations(), value)
    assert theirs.keys() == set(TRANSFORMATIONS)
    assert {name: OURS[name.lower()].apply(value) for name in theirs} == theirs


def test_every_variable_is_told_in_hexadecimal(tmp_path: Path) -> None:
    rules = CoreRules(write_core_rules(tmp_path))
    engine = LibModSecurity(RuleProbes(rules.set_up, transformations=()))
    headers = ((b"host", b"shop:80"), (b"cookie", b"a=\xff"))
    seen = read_probes(engine.log(Request("GET", b"/a/b?x=%ff&y", headers)))
    assert seen["ARGS"] == b"ARGS ARGS:x/ff ARGS:y/"
    assert seen["REQUEST_COOKIES"] == b"REQUEST_COOKIES REQUEST_COOKIES:a/ff"
    assert seen["SERVER_NAME"] == b"SERVER_NAME SERVER_NAME/73686f70"
    assert seen["&ARGS"] == b"&ARGS ARGS/32"
    assert seen["FILES"] == b"FILES"


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_every_transformation_is_supported(name: str) -> None:
    assert name.lower() in OURS
