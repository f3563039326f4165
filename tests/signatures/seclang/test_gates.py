"""Whatever an expression is found in, its gate is found in, too."""

from __future__ import annotations

import pytest
from cnaf.signatures.seclang.gates import gate
from cnaf.signatures.seclang.regexes import LimitReachedError, compile_regex
from cnaf.signatures.seclang.syntax import Place
from hypothesis import given, settings
from hypothesis import strategies as st

PLACE = Place("test", 1)


@pytest.mark.parametrize(
    ("pattern", "piece"),
    [
        (r"(?i)union[^\xff]*?select", "(?:select)"),
        (r"a=[^=]+bcd(?!x)", "(?:bcd)"),
        (r"ab(?:cd[^e]*|f)g", "(?:ab(?:cd|f))"),
        (r"a(?:[^e]*bc|de)fg", "(?:(?:bc|de)fg)"),
        (r"[^e]*(?:ab[^e]+|cd[^e]*cde)[^e]*", "(?:(?:ab|cde))"),
        (r"[^e]*(?:ab[^e]+)?c++d[^e]", r"(?:c+d[^e])"),
        (r"([^e]+)ab\1", "(?:(?:)ab)"),
        ("(?>abc?)[^e]*", "(?:(?:abc?))"),
        (r"(?i:x[^e]*yz)", "(?:(?i:yz))"),
    ],
)
def test_the_better_piece_is_kept(pattern: str, piece: str) -> None:
    assert gate(pattern) == piece


@pytest.mark.parametrize(
    "pattern",
    [r"[^e]*", "a|[^e]+", "(?:ab)?[^e]+", r"\Qab\E[^e]+", "(?x)a b", "(?P<n>ab)", "a)b",
     "(?:ab", r"a\p{L}", "(*COMMIT)ab", "a**"],
)  # fmt: skip
def test_what_says_too_little_or_is_not_understood_has_none(pattern: str) -> None:
    assert gate(pattern) is None


ATOMS = ["a", "b", "c", "=", r"\s", "[ab]", r"[^\xff]", "[^a]", r"\b", r"\x41", r"[\s\S]", "(?=a)"]
REPEATS = ["", "", "", "+", "?", "*", "*?", "++", "{2}", "{0,2}", "{1,}"]


@st.composite
def patterns(draw: st.DrawFn, depth: int = 3) -> str:
    branches = []
    for _ in range(draw(st.integers(1, 3))):
        parts = []
        for _ in range(draw(st.integers(1, 4))):
            atom = draw(st.sampled_from(ATOMS))
            if depth and draw(st.integers(0, 2)) == 0:
                atom = f"({draw(st.sampled_from(['', '?:', '?i:']))}{draw(patterns(depth - 1))})"
            bare = atom in {r"\b", "(?=a)"}
            parts.append(atom if bare else atom + draw(st.sampled_from(REPEATS)))
        branches.append("".join(parts))
    return "|".join(branches)


texts = st.text(alphabet="abcA =\n", max_size=10).map(str.encode)


@settings(max_examples=1000, deadline=None)
@given(patterns(), st.lists(texts, min_size=1, max_size=6))
def test_the_gate_is_found_where_the_pattern_is(pattern: str, values: list[bytes]) -> None:
    piece = gate(pattern)
    if piece is None:
        return
    search = compile_regex(pattern, PLACE).search
    opened = compile_regex(piece, PLACE, ignore_case=True).search
    for value in values:
        try:
            is_found = search(value) is not None
        except LimitReachedError:
            continue
        assert not is_found or opened(value) is not None
