"""The plots of a report: held-out scores with their thresholds, and endpoint coverage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from cnaf.learner.report import LearnReport

__all__ = ["write_plots"]

_INK, _BAR, _MARK = "#1f2933", "#4c78a8", "#c0392b"
_SHOWN_ENDPOINTS = 25
_NAME = 48


def write_plots(
    report: LearnReport, held_out: npt.NDArray[np.float64], directory: Path
) -> tuple[Path, ...]:
    """Write ``scores.png`` and ``coverage.png`` and return their paths; raises OSError."""
    # Drawing needs half a second to import, and only a run with a report directory draws.
    from matplotlib.figure import Figure  # noqa: PLC0415

    scores = Figure(figsize=(8, 4), layout="constrained", dpi=110)
    axes = scores.subplots()
    axes.hist(held_out, bins=80, color=_BAR, log=True)
    axes.set_xlabel("anomaly score of held-out requests")
    axes.set_ylabel("requests (log scale)")
    axes.set_title(f"{report.source.image}: {len(held_out):,} held-out requests", color=_INK)
    for rate in report.rates:
        plain = rate.thresholds[0]
        if plain < float("inf"):
            wanted = rate.target == report.target_fpr
            axes.axvline(
                plain, color=_MARK if wanted else _INK, lw=1.6 if wanted else 0.6,
                ls="-" if wanted else ":",
                label=f"blocks {rate.target:.2%} (without a body)" if wanted else None,
            )  # fmt: skip
    if report.promised.thresholds[0] < float("inf"):
        axes.legend(frameon=False)

    shown = report.coverage.endpoints[:_SHOWN_ENDPOINTS]
    height = 1.2 + 0.26 * len(shown)
    coverage = Figure(figsize=(8, height), layout="constrained", dpi=110)
    axes = coverage.subplots()
    names = [_plain(f"{e.method} {e.template}") for e in shown]
    # Positions instead of names: two shortened names may be equal.
    axes.barh(
        range(len(shown)),
        [e.sightings for e in shown],
        color=[_MARK if e.thin else _BAR for e in shown],
    )
    axes.set_yticks(range(len(shown)), names, fontsize=8, family="monospace", parse_math=False)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=0.8)
    axes.margins(y=0.01)
    axes.set_xlabel("requests learned from (log scale); red: too few to block on shape")
    axes.set_title(
        f"{len(shown)} of {len(report.coverage.endpoints)} endpoints", color=_INK, fontsize=10
    )
    for axis in (*scores.axes, *coverage.axes):
        axis.spines[["top", "right"]].set_visible(False)
    paths = directory / "scores.png", directory / "coverage.png"
    scores.savefig(paths[0])
    coverage.savefig(paths[1])
    return paths


def _plain(name: str) -> str:
    text = "".join(c if c.isprintable() and ord(c) < 0x2500 else "·" for c in name)
    half = _NAME // 2
    return text if len(text) <= _NAME else f"{text[: half - 1]}…{text[-half:]}"
