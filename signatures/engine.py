"""Match all rules against all fields of a request in one pass.

The buffer of a parsed request (all values, joined by NUL) is scanned once. Nearly always nothing
is found, and nothing else happens. Where a pattern may have matched, the field that holds the end
of the match is scanned alone: that settles anchors, gives exact offsets, and makes a match across
a separator no match. Then the rule's targets and length have their say, and libinjection, where
the rule asks for it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.signatures.compiler import confirmer, finder
from cnaf.signatures.rule_files import built_in_rules
from cnaf.signatures.tokenizers import is_injection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnaf.models.fields import ParsedRequest
    from cnaf.signatures.rule import Rule

__all__ = ["SignatureEngine", "SignatureMatch"]


@dataclass(frozen=True, slots=True)
class SignatureMatch:
    """A rule, and the first field that it matches: byte offsets into the canonical value."""

    rule: Rule
    field_index: int
    start: int
    end: int


class SignatureEngine:
    """A set of rules, compiled.

    Not thread-safe: an instance holds Hyperscan's scratch space and a list of hits, so each thread
    (or worker process) loads its own. Rules are immutable and may be shared.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._hits: list[tuple[int, int]] = []
        self._spans: dict[int, tuple[int, int]] = {}
        self._find = finder(self.rules).scan
        self._confirm = confirmer(self.rules).scan
        self._on_hit = _collector(self._hits)
        self._on_span = _spanner(self._spans)

    @classmethod
    def load(cls, rules: Sequence[Rule] | None = None) -> SignatureEngine:
        """Return an engine for ``rules``, or for the built-in ones; raises RuleError."""
        return cls(built_in_rules() if rules is None else rules)

    def match(self, request: ParsedRequest) -> tuple[SignatureMatch, ...]:
        """Return at most one match a rule, that of the first field in which it holds."""
        hits = self._hits
        try:
            self._find(request.buffer, self._on_hit)
            if not hits:
                return ()
            candidates = self._candidates(request)
        finally:
            # Also after an error: no hit of one request may be taken for one of the next.
            hits.clear()
        found: dict[int, SignatureMatch] = {}
        for field_index in sorted(candidates):
            wanted = candidates[field_index].difference(found)
            if wanted:
                self._confirm_field(request, field_index, wanted, found)
        return tuple(found[index] for index in sorted(found))

    def _candidates(self, request: ParsedRequest) -> dict[int, set[int]]:
        """Return rule indices by field index, where the rule looks at that field at all."""
        starts, fields, rules = request.starts, request.fields, self.rules
        candidates: dict[int, set[int]] = {}
        for rule_index, end in set(self._hits):
            # The last byte of a match is in its field, or is the separator behind it.
            field_index = bisect_right(starts, end - 1) - 1
            if rules[rule_index].looks_at(fields[field_index]):
                candidates.setdefault(field_index, set()).add(rule_index)
        return candidates

    def _confirm_field(
        self,
        request: ParsedRequest,
        field_index: int,
        wanted: set[int],
        found: dict[int, SignatureMatch],
    ) -> None:
        value = request.fields[field_index].value
        self._spans.clear()
        self._confirm(value, self._on_span)
        for rule_index in wanted.intersection(self._spans):
            rule = self.rules[rule_index]
            start, end = self._spans[rule_index]
            if rule.syntax is not None:
                if not is_injection(rule.syntax, value):
                    continue
                start, end = 0, len(value)
            found[rule_index] = SignatureMatch(rule, field_index, start, end)


def _collector(hits: list[tuple[int, int]]) -> Callable[[int, int, int, int, object], None]:
    append = hits.append

    def on_hit(rule: int, _start: int, end: int, _flags: int, _context: object) -> None:
        append((rule, end))

    return on_hit


def _spanner(
    spans: dict[int, tuple[int, int]],
) -> Callable[[int, int, int, int, object], None]:
    def on_span(rule: int, start: int, end: int, _flags: int, _context: object) -> None:
        # A hit comes for each end. The leftmost start wins, and the longest match from there:
        # it shows a number or a name whole where a shorter one would already do.
        known = spans.get(rule)
        if known is None or start < known[0] or (start == known[0] and end > known[1]):
            spans[rule] = start, end

    return on_span
