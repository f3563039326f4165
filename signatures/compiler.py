"""Turn the patterns of rules into two Hyperscan databases.

``finder`` runs once over the whole request buffer and says where a pattern may end; in it, a held
start or end of a value is also a separator. ``confirmer`` runs over one field's value and gives
exact starts and ends, with the anchors as written. Matching time is linear in the bytes scanned,
whatever they are: Hyperscan never backtracks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import hyperscan
from cnaf.signatures.rule_files import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnaf.signatures.rule import Pattern, Rule

__all__ = ["OnMatch", "Scanner", "confirmer", "finder"]

#: Called with rule index, start, end, flags, context; a true answer ends the scan.
OnMatch = "Callable[[int, int, int, int, object], bool | None]"

_FLAGS = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_DOTALL


class Scanner(Protocol):
    """The one verb of a compiled database that is used."""

    def scan(
        self, data: bytes, match_event_handler: Callable[[int, int, int, int, object], bool | None]
    ) -> None:
        """Call the handler for each match of ``data``."""


def finder(rules: Sequence[Rule]) -> Scanner:
    """Return the database for a whole buffer; its ids are indices into ``rules``.

    A match may cross a separator, and its start is not told: it names a field to look at, no more.
    """
    return _compile(rules, _loose, _FLAGS)


def confirmer(rules: Sequence[Rule]) -> Scanner:
    """Return the database for one value, which tells the leftmost start of every end."""
    return _compile(rules, lambda p: p.expression, _FLAGS | hyperscan.HS_FLAG_SOM_LEFTMOST)


def _loose(pattern: Pattern) -> str:
    # A value ends at a separator or at the buffer's end, and "$" lets one newline stand before it.
    start = r"(?:^|\x00)" if pattern.at_start else ""
    end = r"\n?(?:$|\x00)" if pattern.at_end else ""
    return f"{start}(?:{pattern.body}){end}"


def _compile(rules: Sequence[Rule], write: Callable[[Pattern], str], flags: int) -> Scanner:
    found = [(index, write(p)) for index, rule in enumerate(rules) for p in rule.patterns]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(
            expressions=[expression.encode("ascii") for _, expression in found],
            ids=[index for index, _ in found],
            elements=len(found),
            flags=[flags] * len(found),
        )
    except hyperscan.HyperscanError:
        raise _first_refused(rules, write, flags) from None
    return database  # type: ignore[no-any-return]


def _first_refused(
    rules: Sequence[Rule], write: Callable[[Pattern], str], flags: int
) -> RuleError:
    """Compile one by one, to name the rule: Hyperscan's own message does not reach Python."""
    for rule in rules:
        for pattern in rule.patterns:
            database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            try:
                database.compile(
                    expressions=[write(pattern).encode("ascii")], ids=[0], elements=1, flags=[flags]
                )
            except hyperscan.HyperscanError as error:
                problem = f"Hyperscan refuses {pattern.expression!r}: {error}"
                return RuleError("rules", rule.id, "patterns", problem)
    return RuleError("rules", "", "patterns", "Hyperscan refuses the rules together")
