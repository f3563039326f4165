"""What a learning run says of itself: one set of facts, written as JSON and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from cnaf.learner.evaluate import ReachedRate
from cnaf.learner.selection import SetAside
from cnaf.models.request_model import ENOUGH_SESSIONS, RequestModel

__all__ = [
    "Coverage",
    "LearnReport",
    "Source",
    "cover",
    "report_markdown",
    "report_to_dict",
    "shown_thresholds",
]

#: Lines of a list that Markdown shows; JSON holds them all.
_SHOWN = 15


@dataclass(frozen=True, slots=True)
class EndpointCoverage:
    """One learned endpoint with its evidence counts."""

    method: str
    template: str
    sightings: int
    fields: int
    thin: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the traffic showed: endpoints, most seen first, and fields by inferred type."""

    endpoints: tuple[EndpointCoverage, ...]
    fields: Mapping[str, int]

    @property
    def thin(self) -> int:
        """How many endpoints were seen too rarely to block on what is new about a request."""
        return sum(endpoint.thin for endpoint in self.endpoints)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the traffic of a run comes from.

    ``subject_source`` is ``engine``, ``given`` or ``name`` (a stand-in digest made of the name).
    ``exchanges`` and ``sessions`` are those of the corpus files, or what was replayed of them;
    ``unreadable`` counts entries that were broken, ``skipped`` those that hold no exchange. With
    ``replayed`` the image ran, ``unanswered`` requests got no answer, ``incomplete`` ones were not
    sent because the recording lacks a part of their body, and ``carried`` values were replaced by
    the app's own.
    """

    image: str
    subject: str
    subject_source: str
    corpus_sha256: str
    exchanges: int
    sessions: int
    unreadable: int = 0
    skipped: int = 0
    replayed: bool = False
    unanswered: int = 0
    incomplete: int = 0
    carried: int = 0


@dataclass(frozen=True, slots=True)
class LearnReport:
    """The facts of one run of ``cnaf learn``; ``refused`` counts by status."""

    source: Source
    created: str
    kept: int
    labelled: int
    refused: Mapping[int, int]
    set_aside: tuple[SetAside, ...]
    coverage: Coverage
    target_fpr: float
    rates: tuple[ReachedRate, ...]
    artifact_bytes: int
    seconds: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is too thin about the corpus, and what would help; empty for a good one."""
        found = []
        if self.promised.requests < ceil(1 / self.target_fpr):
            found.append(
                f"{self.promised.requests:,} distinct requests cannot promise "
                f"{self.target_fpr:.2%} by themselves: thresholds lean on those of other sites; "
                f"record {ceil(1 / self.target_fpr):,} or more"
            )
        if self.source.sessions < ENOUGH_SESSIONS:
            found.append(
                f"{self.source.sessions} session(s) tell little about what other users send; "
                f"record {ENOUGH_SESSIONS} or more, of every role"
            )
        return tuple(found)

    @property
    def promised(self) -> ReachedRate:
        """The rate reached at the target that was asked for."""
        return next(rate for rate in self.rates if rate.target == self.target_fpr)


def cover(model: RequestModel) -> Coverage:
    """Return what a model knows, in numbers."""
    endpoints = sorted(model.endpoints, key=lambda e: (-e.sightings, e.method, e.template))
    kinds = Counter(profile.value_type.noun for profile in model.profiles)
    return Coverage(
        tuple(
            EndpointCoverage(e.method, e.template, e.sightings, len(e.fields), e.thin)
            for e in endpoints
        ),
        dict(kinds.most_common()),
    )


def report_to_dict(report: LearnReport) -> dict[str, Any]:
    """Return the report as plain JSON values; statuses become text, as JSON keys are."""
    data = asdict(report)
    data["refused"] = {str(status): count for status, count in report.refused.items()}
    data["coverage"]["thin"] = report.coverage.thin
    data["warnings"] = list(report.warnings)
    data["rates"] = [{**asdict(rate), "rate": rate.rate} for rate in report.rates]
    return data


def report_markdown(report: LearnReport) -> str:
    """Return the report for a job summary or a pull request."""
    source, coverage, promised = report.source, report.coverage, report.promised
    stand_in = " (a stand-in made of the name)" if source.subject_source == "name" else ""
    lines = [
        f"## Request model of `{source.image}`",
        "",
        f"Learned from {report.kept:,} of {source.exchanges:,} requests in {source.sessions:,} "
        f"sessions: {len(coverage.endpoints):,} endpoints, {sum(coverage.fields.values()):,} "
        f"fields, {report.artifact_bytes / 1000:,.0f} kB, {report.seconds:.1f} s.",
        "",
        f"- Image digest: `{source.subject}`{stand_in}",
        f"- False positives at the target of {report.target_fpr:.2%}: **{promised.rate:.2%}** of "
        f"held-out requests ({promised.alarms} of {promised.requests:,}; 95 % interval "
        f"{promised.low:.2%} to {promised.high:.2%})",
        f"- Set aside: {sum(report.refused.values()):,} refused by the app, "
        f"{len(report.set_aside):,} that look like attacks, "
        f"{report.labelled:,} labelled as attacks",
        f"- Too thin to block on their shape: {coverage.thin:,} endpoints",
        "",
        "| target | thresholds | reached | 95 % interval |",
        "|---:|---:|---:|---:|",
    ]
    lines.extend(
        f"| {rate.target:.2%} | {shown_thresholds(rate)} | {rate.rate:.2%} | "
        f"{rate.low:.2%} to {rate.high:.2%} |"
        for rate in report.rates
    )
    lines.extend(f"\n> **Note:** {warning}." for warning in report.warnings)
    if report.set_aside:
        lines += [
            "",
            "### Set aside as attacks",
            "",
            "| exchange | field | rule |",
            "|---|---|---|",
        ]
        lines.extend(
            f"| {_cell(a.exchange)} | {_cell(a.field)} | {_cell(a.rule)}: {_cell(a.message)} |"
            for a in report.set_aside[:_SHOWN]
        )
        lines.extend(_more(len(report.set_aside)))
    lines += ["", "### Endpoints", "", "| endpoint | requests | fields |", "|---|---:|---:|"]
    lines.extend(
        f"| {_cell(f'{e.method} {e.template}')} | {e.sightings:,} | {e.fields} |"
        for e in coverage.endpoints[:_SHOWN]
    )
    lines.extend(_more(len(coverage.endpoints)))
    return "\n".join(lines) + "\n"


def shown_thresholds(rate: ReachedRate) -> str:
    """Return the thresholds of a rate, in the order of the categories."""
    return ", ".join("none" if t == float("inf") else f"{t:.2f}" for t in rate.thresholds)


def _cell(text: str) -> str:
    # Names come from traffic: nothing in them may end a cell or start markup.
    safe = "".join(c if c.isprintable() and c not in "|`<>&\\" else "·" for c in text[:120])
    return f"`{safe}`"


def _more(count: int) -> list[str]:
    return [f"| and {count - _SHOWN:,} more |"] if count > _SHOWN else []
