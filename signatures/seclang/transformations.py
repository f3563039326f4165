r"""Transformations of values, byte for byte those of libmodsecurity 3.

Each is a function of bytes to bytes, linear in its input. ``changes`` says cheaply whether one can
change a value at all: a false answer is a promise, a true one is not. It reads the value's traits,
one bit for each kind of byte that some transformation acts on, which one look-up pass finds.

Known differences from libmodsecurity are listed where they are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TRANSFORMATIONS", "WHOLE_TRAITS", "Transformation", "is_plain", "traits_of"]

_SPACES = b" \t\n\v\f\r"
_NBSP = b"\xa0"

# Traits of a value, as bits: what some transformation acts on.
(
    _ESCAPES, _UPPER, _AMPERSAND, _BACKSLASH, _NUL, _SPACE, _RUN, _HIGH, _SHELL, _PATH,
    _COMMENT, _HEX_NUMBER, _BASE64, _ALWAYS,
) = (1 << n for n in range(14))  # fmt: skip

_LETTERS = bytes(range(0x41, 0x5B))
_HIGH_BYTES = bytes(range(0x80, 0x100))
#: What no transformation acts on, alone or beside others of its kind.
_PLAIN = bytes(
    c for c in range(0x80) if c not in _LETTERS and c not in b"%+&\\\0 \t\n\v\f\r\"'^,;/.*<#("
)
_WHOLE_BASE64 = re.compile(rb"[A-Za-z0-9+/ \r\n]*={0,2}[ \r\n]*(?:\x00|\Z)")


@dataclass(frozen=True, slots=True)
class Transformation:
    """A transformation by its lower-case name; ``acts_on`` are the traits that it looks for."""

    name: str
    acts_on: int
    apply: Callable[[bytes], bytes]

    def changes(self, traits: int) -> bool:
        """Whether a value with these traits may come out different."""
        return bool(self.acts_on & traits)


def traits_of(value: bytes, wanted: int = -1) -> int:
    """Return the traits of one value, as far as they are wanted."""
    traits = _ALWAYS
    odd = value.translate(_FOLDED, _PLAIN)
    if odd:
        for byte in set(odd):
            traits |= _BYTE_TRAITS[byte]
        traits |= _sequence_traits(value, traits, wanted)
    if wanted & _HEX_NUMBER and (b"0x" in value or b"0X" in value):
        traits |= _HEX_NUMBER
    if wanted & _COMMENT and b"--" in value:
        traits |= _COMMENT
    # Blanks and what follows a NUL do not count, so with those any length will do.
    if (
        wanted & _BASE64
        and (len(value) % 4 == 0 or traits & (_SPACE | _NUL))
        and _WHOLE_BASE64.match(value) is not None
    ):
        traits |= _BASE64
    return traits & wanted


def _sequence_traits(value: bytes, traits: int, wanted: int) -> int:
    """Return the traits that bytes make together, where the bytes are there."""
    found = 0
    if traits & _SPACE:
        if b"  " in value:
            found |= _RUN | _SHELL
        elif b" /" in value or b" (" in value:
            found |= _SHELL
    if wanted & _PATH and traits & _SLASH_OR_DOT and _PATH_SIGNS.search(value) is not None:
        found |= _PATH
    if traits & _COMMENT_BYTE and (b"/*" in value or b"*/" in value or b"<!--" in value):
        found |= _COMMENT
    return found


_SLASH_OR_DOT, _COMMENT_BYTE = 1 << 14, 1 << 15
_SAME_TRAITS = (
    (b"%+", _ESCAPES),
    (b"A", _UPPER),
    (b"&", _AMPERSAND),
    (b"\\", _BACKSLASH | _SHELL | _PATH),
    (b"\0", _NUL),
    (b" ", _SPACE),
    (b"\t\n\r", _SPACE | _RUN | _SHELL),
    (b"\v\f", _SPACE | _RUN),
    (b"\x80", _HIGH),
    (b"\"'^,;", _SHELL),
    (b"/.", _SLASH_OR_DOT),
    (b"*<", _COMMENT_BYTE),
    (b"#", _COMMENT),
)
#: The traits that a byte makes by itself, and bytes by the one that stands for their kind.
_BYTE_TRAITS = tuple(
    sum({bits for group, bits in _SAME_TRAITS if byte in group}) for byte in range(256)
)
_FOLDED = bytes(0x41 if c in _LETTERS else 0x80 if c >= 0x80 else c for c in range(256))
_PATH_SIGNS = re.compile(rb"//|/\.|\./|\.\.|\A\.\Z")


def is_plain(value: bytes) -> bool:
    """Whether no transformation but those that act on whole values changes a value."""
    return not value.translate(None, _PLAIN)


#: Traits that plain values may have, too.
WHOLE_TRAITS = _ALWAYS | _BASE64 | _COMMENT | _HEX_NUMBER


def _odd_traits(value: bytes, odd: bytes, wanted: int) -> int:
    """Return the traits that the odd bytes of a value make."""
    traits = 0
    if b"%" in odd or b"+" in odd:
        traits |= _ESCAPES
    if len(odd.translate(None, _LETTERS)) != len(odd):
        traits |= _UPPER
    if b"&" in odd:
        traits |= _AMPERSAND
    if b"\\" in odd:
        traits |= _BACKSLASH | _SHELL | _PATH
    if b"\0" in odd:
        traits |= _NUL
    if not odd.isascii():
        traits |= _HIGH
    if len(odd.translate(None, _SPACES)) != len(odd):
        traits |= _SPACE
        if wanted & _RUN and _RUNS_TO_CHANGE.search(value) is not None:
            traits |= _RUN
    if wanted & _SHELL and _SHELL_SIGNS.search(value) is not None:
        traits |= _SHELL
    if wanted & _PATH and (b"/" in odd or b"." in odd) and _PATH_SIGNS.search(value) is not None:
        traits |= _PATH
    if wanted & _COMMENT and _COMMENT_SIGNS.search(value) is not None:
        traits |= _COMMENT
    return traits


_RUNS_TO_CHANGE = re.compile(rb"[\t-\r]|  ")
_SHELL_SIGNS = re.compile(rb"[\"'\\^,;\t\r\n]|  | [/(]")
_PATH_SIGNS = re.compile(rb"//|/\.|\./|\.\.|\A\.\Z")


# Decoding -----------------------------------------------------------------------------------

_HEX = re.compile(rb"%([0-9a-fA-F]{2})")
_URL_UNI = re.compile(rb"%[uU]([0-9a-fA-F]{2})([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})|\+|%[uU]")


def _hex_byte(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def _full_width(low: int, high: bytes) -> int:
    """Full-width forms of ASCII (U+FF01 to U+FF5E) are read as what they look like."""
    return low + 0x20 if 0 < low < 0x5F and high.lower() == b"ff" else low


def _url_decode_uni(value: bytes) -> bytes:
    return _URL_UNI.sub(_url_uni, value) if b"%" in value or b"+" in value else value


def _url_uni(match: re.Match[bytes]) -> bytes:
    if match[3] is not None:
        return bytes((int(match[3], 16),))
    if match[1] is not None:
        return bytes((_full_width(int(match[2], 16), match[1]),))
    return b" " if match[0] == b"+" else match[0]


def _url_decode(value: bytes) -> bytes:
    return _HEX.sub(_hex_byte, value.replace(b"+", b" "))


_ENTITY = re.compile(
    rb"&(?:#[xX]([0-9a-fA-F]+)|#([0-9]+)|((?i:quot|amp|lt|gt|nbsp))[0-9a-zA-Z]*"
    rb"|[0-9a-zA-Z]+);?"
)
_NAMED = {b"quot": b'"', b"amp": b"&", b"lt": b"<", b"gt": b">", b"nbsp": _NBSP}
#: C's long: greater numbers count as this one.
_LONG_MAX = 2**63 - 1
_LONG_DIGITS = 20


def _html_entity_decode(value: bytes) -> bytes:
    return _ENTITY.sub(_entity, value) if b"&" in value else value


def _entity(match: re.Match[bytes]) -> bytes:
    if match[3] is not None:
        return _NAMED[match[3].lower()]
    digits, base = (match[1], 16) if match[1] is not None else (match[2], 10)
    if digits is None:
        return match[0]
    digits = digits.lstrip(b"0")[:_LONG_DIGITS] or b"0"
    return bytes((min(int(digits, base), _LONG_MAX) & 0xFF,))


_ESCAPED = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
_JS = re.compile(
    rb"\\(?:u([0-9a-fA-F]{2})([0-9a-fA-F]{2})|x([0-9a-fA-F]{2})|([0-3][0-7]{2}|[0-7]{1,2})|(.))",
    re.DOTALL,
)


def _js_decode(value: bytes) -> bytes:
    return _JS.sub(_js, value) if b"\\" in value else value


def _js(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes((_full_width(int(match[2], 16), match[1]),))
    if match[3] is not None:
        return bytes((int(match[3], 16),))
    if match[4] is not None:
        return bytes((int(match[4], 8),))
    return _ESCAPED.get(match[5], match[5])


_CSS = re.compile(rb"\\(?:([0-9a-fA-F]{1,6})[ \t-\r]?|(\n)|(.)|\Z)", re.DOTALL)


def _css_decode(value: bytes) -> bytes:
    return _CSS.sub(_css, value) if b"\\" in value else value


def _css(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        return match[3] or b""
    low = int(digits[-2:], 16)
    if len(digits) >= 4 and not digits[:-4].strip(b"0"):
        low = _full_width(low, digits[-4:-2])
    return bytes((low,))


_ANSI = re.compile(rb"\\(?:([abfnrtv\\?'\"])|[xX]([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_ANSI_ESCAPED = _ESCAPED | {b"\\": b"\\", b"?": b"?", b"'": b"'", b'"': b'"'}


def _escape_seq_decode(value: bytes) -> bytes:
    return _ANSI.sub(_ansi, value) if b"\\" in value else value


def _ansi(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return _ANSI_ESCAPED[match[1]]
    if match[2] is not None:
        return bytes((int(match[2], 16),))
    if match[3] is not None:
        return bytes((int(match[3], 8) & 0xFF,))
    return match[4]


_SQL_HEX = re.compile(rb"0[xX]((?:[0-9a-fA-F]{2})+)")


def _sql_hex_decode(value: bytes) -> bytes:
    return _SQL_HEX.sub(lambda m: bytes.fromhex(m[1].decode("ascii")), value)


_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_BASE64_PARTS = re.compile(rb"[A-Za-z0-9+/]+|=")
_STRICT_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]| *\r?\n)*={0,2}(?: *\r?\n)* *")


def _base64_decode(value: bytes) -> bytes:
    """Strict: what is no Base64 as a whole stays as it is. It ends at a NUL."""
    text = value.split(b"\x00", 1)[0]
    digits = _NOT_BASE64.sub(b"", text)
    padding = text.count(b"=")
    if _STRICT_BASE64.fullmatch(text) is None or (len(digits) + padding) % 4 or padding > 2:
        return value
    return _decoded(digits)


def _base64_decode_ext(value: bytes) -> bytes:
    """Forgiving: what is no digit of Base64 is skipped, but padding behind a single digit.

    A single digit at the end counts as padded where the last byte is a ``9``: so libmodsecurity
    has it, which takes the digit's number, 61, for the sign with that code.
    """
    digits = 0
    for match in _BASE64_PARTS.finditer(value):
        if match[0] != b"=":
            digits += match.end() - match.start()
        elif digits % 4 == 1 and value[match.end() : match.end() + 1] != b"=":
            return b""
    if digits % 4 == 1 and value.endswith((b"9", b"=")):
        return b""
    return _decoded(_NOT_BASE64.sub(b"", value))


def _decoded(digits: bytes) -> bytes:
    usable = digits if len(digits) % 4 != 1 else digits[:-1]
    return base64.b64decode(usable + b"=" * (-len(usable) % 4))


def _hex_decode(value: bytes) -> bytes:
    """Two bytes at a time, digits or not, as C arithmetic reads them."""
    return bytes(
        (_hex_value(value[i]) * 16 + _hex_value(value[i + 1])) & 0xFF
        for i in range(0, len(value) - 1, 2)
    )


def _hex_value(byte: int) -> int:
    return ((byte & 0xDF) - 0x41) + 10 if byte >= 0x41 else byte - 0x30


_UTF8 = re.compile(
    rb"[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3}"
    rb"|[\xc0-\xf4]|\x00(?!\Z)"
)
#: The least number that needs a sequence of so many bytes.
_LEAST = (0, 0, 0x80, 0x800, 0x10000)


def _utf8_to_unicode(value: bytes) -> bytes:
    """Sequences become ``%uXXXX``.

    Behind one that UTF-8 forbids its first byte stays; the first byte of one that breaks off goes
    away, and so does a NUL but at the end: so libmodsecurity has it.
    """
    if value.isascii() and b"\0" not in value:
        return value
    return _UTF8.sub(_code_point, value)


def _code_point(match: re.Match[bytes]) -> bytes:
    sequence = match[0]
    size = len(sequence)
    if size == 1:
        return b""
    number = sequence[0] & (0xFF >> (size + 1))
    for byte in sequence[1:]:
        number = number << 6 | byte & 0x3F
    written = b"%%u%04x" % number
    if sequence[0] >= 0xF5:
        written = sequence[:1] + written
    if 0xD800 <= number <= 0xDFFF:
        written += sequence[:1]
    return written + sequence[:1] if number < _LEAST[size] else written


# White space, comments and case -------------------------------------------------------------

_RUNS = re.compile(rb"[ \t-\r]+")
_NOT_SPACED = bytes.maketrans(_SPACES, b" " * len(_SPACES))
_REMOVED = _SPACES + b"\xa0\xc2"
_C_COMMENT = re.compile(rb"/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMENT_SIGNS = re.compile(rb"/\*|\*/|<!--|-->|--|#")


def _compress_whitespace(value: bytes) -> bytes:
    return _RUNS.sub(b" ", value)


def _replace_comments(value: bytes) -> bytes:
    return _C_COMMENT.sub(b" ", value) if b"/*" in value else value


_COMMENT_START = re.compile(rb"/\*|<!--|--|#")
_COMMENT_END = re.compile(rb"\*/|-->")


def _remove_comments(value: bytes) -> bytes:
    """A comment that is closed takes itself away, one that is not leaves a blank."""
    out: list[bytes] = []
    position = 0
    while (start := _COMMENT_START.search(value, position)) is not None:
        out.append(value[position : start.start()])
        if start[0] in {b"--", b"#"}:
            return b"".join(out)
        end = _COMMENT_END.search(value, start.end())
        if end is None:
            return b"".join((*out, b" "))
        # The byte behind a comment is copied unseen; at the very end that is C's closing NUL.
        out.append(value[end.end() : end.end() + 1] or b"\x00")
        position = end.end() + 1
    return b"".join((*out, value[position:]))


_CMD_REMOVED = b"\"'\\^"
_CMD_TABLE = bytes(
    c + 32 if 0x41 <= c <= 0x5A else 0x20 if c in b",;\t\r\n" else c for c in range(256)
)
_CMD_BLANKS = re.compile(rb" +(?=[/(])|  +")


def _cmd_line(value: bytes) -> bytes:
    return _CMD_BLANKS.sub(_cmd_blank, value.translate(_CMD_TABLE, _CMD_REMOVED))


def _cmd_blank(match: re.Match[bytes]) -> bytes:
    following = match.string[match.end() : match.end() + 1]
    return b"" if following in {b"/", b"("} and following else b" "


def _normalize_path(value: bytes) -> bytes:
    return _normalized(value, _SLASHES) if _PATH_SIGNS.search(value) is not None else value


def _normalize_path_win(value: bytes) -> bytes:
    if b"\\" not in value and _PATH_SIGNS.search(value) is None:
        return value
    return _normalized(value, _ANY_SLASHES)


_SLASHES = re.compile(rb"([^/]*)(/*)")
_ANY_SLASHES = re.compile(rb"([^/\\]*)([/\\]*)")


def _normalized(value: bytes, split: re.Pattern[bytes]) -> bytes:
    """Take out empty and self references, and resolve back references as far as the root.

    A name that ends in two dots is taken out, too, and a run of slashes becomes its last one where
    that is a backslash which was passed over: so libmodsecurity has it.
    """
    pieces = split.findall(value)[:-1]
    relative = bool(pieces[0][0])
    path = bytearray()
    if not relative:
        path += _slash(pieces.pop(0)[1], False)
    at_root = False
    for segment, run in pieces:
        end = len(path) + len(segment) - 1
        if segment.endswith(b"..") and relative and (at_root or end <= 2):
            at_root = True
        elif segment.endswith(b".."):
            path += segment[:-1]
            del path[max(path.rfind(b"/", 0, max(end - 2, 0)), 0) :]
            at_root = at_root or not path
            if (run and path) or (not path and not relative):
                path += _slash(run, True)
            continue
        elif segment == b"." and (not path or path.endswith(b"/")):
            if run and path:
                path[-1:] = _slash(run, True)
            continue
        elif end > 0 and not segment.endswith(b"."):
            at_root = False
        path += segment
        if run:
            path += _slash(run, False)
    if value[-1:] not in _TRAILING[split] and path.endswith(b"/"):
        del path[-1:]
    return bytes(path)


_TRAILING = {_SLASHES: (b"/",), _ANY_SLASHES: (b"/", b"\\")}


def _slash(run: bytes, behind_reference: bool) -> bytes:
    """Return what becomes of a run of slashes."""
    return b"\\" if run.endswith(b"\\") and len(run) > 2 - behind_reference else b"/"


def _length(value: bytes) -> bytes:
    return b"%d" % len(value)


def _same(value: bytes) -> bytes:
    return value


def _parity(value: bytes, odd: bool) -> bytes:
    return bytes((c & 0x7F) | (0x80 if ((c & 0x7F).bit_count() & 1) != odd else 0) for c in value)


_URL_ENCODED = re.compile(rb"[^0-9a-zA-Z* ]")


def _url_encode(match: re.Match[bytes]) -> bytes:
    return b"%%%02x" % match[0][0]


def _table(*entries: tuple[str, int, Callable[[bytes], bytes]]) -> dict[str, Transformation]:
    return {name: Transformation(name, acts_on, apply) for name, acts_on, apply in entries}


#: All transformations by lower-case name, with both spellings where there are two.
TRANSFORMATIONS = _table(
    ("base64decode", _BASE64, _base64_decode),
    ("base64decodeext", _ALWAYS, _base64_decode_ext),
    ("base64encode", _ALWAYS, base64.b64encode),
    ("cmdline", _SHELL | _UPPER, _cmd_line),
    ("compresswhitespace", _RUN, _compress_whitespace),
    ("cssdecode", _BACKSLASH, _css_decode),
    ("escapeseqdecode", _BACKSLASH, _escape_seq_decode),
    ("hexdecode", _ALWAYS, _hex_decode),
    ("hexencode", _ALWAYS, lambda v: v.hex().encode("ascii")),
    ("htmlentitydecode", _AMPERSAND, _html_entity_decode),
    ("jsdecode", _BACKSLASH, _js_decode),
    ("length", _ALWAYS, _length),
    ("lowercase", _UPPER, bytes.lower),
    ("md5", _ALWAYS, lambda v: hashlib.md5(v, usedforsecurity=False).digest()),
    ("none", 0, _same),
    ("normalisepath", _PATH, _normalize_path),
    ("normalizepath", _PATH, _normalize_path),
    ("normalisepathwin", _PATH, _normalize_path_win),
    ("normalizepathwin", _PATH, _normalize_path_win),
    ("parityeven7bit", _ALWAYS, lambda v: _parity(v, False)),
    ("parityodd7bit", _ALWAYS, lambda v: _parity(v, True)),
    ("parityzero7bit", _HIGH, lambda v: bytes(c & 0x7F for c in v)),
    ("removecomments", _COMMENT, _remove_comments),
    ("removecommentschar", _COMMENT, lambda v: _COMMENT_SIGNS.sub(b"", v)),
    ("removenulls", _NUL, lambda v: v.replace(b"\x00", b"")),
    ("removewhitespace", _SPACE | _HIGH, lambda v: v.translate(None, _REMOVED)),
    ("replacecomments", _COMMENT, _replace_comments),
    ("replacenulls", _NUL, lambda v: v.replace(b"\x00", b" ")),
    ("sha1", _ALWAYS, lambda v: hashlib.sha1(v, usedforsecurity=False).digest()),
    ("sqlhexdecode", _HEX_NUMBER, _sql_hex_decode),
    ("trim", _SPACE, lambda v: v.strip(_SPACES)),
    ("trimleft", _SPACE, lambda v: v.lstrip(_SPACES)),
    ("trimright", _SPACE, lambda v: v.rstrip(_SPACES)),
    ("uppercase", _ALWAYS, bytes.upper),
    ("urldecode", _ESCAPES, _url_decode),
    ("urldecodeuni", _ESCAPES, _url_decode_uni),
    ("urlencode", _ALWAYS, lambda v: _URL_ENCODED.sub(_url_encode, v).replace(b" ", b"+")),
    ("utf8tounicode", _HIGH | _NUL, _utf8_to_unicode),
)  # fmt: skip
