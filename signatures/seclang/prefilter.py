"""Compile what operators imply to Hyperscan, as far as Hyperscan can say it.

An expression here finds at least what the operator's own finds: anchors of the whole value become
anchors of a line, for values are scanned joined by newlines, and what Hyperscan can only
approximate it approximates from above (HS_FLAG_PREFILTER).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hyperscan

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Expression", "compile_database", "normalize", "usable", "usable_all"]

_BASE = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH
#: Hyperscan's anchors for the whole buffer have no place in joined values.
_BUFFER_ANCHORS = re.compile(r"(\\\\)|\\A|\\z|\\Z|\\G")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of the database, and the flags that it is compiled with."""

    pattern: str
    flags: int


def normalize(pattern: str) -> str:
    """Anchor at lines what is anchored at the whole value."""
    return _BUFFER_ANCHORS.sub(_line_anchor, pattern)


def _line_anchor(match: re.Match[str]) -> str:
    if match[1]:
        return match[1]
    return "^" if match[0] in {"\\A", "\\G"} else "$"


def usable(pattern: str, *, ignore_case: bool) -> Expression | None:
    """Return an expression that finds at least what the pattern finds, or None.

    None means that Hyperscan cannot say anything: the rule has to be tested always.
    """
    flags = _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    text = normalize(pattern)
    for extra in (0, hyperscan.HS_FLAG_PREFILTER):
        try:
            compile_database([Expression(text, flags | extra)])
        except hyperscan.HyperscanError:
            continue
        return Expression(text, flags | extra)
    return None


def compile_database(expressions: Sequence[Expression]) -> hyperscan.Database:
    """Compile expressions, numbered in their order."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[e.pattern.encode("latin-1") for e in expressions],
        ids=list(range(len(expressions))),
        flags=[e.flags for e in expressions],
    )
    return database


def usable_all(patterns: Sequence[tuple[str, bool]]) -> list[Expression | None]:
    """Return :func:`usable` of each pattern, given with whether case counts for nothing.

    Halves the patterns until what Hyperscan refuses stands alone: nearly all compile at once.
    """
    plain = [_plain(pattern, ignore_case) for pattern, ignore_case in patterns]
    return _usable_part(plain, patterns)


def _plain(pattern: str, ignore_case: bool) -> Expression:
    return Expression(
        normalize(pattern), _BASE | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)
    )


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
