"""Figures about traffic and about rates: what a corpus holds, and how sure a rate is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnaf.models.exchange import Exchange

__all__ = ["CorpusSummary", "summarize", "wilson_interval"]

#: Distinct names counted by themselves; a client can send any method and content type.
_DISTINCT = 32
_NAME_CAP = 64


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927), both ends in 0 to 1.

    Unlike the normal approximation it holds for rates near 0, where false-positive rates are.
    With ``n`` of 0 nothing is known, and the interval is 0 to 1.

    >>> [round(end, 4) for end in wilson_interval(1, 100)]
    [0.0018, 0.0545]
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are no proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / n
    scale = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / scale
    # At the ends the exact values are 0 and 1; rounding must not say otherwise.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True, slots=True)
class CorpusSummary:
    """Counts of exchanges, largest first; names beyond the 32 first seen are under ``other``.

    ``statuses`` counts by class (``2xx``), with ``none`` where no answer was recorded;
    ``content_types`` counts request bodies by media type, with ``none`` where it is not declared.
    ``body_bytes`` is the sum of all request bodies.
    """

    exchanges: int
    sessions: int
    body_bytes: int
    labels: Mapping[str, int]
    methods: Mapping[str, int]
    statuses: Mapping[str, int]
    content_types: Mapping[str, int]


def summarize(exchanges: Iterable[Exchange]) -> CorpusSummary:
    """Count what a corpus holds, in one pass."""
    total = body_bytes = 0
    sessions: set[str] = set()
    labels: Counter[str] = Counter()
    methods: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for exchange in exchanges:
        total += 1
        sessions.add(exchange.session)
        body_bytes += len(exchange.request.body)
        labels[exchange.label.value] += 1
        _count(methods, exchange.request.method)
        response = exchange.response
        _count(statuses, "none" if response is None else f"{response.status // 100}xx")
        if exchange.request.body:
            _count(types, _media_type(exchange.request.header(b"content-type")))
    return CorpusSummary(
        exchanges=total,
        sessions=len(sessions),
        body_bytes=body_bytes,
        labels=dict(labels.most_common()),
        methods=dict(methods.most_common()),
        statuses=dict(statuses.most_common()),
        content_types=dict(types.most_common()),
    )


def _count(counter: Counter[str], name: str) -> None:
    name = name[:_NAME_CAP]
    counter[name if name in counter or len(counter) < _DISTINCT else "other"] += 1


def _media_type(value: bytes | None) -> str:
    if value is None:
        return "none"
    return value.partition(b";")[0].strip().lower().decode("utf-8", "replace")
