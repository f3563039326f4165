"""What the engine says about a request."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Interruption", "Match", "Outcome"]

#: Longest value that a match shows, in bytes: an alert's excerpt is shorter still.
MAX_SHOWN = 512


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that matched, with its chain, and that is not marked ``nolog``.

    ``severity`` is 0 (emergency) to 7 (debug), None where the rule has none. ``variable`` names
    what matched last (``ARGS:id``), ``value`` is its transformed value, 512 bytes at most of it;
    ``start`` and ``end`` are the part of those that the operator found, all where it says nothing.
    ``message`` and ``logdata`` are expanded. ``variables`` names all that matched, each once, in
    the order in which they first did.
    """

    rule: int
    message: str
    tags: tuple[str, ...]
    severity: int | None
    phase: int
    variable: str
    value: bytes
    start: int
    end: int
    logdata: str
    file: str
    line: int
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interruption:
    """A rule's order to end the request: ``action`` is deny, drop or redirect."""

    rule: int
    action: str
    status: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all rules together say.

    ``score`` is the inbound anomaly score of the Core Rule Set (0 for rules that keep none);
    higher is more anomalous. ``steps`` counts tests of one value by one rule, ``limited`` says
    that a cap was reached, so that something was not looked at; ``regex_limits`` how many
    expressions gave up.
    """

    matches: tuple[Match, ...] = ()
    score: int = 0
    interruption: Interruption | None = None
    steps: int = 0
    limited: bool = False
    regex_limits: int = 0
    candidates: int = 0
