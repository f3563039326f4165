"""What the sets that apply to an image say about one request.

The findings are facts: which rules matched, in which fields, what score that makes. What is done
about them is decided by the pipeline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cnaf.models.decoding import canonical
from cnaf.models.limits import Limits
from cnaf.signatures.kept_databases import default_cache_dir
from cnaf.signatures.seclang.engine import Engine
from cnaf.signatures.sets.compiled import load_set
from cnaf.signatures.sets.fields import fields_of, label_of
from cnaf.signatures.sets.registered import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.models.exchange import Request
    from cnaf.models.fields import ParsedRequest
    from cnaf.signatures.seclang.outcome import Match, Outcome
    from cnaf.signatures.sets.compiled import LoadedSet
    from cnaf.signatures.sets.registered import RegisteredSet
    from cnaf.signatures.sets.sources import Sources

__all__ = ["RequestRules", "RuleSets", "SetFinding", "SetMatch", "load_rules"]

#: Where no client is known, as for recorded traffic: no address that a rule excepts.
_NOBODY = "0.0.0.0"  # noqa: S104 - nothing is bound
#: Points of a severity in the Core Rule Set: critical, error, warning, notice.
_POINTS = {0: 5, 1: 5, 2: 5, 3: 4, 4: 3, 5: 2}
_MATCHED_DATA = re.compile(r"Matched Data: (.*?) found within ", re.DOTALL)
#: Rules that add up what others found, by their thousands: they say nothing of their own.
_SUMS = frozenset((949, 959, 980))
_MAX_TEXT = 512
_FAMILY = "attack-"
_ROUNDS = Limits().decode_rounds


@dataclass(frozen=True, slots=True)
class SetMatch:
    """One rule that matched: in the fields of these indices, or in none.

    ``text`` is what matched, after the rule's transformations; empty where it may not be shown.
    ``start`` and ``end`` are where it stands in the value of the first field, both 0 where it does
    not. ``points`` is what a match adds to the anomaly score.
    """

    rule: str
    message: str
    tags: tuple[str, ...]
    points: int
    fields: tuple[int, ...]
    label: str
    text: bytes
    start: int
    end: int

    @property
    def family(self) -> str:
        """What the rule looks for (``attack-sqli``), or its id where it does not say.

        False alarms are learned by family: prose that sets off one rule against shell commands
        sets off its neighbours, too, and there are more of those than a corpus can show.
        """
        return next((tag for tag in self.tags if tag.startswith(_FAMILY)), self.rule)


@dataclass(frozen=True, slots=True)
class SetFinding:
    """What one set says. ``reached``: the score is at the threshold, or a rule ends the request.

    ``limited`` says that the work of a request reached its cap: something was not looked at.
    """

    registered: RegisteredSet
    matches: tuple[SetMatch, ...]
    score: int
    reached: bool
    limited: bool
    steps: int

    @property
    def source(self) -> str:
        """Name, version and hash of the set, as alerts show them."""
        known = self.registered
        return f"{known.name} {known.version} (sha256:{known.sha256[:12]})"


class RequestRules(Protocol):
    """Rules over whole requests: the seam between the pipeline and registered sets."""

    @property
    def by_client(self) -> bool:
        """Whether the client's address counts, so that a verdict holds for one client only."""

    @property
    def by_clock(self) -> bool:
        """Whether the time counts, so that a verdict may not be remembered."""

    def match(
        self, request: Request, parsed: ParsedRequest, client: str = ""
    ) -> tuple[SetFinding, ...]:
        """Return what each set finds, only those that find anything; never raises on content."""


class RuleSets:
    """Loaded sets with their engines. Not thread-safe: each worker has its own."""

    def __init__(self, loaded: Sequence[LoadedSet]) -> None:
        self.sets = tuple(one.registered for one in loaded)
        self._engines = [(one.registered, Engine(one.rules)) for one in loaded]
        self.by_client = any(one.by_client for one in loaded)
        self.by_clock = any(one.by_clock for one in loaded)

    def match(
        self, request: Request, parsed: ParsedRequest, client: str = ""
    ) -> tuple[SetFinding, ...]:
        """Return what each set finds; most requests set off nothing."""
        findings = []
        for registered, engine in self._engines:
            outcome = engine.evaluate(request, client or _NOBODY)
            limited = outcome.limited or bool(outcome.regex_limits)
            if outcome.matches or outcome.interruption is not None or limited:
                findings.append(_finding(registered, outcome, parsed, limited))
        return tuple(findings)


def load_rules(sets: Sequence[tuple[RegisteredSet, Sources]]) -> RuleSets | None:
    """Compile sets with the user's cache; None for no sets. Raises SecLangError."""
    cache = default_cache_dir()
    loaded = [load_set(registered, sources, cache) for registered, sources in sets]
    return RuleSets(loaded) if loaded else None


def _finding(
    registered: RegisteredSet, outcome: Outcome, parsed: ParsedRequest, limited: bool
) -> SetFinding:
    matches = tuple(
        _match(match, parsed)
        for match in outcome.matches
        if registered.kind is not Kind.CRS or match.rule // 1000 not in _SUMS
    )
    interruption = outcome.interruption
    if interruption is not None and not matches:
        label, said = "request", "a rule of the set ends the request"
        matches = (SetMatch(str(interruption.rule), said, (), 0, (), label, b"", 0, 0),)
    reached = interruption is not None or (0 < registered.threshold <= outcome.score)
    return SetFinding(registered, matches, outcome.score, reached, limited, outcome.steps)


def _match(match: Match, parsed: ParsedRequest) -> SetMatch:
    text = _matched_text(match)
    names = match.variables or (match.variable,)
    by_variable = {
        name: fields_of(name, text if name == match.variable else b"", parsed) for name in names
    }
    # What matched last comes first: its text is known.
    ordered = (*by_variable.get(match.variable, ()), *(i for v in by_variable.values() for i in v))
    indices = tuple(dict.fromkeys(ordered))
    start = end = 0
    if indices:
        indices, start, end = _placed(indices, text, parsed)
    label = parsed.fields[indices[0]].label if indices else label_of(match.variable)
    if not indices and label not in {"method", "protocol"}:
        # Part of a whole body or address: nobody could tell whether a secret is in it.
        text = b""
    points = 0 if match.severity is None else _POINTS.get(match.severity, 0)
    return SetMatch(
        str(match.rule), match.message or f"rule {match.rule} matched", match.tags, points,
        indices, label, text, start, end,
    )  # fmt: skip


def _matched_text(match: Match) -> bytes:
    part = match.value[match.start : match.end][:_MAX_TEXT]
    if len(part) < len(match.value):
        return part
    # An operator that names no part may have left it to the rule to say.
    found = _MATCHED_DATA.match(match.logdata)
    return found[1].encode("utf-8", "replace")[:_MAX_TEXT] if found and found[1] else part


def _placed(
    indices: tuple[int, ...], text: bytes, parsed: ParsedRequest
) -> tuple[tuple[int, ...], int, int]:
    """Return the indices, first the field that holds the text, and where it stands in it."""
    for wanted in (text.lower(), canonical(text, _ROUNDS)[0].lower()):
        for index in indices if wanted else ():
            at = parsed.fields[index].value.lower().find(wanted)
            if at >= 0:
                rest = tuple(other for other in indices if other != index)
                return (index, *rest), at, at + len(wanted)
    return indices, 0, 0
