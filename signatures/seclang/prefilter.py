r"""Compile what operators imply to Hyperscan, as far as Hyperscan can say it.

An expression here finds at least what the operator's own finds. Values are scanned joined by one
byte, so ``^`` and ``$`` hold at that byte, too, and neither the dot nor a negated class matches it:
what is found is found within one value. Texts that hold the byte themselves are for the caller to
treat with care. What Hyperscan can only approximate it approximates from above (HS_FLAG_PREFILTER).

Hyperscan 5.4 loses a match now and then where expressions ask for one report each
(HS_FLAG_SINGLEMATCH), so none asks: whoever scans counts reports instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hyperscan

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
_START = r"(?:^|\xff)"
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


def _rewrite(match: re.Match[str]) -> str:
    piece = match[0]
    if piece.startswith("[^"):
        return r"[^\xff" + piece[2:]
    return _REWRITTEN.get(piece, piece)


def usable(pattern: str, *, ignore_case: bool) -> Expression | None:
    """Return an expression that finds at least what the pattern finds, or None.

    None means that Hyperscan cannot say anything: the rule has to be tested always. Anchors that
    Hyperscan does not take where they stand are left out: less is asked for, so more is found.
    """
    flags = _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    text = joined(pattern)
    for form in (text, text.replace(_START, r"\xff?")):
        for extra in (0, hyperscan.HS_FLAG_PREFILTER):
            expression = Expression(form, flags | extra)
            if _compiles([expression]):
                return expression
    return None


def compile_group(
    patterns: Sequence[tuple[str, bool]],
) -> tuple[list[int], hyperscan.Database | None]:
    """Compile patterns, given with whether case counts for nothing, to one database.

    Returns the numbers of those that are in it, in its order. Nearly always all compile at once;
    what Hyperscan refuses is found by halving, and replaced by what it takes, or left out.
    """
    plain: list[Expression | None] = [_plain(pattern, case) for pattern, case in patterns]
    if not patterns:
        return [], None
    try:
        return list(range(len(plain))), compile_database([e for e in plain if e is not None])
    except hyperscan.HyperscanError:
        doubtful = [n for n, (text, _) in enumerate(patterns) if not _LITERAL.fullmatch(text)]
        for number in _refused(doubtful, plain):
            plain[number] = usable(patterns[number][0], ignore_case=patterns[number][1])
    numbers = [number for number, expression in enumerate(plain) if expression is not None]
    kept = [expression for expression in plain if expression is not None]
    return numbers, compile_database(kept) if kept else None


#: A text written for both engines: nothing to refuse.
_LITERAL = re.compile(r"(?:\\x[0-9a-f]{2}|[A-Za-z0-9])*")


def _plain(pattern: str, ignore_case: bool) -> Expression:
    flags = _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    return Expression(joined(pattern), flags)


def _refused(numbers: Sequence[int], expressions: Sequence[Expression | None]) -> list[int]:
    """Return which of some expressions Hyperscan does not compile."""
    chosen = [e for e in (expressions[n] for n in numbers) if e is not None]
    if not chosen or _compiles(chosen):
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
