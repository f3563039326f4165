"""How alerts look on a terminal of 80 columns or more: a row of a table, and one alert in full.

Whatever a client sent goes through :func:`cnaf.ci_plugin.output.plain` before it gets there.
"""

from __future__ import annotations

from typing import Final

from cnaf.ci_plugin.output import plain
from cnaf.enforcer.alerts import Alert
from cnaf.models.verdict import Action, Evidence
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["alert_panel", "alert_row", "alerts_table"]

_STYLES: Final = {Action.ALERT: "bold yellow", Action.BLOCK: "bold red"}
_DONE: Final = {Action.ALERT: "let through with an alert", Action.BLOCK: "blocked"}
_MARK: Final = "bold reverse red"
#: A ULID, and an IPv4 address; a longer IPv6 address folds.
_WHEN_WIDTH: Final = 26
_WHO_WIDTH: Final = 15


def alerts_table(width: int, *, header: bool = True) -> Table:
    """Return an empty table for :func:`alert_row`; its columns stay where they are row by row."""
    table = Table(box=None, show_header=header, padding=(0, 1, 1, 0), pad_edge=False)
    table.add_column("Time (UTC), event id", width=_WHEN_WIDTH, overflow="fold")
    table.add_column("Done, client", width=_WHO_WIDTH, overflow="fold")
    rest = max(_WHO_WIDTH, width - _WHEN_WIDTH - _WHO_WIDTH - 2)
    table.add_column("Request and its first reason", width=rest, overflow="fold")
    return table


def alert_row(alert: Alert) -> tuple[Text, Text, Text]:
    """Return the cells: when and which, what was done to whom, what was asked and what is wrong."""
    when = _lines(plain(f"{alert.time:%F %T}"), plain(alert.event_id, "dim"))
    who = _lines(plain(alert.action.value, _STYLES[alert.action]), plain(alert.client))
    why = plain(alert.endpoint or f"{alert.method} {alert.target.partition('?')[0]}")
    if alert.evidence:
        first = alert.evidence[0]
        reason = Text.assemble(plain(first.field, "cyan"), ": ", plain(first.message))
        why = _lines(why, reason)
    return when, who, why


def _lines(*lines: Text) -> Text:
    return Text("\n").join(lines)


def alert_panel(alert: Alert) -> RenderableType:
    """Return everything that the alert says."""
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(alert):
        facts.add_row(name, value)
    parts: list[RenderableType] = [facts]
    for number, evidence in enumerate(alert.evidence, 1):
        parts += Text(), _reason(number, evidence, alert.p_value)
    done = (_DONE[alert.action], _STYLES[alert.action])
    return Panel(
        Group(*parts),
        title=Text.assemble("Event ", plain(alert.event_id), ": ", done),
        title_align="left",
        padding=(1, 2),
    )


def _facts(alert: Alert) -> list[tuple[str, Text]]:
    answer = f"the app answered {alert.status}" if alert.status is not None else "not known"
    model = f"{alert.image} {alert.subject}".strip()
    return [
        ("Time", plain(f"{alert.time:%F %T.%f} UTC")),
        ("Request", plain(f"{alert.method} {alert.target}", "bold")),
        ("Host", plain(alert.host or "none named")),
        ("Body", plain(f"{alert.body_bytes:,} bytes")),
        ("Client", plain(alert.client)),
        ("Image", plain(model or "none named")),
        ("Endpoint", plain(alert.endpoint or "not known: no model was loaded")),
        ("Score", plain(_score(alert))),
        ("Answer", plain("the block page" if alert.action is Action.BLOCK else answer)),
    ]


def _score(alert: Alert) -> str:
    if alert.score is None:
        return "none: no model was loaded"
    text = f"{alert.score:.2f}"
    return text if alert.p_value is None else f"{text}: {rarity(alert.p_value)}"


def rarity(p_value: float) -> str:
    """Return a p-value in words.

    >>> rarity(0.0002)
    '1 of 5,000 benign requests looks this odd'
    """
    if p_value <= 0:
        return "no benign request looks this odd"
    one_of = round(1 / p_value)
    if one_of < 2:
        return "most benign requests look this odd"
    return f"1 of {one_of:,} benign requests looks this odd"


def _reason(number: int, evidence: Evidence, told: float | None) -> Table:
    reason = Table.grid(padding=(0, 2, 0, 0))
    reason.add_column(style="dim", no_wrap=True)
    reason.add_column(overflow="fold")
    reason.add_row(f"{number}.", plain(evidence.message, "bold"))
    reason.add_row("in", plain(evidence.field, "cyan"))
    if evidence.excerpt:
        reason.add_row("excerpt", _marked(evidence))
    reason.add_row("expected", plain(evidence.expected))
    reason.add_row("seen", plain(evidence.seen))
    if evidence.would_pass:
        reason.add_row("would pass", plain(evidence.would_pass))
    if evidence.p_value is not None and evidence.p_value != told:
        reason.add_row("rarity", plain(rarity(evidence.p_value)))
    tags = f" ({', '.join(evidence.tags)})" if evidence.tags else ""
    rule = f"{evidence.detector} {evidence.rule}, {evidence.confidence} confidence{tags}"
    reason.add_row("rule", plain(rule))
    if evidence.source:
        reason.add_row("rule set", plain(evidence.source))
    return reason


def _marked(evidence: Evidence) -> Text:
    """Return the excerpt with its odd parts highlighted; marks count characters as they came."""
    excerpt, done, text = evidence.excerpt, 0, Text()
    for start, end in sorted(evidence.marks):
        text.append_text(plain(excerpt[done:start]))
        text.append_text(plain(excerpt[max(start, done) : end], _MARK))
        done = max(done, end)
    return text.append_text(plain(excerpt[done:]))
