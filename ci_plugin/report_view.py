"""A learning report for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnaf.datasets.problems import CorpusProblem
from cnaf.learner.evaluate import ReachedRate
from cnaf.learner.report import LearnReport, shown_thresholds
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["report_view"]

_ENDPOINTS = 12
_LISTED = 8


def report_view(
    report: LearnReport, problems: Sequence[CorpusProblem], directory: Path | None
) -> RenderableType:
    """Return what a person reads after a run."""
    parts: list[RenderableType] = [
        Panel(_facts(report, directory), title="Request model", title_align="left"),
        _rates(report),
        _endpoints(report),
    ]
    if report.set_aside:
        parts.append(_set_aside(report))
    if problems:
        parts.append(_problems(problems, report))
    return Group(*parts)


def _facts(report: LearnReport, directory: Path | None) -> RenderableType:
    source, coverage = report.source, report.coverage
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("image", Text(source.image))
    grid.add_row("digest", _digest(report))
    grid.add_row(
        "learned from",
        f"{report.kept:,} of {source.exchanges:,} requests in {source.sessions:,} sessions"
        + ("" if source.replayed else ", as recorded"),
    )
    if source.replayed:
        grid.add_row(
            "replay",
            f"{source.carried:,} issued values carried, {source.unanswered:,} unanswered, "
            f"{source.incomplete:,} not sent (incomplete in the recording)",
        )
    if report.refused:
        counts = ", ".join(f"{count:,} with {status}" for status, count in report.refused.items())
        grid.add_row("refused by the app", f"{counts}: set aside")
    if report.labelled:
        grid.add_row("labelled attacks", f"{report.labelled:,}: set aside")
    if report.set_aside:
        grid.add_row("look like attacks", Text(f"{len(report.set_aside):,}: set aside", "yellow"))
    grid.add_row(
        "knows",
        f"{len(coverage.endpoints):,} endpoints ({coverage.thin:,} too thin to block on their "
        f"shape), {sum(coverage.fields.values()):,} fields",
    )
    for warning in report.warnings:
        grid.add_row("note", Text(warning, "yellow"))
    grid.add_row("size and time", f"{report.artifact_bytes / 1000:,.0f} kB, {report.seconds:.1f} s")
    if directory is not None:
        grid.add_row("report", Text(str(directory)))
    return grid


def _digest(report: LearnReport) -> Text:
    text = Text(report.source.subject)
    if report.source.subject_source == "name":
        text.append("\na stand-in: no engine knows this image; found by name only", "yellow")
    return text


def _rates(report: LearnReport) -> Table:
    table = Table(title="False positives on sessions that were held out", title_justify="left")
    for name in ("target", "thresholds", "reached", "95 % interval", "requests"):
        table.add_column(name, justify="right")
    for rate in report.rates:
        asked = rate.target == report.target_fpr
        table.add_row(
            f"{rate.target:.2%}",
            shown_thresholds(rate),
            Text(f"{rate.rate:.2%}", _colour(rate)),
            f"{rate.low:.2%} to {rate.high:.2%}",
            f"{rate.alarms:,} of {rate.requests:,}",
            style="bold" if asked else "",
        )
    return table


def _colour(rate: ReachedRate) -> str:
    # The target lies below the interval only where the promise is broken beyond chance.
    return "red" if rate.target < rate.low else "green"


def _endpoints(report: LearnReport) -> Table:
    endpoints = report.coverage.endpoints
    shown = endpoints[:_ENDPOINTS]
    title = f"Endpoints ({len(shown)} of {len(endpoints):,}, most seen first)"
    table = Table(title=title, title_justify="left")
    table.add_column("endpoint", overflow="fold")
    table.add_column("requests", justify="right")
    table.add_column("fields", justify="right")
    for endpoint in shown:
        table.add_row(
            Text(f"{endpoint.method} {endpoint.template}"),
            f"{endpoint.sightings:,}",
            f"{endpoint.fields}",
        )
    return table


def _set_aside(report: LearnReport) -> Table:
    shown = report.set_aside[:_LISTED]
    title = f"Set aside as attacks ({len(shown)} of {len(report.set_aside):,})"
    table = Table(title=title, title_justify="left")
    for name in ("exchange", "field", "rule", "why"):
        table.add_column(name, overflow="fold")
    for item in shown:
        table.add_row(Text(item.exchange), Text(item.field), item.rule, item.message)
    return table


def _problems(problems: Sequence[CorpusProblem], report: LearnReport) -> Table:
    shown = problems[:_LISTED]
    total = report.source.unreadable + report.source.skipped
    title = f"Entries that gave no exchange ({len(shown)} of {total:,})"
    table = Table(title=title, title_justify="left")
    table.add_column("where", overflow="fold")
    table.add_column("why", overflow="fold")
    for problem in shown:
        table.add_row(Text(f"{problem.file.name}, {problem.where}"), Text(problem.reason))
    return table
