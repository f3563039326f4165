"""How a value is read as tokens, told by a regular expression instead of a compiled walk."""

from __future__ import annotations

import re

from cnaf.models.lexicon import _WORDS, FIRST_CLASS
from cnaf.models.ngrams import FOLD, SYMBOLS

HEXADECIMAL, MIXED = 58, 59
#: The token of each word of the lexicon.
LEXICON = {
    word.encode(): token
    for token, words in enumerate(_WORDS.values(), FIRST_CLASS)
    for word in words.split()
}
_PIECES = re.compile(
    rb"([0-9A-Za-z_\x80-\xff]+)|[ \t]+|[\r\n]+|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+|.", re.DOTALL
)


def plain_spans(value: bytes) -> list[tuple[int, int, int]]:
    """Token, start and end of each piece of a value."""
    return [
        (_word(value, m) if m[1] else int(SYMBOLS[m[0][0]]), m.start(), m.end())
        for m in _PIECES.finditer(value)
    ]


def _word(value: bytes, found: re.Match[bytes]) -> int:
    word = found[0].lower()
    if word in LEXICON:
        return LEXICON[word]
    if not word.strip(b"_"):
        return int(SYMBOLS[ord("_")])
    if not word.strip(b"0123456789_"):
        return int(SYMBOLS[ord("0")])
    if not re.search(rb"[0-9]", word):
        return int(SYMBOLS[ord("a")])
    # A literal needs room for a digit behind its prefix.
    room = found.start() + 2 < len(value)
    return HEXADECIMAL if room and re.fullmatch(rb"0x[0-9a-f]*", word) else MIXED


def plain_tokens(value: bytes) -> list[int]:
    return [token for token, _, _ in plain_spans(value)]


def as_words(tokens: list[int]) -> list[int]:
    """Words of the lexicon as any word."""
    return [int(SYMBOLS[ord("a")]) if FIRST_CLASS <= t < HEXADECIMAL else t for t in tokens]


def plain_spelling(value: bytes) -> list[tuple[int, int, int]]:
    """Folded byte, start and end of each piece: runs of digits and drawn words are one digit."""
    pieces = []
    for word in re.finditer(rb"[0-9A-Za-z_\x80-\xff]+|.", value, re.DOTALL):
        text = word[0]
        drawn = len(text) >= 8 and re.search(rb"[0-9]", text) and re.search(rb"[^0-9_]", text)
        inner = [word] if drawn else re.finditer(rb"[0-9]+|.", text, re.DOTALL)
        start = 0 if drawn else word.start()
        pieces += [
            (0x30 if drawn else int(FOLD[m[0][0]]), start + m.start(), start + m.end())
            for m in inner
        ]
    return pieces


def plain_bytes(value: bytes) -> list[int]:
    return [byte for byte, _, _ in plain_spelling(value)]


def trigrams(items: list[int], width: int) -> list[int]:
    """The packed trigram that ends at each item."""
    padded = [0, 0, *items]
    return [padded[i] << 2 * width | padded[i + 1] << width | item for i, item in enumerate(items)]
