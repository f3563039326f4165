"""What is learned from: requests that the app accepted and that no attack rule speaks against.

A model of attacks alarms on nobody, so what looks like one is set aside before anything is
counted, and told: each is either an attack in the test traffic or a rule that this app needs an
exclusion from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cnaf.models.exchange import Exchange, Label
from cnaf.models.fields import Location, ParsedRequest
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Confidence
from cnaf.signatures.engine import SignatureEngine, SignatureMatch
from cnaf.signatures.sets.matching import RequestRules

__all__ = ["Selection", "SetAside", "select"]

#: The app's own words that a request was not one it takes (RFC 9110, client and server errors).
_REFUSED = 400
#: Sessions that must agree before a rule counts as set off by what is normal in a field: so many,
#: and such a share of those that show the field. Fewer may be attacks in the test traffic.
_MARK_SESSIONS, _MARK_SHARE = 2, 0.1


@dataclass(frozen=True, slots=True)
class SetAside:
    """A request that a high-confidence rule takes for an attack; it never holds the value."""

    exchange: str
    rule: str
    message: str
    field: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Exchanges to learn from, and what became of the others.

    ``refused`` counts by status what the app did not accept, ``labelled`` what the corpus itself
    calls an attack. ``marks`` are rules of medium confidence, and families of rules of registered
    sets, by the field in which benign values set them off: an editor's article holds markup, and
    a rule that finds it there says nothing.
    ``suspects`` are the kept exchanges (by index) in which any rule found anything.
    """

    kept: tuple[Exchange, ...]
    refused: Mapping[int, int]
    labelled: int
    attacks: tuple[SetAside, ...]
    marks: Mapping[tuple[Location, str], frozenset[str]]
    suspects: frozenset[int]

    @property
    def seen(self) -> int:
        """All exchanges of the corpus."""
        return len(self.kept) + sum(self.refused.values()) + self.labelled + len(self.attacks)


def select(
    exchanges: Iterable[Exchange], engine: SignatureEngine, rules: RequestRules | None = None
) -> Selection:
    """Sort a corpus; an exchange without a recorded answer counts as accepted.

    Registered ``rules`` set nothing aside, whatever their mode: they are strangers to the image,
    and most of what they find in its tests are false alarms, which the marks take note of.
    """
    parser = RequestParser()
    kept: list[Exchange] = []
    refused: Counter[int] = Counter()
    attacks: list[SetAside] = []
    set_off: dict[tuple[Location, str, str], set[str]] = {}
    shown: dict[tuple[Location, str], set[str]] = {}
    suspects: set[int] = set()
    labelled = 0
    for exchange in exchanges:
        response = exchange.response
        if exchange.label is Label.ATTACK:
            labelled += 1
            continue
        if response is not None and response.status >= _REFUSED:
            refused[response.status] += 1
            continue
        request = parser.parse(exchange.request)
        matches = engine.match(request)
        if found := _attack(exchange.id, request, matches):
            attacks.append(found)
            continue
        if matches:
            suspects.add(len(kept))
        kept.append(exchange)
        for field in request.fields:
            shown.setdefault((field.location, field.name), set()).add(exchange.session)
        for match in matches:
            if match.confidence is Confidence.LOW:
                continue
            field = request.fields[match.field_index]
            key = (field.location, field.name, match.rule.id)
            set_off.setdefault(key, set()).add(exchange.session)
        if rules is not None:
            for key in _found_by_sets(rules, exchange, request):
                set_off.setdefault(key, set()).add(exchange.session)
    marks: dict[tuple[Location, str], set[str]] = {}
    for (location, name, rule), sessions in set_off.items():
        if len(sessions) >= max(_MARK_SESSIONS, _MARK_SHARE * len(shown[location, name])):
            marks.setdefault((location, name), set()).add(rule)
    return Selection(
        tuple(kept), dict(sorted(refused.items())), labelled, tuple(attacks),
        {key: frozenset(rules) for key, rules in marks.items()}, frozenset(suspects),
    )  # fmt: skip


def _found_by_sets(
    rules: RequestRules, exchange: Exchange, request: ParsedRequest
) -> Iterator[tuple[Location, str, str]]:
    """Yield each field in which a rule of a set matched, and the family of the rule."""
    for finding in rules.match(exchange.request, request):
        for match in finding.matches:
            for index in match.fields:
                field = request.fields[index]
                yield field.location, field.name, match.family


def _attack(
    exchange: str, request: ParsedRequest, matches: Iterable[SignatureMatch]
) -> SetAside | None:
    for match in matches:
        if match.confidence is Confidence.HIGH:
            field = request.fields[match.field_index].label
            return SetAside(exchange, match.rule.id, match.rule.message, field)
    return None
