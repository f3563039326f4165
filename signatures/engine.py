"""Match all rules against all fields of a request in one pass.

The buffer of a parsed request (all values, joined by NUL) is scanned once. Nearly always nothing
is found, and nothing else happens. Where a pattern ends, the field that holds that end is known;
then the rule's targets and length have their say, and libinjection, where the rule asks for it.

A NUL inside of a value parts it as the separator parts two: patterns, and their anchors, see the
pieces. Servers written in C see a value so, and the parser reports every NUL.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.models.fields import SEPARATOR
from cnaf.models.verdict import Confidence
from cnaf.signatures.compiler import compile_rules
from cnaf.signatures.kept_databases import default_cache_dir
from cnaf.signatures.rule_files import built_in_rules
from cnaf.signatures.tokenizers import is_injection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cnaf.models.fields import ParsedRequest
    from cnaf.signatures.rule import Rule

__all__ = ["SignatureEngine", "SignatureMatch"]

#: A match is shown from at most so many bytes before its end; an excerpt is shorter still.
_SHOWN = 512

_STEPS = {Confidence.LOW: 0, Confidence.MEDIUM: 1, Confidence.HIGH: 2}
# Pattern number and end of a match.
_Hit = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SignatureMatch:
    """A rule, and the first field that it matches: byte offsets into the canonical value.

    ``confidence`` is the rule's, or less where the field takes prose.
    """

    rule: Rule
    confidence: Confidence
    field_index: int
    start: int
    end: int


class SignatureEngine:
    """A set of rules, compiled.

    Not thread-safe: an instance holds Hyperscan's scratch space and a list of hits, so each thread
    (or worker process) loads its own. Rules are immutable and may be shared. With a ``cache`` the
    database is kept in that folder.
    """

    def __init__(self, rules: Sequence[Rule], cache: Path | None = None) -> None:
        self.rules = tuple(rules)
        self._patterns = [(i, p) for i, rule in enumerate(self.rules) for p in rule.patterns]
        self._hits: list[_Hit] = []
        self._scan = compile_rules(self.rules, cache).scan
        self._on_hit = _collector(self._hits)

    @classmethod
    def load(
        cls, rules: Sequence[Rule] | None = None, cache: Path | None = None
    ) -> SignatureEngine:
        """Return an engine for ``rules``, or for the built-in ones; raises SecLangError.

        What takes seconds to compile is kept in ``cache``, or in the user's cache folder.
        """
        return cls(built_in_rules() if rules is None else rules, cache or default_cache_dir())

    def match(self, request: ParsedRequest) -> tuple[SignatureMatch, ...]:
        """Return at most one match a rule, that of the first field in which it says most."""
        hits = self._hits
        try:
            self._scan(request.buffer, self._on_hit)
            if not hits:
                return ()
            found = set(hits)
        finally:
            # Also after an error: no hit of one request may be taken for one of the next.
            hits.clear()
        matches: dict[int, SignatureMatch] = {}
        for rule, field, confidence, hit in self._judged(request, found):
            if rule not in matches or _STEPS[confidence] > _STEPS[matches[rule].confidence]:
                span = self._span(request, field, hit, found)
                matches[rule] = SignatureMatch(self.rules[rule], confidence, field, *span)
        return tuple(matches[rule] for rule in sorted(matches))

    def _judged(
        self, request: ParsedRequest, found: set[_Hit]
    ) -> Iterator[tuple[int, int, Confidence, _Hit]]:
        """Yield rule, field, confidence and hit, in the order of the ends, where a rule judges."""
        starts = request.starts
        verdicts: dict[tuple[int, int], Confidence | None] = {}
        for end, pattern in sorted((end, pattern) for pattern, end in found):
            rule = self._patterns[pattern][0]
            # The last byte of a match is in its field, or is the separator behind it.
            field = bisect_right(starts, end - 1) - 1
            if (rule, field) not in verdicts:
                verdicts[rule, field] = _judge(self.rules[rule], request, field)
            verdict = verdicts[rule, field]
            if verdict is not None:
                yield rule, field, verdict, (pattern, end)

    def _span(
        self, request: ParsedRequest, field: int, hit: _Hit, found: set[_Hit]
    ) -> tuple[int, int]:
        """Return where a match starts and ends in its value.

        A hit comes for each end, so the match goes on as long as the next byte is an end, too: a
        number or a name is shown whole. Hyperscan tells starts only at a high price in memory and
        time for compiling; the last start from which the pattern still comes to its end is found
        by halving instead.
        """
        pattern, end = hit
        while (pattern, end + 1) in found:
            end += 1
        value = request.fields[field].value
        end = min(end - request.starts[field], len(value))
        shape = self._patterns[pattern][1]
        if shape.at_end and value[end - 1 : end] == SEPARATOR:
            end -= 1
        if shape.at_start:
            return value.rfind(SEPARATOR, 0, end) + 1, end
        # One byte more keeps a word's end a word's end, where that is what the pattern asks for.
        seen = end if shape.at_end else end + 1
        low, high = max(0, end - _SHOWN), end
        while high - low > 1:
            middle = (low + high) // 2
            if self._ends(value[middle:seen], pattern, end - middle):
                low = middle
            else:
                high = middle
        return low, end

    def _ends(self, data: bytes, pattern: int, end: int) -> bool:
        """Return whether a match of the pattern ends there."""
        try:
            self._scan(data, self._on_hit)
            return (pattern, end) in self._hits
        finally:
            self._hits.clear()


def _judge(rule: Rule, request: ParsedRequest, field_index: int) -> Confidence | None:
    field = request.fields[field_index]
    confidence = rule.confidence_in(field)
    if confidence is None or rule.syntax is None or is_injection(rule.syntax, field.value):
        return confidence
    return None


def _collector(hits: list[_Hit]) -> Callable[[int, int, int, int, object], None]:
    append = hits.append

    def on_hit(pattern: int, _start: int, end: int, _flags: int, _context: object) -> None:
        append((pattern, end))

    return on_hit
