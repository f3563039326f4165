"""Hyperscan finds, in joined values, whatever PCRE finds in one of them."""

from __future__ import annotations

import random

import pytest
from cnaf.signatures.seclang.prefilter import compile_group, for_pcre, join, joined, usable
from cnaf.signatures.seclang.regexes import compile_regex
from cnaf.signatures.seclang.syntax import Place
from hypothesis import given, settings
from hypothesis import strategies as st

PLACE = Place("test", 1)


def found(patterns: list[str], values: list[bytes]) -> set[int]:
    """Return the numbers of patterns that are found in the joined values, by either engine."""
    numbers, database = compile_group([(pattern, False) for pattern in patterns])
    text = join(values)
    hits: set[int] = set()
    if database is not None:
        database.scan(text, lambda number, *_rest: hits.add(numbers[number]) or None)
    asked = set(range(len(patterns))) - set(numbers) - {~n for n in numbers if n < 0}
    asked |= {~n for n in hits if n < 0}
    hits = {n for n in hits if n >= 0}
    hits |= {
        n for n in asked if compile_regex(for_pcre(patterns[n]), PLACE).search(text) is not None
    }
    return hits


def test_anchors_hold_at_values_and_nothing_runs_across_them() -> None:
    assert joined(r"^a.[^b]\S\A[\^$]\$$") == (
        r"(?:^|\xff)a[^\xff][^\xffb][^\s\xff](?:^|\xff)[\^$]\$(?:$|\xff)"
    )
    assert found(["^b$", "a.+c", "[^x]{3}", "^c"], [b"a", b"b", b"cc"]) == {0, 3}


def test_a_match_beside_another_expressions_is_not_lost() -> None:
    """With HS_FLAG_SINGLEMATCH Hyperscan 5.4 loses the first expression's match."""
    assert found(["^c$", "."], [b"json.a", b'{"a":[{"b":"c"}]}', b"c"]) == {0, 1}


@pytest.mark.parametrize("size", [1, 20, 60, 200])
def test_what_hyperscan_loses_in_long_loops_is_left_to_pcre(size: int) -> None:
    pattern = r"(?i)@.+=[\s\x0b]*?\([\s\x0b]*?select"
    assert found([pattern, "none"], [b"@" + b"d" * size + b"=(select"]) == {0}


def test_what_hyperscan_cannot_say_is_asked_for_less_or_not_at_all() -> None:
    assert usable(r".x(?:a|^b)", ignore_case=False)
    assert not usable(r"a(?=b)", ignore_case=True)
    assert not usable(r"a*", ignore_case=False)
    assert found(["a*", "b"], [b"c"]) == {0}


def test_what_is_too_large_is_parted() -> None:
    """Rules against shell commands allow for quotes and variables between any two letters."""
    gap = r"""["')\\]*(?:(?:(?:\|\||&&)\s*)?\$[!#\(\*\-0-9?@_a-z{]*)?\\?"""
    source = random.Random(1)
    words = ["".join(source.choice("abcdefghij") for _ in range(6)) for _ in range(60)]
    pattern = f"(?i)x(?:{'|'.join(gap.join(word) for word in words)})y"
    assert len(usable(pattern, ignore_case=False)) > 1
    evasion = "x" + "'".join(words[50]) + "y"
    assert found([pattern, "none"], [b"a", evasion.encode()]) == {0}


ATOMS = [
    "a",
    "b",
    "c",
    ".",
    "[ab]",
    "[^a]",
    r"\s",
    r"\w",
    r"\W",
    "^",
    "$",
    r"\b",
    "ab",
    "=",
    r"\x41",
]
REPEATS = ["", "", "", "+", "?", "*", "{2}", "*?", "{1,3}"]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    branches = [
        "".join(
            atom if atom in {"^", "$", r"\b"} else atom + draw(st.sampled_from(REPEATS))
            for atom in draw(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=4))
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    text = "|".join(branches)
    return draw(st.sampled_from(["", "(?i)"])) + (f"(?:{text})" if len(branches) > 1 else text)


texts = st.lists(st.sampled_from(["a", "b", "c", "A", " ", "\n", "=", "1"]), max_size=6).map(
    lambda parts: "".join(parts).encode()
)


@settings(max_examples=300, deadline=None)
@given(st.lists(patterns(), min_size=1, max_size=8), st.lists(texts, min_size=1, max_size=4))
def test_no_match_is_lost(expressions: list[str], values: list[bytes]) -> None:
    expected = {
        number
        for number, expression in enumerate(expressions)
        if any(compile_regex(expression, PLACE).search(value) for value in values)
    }
    assert expected <= found(expressions, values)


@pytest.mark.parametrize("seed", range(3))
def test_no_match_is_lost_in_a_large_database(seed: int) -> None:
    """Some pairs of expressions in one database are known to have lost matches in Hyperscan."""
    source = random.Random(seed)
    words = ["select", "union", "from", "cat", "etc", "passwd", "script", "on", "load", "eval"]
    gaps = [r"\s+", r"\s*", r".*?", r"[^a-z]+", "", r"\b", r"(?:\(|=)", r"[\s\x0b]*"]
    expressions = [
        "(?i)" + "".join(source.choice(words) + source.choice(gaps) for _ in range(3))
        for _ in range(150)
    ]
    signs = [" ", "  ", "\n", "(", "=", "", "x", "\t", "'"]
    for _ in range(40):
        values = [
            "".join(source.choice(words) + source.choice(signs) for _ in range(5)).encode()
            for _ in range(4)
        ]
        expected = {
            number
            for number, expression in enumerate(expressions)
            if any(compile_regex(expression, PLACE).search(value) for value in values)
        }
        assert expected <= found(expressions, values)
