"""Every word of the lexicon is found, by the compiled walk, wherever and however it is written."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from cnaf.models.kernels import tokenize
from cnaf.models.lexicon import (
    _WORDS,
    CLASS_NAMES,
    FIRST_CLASS,
    WORD_KEYS,
    WORD_TOKENS,
    word_token,
)
from cnaf.models.ngrams import FOLD, SYMBOLS, token_name
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plain_tokens import HEXADECIMAL, LEXICON

LETTERS, MIXED = 1, 59
words = st.sampled_from(sorted(LEXICON))
#: What stands around a word in a value and is no part of it.
signs = st.text(" '\"<>()=;,./-+*\n", max_size=4).map(str.encode)


def tokens_of(value: bytes) -> list[int]:
    out = np.zeros(len(value) + 1, np.uint8)
    array = np.frombuffer(value, np.uint8)
    return out[: tokenize(array, SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS, out)].tolist()


def random_case(word: bytes, seed: int) -> bytes:
    return bytes(c ^ 0x20 if chr(c).isalpha() and seed >> i & 1 else c for i, c in enumerate(word))


def test_no_word_is_in_two_classes_or_twice_in_one() -> None:
    every = [word for listed in _WORDS.values() for word in listed.split()]
    assert [word for word, count in Counter(every).items() if count > 1] == []


def test_no_word_is_lost_in_the_table() -> None:
    # Two words of one hash would be one entry, and a hash of zero none at all.
    assert np.count_nonzero(WORD_KEYS) == len(LEXICON) == len(set(WORD_KEYS[WORD_KEYS > 0]))
    assert Counter(WORD_TOKENS[WORD_KEYS > 0].tolist()) == Counter(LEXICON.values())
    # A look-up of what is absent ends at an empty slot.
    assert np.count_nonzero(WORD_KEYS) < len(WORD_KEYS) / 2


def test_classes_have_tokens_and_names_of_their_own() -> None:
    assert [token_name(FIRST_CLASS + i) for i in range(len(CLASS_NAMES))] == list(CLASS_NAMES)
    assert int(SYMBOLS.max()) < FIRST_CLASS
    assert FIRST_CLASS + len(CLASS_NAMES) <= HEXADECIMAL
    assert len({token_name(t) for t in range(1, 64) if token_name(t) != "nothing"}) == (
        int(SYMBOLS.max()) + len(CLASS_NAMES) + 2
    )


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_each_word_is_found_in_any_case_and_inside_of_syntax(name: str) -> None:
    token = FIRST_CLASS + CLASS_NAMES.index(name)
    for word in map(str.encode, _WORDS[name].split()):
        assert word == word.lower()
        assert word_token(word) == token
        for written in (word, word.upper(), word.title(), word.swapcase()):
            assert tokens_of(written) == [token]
            assert tokens_of(b"'" + written + b"(1)")[1] == token
            assert tokens_of(b"<a/" + written + b"=x ")[3] == token
        # As a part of another word it is none.
        assert tokens_of(b"zq" + word + b"zq")[0] in (LETTERS, MIXED)


@settings(deadline=None, max_examples=300)
@given(signs, words, st.integers(0, 2**20), signs, words, signs)
def test_words_are_found_wherever_they_stand(
    before: bytes, word: bytes, case: int, between: bytes, other: bytes, after: bytes
) -> None:
    middle = between or b" "
    found = tokens_of(before + random_case(word, case) + middle + other + after)
    assert [t for t in found if t >= FIRST_CLASS] == [LEXICON[word], LEXICON[other]]


@settings(deadline=None, max_examples=300)
@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12).map(str.encode))
def test_the_table_holds_nothing_else(word: bytes) -> None:
    # A strange word with the hash of one of 756: once in five million.
    assert word_token(word) == LEXICON.get(word, 0)
