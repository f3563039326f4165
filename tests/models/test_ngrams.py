"""Trigrams of values and the hashed table that holds their surprisals."""

from __future__ import annotations

import numpy as np
import pytest
from cnaf.models.kernels import hash_gram, lookup
from cnaf.models.ngrams import (
    BYTES,
    CLASSES,
    END,
    FOLD,
    SYMBOLS,
    NgramTable,
    build_table,
    grams_of,
    symbol_name,
)
from hypothesis import given, settings
from hypothesis import strategies as st

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
    """Kind and trigram, told by walking over lists that runs were taken out of."""
    symbols = [int(SYMBOLS[byte]) for byte in value]
    shape = [s for i, s in enumerate(symbols) if s > 5 or i == 0 or s != symbols[i - 1]]
    folded = [int(FOLD[byte]) for byte in value]
    words = [b for i, b in enumerate(folded) if b != 0x30 or i == 0 or folded[i - 1] != 0x30]
    padded, spelled = [END, END, *shape, END], [0, 0, *words]
    classes = [(a << 12) | (b << 6) | c for a, b, c in zip(padded, padded[1:], padded[2:])]  # noqa: B905 - shifted
    letters = [(a << 16) | (b << 8) | c for a, b, c in zip(spelled, spelled[1:], spelled[2:])]  # noqa: B905 - shifted
    return [(CLASSES, gram) for gram in classes] + [(BYTES, gram) for gram in letters]


@bounded
@given(st.binary(max_size=40) | st.text("aZ0 19'\n-\u00e9", max_size=40).map(str.encode))
def test_trigrams_equal_the_plain_walk(value: bytes) -> None:
    kinds, grams = grams_of(value)
    found = list(zip(kinds.tolist(), grams.tolist(), strict=True))
    assert found == plain_grams(value)


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
        assert all(symbol_name(int(SYMBOLS[ord(c)])) == c for c in marks)

    @pytest.mark.parametrize(
        ("text", "name"),
        [("aZ\xff\x80", "letters"), ("09", "digits"), (" \t", "spaces"), ("\r\n", "line ends"),
         ("\x00\x1b\x7f", "control characters")],
    )  # fmt: skip
    def test_classes(self, text: str, name: str) -> None:
        assert {symbol_name(int(SYMBOLS[ord(c)])) for c in text} == {name}

    def test_folding(self) -> None:
        assert bytes(FOLD[list(b"AbC-019\xc4")]) == b"abc-000\xc4"
