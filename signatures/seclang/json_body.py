"""JSON as arguments: ``{"a": [{"b": 1}]}`` is ``json.a.array_0.b`` with the value ``1``.

Leaves come in document order, names twice where they stand twice, numbers as they are written.
What was read before an error counts, as in libmodsecurity, so a parser of whole documents would
not do. Nesting has a cap.
"""

from __future__ import annotations

import re

__all__ = ["flatten_json"]

_BLANKS = re.compile(rb"[ \t-\r]*")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_STRING = re.compile(rb'"([^"\\\x00-\x1f]*)(")?')
_ESCAPED_STRING = re.compile(
    rb'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)"', re.DOTALL
)
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))"
)
_SIMPLE = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LITERALS = ((b"true", b"true"), (b"false", b"false"), (b"null", b""))


class _Level:
    """One open object or array.

    ``path`` is where it is, ``index`` counts an array's elements, -1 marks an object; ``is_new``
    until its first item has been read.
    """

    __slots__ = ("index", "is_new", "path")

    def __init__(self, path: bytes, index: int) -> None:
        self.path, self.index, self.is_new = path, index, True

    def item(self) -> bytes:
        """Return the path of the item that comes next, an object's without its key."""
        return self.path + (b"." if self.index < 0 else b".array_%d" % self.index)


class _BrokenJsonError(Exception):
    """What stands at the current place is no JSON."""


def flatten_json(
    body: bytes, depth: int, arguments: int
) -> tuple[list[tuple[bytes, bytes]], str | None]:
    """Return the leaves as names and values, and what is wrong with the document or None."""
    flattener = _Flattener(body, depth, arguments)
    try:
        flattener.run()
    except _BrokenJsonError as error:
        return flattener.leaves, str(error)
    return flattener.leaves, None


class _Flattener:
    def __init__(self, body: bytes, depth: int, arguments: int) -> None:
        self.body, self.depth, self.arguments = body, depth, arguments
        self.leaves: list[tuple[bytes, bytes]] = []
        self.levels: list[_Level] = []
        self.key = b""
        self.position = 0

    def run(self) -> None:
        """Read one document, which ends the body."""
        self._value()
        while self.levels:
            self._next_item()
        self._blanks()
        if self.position < len(self.body):
            raise _BrokenJsonError("trailing garbage")

    def _next_item(self) -> None:
        """Read the next item of the innermost container, or its end."""
        level = self.levels[-1]
        closing = b"}" if level.index < 0 else b"]"
        if level.is_new:
            level.is_new = False
            self._blanks()
            if self.body[self.position : self.position + 1] == closing:
                self.position += 1
                self._close()
                return
        else:
            sign = self._sign()
            if sign == closing:
                self._close()
                return
            if sign != b",":
                raise _BrokenJsonError("a comma or the end of a container is missing")
        if level.index < 0:
            self._member()
        self._value()

    def _member(self) -> None:
        self._blanks()
        self.key = self._string()
        if self._sign() != b":":
            raise _BrokenJsonError("a colon is missing behind a key")

    def _value(self) -> None:
        self._blanks()
        sign = self.body[self.position : self.position + 1]
        if sign in {b"{", b"["} and sign:
            self._open(sign)
        elif sign == b'"':
            self._leaf(self._string())
        else:
            self._leaf(self._scalar())

    def _open(self, sign: bytes) -> None:
        self.position += 1
        path = self.levels[-1].item() if self.levels else b""
        self.levels.append(_Level(path + self._current_key(), 0 if sign == b"[" else -1))
        if len(self.levels) > self.depth:
            raise _BrokenJsonError("nested too deep")

    def _close(self) -> None:
        self.levels.pop()
        if self.levels and self.levels[-1].index >= 0:
            self.levels[-1].index += 1

    def _leaf(self, value: bytes) -> None:
        path = b""
        if self.levels:
            level = self.levels[-1]
            path = level.item()
            if level.index >= 0:
                level.index += 1
            else:
                path += self._current_key()
        else:
            path = self._current_key()
        if len(self.leaves) >= self.arguments:
            raise _BrokenJsonError("more values than arguments are allowed")
        self.leaves.append((path, value))

    def _current_key(self) -> bytes:
        key = self.key
        if not self.levels:
            return b"json"
        if not key:
            return b"" if self.levels[-1].index >= 0 else b"empty-key"
        self.key = b""
        return key

    def _scalar(self) -> bytes:
        body, position = self.body, self.position
        for text, value in _LITERALS:
            if body.startswith(text, position):
                self.position += len(text)
                return value
        match = _NUMBER.match(body, position)
        if match is None:
            raise _BrokenJsonError("no value")
        self.position = match.end()
        return match[0]

    def _string(self) -> bytes:
        plain = _STRING.match(self.body, self.position)
        if plain is not None and plain[2]:
            self.position = plain.end()
            return _checked(plain[1])
        escaped = _ESCAPED_STRING.match(self.body, self.position)
        if escaped is None:
            raise _BrokenJsonError("no string")
        self.position = escaped.end()
        return _ESCAPE.sub(_unescaped, _checked(escaped[1]))

    def _blanks(self) -> None:
        match = _BLANKS.match(self.body, self.position)
        if match is not None:
            self.position = match.end()

    def _sign(self) -> bytes:
        self._blanks()
        self.position += 1
        return self.body[self.position - 1 : self.position]


_SEQUENCES = re.compile(
    rb"(?:[\x00-\x7f]|[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3})*+"
)


def _checked(text: bytes) -> bytes:
    """Refuse bytes that do not have the form of UTF-8; what they stand for may be anything."""
    if not text.isascii() and _SEQUENCES.fullmatch(text) is None:
        raise _BrokenJsonError("a string is not UTF-8")
    return text


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        high, low = int(match[1], 16), int(match[2], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).encode("utf-8")
    if match[3] is not None:
        number = int(match[3], 16)
        return b"?" if 0xD800 <= number <= 0xDFFF else chr(number).encode("utf-8")
    return _SIMPLE.get(match[4], match[4])
