"""Hashed n-gram tables: how surprising is this piece of a value, in this field?

Two kinds of trigrams are kept. *Token* trigrams run over the syntax of a value (words, numbers,
each punctuation mark by itself, words of the lexicon by class) and carry its shape: a quote before
a logical operator. *Byte* trigrams run over its lower-cased bytes (digits folded) and carry
vocabulary.

Every trigram lives in a *scope*: a field, a group of fields alike, the whole image, or the general
prior. A table maps (scope, kind, trigram) to a surprisal in quarter bits, computed at training time
from conditional counts. A value that its field's scope does not explain pays the scope's *escape*
once, the Good-Turing estimate of unseen mass, and is then held against the next wider one.

Storage is open addressing with a 16-bit tag: nothing in it gives back a value, and a false match
(probability about 2**-15 a probe) can only make an oddity look less odd by one trigram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.models.kernels import insert, value_grams
from cnaf.models.lexicon import CLASS_NAMES, FIRST_CLASS, WORD_KEYS, WORD_TOKENS

__all__ = [
    "BYTES",
    "END",
    "FOLD",
    "QUARTER_BITS",
    "SYMBOLS",
    "TOKENS",
    "NgramTable",
    "build_table",
    "grams_of",
    "token_name",
]

#: Kinds of trigram, part of the hashed key.
TOKENS, BYTES = 0, 1
#: Surprisals are stored as unsigned bytes in units of a quarter bit: 0 to 63.75 bits.
QUARTER_BITS = 4
#: The symbol before the first and after the last of a value.
END = 0


def _symbol_map() -> npt.NDArray[np.uint8]:
    symbols = np.zeros(256, np.uint8)
    punctuation = iter(range(6, 64))
    for byte in range(256):
        char = chr(byte)
        if byte >= 0x80 or char.isalpha():
            # Letters of every script are letters: a visitor's language is no anomaly.
            symbols[byte] = 1
        elif char.isdigit():
            symbols[byte] = 2
        elif char in " \t":
            symbols[byte] = 3
        elif char in "\r\n":
            symbols[byte] = 4
        elif byte < 0x20 or byte == 0x7F:
            symbols[byte] = 5
        else:
            symbols[byte] = next(punctuation)
    return symbols


#: Symbol class of each byte: uint8 of shape (256,), values below 64.
SYMBOLS: npt.NDArray[np.uint8] = _symbol_map()


def _fold_map() -> npt.NDArray[np.uint8]:
    folded = np.arange(256, dtype=np.uint8)
    folded[ord("A") : ord("Z") + 1] += 32
    folded[ord("0") : ord("9") + 1] = ord("0")
    return folded


#: Lower-cases ASCII letters and folds digits, for byte trigrams: uint8 of shape (256,).
FOLD: npt.NDArray[np.uint8] = _fold_map()


@dataclass(frozen=True, slots=True)
class NgramTable:
    """Surprisals of trigrams by hashed key.

    ``tags`` is uint16 of shape (slots,), 0 where empty; ``bits`` is uint8 of the same shape, in
    quarter bits.
    """

    tags: npt.NDArray[np.uint16]
    bits: npt.NDArray[np.uint8]


def build_table(hashes: npt.NDArray[np.uint64], quarter_bits: npt.NDArray[np.uint8]) -> NgramTable:
    """Return a table of the given trigrams, three quarters full.

    Parameters
    ----------
    hashes:
        uint64 of shape (n,), distinct, from :func:`cnaf.models.kernels.hash_gram`.
    quarter_bits:
        uint8 of shape (n,), the surprisal of each.
    """
    size = max(64, len(hashes) * 4 // 3)
    # Sorted by hash, equal inputs in any order give the same bytes.
    order = np.argsort(hashes, kind="stable")
    while True:
        tags, bits = np.zeros(size, np.uint16), np.zeros(size, np.uint8)
        if insert(tags, bits, hashes[order], quarter_bits[order]) == 0:
            return NgramTable(tags, bits)
        size = size * 9 // 8


def grams_of(value: bytes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """Return kinds and trigrams of one value, as the scoring kernel walks them."""
    array = np.frombuffer(value, np.uint8)
    kinds = np.empty(3 * len(array) + 8, np.uint8)
    grams = np.empty(3 * len(array) + 8, np.uint32)
    count = value_grams(array, SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS, kinds, grams)
    return kinds[:count], grams[:count]


_HEXADECIMAL, _MIXED = 58, 59
_TOKEN_NAMES = {
    1: "letters",
    2: "digits",
    3: "spaces",
    4: "line ends",
    5: "control characters",
    _HEXADECIMAL: "hexadecimal literals",
    _MIXED: "letters with digits",
    **dict(enumerate(CLASS_NAMES, FIRST_CLASS)),
}


def token_name(token: int) -> str:
    """Return a token in words: ``letters``, ``event handlers``, or the punctuation mark itself."""
    named = _TOKEN_NAMES.get(token)
    if named:
        return named
    found = np.flatnonzero(token == SYMBOLS)
    return chr(int(found[0])) if len(found) else "nothing"
