"""What is learned from: requests that the app accepted and that no attack rule speaks against.

A model of attacks alarms on nobody, so what looks like one is set aside before anything is
counted, and told: each is either an attack in the test traffic or a rule that this app needs an
exclusion from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cnaf.models.exchange import Exchange, Label
from cnaf.models.fields import ParsedRequest
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Confidence
from cnaf.signatures.engine import SignatureEngine

__all__ = ["Selection", "SetAside", "select"]

#: The app's own words that a request was not one it takes (RFC 9110, client and server errors).
_REFUSED = 400


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
    calls an attack.
    """

    kept: tuple[Exchange, ...]
    refused: Mapping[int, int]
    labelled: int
    attacks: tuple[SetAside, ...]

    @property
    def seen(self) -> int:
        """All exchanges of the corpus."""
        return len(self.kept) + sum(self.refused.values()) + self.labelled + len(self.attacks)


def select(exchanges: Iterable[Exchange], engine: SignatureEngine) -> Selection:
    """Sort a corpus; an exchange without a recorded answer counts as accepted."""
    parser = RequestParser()
    kept: list[Exchange] = []
    refused: Counter[int] = Counter()
    attacks: list[SetAside] = []
    labelled = 0
    for exchange in exchanges:
        response = exchange.response
        if exchange.label is Label.ATTACK:
            labelled += 1
        elif response is not None and response.status >= _REFUSED:
            refused[response.status] += 1
        elif found := _attack(exchange.id, parser.parse(exchange.request), engine):
            attacks.append(found)
        else:
            kept.append(exchange)
    return Selection(tuple(kept), dict(sorted(refused.items())), labelled, tuple(attacks))


def _attack(exchange: str, request: ParsedRequest, engine: SignatureEngine) -> SetAside | None:
    for match in engine.match(request):
        if match.rule.confidence is Confidence.HIGH:
            field = request.fields[match.field_index].label
            return SetAside(exchange, match.rule.id, match.rule.message, field)
    return None
