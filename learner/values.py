"""Values inside of messages, found without knowing the application: names, tokens, ids.

Apps write a value next to its name, whatever the format: ``_wpnonce=3ab…`` in a link,
``"csrfToken":"3ab…"`` in JSON, ``name="_token"`` and an empty line in a multipart body. One pattern
of name, separator and value reads them all, in what the app answers and in what a client sends.
Only links and forms are also read as such, because they say what a value belongs to.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Kind",
    "Offer",
    "Place",
    "find_offers",
    "find_path_places",
    "find_places",
    "kind_of",
    "parse_pairs",
    "same_shape",
]

# Escapes count as separators: quotes and = as HTML, JavaScript and URLs write them.
_ESCAPE = rb"&[#\w]{1,6};|\\u00[0-9a-fA-F]{2}|%[0-9A-Fa-f]{2}"
_GAP = rb"""(?=\s*+[^\s\w])(?:""" + _ESCAPE + rb"""|[\s"'\\:=(\[\]>,]){1,8}+"""
_PAIR = re.compile(
    rb"(?:(?<=%[0-9A-Fa-f]{2})|(?<![\w%-]))([A-Za-z_-][\w-]{0,63}+)"
    + _GAP
    # Looked at, not consumed: what is a value here may be a name, too (data[nonce]=…).
    + rb"(?=([0-9A-Za-z_][0-9A-Za-z_~.+/-]{0,1023}+))"
)
# A path with a number in it, behind its host or alone; JSON may write \\/ for its slashes.
_PATH = re.compile(
    rb"(?<![\w.%~\\/-])(?:\\?/\\?/[\w.:-]{1,255}+)?"
    rb"((?:\\?/[\w.%~-]{1,128}+){0,15}?\\?/\d{1,18}(?![\w.%~-])(?:\\?/[\w.%~-]{1,128}+){0,15})"
)
_SEGMENT = re.compile(rb"(?<=/)\d{1,18}(?=/|$)")
_LINK = re.compile(
    rb"""(?<![\w.:/\\%-])([\w.:/\\%-]{1,512}+)\?((?:[\w%;#=.+~/\[\]\\-]|&(?!quot;)){3,2048})"""
)
_TAG = re.compile(rb"<(/?form|input|meta|button)\b([^<>]{0,4096})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([\w-]{1,32})\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(rb"[0-9a-f]+", re.IGNORECASE)
# Random values in other alphabets (base64, a signed token) hold letters and more than one digit; a
# date or a file name is none.
_RANDOM = re.compile(rb"(?!\d{4}-\d\d)(?=.*[A-Za-z])(?=.*\d.*\d)[\w~.+/-]{16,}")
#: Shorter runs of digits are keys of a database, longer ones are moments or random.
_ID_DIGITS = 7
_HEX_DIGITS = 8
#: Pairs of one query or form; a menu editor sends hundreds.
_MAX_PAIRS = 1_024
#: Values that are taken from one answer; a page of WordPress's editor has 3,000.
_MAX_OFFERS = 20_000


class Kind(IntEnum):
    """What a value looks like."""

    WORD = 0
    #: A short decimal number, as the key of a record.
    ID = 1
    #: A value without meaning, as a nonce or a session key: hexadecimal, a UUID, base64.
    TOKEN = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A value that a client sends: its name and where it is, ``text[start:end]``."""

    name: bytes
    value: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A value that the app sent; ``path`` and ``others`` say for which request, where known."""

    name: bytes
    value: bytes
    path: bytes = b""
    others: frozenset[tuple[bytes, bytes]] = frozenset()


def kind_of(value: bytes) -> Kind:
    """Say what a value looks like.

    >>> [kind_of(value).name for value in (b"lamp-43", b"43", b"f7b029498f", b"2026-11-24T04")]
    ['WORD', 'ID', 'TOKEN', 'WORD']
    """
    if value.isdigit() and len(value) <= _ID_DIGITS:
        return Kind.ID
    if len(value) >= _HEX_DIGITS and _HEX.fullmatch(value) and not value.isalpha():
        return Kind.TOKEN
    return Kind.TOKEN if _UUID.fullmatch(value) or _RANDOM.fullmatch(value) else Kind.WORD


def same_shape(one: bytes, other: bytes) -> bool:
    """Say whether two values can come from the same generator.

    >>> same_shape(b"f7b029498f", b"af601b16d8"), same_shape(b"f7b029498f", b"9e794f35a71bb986")
    (True, False)
    """
    if kind_of(one) is not kind_of(other):
        return False
    if kind_of(one) is Kind.ID:
        return True
    for pattern in (_UUID, _HEX):
        if pattern.fullmatch(one) or pattern.fullmatch(other):
            both = pattern.fullmatch(one) and pattern.fullmatch(other)
            return bool(both) and len(one) == len(other)
    # Signed and encrypted values vary with what they hold.
    return abs(len(one) - len(other)) * 4 <= max(len(one), len(other))


def find_places(text: bytes) -> Iterator[Place]:
    """Yield the named tokens and ids in a query, a header or a body."""
    for match in _PAIR.finditer(text):
        if kind_of(match[2]):
            yield Place(match[1], match[2], match.start(2), match.end(2))


def find_path_places(path: bytes) -> Iterator[Place]:
    """Yield the ids among the segments of a path, each named by the path around it."""
    for match in _SEGMENT.finditer(path):
        name = path[: match.start()] + b"{}" + path[match.end() :]
        yield Place(name, match[0], match.start(), match.end())


def parse_pairs(text: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and values of a query or form, decoded.

    >>> parse_pairs(b"s=a+b&page=%32")
    [(b's', b'a b'), (b'page', b'2')]
    """
    pairs = (pair.partition(b"=") for pair in text.split(b"&", _MAX_PAIRS)[:_MAX_PAIRS] if pair)
    return [(_decode(name), _decode(value)) for name, _, value in pairs]


def find_offers(text: bytes, page: bytes) -> Iterator[Offer]:
    """Yield the named tokens and ids of an answer to a request for the path ``page``.

    Those that say most about where they belong come last.
    """
    yield from islice(_plain_offers(text), _MAX_OFFERS)
    yield from islice(_link_offers(text, page), _MAX_OFFERS)
    yield from islice(_form_offers(text, page), _MAX_OFFERS)


def _plain_offers(text: bytes) -> Iterator[Offer]:
    for place in find_places(text):
        yield Offer(place.name, place.value)
    for match in _PATH.finditer(text):
        for place in find_path_places(match[1].replace(b"\\/", b"/")):
            yield Offer(place.name, place.value)


def _link_offers(text: bytes, page: bytes) -> Iterator[Offer]:
    for match in _LINK.finditer(text):
        url = _unescape(match[1].replace(b"\\/", b"/"))
        pairs = parse_pairs(_unescape(match[2]))
        yield from _offers(pairs, _path(url, page))


def _form_offers(text: bytes, page: bytes) -> Iterator[Offer]:
    path = page
    pairs: list[tuple[bytes, bytes]] = []
    for tag in _TAG.finditer(text):
        name = tag[1].lower()
        if name.endswith(b"form"):
            yield from _offers(pairs, path)
            pairs = []
        attributes = {
            m[1].lower(): m[2] or m[3] or m[4] or b"" for m in _ATTRIBUTE.finditer(tag[2])
        }
        if name == b"form":
            action = _unescape(attributes.get(b"action", b""))
            path = _path(action, page)
            pairs = parse_pairs(action.partition(b"?")[2])
        elif name != b"/form":
            value = attributes.get(b"content" if name == b"meta" else b"value", b"")
            pairs.append((_unescape(attributes.get(b"name", b"")), _unescape(value)))
    yield from _offers(pairs, path)


def _offers(pairs: list[tuple[bytes, bytes]], path: bytes) -> Iterator[Offer]:
    everything = frozenset(pairs)
    for name, value in pairs:
        if name and kind_of(value):
            yield Offer(name, value, path, everything)


def _path(url: bytes, page: bytes) -> bytes:
    """Return the path that a link on ``page`` leads to."""
    path = url.partition(b"?")[0].partition(b"#")[0]
    if b"//" in path:
        return b"/" + path.partition(b"//")[2].partition(b"/")[2]
    if path.startswith(b"/"):
        return path
    return page.rpartition(b"/")[0] + b"/" + path.removeprefix(b"./") if path else page


def _decode(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


def _unescape(text: bytes) -> bytes:
    if b"\\u00" in text:
        text = re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), text)
    if b"&" not in text:
        return text
    return html.unescape(text.decode("utf-8", "replace")).encode()
