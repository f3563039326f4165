r"""Compile what operators imply to Hyperscan, as far as Hyperscan can say it.

An expression here finds at least what the operator's own finds. Values are scanned joined by one
byte, so ``^`` and ``$`` hold at that byte, too, and neither the dot nor a negated class matches it:
what is found is found within one value. Texts that hold the byte themselves are for the caller to
treat with care. What Hyperscan cannot say is left to PCRE, which searches the joined values, too,
where Hyperscan finds a piece of it (:mod:`.gates`).

Hyperscan 5.4 loses a match now and then where expressions ask for one report each
(HS_FLAG_SINGLEMATCH), so only plain texts ask: whoever scans counts reports instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hyperscan
from cnaf.signatures.seclang.gates import gate
from cnaf.signatures.seclang.tails import halves, trimmed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = [
    "SEPARATOR",
    "Expression",
    "compile_database",
    "compile_group",
    "join",
    "joined",
    "usable",
]

#: Parts joined values. It is in no UTF-8 text, is no word character and no white space.
SEPARATOR = b"\xff"

_BASE = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_MULTILINE
#: An escape, a class, a group's opening with its flags, or one other character.
_PIECE = re.compile(
    r"\\(?:x\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{0,2}|.)"
    r"|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]"
    r"|\(\?[a-zA-Z-]*[:)]|.",
    re.DOTALL,
)
_START, _END = r"(?:^|\xff)", r"(?:$|\xff)"
_REWRITTEN = {
    ".": r"[^\xff]", "^": _START, "$": r"(?:$|\xff)", r"\A": _START, r"\G": _START,
    r"\z": r"(?:$|\xff)", r"\Z": r"(?:$|\xff)", r"\S": r"[^\s\xff]",
    r"\W": r"[^\w\xff]", r"\D": r"[^\d\xff]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of the database, and the flags that it is compiled with."""

    pattern: str
    flags: int


def join(values: Collection[bytes]) -> bytes:
    """Return values as they are scanned."""
    return SEPARATOR.join(values) + SEPARATOR


def joined(pattern: str) -> str:
    """Return the expression that finds in joined values what the pattern finds in one."""
    return _PIECE.sub(_rewrite, pattern)


def for_pcre(pattern: str) -> str:
    """Return the same for PCRE, where anchors take no byte."""
    return joined(pattern).replace(_START, r"(?:^|(?<=\xff))").replace(_END, r"(?:$|(?=\xff))")


def _is_for_pcre(pattern: str, text: str) -> bool:
    """Whether Hyperscan would lose matches: of loops, or of word boundaries beside anchors."""
    pieces = set(_PIECE.findall(pattern))
    beside = not pieces.isdisjoint(_ANCHORS) and not pieces.isdisjoint((r"\b", r"\B"))
    return beside or _LONG_LOOP.search(text) is not None


_ANCHORS = ("^", "$", r"\A", r"\G", r"\z", r"\Z")


def _rewrite(match: re.Match[str]) -> str:
    piece = match[0]
    if piece.startswith("[^"):
        return r"[^\xff" + piece[2:]
    return _REWRITTEN.get(piece, piece)


def usable(pattern: str, *, ignore_case: bool) -> list[Expression]:
    """Return expressions of which one finds at least what the pattern finds, or none.

    None at all means that Hyperscan cannot say it: look-around, or too many states. What is too
    large is parted. Anchors that Hyperscan does not take where they stand are left out: less is
    asked for, so more is found.
    """
    flags = _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    text = trimmed(joined(pattern))
    if _is_for_pcre(pattern, text):
        return []
    for form in (text, text.replace(_START, r"\xff?")):
        parts = _parts(form, flags, _MAX_PARTINGS)
        if parts:
            return parts
    return []


def _parts(text: str, flags: int, partings: int) -> list[Expression]:
    expression = Expression(text, flags)
    if _compiles([expression]):
        return [expression]
    pair = halves(text) if partings and len(text) > _PARTED_CHARS else None
    if pair is None:
        return []
    found: list[Expression] = []
    for half in pair:
        parts = _parts(half, flags, partings - 1)
        if not parts:
            return []
        found += parts
    return found


def _gates(pattern: str) -> list[Expression]:
    """Return expressions of which one finds at least something where PCRE finds the pattern."""
    text = gate(joined(pattern))
    if text is not None and _is_for_pcre(text, text):
        text = gate(joined(pattern).replace(_START, "(?:)").replace(_END, "(?:)"))
    if text is None or _is_for_pcre(text, trimmed(text)):
        return []
    return _parts(trimmed(text), _BASE | hyperscan.HS_FLAG_CASELESS, _MAX_PARTINGS)


#: An expression is parted into at most 2 to this many, and only where it is so long.
_MAX_PARTINGS = 2
_PARTED_CHARS = 256


def compile_group(
    patterns: Sequence[tuple[str, bool]],
) -> tuple[list[int], hyperscan.Database | None]:
    """Compile patterns, given with whether case counts for nothing, to one database.

    Returns, for each expression of the database, the number of the pattern that it stands for, or
    ``~number`` where it is found in all that the pattern is found in, and in more. What Hyperscan
    refuses is found by halving, and replaced by what it takes, or by that, or left out.
    """
    if not patterns:
        return [], None
    expressions = [[_plain(pattern, case)] for pattern, case in patterns]
    doubtful = [n for n, (text, _) in enumerate(patterns) if not _LITERAL.fullmatch(text)]
    loops = {n for n in doubtful if _is_for_pcre(patterns[n][0], expressions[n][0].pattern)}
    for number in loops:
        expressions[number] = []
    for number in _refused([n for n in doubtful if n not in loops], expressions):
        expressions[number] = usable(patterns[number][0], ignore_case=patterns[number][1])
    numbers = [number for number, made in enumerate(expressions) for _ in made]
    kept = [expression for made in expressions for expression in made]
    for number, made in enumerate(expressions):
        for expression in () if made else _gates(patterns[number][0]):
            numbers.append(~number)
            kept.append(expression)
    return numbers, compile_database(kept) if kept else None


#: Loops over nearly all bytes. Hyperscan 5.4 skips ahead in them and loses matches: it does not
#: find ``@.+=\s*\(\s*select`` where the loop is longer than some 50 bytes.
_LONG_LOOP = re.compile(
    r"(?:\[\^(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|\[\\s\\S\]|\[\\d\\D\]|\[\\w\\W\])"
    r"(?:[*+]|\{[0-9]+,(?:[0-9]{2,})?\})"
)


#: A text written for both engines: nothing to refuse.
_LITERAL = re.compile(r"(?:\\x[0-9a-f]{2}|[A-Za-z0-9])+")


def _plain(pattern: str, ignore_case: bool) -> Expression:
    flags = _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    if _LITERAL.fullmatch(pattern):
        flags |= hyperscan.HS_FLAG_SINGLEMATCH
    return Expression(trimmed(joined(pattern)), flags)


def _refused(numbers: Sequence[int], expressions: Sequence[list[Expression]]) -> list[int]:
    """Return which of some expressions Hyperscan does not compile."""
    if not numbers or _compiles([expressions[number][0] for number in numbers]):
        return []
    if len(numbers) == 1:
        return list(numbers)
    half = len(numbers) // 2
    return _refused(numbers[:half], expressions) + _refused(numbers[half:], expressions)


def _compiles(expressions: Sequence[Expression]) -> bool:
    try:
        compile_database(expressions)
    except hyperscan.HyperscanError:
        return False
    return True


def compile_database(expressions: Sequence[Expression]) -> hyperscan.Database:
    """Compile expressions, numbered in their order."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[e.pattern.encode("latin-1") for e in expressions],
        ids=list(range(len(expressions))),
        flags=[e.flags for e in expressions],
    )
    return database
