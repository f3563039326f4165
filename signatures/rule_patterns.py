r"""Read the expression of a rule: patterns, and pieces that they share, as Hyperscan can run them.

    (?i-m)                                    letter case counts for nothing, lines do not either
    (?(DEFINE)(?<gap>[\s+])(?<end>--|#))      pieces, if there are any
    ^a(?&gap)b|c(?&end)$                      patterns, parted by |

That is an expression of PCRE as it stands. What is allowed in a pattern is what Hyperscan and
:mod:`re` share and look for alike, so that one is the test reference of the other. Comments
``(?#…)`` are left out. Nothing here compiles: Hyperscan says what is no expression when it builds
the database (:mod:`cnaf.signatures.compiler`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnaf.signatures.rule import Pattern
from cnaf.signatures.seclang.errors import SecLangError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnaf.signatures.seclang.syntax import Place

__all__ = ["read_expression"]

_FLAGS = "(?i-m)"
_DEFINE = "(?(DEFINE)"
_NAMED = re.compile(r"\(\?<([a-z_]{1,32})>")
_REFERENCE = re.compile(r"\(\?&([A-Za-z_]\w*)\)")
#: An escape, a class, a comment, a bracket, a bar, or what stands between them.
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?\#[^)]*\)|[()|]|[^\\\[()|]+|.", re.DOTALL)
#: What Hyperscan and :mod:`re` do not have in common, look for alike, or take for a NUL.
_UNSHARED = re.compile(
    r"\(\?(?!:)|\\(?![bdfnrstwxDSW])[0-9A-Za-z]|\\x(?![0-9A-Fa-f]{2})|\\x00|\{,\d"
    r"|\[(?!\^)[^\]]*\\[SWD]|\[[^\]]*\[:|\x00"
)
#: Escapes, classes and the dot: the pieces of a pattern that are not what they look like.
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\.", re.DOTALL)
_WITHOUT_NUL = {".": r"[^\x00]", r"\S": r"[^\s\x00]", r"\W": r"[^\w\x00]", r"\D": r"[^\d\x00]"}
_MAX_PATTERN = 4096
_SHARED = "what Hyperscan and PCRE look for alike: no look-around, back-reference, flag or NUL"


def read_expression(text: str, place: Place) -> tuple[tuple[Pattern, ...], dict[str, str]]:
    """Return the patterns of an expression, and its pieces by name; raises SecLangError."""
    if not text.isascii():
        raise _wrong(place, "a byte that is not ASCII", r"other bytes as \xNN")
    if not text.startswith(_FLAGS):
        raise _wrong(place, f"an expression that starts with {text[:12]!r}", f"{_FLAGS} in front")
    body = "".join(t for t in _TOKEN.findall(text[len(_FLAGS) :]) if not t.startswith("(?#"))
    pieces: dict[str, str] = {}
    if body.startswith(_DEFINE):
        end = _closing(body, 0, place)
        pieces = _pieces(body[len(_DEFINE) : end], place)
        body = body[end + 1 :]
    return tuple(_pattern(part, pieces, place) for part in _alternatives(body, place)), pieces


def _pieces(text: str, place: Place) -> dict[str, str]:
    """Return ``(?<a>…)(?<b>…)`` by name; a piece may use those before it."""
    pieces: dict[str, str] = {}
    position = 0
    while position < len(text):
        named = _NAMED.match(text, position)
        if named is None or named[1] in pieces:
            raise _wrong(place, f"no piece: {text[position:][:40]!r}", "(?<name>…), each name once")
        end = _closing(text, position, place)
        pieces[named[1]] = _expanded(text[named.end() : end], pieces, place)
        position = end + 1
    return pieces


def _closing(text: str, start: int, place: Place) -> int:
    """Return where the bracket at ``start`` is closed."""
    for position, token, depth in _walk(text[start:], place):
        if token == ")" and depth == 0:
            return start + position
    raise _wrong(place, "a bracket is not closed", "a ) for each (")


def _alternatives(text: str, place: Place) -> list[str]:
    parts, start = [], 0
    for position, token, depth in _walk(text, place):
        if token == "|" and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return parts


def _walk(text: str, place: Place) -> Iterator[tuple[int, str, int]]:
    """Yield brackets and bars with their place and the depth outside of them."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == ")":
            depth -= 1
            if depth < 0:
                raise _wrong(place, "a bracket is closed that is not open", "a ( for each )")
        if token in "()|":
            yield match.start(), token, depth
        if token == "(":
            depth += 1
    if depth:
        raise _wrong(place, "a bracket is not closed", "a ) for each (")


def _expanded(text: str, pieces: dict[str, str], place: Place) -> str:
    size = len(text)
    for name in _REFERENCE.findall(text):
        if name not in pieces:
            known = ", ".join(pieces) or "none is defined"
            raise _wrong(place, f"an unknown piece (?&{name})", f"what stands before: {known}")
        size += len(pieces[name])
    if size > _MAX_PATTERN:
        problem = "a pattern that is too long with its pieces"
        raise _wrong(place, problem, f"at most {_MAX_PATTERN} characters")
    return _REFERENCE.sub(lambda reference: f"(?:{pieces[reference[1]]})", text)


def _pattern(text: str, pieces: dict[str, str], place: Place) -> Pattern:
    at_start = text.startswith("^")
    at_end = text.endswith("$") and not text.endswith("\\$")
    body = _expanded(text[1 if at_start else 0 : -1 if at_end else None], pieces, place)
    if not body:
        raise _wrong(place, "a pattern that is empty", "patterns parted by |, one at least")
    if re.search(r"[\^$]", _PIECE.sub("", body)):
        raise _wrong(place, f"an anchor inside of {text!r}", "^ and $ at the ends of a pattern")
    if _UNSHARED.search(re.sub(r"\\[^0-9A-Za-z]", "_", body)):
        raise _wrong(place, f"not for Hyperscan: {text!r}", _SHARED)
    return Pattern(_PIECE.sub(_spare_nul, body), at_start, at_end)


def _spare_nul(piece: re.Match[str]) -> str:
    """A dot or a negated class would match the separator behind a value, and run into the next."""
    text = piece[0]
    return r"[^\x00" + text[2:] if text.startswith("[^") else _WITHOUT_NUL.get(text, text)


def _wrong(place: Place, problem: str, supported: str) -> SecLangError:
    return SecLangError(place.file, place.line, problem, supported=supported)
