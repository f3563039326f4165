"""Regular expressions as libmodsecurity compiles them, with a bound on every match.

PCRE2 with DOTALL and MULTILINE, on bytes. Each expression carries its own match limit, so none can
run away: one that reaches it raises, and callers count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pcre
from cnaf.signatures.seclang.errors import SecLangError

if TYPE_CHECKING:
    from cnaf.signatures.seclang.syntax import Place

__all__ = ["MATCH_LIMIT", "LimitReachedError", "Regex", "compile_regex"]

#: Steps of one match, and kibibytes of heap: the match limit is the one that ModSecurity sets.
MATCH_LIMIT = 100_000
_PREFIX = f"(*LIMIT_MATCH={MATCH_LIMIT})(*LIMIT_HEAP=16384)".encode("ascii")
_FLAGS = pcre.Flag.DOTALL | pcre.Flag.MULTILINE

#: What a search raises that reached a limit.
LimitReachedError = pcre.PcreError


class Found(Protocol):
    """A match."""

    def group(self, group: int, /) -> bytes | None:
        """Return what a group holds, None where it took no part."""

    def span(self) -> tuple[int, int]:
        """Return where the match starts and ends."""

    def groups(self) -> tuple[bytes | None, ...]:
        """Return what all groups but the whole match hold."""


class Regex(Protocol):
    """A compiled expression."""

    def search(self, text: bytes, /) -> Found | None:
        """Return the leftmost match or None; raises LimitReachedError."""


def compile_regex(pattern: str, place: Place, *, ignore_case: bool = False) -> Regex:
    """Compile a pattern of Latin-1 characters; raises SecLangError."""
    flags = _FLAGS | pcre.Flag.CASELESS if ignore_case else _FLAGS
    try:
        compiled: Regex = pcre.compile(_PREFIX + pattern.encode("latin-1"), flags)
    except pcre.PcreError as error:
        # The binding raises the place of the failure and PCRE's own words.
        reason = str(error.args[-1]) if error.args else "PCRE refuses it"
        problem = f"the expression {pattern[:80]!r} cannot be compiled: {reason}"
        raise SecLangError(place.file, place.line, problem) from None
    return compiled
