"""Canonical decoding: the one place where an encoded value becomes the bytes that the app will see.

A client may encode a value in more layers than its carrier calls for, to hide it from a filter
that decodes less than the app does. :func:`canonical` therefore decodes until nothing changes,
with a bound on the rounds, and reports how many rounds beyond the carrier's own still changed the
value. It never fails: malformed escapes stay as they are, as browsers and frameworks keep them.
"""

from __future__ import annotations

import re
from html.entities import html5
from urllib.parse import unquote_to_bytes

__all__ = ["canonical", "decode_carrier"]

# Anything that a further round could change; most values hold none of it and are returned as is.
_ENCODED = re.compile(rb"%[0-9A-Fa-fuU]|&[#a-zA-Z]|\\[ux][0-9A-Fa-f{]|[\xc0\xc1\xe0\xef\xf0]")
_PERCENT_RUN = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_PERCENT_U = re.compile(rb"%[uU]([0-9A-Fa-f]{4})")
_BACKSLASH = re.compile(rb"\\u\{0*([0-9A-Fa-f]{1,6})\}|\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
# Overlong UTF-8 of ASCII: C0/C1 + one byte, E0 80-9F + one, F0 80-8F 80-BF + one (RFC 3629, 3).
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80\x81][\x80-\xbf]|\xf0\x80[\x80\x81][\x80-\xbf]"
)
# U+FF01 to U+FF5E, the full-width twins of printable ASCII: databases and frameworks fold them.
_FULL_WIDTH = re.compile(rb"\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]")
# Browsers take any number of leading zeros, and these four names without a semicolon, too; before
# ``name=`` it is the next parameter of a URL ("?a=1&gtm_id=2") and stays.
_ENTITY = re.compile(
    rb"&(?:#0*([0-9]{1,7});?|#[xX]0*([0-9A-Fa-f]{1,6});?"
    rb"|([a-zA-Z]{2,8});|(lt|gt|amp|quot|LT|GT|AMP|QUOT)(?!\w*=))"
)
_TAG = re.compile(rb"<[a-zA-Z/!?]")
_MARKUP = (b"<", b">", b"&", b'"')


def decode_carrier(raw: bytes) -> bytes:
    """Decode the one layer that a URL query or form body calls for (``+`` and ``%XX``).

    >>> decode_carrier(b"a+b%27")
    b"a b'"
    """
    return unquote_to_bytes(raw.replace(b"+", b" "))


def canonical(value: bytes, rounds: int) -> tuple[bytes, int]:
    """Return the value with all further layers removed, and how many layers there were.

    Parameters
    ----------
    value:
        Bytes after the carrier's own decoding.
    rounds:
        At most so many rounds are made; what is left after them stays encoded.

    >>> canonical(b"%3Cscript%3E", 3)
    (b'<script>', 1)
    """
    if not _ENCODED.search(value):
        return value, 0
    for done in range(rounds):
        decoded = _one_round(value)
        if decoded == value:
            return value, done
        value = decoded
    return value, rounds


def _one_round(value: bytes) -> bytes:
    if b"%" in value:
        value = _PERCENT_U.sub(lambda m: _utf8(int(m[1], 16)), value)
        value = _unquote(value)
    if b"\\" in value:
        value = _BACKSLASH.sub(lambda m: _utf8(int(m[1] or m[2] or m[3], 16)), value)
    if b"&" in value:
        value = _unescape(value)
    if not value.isascii():
        value = _OVERLONG.sub(_shorten, value)
        value = _FULL_WIDTH.sub(_fold, value)
    return value


def _unquote(value: bytes) -> bytes:
    """Decode ``%XX``, but never text into what is no text: there "50%da" holds no escape.

    One such run must not shield the others, so each is decoded by itself.
    """
    decoded = unquote_to_bytes(value)
    if _is_text(_OVERLONG.sub(_shorten, decoded)) or not _is_text(value):
        return decoded
    return _PERCENT_RUN.sub(_unquote_run, value)


def _unquote_run(match: re.Match[bytes]) -> bytes:
    decoded = _OVERLONG.sub(_shorten, unquote_to_bytes(match[0]))
    if _is_text(decoded):
        return decoded
    kept = _NOT_ASCII.sub(lambda m: b"%%%02x" % m[0][0], decoded)
    return match[0] if kept == match[0].lower() else kept


def _is_text(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unescape(value: bytes) -> bytes:
    """Resolve character references, but leave an author's escaping in markup alone.

    In a value that is markup already, ``&lt;`` is text that shows a ``<``: resolving it would
    turn every code sample of a blog post into a tag. There only references to letters, digits and
    the like are resolved, which no author writes and obfuscated attributes do.
    """
    is_markup = _TAG.search(value) is not None

    def resolve(match: re.Match[bytes]) -> bytes:
        decimal, hexadecimal, *names = match.groups()
        if decimal or hexadecimal:
            resolved = _utf8(int(decimal) if decimal else int(hexadecimal, 16))
        else:
            name = (names[0] or names[1]).decode("ascii")
            resolved = html5.get(f"{name};", match[0].decode("ascii")).encode()
        return match[0] if is_markup and resolved in _MARKUP else resolved

    return _ENTITY.sub(resolve, value)


def _utf8(code: int) -> bytes:
    # As HTML has it: what is no character is shown as U+FFFD, an escaped NUL among it.
    no_character = not code or code > 0x10FFFF or 0xD800 <= code < 0xE000
    return (chr(code) if not no_character else "\ufffd").encode()


def _shorten(match: re.Match[bytes]) -> bytes:
    code = 0
    for byte in match[0][1:]:
        code = code << 6 | byte & 0x3F
    if match[0][0] in (0xC0, 0xC1):
        code |= (match[0][0] & 0x1F) << 6
    return bytes((code & 0x7F,))


def _fold(match: re.Match[bytes]) -> bytes:
    code = ord(match[0].decode("utf-8"))
    return bytes((code - 0xFEE0,))
