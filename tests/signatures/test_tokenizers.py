from __future__ import annotations

import pytest
from cnaf.signatures.rule import Syntax
from cnaf.signatures.tokenizers import is_injection
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("syntax", "value", "found"),
    [
        (Syntax.SQL, b"1' or '1'='1", True),
        (Syntax.SQL, b"it's 5 o'clock", False),
        (Syntax.HTML, b"<img src=x onerror=alert(1)>", True),
        (Syntax.HTML, b"a <b>bold</b> word", False),
        (Syntax.SQL, b"", False),
        (Syntax.HTML, b"", False),
    ],
)
def test_reads_as_an_injection(syntax: Syntax, value: bytes, found: bool) -> None:
    assert is_injection(syntax, value) is found


@settings(deadline=None, max_examples=200)
@given(syntax=st.sampled_from(Syntax), value=st.binary(max_size=300))
def test_any_bytes_have_an_answer(syntax: Syntax, value: bytes) -> None:
    assert is_injection(syntax, value) in (True, False)


@pytest.mark.parametrize("syntax", Syntax)
def test_only_the_beginning_is_read(syntax: Syntax) -> None:
    attack = b"' or 1=1 -- <script>alert(1)</script>"
    assert not is_injection(syntax, b"a" * 5_000 + attack)
    assert not is_injection(syntax, b"\xc3" * 100_000)
