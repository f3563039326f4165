"""The plots of an evaluation, as PNG files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cnaf.evaluation.results import ABLATION_TARGETS

if TYPE_CHECKING:
    from cnaf.evaluation.experiments import SmallPoint
    from cnaf.evaluation.observations import Observation
    from cnaf.evaluation.runner import Evaluation

__all__ = ["write_evaluation_plots"]

_INK, _MARK, _GREY = "#1f2933", "#c0392b", "#9aa5b1"
#: Told apart by people of any colour vision (Okabe and Ito).
_COLOURS = {
    "model": "#0072b2", "product": "#d55e00", "signatures": "#cc79a7", "CRS PL1": "#009e73",
    "CRS PL2": "#56b4e9", "allow-list": "#e69f00", "regex": "#7f7f7f",
}  # fmt: skip
_LEAST_FPR = 1e-4
#: More points than this are drawn small.
_MANY = 200


def write_evaluation_plots(evaluation: Evaluation, directory: Path) -> tuple[Path, ...]:
    """Write what there are figures for and return the paths; raises OSError."""
    drawn: dict[str, Callable[[Evaluation, Any], None] | None] = {
        "roc.png": _roc if evaluation.curves else None,
        "scores.png": _scores if evaluation.curves else None,
        "small-corpora.png": _small if evaluation.small else None,
        "ablation.png": _ablation if evaluation.ablation else None,
    }
    # Drawing needs half a second to import.
    from matplotlib.figure import Figure  # noqa: PLC0415

    paths = []
    for name, draw in drawn.items():
        if draw is not None:
            figure = Figure(layout="constrained", dpi=110)
            draw(evaluation, figure)
            for axis in figure.axes:
                axis.spines[["top", "right"]].set_visible(False)
            paths.append(directory / name)
            figure.savefig(paths[-1])
    return tuple(paths)


def _roc(evaluation: Evaluation, figure: Any) -> None:
    names = list(dict.fromkeys(curve.application for curve in evaluation.curves))
    figure.set_size_inches(1 + 4.6 * len(names), 4.8)
    grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(grid, names, strict=True):
        _roc_of(evaluation, name, axes)
    grid[0].set_ylabel("share of attacks")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=2 * len(names)
    )


def _roc_of(evaluation: Evaluation, name: str, axes: Any) -> None:
    for curve in evaluation.curves:
        if curve.application != name:
            continue
        shown = curve.fpr >= _LEAST_FPR
        # The best that the detector reaches below the left edge holds there.
        start = curve.tpr[~shown].max(initial=0.0)
        axes.step(
            [_LEAST_FPR, *curve.fpr[shown]], [start, *curve.tpr[shown]], where="post",
            color=_COLOURS.get(curve.detector, _GREY), label=curve.detector, lw=1.8,
        )  # fmt: skip
    result = next(r for r in evaluation.results if r.data_set == name)
    for row in result.rows:
        if row.alerted is not None or row.detector.startswith("CRS"):
            fpr = max(row.benign.requests.share, _LEAST_FPR)
            named = f"{row.detector} at its threshold" if row.alerted is not None else None
            axes.plot(
                fpr, row.attacks.requests.share, "o", ms=8, mec="white", clip_on=False,
                color=_COLOURS.get(row.detector, _GREY), label=named,
            )  # fmt: skip
    axes.axvline(evaluation.target_fpr, color=_GREY, lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlim(_LEAST_FPR, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("share of benign requests (log scale, 0 at its left end)")
    axes.set_title(name, fontsize=10)
    axes.grid(alpha=0.25, which="major")


def _scores(evaluation: Evaluation, figure: Any) -> None:
    name = evaluation.curves[0].application
    seen = [o for o in evaluation.observations if o.application == name and not o.ambiguous]
    benign = [o for o in seen if not o.data_set]
    by_class: dict[str, list[Observation]] = defaultdict(list)
    for observation in seen:
        if observation.data_set == name:
            by_class[observation.attack_class].append(observation)
    rows = [("benign, without a body", [o for o in benign if not o.body], _GREY),
            ("benign, with a body", [o for o in benign if o.body], _INK)]  # fmt: skip
    rows += sorted(
        ((kind, found, _MARK) for kind, found in by_class.items()),
        key=lambda row: float(np.median([o.margin for o in row[1]])),
    )
    figure.set_size_inches(8, 1.2 + 0.28 * len(rows))
    axes = figure.subplots()
    jitter = np.random.default_rng(0)
    for at, (_, found, colour) in enumerate(rows):
        margins = np.array([o.margin for o in found])
        heights = at + jitter.uniform(-0.3, 0.3, len(margins))
        size, alpha = (3, 0.35) if len(margins) > _MANY else (6, 0.7)
        axes.plot(margins, heights, ".", color=colour, ms=size, alpha=alpha, mew=0)
    axes.axvline(0, color=_INK, lw=1)
    axes.set_yticks(range(len(rows)), [f"{kind} ({len(f):,})" for kind, f, _ in rows], fontsize=8,
                    parse_math=False)  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel(
        f"score above the threshold of {evaluation.target_fpr:.2%} (0: blocked from here)"
    )
    axes.set_title(f"{name}: scores of the model alone, each out of fold", fontsize=10)
    axes.grid(alpha=0.25, axis="x")


def _small(evaluation: Evaluation, figure: Any) -> None:
    names = list(dict.fromkeys(point.application for point in evaluation.small))
    figure.set_size_inches(1.5 + 4.2 * len(names), 6.5)
    grid = figure.subplots(2, len(names), sharex=True, sharey="row", squeeze=False)
    for column, name in enumerate(names):
        groups: dict[tuple[str, float], list[SmallPoint]] = defaultdict(list)
        for point in evaluation.small:
            if point.application == name:
                groups[point.pipeline, point.target].append(point)
        for (pipeline, target), points in sorted(groups.items()):
            style = {"color": _COLOURS[pipeline], "ls": "-" if target >= 0.01 else "--",
                     "label": f"{pipeline}, target {target:.1%}"}  # fmt: skip
            _band(grid[0][column], points, lambda p: p.attacks.share, style)
            _band(grid[1][column], points, lambda p: p.benign.share, style)
        grid[0][column].set_title(name, fontsize=10)
        grid[1][column].set_xlabel("requests learned from (log scale)")
        for axes in (grid[0][column], grid[1][column]):
            axes.set_xscale("log")
            axes.grid(alpha=0.25)
    sizes = sorted({point.size for point in evaluation.small})
    for axes in grid[1]:
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=8)
        axes.minorticks_off()
    grid[0][0].set_ylabel("share of attacks blocked")
    grid[1][0].set_ylabel("share of benign requests blocked")
    # From 0, and the rates that one can live with told apart.
    grid[1][0].set_yscale("symlog", linthresh=0.01)
    ticks = (0, 0.001, 0.005, 0.01, 0.05, 0.2)
    grid[1][0].set_yticks(ticks, [f"{tick:.1%}" for tick in ticks])
    grid[1][0].set_ylim(bottom=0)
    grid[0][0].set_ylim(0, 1.02)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=2 * len(names)
    )


def _band(
    axes: Any, points: list[SmallPoint], share: Callable[[SmallPoint], float], style: dict[str, Any]
) -> None:
    """Draw the mean over draws, and their range."""
    sizes = sorted({point.size for point in points})
    found = [[share(p) for p in points if p.size == size] for size in sizes]
    axes.plot(sizes, [float(np.mean(f)) for f in found], marker=".", **style)
    axes.fill_between(
        sizes, [min(f) for f in found], [max(f) for f in found], color=style["color"], alpha=0.1,
        lw=0,
    )  # fmt: skip


def _ablation(evaluation: Evaluation, figure: Any) -> None:
    full, *rows = evaluation.ablation
    figure.set_size_inches(8, 1.4 + 0.34 * len(rows))
    axes = figure.subplots()
    for at, target in enumerate(ABLATION_TARGETS):
        losses = [100 * (row.found[at].share - full.found[at].share) for row in rows]
        heights = np.arange(len(rows)) + (at - 0.5) * 0.36
        colour = ("#0072b2", "#e69f00")[at]
        label = f"at {target:.1%} false positives (whole: {full.found[at].share:.1%})"
        bars = axes.barh(heights, losses, 0.34, color=colour, label=label)
        axes.bar_label(bars, [f"{loss:+.1f}" for loss in losses], fontsize=7, padding=2)
    axes.axvline(0, color=_INK, lw=0.8)
    axes.set_yticks(range(len(rows)), [row.part for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel("change in attacks found, in points")
    axes.set_title("Model alone without a part of it, and what is simpler", fontsize=10)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
