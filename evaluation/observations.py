"""What the detectors said of single requests, and how to count it.

Distinct requests differ in more than nonces, times and identifiers
(:func:`cnaf.datasets.split.request_key`). Where one was sent several times, the worst of it
counts: a benign one is blocked if it was ever blocked, an attack only if it always was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.datasets.stats import wilson_interval
from cnaf.models.verdict import Action

__all__ = [
    "LOOSE",
    "LOOSE_FPR",
    "PIPELINES",
    "Decide",
    "Observation",
    "Rate",
    "Rates",
    "blocked_by",
    "least_threshold",
    "rates",
    "seen_by",
]

#: Configurations of the node's pipeline, in the order of ``Observation.actions``.
PIPELINES = ("model", "signatures", "product")
#: The model alone at another target, which small corpora can promise, too.
LOOSE_FPR = 0.01
LOOSE = "model at 1 %"


@dataclass(frozen=True, slots=True)
class Observation:
    """One request before all detectors.

    ``application`` is whose model it was held against; ``data_set`` is what an attack counts for,
    empty for benign ones. ``margin`` is how far the model's score is above its threshold,
    ``yardsticks`` the scores of other detectors by name. ``why`` says for each pipeline that
    blocks what its first evidence was. ``variants`` (float32) are scores of the model with parts
    left out, empty where that was not asked for (see :mod:`cnaf.evaluation.ablation`).
    """

    application: str
    data_set: str
    name: str
    session: str
    key: bytes
    attack_class: str
    body: bool
    ambiguous: bool
    actions: tuple[Action, ...]
    margin: float
    yardsticks: Mapping[str, float]
    why: tuple[str, ...]
    variants: npt.NDArray[np.float32]


Decide = Callable[[Observation], bool]


@dataclass(frozen=True, slots=True)
class Rate:
    """``hits`` of ``n``; ``low`` and ``high`` bound the share with 95 % confidence (Wilson)."""

    hits: int
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, n: int) -> Rate:
        """Return the rate with its interval."""
        return cls(hits, n, *wilson_interval(hits, n))

    @property
    def share(self) -> float:
        """Hits of all, not a number where there is nothing to count."""
        return self.hits / self.n if self.n else float("nan")


@dataclass(frozen=True, slots=True)
class Rates:
    """One detector on one group of requests: over all, and over distinct ones."""

    requests: Rate
    distinct: Rate


def blocked_by(pipeline: str) -> Decide:
    """Return the decision of a pipeline to block."""
    at = PIPELINES.index(pipeline)
    return lambda seen: seen.actions[at] is Action.BLOCK


def seen_by(pipeline: str) -> Decide:
    """Return the decision of a pipeline to block, or to alert at least."""
    at = PIPELINES.index(pipeline)
    return lambda seen: seen.actions[at] is not Action.PASS


def rates(observations: Iterable[Observation], decide: Decide) -> Rates:
    """Count requests, and distinct requests, that a detector decides against."""
    hits = total = 0
    # By data set and key, for an attack may be a benign request elsewhere.
    verdicts: dict[tuple[str, bytes], set[bool]] = {}
    for seen in observations:
        verdict = decide(seen)
        hits += verdict
        total += 1
        verdicts.setdefault((seen.data_set, seen.key), set()).add(verdict)
    distinct = sum(all(v) if data_set else any(v) for (data_set, _), v in verdicts.items())
    return Rates(Rate.of(hits, total), Rate.of(distinct, len(verdicts)))


def least_threshold(scores: Sequence[float], target: float) -> float:
    """Return a threshold that at most a share ``target`` of the scores reaches, the least such.

    >>> least_threshold([0, 0, 1, 5], 0.25) > 1
    True
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    allowed = int(target * len(ordered))
    if allowed >= len(ordered):
        return -np.inf
    # The score at this place must not reach it, and so no tie with it.
    return float(np.nextafter(ordered[len(ordered) - 1 - allowed], np.inf))
