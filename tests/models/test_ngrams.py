"""Trigrams of values and the hashed table that holds their surprisals."""

from __future__ import annotations

import numpy as np
import pytest
from cnaf.models.kernels import hash_gram, lookup, tokenize
from cnaf.models.lexicon import WORD_KEYS, WORD_TOKENS
from cnaf.models.ngrams import (
    BYTES,
    END,
    FOLD,
    SYMBOLS,
    TOKENS,
    NgramTable,
    build_table,
    grams_of,
    token_name,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plain_tokens import as_words, plain_bytes, plain_tokens, trigrams

bounded = settings(deadline=None, max_examples=150)
keys = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 1), st.integers(0, (1 << 24) - 1)),
    max_size=300,
    unique=True,
)


def table_of(grams: list[tuple[int, int, int]], bits: list[int]) -> NgramTable:
    hashes = np.array([hash_gram(*gram) for gram in grams], np.uint64)
    return build_table(hashes, np.array(bits, np.uint8))


def plain_grams(value: bytes) -> list[tuple[int, int]]:
    """Kind and trigram of tokens, with plain words where that differs, then of bytes."""
    tokens = [*plain_tokens(value), END]
    pairs = zip(trigrams(tokens, 6), trigrams(as_words(tokens), 6), strict=True)
    syntax = [gram for pair in pairs for gram in dict.fromkeys(pair)]
    return [(TOKENS, gram) for gram in syntax] + [
        (BYTES, gram) for gram in trigrams(plain_bytes(value), 8)
    ]


words = st.sampled_from(
    [b"Union", b"or", b"0x1F", b"0x", b"0X9g", b"__mro__", b"_", b"7_", b"x7", b"\xc3\xa9", b"\n\r"]
)


@bounded
@given(
    st.binary(max_size=40)
    | st.text("aZ0_ 19'\n-\u00e9", max_size=40).map(str.encode)
    | st.lists(words | st.binary(max_size=2), max_size=12).map(b"".join)
)
def test_trigrams_equal_the_plain_walk(value: bytes) -> None:
    kinds, grams = grams_of(value)
    found = list(zip(kinds.tolist(), grams.tolist(), strict=True))
    assert found == plain_grams(value)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b"' OR 1=1", ["'", "spaces", "logical operators", "spaces", "digits", "=", "digits"]),
        (b"<script>", ["<", "elements that load or run", ">"]),
        (b"for me", ["letters", "spaces", "letters"]),
        (b"0x61646d", ["hexadecimal literals"]),
        (b"a1b2", ["letters with digits"]),
        (b"__", ["_"]),
        (b"  \t\r\n\x00\x1b", ["spaces", "line ends", "control characters"]),
        (b"a\n\nb", ["letters", "line ends", "letters"]),
        (b"--", ["-", "-"]),
        (b"", []),
    ],
)
def test_a_value_is_read_as_words_numbers_and_signs(value: bytes, names: list[str]) -> None:
    room = np.zeros(len(value) + 1, np.uint8)
    array = np.frombuffer(value, np.uint8)
    count = tokenize(array, SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS, room)
    assert [token_name(token) for token in room[:count].tolist()] == names


@pytest.mark.parametrize("length", [1, 2, 7, 1000])
def test_no_value_overflows_its_room(length: int) -> None:
    # The most trigrams a byte: a word of the lexicon and a sign in turn.
    for unit in (b"or'", b"or ", b"'", b"\n ", b"x", b"\xff<"):
        value = (unit * length)[: 3 * length]
        assert len(grams_of(value)[0]) <= 3 * len(value) + 8


@bounded
@given(keys, st.randoms(use_true_random=False))
def test_what_is_stored_is_found(grams: list[tuple[int, int, int]], random: object) -> None:
    bits = [random.randrange(256) for _ in grams]  # type: ignore[attr-defined]
    table = table_of(grams, bits)
    assert len(table.tags) >= len(grams) * 4 // 3
    assert (table.tags == 0).any()
    for gram, stored in zip(grams, bits, strict=True):
        found = int(lookup(table.tags, table.bits, np.uint64(hash_gram(*gram))))
        # Two trigrams that share a tag in one run share the likelier's bits.
        assert 0 <= found <= stored


@bounded
@given(keys, st.randoms(use_true_random=False))
def test_equal_contents_in_any_order_give_equal_tables(
    grams: list[tuple[int, int, int]], random: object
) -> None:
    order = list(range(len(grams)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one = table_of(grams, [i % 256 for i in range(len(grams))])
    other = table_of([grams[i] for i in order], [i % 256 for i in order])
    assert np.array_equal(one.tags, other.tags)
    assert np.array_equal(one.bits, other.bits)


def test_what_is_not_stored_is_seldom_found() -> None:
    table = table_of([(0, 0, gram) for gram in range(5_000)], [7] * 5_000)
    absent = [
        int(lookup(table.tags, table.bits, np.uint64(hash_gram(1, 0, gram))))
        for gram in range(20_000)
    ]
    # Three quarters full, a miss looks at about eight slots: 8 in 32,768 match by chance.
    assert sum(found >= 0 for found in absent) < 20
    assert set(absent) <= {-1, 7}


def test_an_empty_table_holds_nothing() -> None:
    table = table_of([], [])
    assert len(table.tags) == 64
    assert lookup(table.tags, table.bits, np.uint64(hash_gram(0, 0, 0))) == -1


def test_scopes_and_kinds_keep_apart() -> None:
    hashes = {int(hash_gram(s, k, g)) for s in range(40) for k in (0, 1) for g in range(40)}
    assert len(hashes) == 40 * 2 * 40


class TestAlphabet:
    def test_every_byte_has_a_class_and_none_is_the_end(self) -> None:
        assert SYMBOLS.shape == (256,)
        assert SYMBOLS.min() > END
        assert SYMBOLS.max() < 64

    def test_each_mark_stands_for_itself(self) -> None:
        marks = [c for c in map(chr, range(0x21, 0x7F)) if not c.isalnum()]
        assert len({int(SYMBOLS[ord(c)]) for c in marks}) == len(marks)
        assert all(token_name(int(SYMBOLS[ord(c)])) == c for c in marks)

    @pytest.mark.parametrize(
        ("text", "name"),
        [("aZ\xff\x80", "letters"), ("09", "digits"), (" \t", "spaces"), ("\r\n", "line ends"),
         ("\x00\x1b\x7f", "control characters")],
    )  # fmt: skip
    def test_classes(self, text: str, name: str) -> None:
        assert {token_name(int(SYMBOLS[ord(c)])) for c in text} == {name}

    def test_folding(self) -> None:
        assert bytes(FOLD[list(b"AbC-019\xc4")]) == b"abc-000\xc4"
