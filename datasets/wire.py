"""What may stand in an HTTP message: checks and conversions that every reader shares.

A reader refuses what no HTTP peer can send as one message (line ends in a header, spaces in a
target), because a replay would turn it into another request. What is only odd or hostile stays.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnaf.models.exchange import Headers

__all__ = [
    "BrokenError",
    "SkippedError",
    "as_dict",
    "as_list",
    "as_str",
    "encode",
    "header",
    "headers",
    "method",
    "status",
    "target",
]

# RFC 9110, 5.6.2; the longest registered name has 38 characters.
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_NOT_IN_VALUE = re.compile(rb"[\x00\r\n]")
#: Longer values are converted each time, so that the cache stays below a few megabytes.
_CACHED_VALUE = 512


class BrokenError(ValueError):
    """A record that is not what its format says; the message is the reason."""


class SkippedError(ValueError):
    """A sound record that holds no exchange; the message is the reason."""


def as_dict(value: object, what: str) -> dict[str, object]:
    """Return ``value`` where it is a JSON object, else raise BrokenError."""
    if not isinstance(value, dict):
        raise BrokenError(f"{what} is {_kind(value)}, expected an object")
    return value


def as_list(value: object, what: str) -> list[object]:
    """Return ``value`` where it is a JSON array, else raise BrokenError."""
    if not isinstance(value, list):
        raise BrokenError(f"{what} is {_kind(value)}, expected an array")
    return value


def as_str(value: object, what: str) -> str:
    """Return ``value`` where it is a string, else raise BrokenError."""
    if not isinstance(value, str):
        raise BrokenError(f"{what} is {_kind(value)}, expected a string")
    return value


def encode(text: str, what: str, encoding: str = "utf-8") -> bytes:
    """Return the bytes of a text; raises BrokenError where the encoding cannot say it."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise BrokenError(
            f"{what} holds characters that are not {encoding}: {error.reason}"
        ) from None


def method(value: object) -> str:
    """Return a method that is a token (RFC 9110, 9.1), in the case that was sent."""
    text = as_str(value, "method")
    if not text.isascii() or not _TOKEN.fullmatch(text.encode()):
        raise BrokenError(f"method {text[:40]!r} is not a token")
    return text


def target(raw: bytes) -> bytes:
    """Return a request target (RFC 9112, 3.2) that fits into a request line."""
    if not raw:
        raise BrokenError("target is empty")
    if _NOT_IN_TARGET.search(raw):
        raise BrokenError("target holds a space or control character, which no request line can")
    return raw


def header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a header with its name in lower case."""
    if not _TOKEN.fullmatch(name):
        raise BrokenError(f"header name {name[:40]!r} is not a token")
    if _NOT_IN_VALUE.search(value):
        raise BrokenError(f"header {name.decode()} holds a line end or NUL")
    return name.lower(), value


def headers(pairs: list[tuple[str, str]]) -> Headers:
    """Return headers from texts, encoded as UTF-8; those that repeat share one object."""
    return tuple(
        _cached_header(name, value)
        if len(value) <= _CACHED_VALUE and len(name) <= _CACHED_VALUE
        else _text_header(name, value)
        for name, value in pairs
    )


def status(value: object) -> int:
    """Return a status code, three digits (RFC 9110, 15)."""
    # bool is an int in Python, and no status.
    if type(value) is not int or not 100 <= value <= 599:
        raise BrokenError(f"status {str(value)[:20]!r} is not a number from 100 to 599")
    return value


def _text_header(name: str, value: str) -> tuple[bytes, bytes]:
    return header(encode(name, "header name"), encode(value, f"header {name[:40]}"))


_cached_header = lru_cache(maxsize=4096)(_text_header)


def _kind(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
