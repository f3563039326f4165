r"""Compile what operators imply to Hyperscan, as far as Hyperscan can say it.

An expression here finds at least what the operator's own finds. Values are scanned joined by one
byte, so ``^`` and ``$`` hold at that byte, too, and neither the dot nor a negated class matches it:
what is found is found within one value. Texts that hold the byte themselves are for the caller to
treat with care. What Hyperscan can only approximate it approximates from above (HS_FLAG_PREFILTER).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hyperscan

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "SEPARATOR", "Built", "Expression", "build", "compile_database", "joined", "usable",
    "usable_all",
]  # fmt: skip

#: Parts joined values. It is in no UTF-8 text, is no word character and no white space.
SEPARATOR = b"\xff"

_BASE = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH
#: An escape, a class, a group's opening with its flags, or one other character.
_PIECE = re.compile(
    r"\\(?:x\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{0,2}|.)"
    r"|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]"
    r"|\(\?[a-zA-Z-]*[:)]|.",
    re.DOTALL,
)
_REWRITTEN = {
    ".": r"[^\xff]", "^": r"(?:^|\xff)", "$": r"(?:$|\xff)", r"\A": r"(?:^|\xff)",
    r"\G": r"(?:^|\xff)", r"\z": r"(?:$|\xff)", r"\Z": r"(?:$|\xff)", r"\S": r"[^\s\xff]",
    r"\W": r"[^\w\xff]", r"\D": r"[^\d\xff]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of the database, and the flags that it is compiled with."""

    pattern: str
    flags: int


@dataclass(frozen=True, slots=True)
class Built:
    """Which of the patterns Hyperscan can stand for, and the database of those, None without any.

    The number of a pattern in the database is its place among those that are usable.
    """

    usable: tuple[bool, ...]
    database: hyperscan.Database | None


def build(patterns: Sequence[tuple[str, bool]]) -> Built:
    """Build the database of patterns, given with whether case counts for nothing."""
    expressions = usable_all(patterns)
    kept = [expression for expression in expressions if expression is not None]
    database = compile_database(kept) if kept else None
    return Built(tuple(expression is not None for expression in expressions), database)


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

    None means that Hyperscan cannot say anything: the rule has to be tested always.
    """
    plain = _plain(pattern, ignore_case)
    for extra in (0, hyperscan.HS_FLAG_PREFILTER):
        expression = Expression(plain.pattern, plain.flags | extra)
        try:
            compile_database([expression])
        except hyperscan.HyperscanError:
            continue
        return expression
    return None


def usable_all(patterns: Sequence[tuple[str, bool]]) -> list[Expression | None]:
    """Return :func:`usable` of each pattern, given with whether case counts for nothing.

    Halves the patterns until what Hyperscan refuses stands alone: nearly all compile at once.
    """
    plain = [_plain(pattern, ignore_case) for pattern, ignore_case in patterns]
    return _usable_part(plain, patterns)


def _plain(pattern: str, ignore_case: bool) -> Expression:
    flags = _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    return Expression(joined(pattern), flags)


def _usable_part(
    plain: Sequence[Expression], patterns: Sequence[tuple[str, bool]]
) -> list[Expression | None]:
    if not plain:
        return []
    if len(plain) == 1:
        return [usable(patterns[0][0], ignore_case=patterns[0][1])]
    try:
        compile_database(plain)
    except hyperscan.HyperscanError:
        half = len(plain) // 2
        return [
            *_usable_part(plain[:half], patterns[:half]),
            *_usable_part(plain[half:], patterns[half:]),
        ]
    return list(plain)


def compile_database(expressions: Sequence[Expression]) -> hyperscan.Database:
    """Compile expressions, numbered in their order."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[e.pattern.encode("latin-1") for e in expressions],
        ids=list(range(len(expressions))),
        flags=[e.flags for e in expressions],
    )
    return database
