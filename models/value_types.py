"""What kind of value a field takes: the words in which evidence says what was expected.

A type is inferred at training time as the narrowest one that nearly all of a field's values fit,
and groups fields that share n-gram statistics, so that a rare field leans on its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

__all__ = ["ValueType", "infer_type", "kind_of"]


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
    ValueType.WORD: "a word or slug",
    ValueType.EMAIL: "an e-mail address",
    ValueType.URL: "a URL or path",
    ValueType.LIST: "a list of words",
    ValueType.NAME: "a few words",
    ValueType.TEXT: "free text",
    ValueType.MARKUP: "text with markup",
    ValueType.BINARY: "binary data",
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
    (ValueType.TOKEN, re.compile(rb"(?=.*\d)[0-9A-Za-z+/=_-]{8,512}")),
    (ValueType.WORD, re.compile(rb"[\w.+-]{1,200}")),
    (ValueType.EMAIL, re.compile(rb"[\w.+%-]+@[\w.-]+")),
    (ValueType.URL, re.compile(rb"(?:[a-z]{2,8}://|/|\?|#)[^\s<>\"'`{}|\\^]*")),
    (ValueType.LIST, re.compile(rb"[\w.+/-]*(?:[,;| ][\w.+/-]*)*")),
    (ValueType.NAME, re.compile(rb"[\w\x80-\xff .,'&!?@:()+-]{1,100}")),
)
_MATCHERS = tuple((kind, pattern.fullmatch) for kind, pattern in _PATTERNS)
_TAG = re.compile(rb"<[a-zA-Z!/]")
#: Share of distinct values that must fit a type: the odd one out is no reason for a wider type.
_FIT = 0.98
#: Share of distinct values with tags that makes a field one of markup.
_MARKUP_SHARE = 0.1


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
    binary = sum(b"\x00" in value for value in distinct)
    return ValueType.BINARY if binary > len(distinct) / 2 else ValueType.TEXT
