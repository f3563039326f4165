"""Recorded requests through the pipeline that nodes run, and the rates that come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cnaf.datasets.split import request_key
from cnaf.datasets.stats import wilson_interval
from cnaf.enforcer.pipeline import Inspector
from cnaf.models.exchange import Exchange, Label
from cnaf.models.verdict import Action, Verdict

__all__ = ["Inspected", "LabelRates", "Tally", "inspect_exchanges"]


@dataclass(frozen=True, slots=True)
class Inspected:
    """One exchange with its verdict; ``p_value`` is None where no model is loaded."""

    exchange: Exchange
    verdict: Verdict
    p_value: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the line that ``cnaf inspect`` prints."""
        verdict = self.verdict
        return {
            "id": self.exchange.id,
            "session": self.exchange.session,
            "label": self.exchange.label.value,
            "action": verdict.action.value,
            "score": verdict.score,
            "p_value": self.p_value,
            "endpoint": verdict.endpoint,
            "evidence": [asdict(evidence) for evidence in verdict.evidence],
        }


def inspect_exchanges(inspector: Inspector, exchanges: Iterable[Exchange]) -> Iterator[Inspected]:
    """Yield each exchange with its verdict; recorded answers play no part."""
    for exchange in exchanges:
        verdict = inspector.inspect(exchange.request)
        yield Inspected(exchange, verdict, inspector.p_value(verdict))


@dataclass(frozen=True, slots=True)
class LabelRates:
    """What became of the requests of one label; ``low`` and ``high`` bound the blocked share.

    The interval is Wilson's at 95 %. ``distinct`` counts requests that differ in more than nonces,
    times and identifiers, ``distinct_blocked`` those of them that were blocked.
    """

    requests: int
    passed: int
    alerted: int
    blocked: int
    low: float
    high: float
    distinct: int
    distinct_blocked: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the counts with the shares that they make."""
        shares = {"block_rate": self.blocked / self.requests}
        shares["alert_rate"] = self.alerted / self.requests
        shares["distinct_block_rate"] = self.distinct_blocked / self.distinct
        return {**asdict(self), **shares}


class Tally:
    """Counts verdicts by label, also over distinct requests."""

    def __init__(self) -> None:
        self._actions: dict[Label, dict[Action, int]] = {}
        # Whether any of the requests that share a key was blocked.
        self._distinct: dict[Label, dict[bytes, bool]] = {}

    def add(self, inspected: Inspected) -> None:
        """Count one verdict."""
        label, action = inspected.exchange.label, inspected.verdict.action
        actions = self._actions.setdefault(label, dict.fromkeys(Action, 0))
        actions[action] += 1
        distinct = self._distinct.setdefault(label, {})
        key = request_key(inspected.exchange.request)
        distinct[key] = distinct.get(key, False) or action is Action.BLOCK

    def rates(self) -> dict[str, LabelRates]:
        """Return the rates of each label that occurred."""
        return {label.value: self._of(label) for label in Label if label in self._actions}

    def _of(self, label: Label) -> LabelRates:
        actions, distinct = self._actions[label], self._distinct[label]
        total, blocked = sum(actions.values()), actions[Action.BLOCK]
        return LabelRates(
            total,
            actions[Action.PASS],
            actions[Action.ALERT],
            blocked,
            *wilson_interval(blocked, total),
            len(distinct),
            sum(distinct.values()),
        )
