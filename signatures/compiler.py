"""Turn the patterns of rules into one Hyperscan database.

It runs once over the whole buffer of a request and says which pattern ends where. No pattern
matches a NUL (see :mod:`cnaf.signatures.rule_files`), so no match crosses a separator, and where a
match ends says in which value it is. Matching time is linear in the bytes scanned, whatever they
are: Hyperscan never backtracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import hyperscan
from cnaf.signatures.rule_files import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnaf.signatures.rule import Pattern, Rule

__all__ = ["Scanner", "compile_rules"]

_FLAGS = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_DOTALL


class Scanner(Protocol):
    """The one verb of a compiled database that is used."""

    def scan(
        self, data: bytes, match_event_handler: Callable[[int, int, int, int, object], None]
    ) -> None:
        """Call the handler with pattern, 0, end, flags and context for each end of a match."""


def compile_rules(rules: Sequence[Rule]) -> Scanner:
    """Return the database of all patterns, numbered in the order of the rules; raises RuleError.

    A match of a pattern that is held to the end of a value may include the separator behind it.
    """
    try:
        return _compile([_expression(p) for rule in rules for p in rule.patterns])
    except hyperscan.HyperscanError:
        raise _first_refused(rules) from None


def _expression(pattern: Pattern) -> bytes:
    start = r"(?:^|\x00)" if pattern.at_start else ""
    end = r"(?:\z|\x00)" if pattern.at_end else ""
    return f"{start}(?:{pattern.body}){end}".encode("ascii")


def _compile(expressions: Sequence[bytes]) -> Scanner:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=expressions, flags=[_FLAGS] * len(expressions))
    return database


def _first_refused(rules: Sequence[Rule]) -> RuleError:
    """Compile one by one, to name the rule: Hyperscan's own message has but a number."""
    for rule in rules:
        for pattern in rule.patterns:
            try:
                _compile([_expression(pattern)])
            except hyperscan.HyperscanError as error:
                problem = f"Hyperscan refuses {pattern.body!r}: {error}"
                return RuleError("rules", rule.id, "patterns", problem)
    return RuleError("rules", "", "patterns", "Hyperscan refuses the rules together")
