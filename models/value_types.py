"""What kind of value a field takes: the words in which evidence says what was expected.

A type is inferred at training time as the narrowest one that nearly all of a field's values fit,
and groups fields that share n-gram statistics, so that a rare field leans on its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum

__all__ = ["ValueType", "infer_type", "kind_of", "law_of"]


class ValueType(IntEnum):
    """Kinds of values, narrowest first; the number is stored in artifacts, never renumber."""

    EMPTY = 0
    INTEGER = 1
    NUMBER = 2
    DATE = 3
    UUID = 4
    TOKEN = 5
    WORD = 6
    EMAIL = 7
    URL = 8
    LIST = 9
    NAME = 10
    TEXT = 11
    MARKUP = 12
    BINARY = 13
    SLUG = 14
    CODE = 15
    NONCE = 16
    ENUM = 17

    @property
    def noun(self) -> str:
        """The type in a sentence: ``an integer``."""
        return _NOUNS[self]


_NOUNS = {
    ValueType.EMPTY: "nothing",
    ValueType.INTEGER: "an integer",
    ValueType.NUMBER: "a number or version",
    ValueType.DATE: "a date",
    ValueType.UUID: "a UUID",
    ValueType.TOKEN: "a token of letters and digits",
    ValueType.WORD: "a word",
    ValueType.EMAIL: "an e-mail address",
    ValueType.URL: "a URL or path",
    ValueType.LIST: "a list of words",
    ValueType.NAME: "a few words",
    ValueType.TEXT: "free text",
    ValueType.MARKUP: "text with markup",
    ValueType.BINARY: "binary data",
    ValueType.SLUG: "a slug",
    ValueType.CODE: "text with code",
    ValueType.NONCE: "a token that is new each time",
    ValueType.ENUM: "one of a few values",
}

_PATTERNS: tuple[tuple[ValueType, re.Pattern[bytes]], ...] = (
    (ValueType.INTEGER, re.compile(rb"-?\d{1,20}")),
    # A date without a time is a number, too: what is narrower comes first.
    (
        ValueType.DATE,
        re.compile(rb"\d{4}-\d\d(?:-\d\d)?(?:[T ][\d:.]{5,15}(?:Z|[+-][\d:]{4,6})?)?"),
    ),
    (ValueType.NUMBER, re.compile(rb"[+-]?\d[\d.,:_-]{0,30}")),
    (ValueType.UUID, re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),
    (ValueType.SLUG, re.compile(rb"[a-z]{2,}[a-z0-9]*(?:-[a-z0-9]+){1,40}")),
    (ValueType.TOKEN, re.compile(rb"(?=.*\d)[0-9A-Za-z+/=_-]{8,512}")),
    (ValueType.WORD, re.compile(rb"[\w.+-]{1,200}")),
    (ValueType.EMAIL, re.compile(rb"[\w.+%-]+@[\w.-]+")),
    (ValueType.URL, re.compile(rb"(?:[a-z]{2,8}://|/|\?|#)[^\s<>\"'`{}|\\^]*")),
    (ValueType.LIST, re.compile(rb"[\w.+/-]*(?:[,;| ][\w.+/-]*)*")),
    (ValueType.NAME, re.compile(rb"[\w\x80-\xff .,'&!?@:()+-]{1,100}")),
)
_MATCHERS = tuple((kind, pattern.fullmatch) for kind, pattern in _PATTERNS)
_TAG = re.compile(rb"<[a-zA-Z!/]")
_STATEMENT = re.compile(rb"[;{}]\s*(?:[\r\n]|$)|\)\s*\{|=>|\$\w+\s*=|\w\(.*\)\s*[:;]")
#: Share of distinct values that must fit a type: the odd one out is no reason for a wider type.
_FIT = 0.98
#: Share of distinct values with tags that makes a field one of markup, and with statements of code.
_MARKUP_SHARE = 0.1
_CODE_SHARE = 0.5
#: A closed set: so many values at most, each shown so often on average, next to none shown once.
_ENUM_VALUES, _ENUM_SIGHTINGS, _ENUM_NEWS = 24, 5.0, 0.02
#: A nonce: nearly every sighting shows a new value, all alike in length.
_NONCE_NEWS, _NONCE_SIGHTINGS, _NONCE_LENGTHS = 0.5, 5, 2
_WIDE = frozenset({ValueType.NAME, ValueType.TEXT, ValueType.MARKUP, ValueType.BINARY})


def kind_of(value: bytes) -> ValueType:
    """Return the narrowest type that one value fits; cap hostile values before the call.

    >>> kind_of(b"2024-05-01").name, kind_of(b"<b>").name
    ('DATE', 'MARKUP')
    """
    if not value:
        return ValueType.EMPTY
    for kind, matches in _MATCHERS:
        if matches(value):
            return kind
    if _TAG.search(value):
        return ValueType.MARKUP
    return ValueType.BINARY if b"\x00" in value else ValueType.TEXT


def infer_type(values: Iterable[bytes]) -> ValueType:
    """Return the narrowest type that at least 98 % of the distinct values fit.

    >>> infer_type([b"1", b"22", b"303"]).name
    'INTEGER'
    """
    distinct = {value for value in values if value}
    if not distinct:
        return ValueType.EMPTY
    need = _FIT * len(distinct)
    for kind, pattern in _PATTERNS:
        if sum(pattern.fullmatch(value) is not None for value in distinct) >= need:
            return kind
    if sum(_TAG.search(value) is not None for value in distinct) >= _MARKUP_SHARE * len(distinct):
        return ValueType.MARKUP
    if sum(_STATEMENT.search(v) is not None for v in distinct) >= _CODE_SHARE * len(distinct):
        return ValueType.CODE
    binary = sum(b"\x00" in value for value in distinct)
    return ValueType.BINARY if binary > len(distinct) / 2 else ValueType.TEXT


def law_of(kind: ValueType, lengths: Sequence[int], sessions: Sequence[float]) -> ValueType:
    """Return what a field's values have in common beyond their kind: an enum, a nonce, or nothing.

    ``lengths`` and ``sessions`` have one entry a distinct value: its bytes, and how many sessions
    showed it. The kind stays what n-grams lean on; this is what people are told.

    >>> law_of(ValueType.WORD, [4, 3], [20, 12]).name
    'ENUM'
    """
    shown, once = sum(sessions), sum(count <= 1 for count in sessions)
    if not shown:
        return kind
    settled = once <= _ENUM_NEWS * shown and shown >= _ENUM_SIGHTINGS * len(sessions)
    if len(sessions) <= _ENUM_VALUES and settled and kind not in _WIDE:
        return ValueType.ENUM
    fresh = once >= _NONCE_NEWS * shown and shown >= _NONCE_SIGHTINGS
    if kind is ValueType.TOKEN and fresh and len(set(lengths)) <= _NONCE_LENGTHS:
        return ValueType.NONCE
    return kind
