"""Two trivial detectors: what the learned model has to beat, or its complexity is not paid for.

Both have two verbs: ``learn`` makes a detector from benign exchanges, ``score`` says how odd a
request is, a count from 0, where higher is more anomalous. Neither has a threshold of its own: a
rate of false positives is chosen on held-out benign requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from cnaf.models.fields import Field, Location, ParsedRequest
from cnaf.models.parsing import RequestParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnaf.models.exchange import Exchange, Request

__all__ = ["AllowList", "Detector", "MetacharacterRegex"]

# One group a kind of metacharacter; runs of word characters and plain punctuation match nothing.
_METACHARACTERS = re.compile(
    rb"""(?P<quote>['"`\\])|(?P<tag>[<>])|(?P<separator>[;\r\n\0]|\|(?!\w))|(?P<group>[(){}])"""
    rb"""|(?P<comment>--|/\*|\#)|(?P<parent>\.\.[/\\])|(?P<scheme>://)|(?P<variable>\$)"""
)
# Headers that describe the client have parentheses, semicolons and quotes in each request.
_CLIENT_HEADERS = re.compile(r"user-agent|sec-.*|accept.*|referer|origin|cookie|host|.*-none-match")
#: All endpoints together.
_ANYWHERE = ""
_DIGITS = re.compile(r"\d+")
#: The class of each byte: lower, upper, digit, white space, control, not ASCII, punctuation.
_CLASS = bytes(
    "ludspcn".index(
        "l" if 97 <= byte <= 122 else "u" if 65 <= byte <= 90 else "d" if 48 <= byte <= 57
        else "s" if byte in b" \t\r\n" else "c" if byte < 32 or byte == 127
        else "n" if byte > 127 else "p"
    )
    for byte in range(256)
)  # fmt: skip


class Detector(Protocol):
    """A learned detector; see the module."""

    @classmethod
    def learn(cls, exchanges: Iterable[Exchange]) -> Self:
        """Return a detector that knows these benign exchanges."""
        ...

    def score(self, request: Request) -> float:
        """Return how odd the request is, from 0; higher is more anomalous."""
        ...


class MetacharacterRegex:
    """Counts the distinct kinds of metacharacters (0 to 8) in the value that has most of them.

    Looks at every decoded value except headers that describe the client. Learns nothing.
    """

    def __init__(self) -> None:
        self._parser = RequestParser()

    @classmethod
    def learn(cls, exchanges: Iterable[Exchange]) -> Self:
        """Return the detector; the exchanges are not read."""
        return cls()

    def score(self, request: Request) -> float:
        """Return the number of kinds in the worst value."""
        values = (f.value for f in self._parser.parse(request).fields if _is_looked_at(f))
        return float(max(len({m.lastgroup for m in _METACHARACTERS.finditer(v)}) for v in values))


@dataclass(slots=True)
class _Values:
    """What one field held: classes of bytes, and the length of its longest value in bytes."""

    classes: set[int] = field(default_factory=set)
    longest: int = 0


class AllowList:
    """Alarms at what benign traffic never showed: path, field names, character classes, length.

    The score is the number of violations: one for an unseen method and path (numbers in a path are
    all one), one for each unseen field, for each unseen class in a field, and for each value longer
    than the longest. Fields of an unseen path are held against all fields of their name.
    """

    def __init__(self) -> None:
        self._parser = RequestParser()
        self._known: dict[str, dict[str, _Values]] = {_ANYWHERE: {}}

    @classmethod
    def learn(cls, exchanges: Iterable[Exchange]) -> Self:
        """Return a detector that allows what these exchanges hold."""
        made = cls()
        for exchange in exchanges:
            parsed = made._parser.parse(exchange.request)
            for endpoint in (_endpoint(parsed), _ANYWHERE):
                fields = made._known.setdefault(endpoint, {})
                for found in filter(_is_looked_at, parsed.fields):
                    known = fields.setdefault(found.label, _Values())
                    known.classes.update(found.value.translate(_CLASS))
                    known.longest = max(known.longest, len(found.value))
        return made

    def score(self, request: Request) -> float:
        """Return the number of violations."""
        parsed = self._parser.parse(request)
        endpoint = _endpoint(parsed)
        known = self._known.get(endpoint, self._known[_ANYWHERE])
        fields = filter(_is_looked_at, parsed.fields)
        violations = sum(_violations(known.get(found.label), found.value) for found in fields)
        return float(violations + (endpoint not in self._known))


def _violations(known: _Values | None, value: bytes) -> int:
    if known is None:
        return 1
    return len(set(value.translate(_CLASS)) - known.classes) + (len(value) > known.longest)


def _is_looked_at(found: Field) -> bool:
    return found.location is not Location.HEADER or not _CLIENT_HEADERS.fullmatch(found.name)


def _endpoint(parsed: ParsedRequest) -> str:
    return f"{parsed.method} {_DIGITS.sub('#', parsed.path)}"
