"""Expressions that are easier to search for find no less."""

from __future__ import annotations

import pytest
from cnaf.signatures.seclang.regexes import LimitReachedError, compile_regex
from cnaf.signatures.seclang.syntax import Place
from cnaf.signatures.seclang.tails import halves, trimmed
from hypothesis import given, reject, settings
from hypothesis import strategies as st

PLACE = Place("test", 1)


@pytest.mark.parametrize(
    ("pattern", "short"),
    [
        (r"a[^\xff]*", "a"),
        (r"(?i)<s[^>]*>[\s\S]*?", r"(?i)<s[^>]*>"),
        (r"a(?:b[^\xff]*|c+)", "a(?:b|c)"),
        (r"(?:a[^\xff]*|bc)\b", r"(?:a(?:\w*|[^\w\xff]*)|bc)\b"),
        (r"(?:a[^\xff]*|b)c", r"(?:a[^\xff]*|b)c"),
        (r"(?:a[^\xff]*|b)+\b", r"(?:a[^\xff]*|b)+\b"),
        (r"ab{2,}", "ab{2,}"),
        (r"a(?=b*)c*", r"a(?=b*)c*"),
    ],
)
def test_ends_are_cut(pattern: str, short: str) -> None:
    assert trimmed(pattern) == short


@pytest.mark.parametrize(
    ("pattern", "pair"),
    [
        ("(?i)a|b", ("(?i)a", "(?i)b")),
        ("x(?:a|b|cc|d)y", ("x(?:a|b)y", "x(?:cc|d)y")),
        ("x(?:a|(?:b|c))?y", ("x(?:a)?y", "x(?:(?:b|c))?y")),
        ("x(?:a|b)+y", None),
        ("(?:x(?:a|b))*(?:c|d)", ("(?:x(?:a|b))*(?:c)", "(?:x(?:a|b))*(?:d)")),
        (r"(a|b)\1", None),
        ("abc", None),
    ],
)
def test_alternatives_are_parted(pattern: str, pair: tuple[str, str] | None) -> None:
    assert halves(pattern) == pair


ATOMS = ["a", "b", r"\w", r"\s", "[ab]", r"[^\xff]", "[^a]", r"\b", "=", r"\x41", "[\\s\\S]"]
REPEATS = ["", "", "", "+", "?", "*", "*?", "{2}", "{0,2}"]


@st.composite
def patterns(draw: st.DrawFn, depth: int = 2) -> str:
    branches = []
    for _ in range(draw(st.integers(1, 3))):
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            atom = draw(st.sampled_from(ATOMS))
            if depth and draw(st.integers(0, 3)) == 0:
                atom = f"(?:{draw(patterns(depth - 1))})"
            parts.append(atom if atom == r"\b" else atom + draw(st.sampled_from(REPEATS)))
        branches.append("".join(parts))
    return "|".join(branches)


texts = st.text(alphabet="abA =\n.", max_size=8).map(str.encode)


@settings(max_examples=500, deadline=None)
@given(patterns(), texts)
def test_what_a_pattern_finds_is_found(pattern: str, text: bytes) -> None:
    expected = is_found(pattern, text)
    assert is_found(trimmed(pattern), text) >= expected
    pair = halves(pattern)
    if pair is not None:
        assert any(is_found(half, text) for half in pair) == expected


def is_found(pattern: str, text: bytes) -> bool:
    """Search; a pattern that runs into the match limit says nothing of what it finds."""
    try:
        return compile_regex(pattern or "(?:)", PLACE).search(text) is not None
    except LimitReachedError:
        reject()
