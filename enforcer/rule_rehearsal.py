"""Recorded traffic under rules as they are and as they would be: what changes, and by which rule.

Pure but for the two inspectors, which run the pipeline of the node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from cnaf.enforcer.pipeline import Inspector
from cnaf.models.exchange import Exchange, Label
from cnaf.models.verdict import Action, Confidence, Detector, Verdict

__all__ = ["Change", "RuleChange", "RuleRehearsal", "rehearsal_markdown", "rehearse"]

#: Changes that are listed one by one; all are counted.
_LISTED = 200


@dataclass(frozen=True, slots=True)
class Change:
    """A request whose fate changes; ``rules`` are those that speak, ``fields`` where."""

    exchange: str
    session: str
    label: Label
    endpoint: str
    rules: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """How many requests of one label change at an endpoint because of a rule, newly or no more."""

    rule: str
    endpoint: str
    label: Label
    new: int
    lost: int


@dataclass(frozen=True, slots=True)
class RuleRehearsal:
    """What came of a corpus. ``blocked`` counts by label, before and after.

    ``new`` and ``lost`` are the first changes, ``totals`` how many there are by label.
    """

    requests: dict[Label, int]
    blocked_before: dict[Label, int]
    blocked_after: dict[Label, int]
    new: tuple[Change, ...]
    lost: tuple[Change, ...]
    new_total: dict[Label, int]
    lost_total: dict[Label, int]
    by_rule: tuple[RuleChange, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        described = asdict(self)
        for name in ("requests", "blocked_before", "blocked_after", "new_total", "lost_total"):
            described[name] = {label.value: count for label, count in described[name].items()}
        return described


def rehearse(exchanges: Iterable[Exchange], before: Inspector, after: Inspector) -> RuleRehearsal:
    """Run every exchange through both; answers that were recorded play no part."""
    requests, blocked = Counter[Label](), (Counter[Label](), Counter[Label]())
    changes: tuple[list[Change], list[Change]] = ([], [])
    totals = (Counter[Label](), Counter[Label]())
    by_rule: Counter[tuple[str, str, Label, int]] = Counter()
    for exchange in exchanges:
        verdicts = before.inspect(exchange.request), after.inspect(exchange.request)
        requests[exchange.label] += 1
        blocks = [verdict.action is Action.BLOCK for verdict in verdicts]
        for number, is_blocked in enumerate(blocks):
            blocked[number][exchange.label] += is_blocked
        if blocks[0] == blocks[1]:
            continue
        # 0: newly blocked, told by the rules as they would be; 1: no more, by those as they are.
        kind = 0 if blocks[1] else 1
        change = _change(exchange, verdicts[1 - kind])
        totals[kind][exchange.label] += 1
        for rule in change.rules:
            by_rule[rule, change.endpoint, exchange.label, kind] += 1
        if len(changes[kind]) < _LISTED:
            changes[kind].append(change)
    return RuleRehearsal(
        dict(requests), dict(blocked[0]), dict(blocked[1]), tuple(changes[0]), tuple(changes[1]),
        dict(totals[0]), dict(totals[1]), _by_rule(by_rule),
    )  # fmt: skip


def _change(exchange: Exchange, verdict: Verdict) -> Change:
    told = [
        evidence
        for evidence in verdict.evidence
        if evidence.detector is Detector.SIGNATURE and evidence.confidence is not Confidence.LOW
    ]
    path = exchange.request.target.partition(b"?")[0].decode("utf-8", "replace")
    return Change(
        exchange.id,
        exchange.session,
        exchange.label,
        verdict.endpoint or f"{exchange.request.method} {path[:200]}",
        tuple(dict.fromkeys(evidence.rule for evidence in told)),
        tuple(dict.fromkeys(evidence.field for evidence in told)),
    )


def _by_rule(counted: Counter[tuple[str, str, Label, int]]) -> tuple[RuleChange, ...]:
    keys = dict.fromkeys(key[:3] for key in counted)
    found = [RuleChange(*key, counted[(*key, 0)], counted[(*key, 1)]) for key in keys]
    return tuple(sorted(found, key=lambda c: (-c.new - c.lost, c.rule, c.endpoint)))


def rehearsal_markdown(rehearsal: RuleRehearsal, title: str) -> str:
    """Return the report that a merge request shows."""
    lines = [f"# {_cell(title)}", "", "| label | requests | blocked before | after | new | lost |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for label, count in rehearsal.requests.items():
        counts = (rehearsal.blocked_before, rehearsal.blocked_after, rehearsal.new_total,
                  rehearsal.lost_total)  # fmt: skip
        shown = " | ".join(f"{counted.get(label, 0):,}" for counted in counts)
        lines.append(f"| {label.value} | {count:,} | {shown} |")
    if rehearsal.by_rule:
        lines += ["", "| rule | endpoint | label | new blocks | lost blocks |",
                  "|---|---|---|---:|---:|"]  # fmt: skip
        lines += [
            f"| {_cell(c.rule)} | {_cell(c.endpoint)} | {c.label.value} | {c.new:,} | {c.lost:,} |"
            for c in rehearsal.by_rule
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text of a request may hold anything; in a table it is one cell of plain text."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:200])
    return shown.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
