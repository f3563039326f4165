"""Turn the patterns of rules into one Hyperscan database.

It runs once over the whole buffer of a request and says which pattern ends where. No pattern
matches a NUL (see :mod:`cnaf.signatures.rule_patterns`), so no match crosses a separator, and
where a match ends says in which value it is. Matching time is linear in the bytes scanned,
whatever they are: Hyperscan never backtracks.

Building it takes seconds, so :meth:`SignatureEngine.load` keeps it on disk.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import hyperscan
from cnaf.signatures.kept_databases import kept_database
from cnaf.signatures.seclang.errors import SecLangError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cnaf.signatures.rule import Pattern, Rule

__all__ = ["Scanner", "compile_rules"]

_FLAGS = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_DOTALL


class Scanner(Protocol):
    """The one verb of a compiled database that is used."""

    def scan(
        self, data: bytes, match_event_handler: Callable[[int, int, int, int, object], None]
    ) -> None:
        """Call the handler with pattern, 0, end, flags and context for each end of a match."""


def compile_rules(rules: Sequence[Rule], cache: Path | None = None) -> Scanner:
    """Return the database of all patterns, numbered in the order of the rules.

    A match of a pattern that is held to the end of a value may include the separator behind it.
    With a ``cache`` the database is read from that folder, or built and kept there. Raises
    SecLangError for a pattern that Hyperscan refuses or that matches nothing.
    """

    expressions = [_expression(p) for rule in rules for p in rule.patterns]

    def build() -> hyperscan.Database:
        _check_widths(rules)
        try:
            return _compile(expressions)
        except hyperscan.HyperscanError:
            raise _first_refused(rules) from None

    database: Scanner
    database = build() if cache is None else kept_database(cache, expressions, _FLAGS, build)
    return database


def _expression(pattern: Pattern) -> str:
    start = r"(?:^|\x00)" if pattern.at_start else ""
    end = r"(?:\z|\x00)" if pattern.at_end else ""
    return f"{start}(?:{pattern.body}){end}"


def _compile(expressions: Sequence[str]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[text.encode("ascii") for text in expressions],
        flags=[_FLAGS] * len(expressions),
    )
    return database


def _check_widths(rules: Sequence[Rule]) -> None:
    """Refuse patterns that match nothing: behind an anchor Hyperscan takes them."""
    for rule in rules:
        for pattern in rule.patterns:
            if (pattern.at_start or pattern.at_end) and (problem := _emptiness(pattern.body)):
                raise _refused(rule, pattern, problem)


def _emptiness(body: str) -> str:
    """Return what is wrong with a pattern that may match an empty value, or nothing."""
    try:
        return "it matches an empty value" if re.fullmatch(body.encode("ascii"), b"") else ""
    except RecursionError:
        return "its brackets are too deep"
    except (re.error, OverflowError):
        return ""  # Hyperscan will say what is wrong.


def _first_refused(rules: Sequence[Rule]) -> SecLangError:
    """Compile one by one, to name the rule: Hyperscan's own message has but a number."""
    for rule in rules:
        for pattern in rule.patterns:
            try:
                _compile([_expression(pattern)])
            except hyperscan.HyperscanError as error:
                return _refused(rule, pattern, f"Hyperscan says: {error}")
    return SecLangError("rules", 1, "Hyperscan refuses the rules together")


def _refused(rule: Rule, pattern: Pattern, problem: str) -> SecLangError:
    text = f"{rule.id}: the pattern {pattern.body!r} cannot be used: {problem}"
    return SecLangError(rule.place.file, rule.place.line, text)
