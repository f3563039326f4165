"""Verdicts and the evidence that they rest on.

A verdict is what the pipeline decided about one request; evidence is one reason, down to the
field and the excerpt, in words that an on-call analyst understands.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Action", "Confidence", "Detector", "Evidence", "Verdict"]


class Action(StrEnum):
    """What happens to the request."""

    PASS = "pass"
    ALERT = "alert"
    BLOCK = "block"


class Confidence(StrEnum):
    """How often a detector's hit means an attack, by itself."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Detector(StrEnum):
    """The step of the pipeline that speaks."""

    PROTOCOL = "protocol"
    LIMIT = "limit"
    SIGNATURE = "signature"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for a verdict.

    ``rule`` is the stable id of the signature, limit or model measure. ``field`` names where in
    the request, as ``location:name`` (``query:orderby``, ``header:user-agent``). ``start`` and
    ``end`` are byte offsets into the canonical (decoded) value; ``excerpt`` shows that value
    around them, at most 256 bytes, decoded for display; ``marks`` are the odd parts of the
    excerpt as (start, end) character offsets into it. ``expected``, ``seen`` and ``would_pass``
    are phrases: what is normal there, what came, and what of it would have been normal.
    ``p_value`` is the share of held-out benign values, or requests, that are at least so odd.
    ``source`` is name, version and hash of a registered rule set, empty for what is built in.
    """

    detector: Detector
    rule: str
    message: str
    field: str
    excerpt: str
    expected: str
    seen: str
    confidence: Confidence
    start: int = 0
    end: int = 0
    marks: tuple[tuple[int, int], ...] = ()
    p_value: float | None = None
    tags: tuple[str, ...] = ()
    would_pass: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pipeline decided about one request.

    ``score`` is the anomaly score (higher is more anomalous) and ``p_value`` the share of
    held-out benign requests that score at least so high; both None where no model is loaded.
    ``category`` is the number of the population that the score is held against.
    """

    action: Action
    evidence: tuple[Evidence, ...] = ()
    score: float | None = None
    p_value: float | None = None
    endpoint: str = ""
    category: int = 0
