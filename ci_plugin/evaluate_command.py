"""``cnaf evaluate``: how well the detectors do on data sets that are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cnaf.ci_plugin.options import TargetFpr
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.ci_plugin.progress import progress_bars
from cnaf.evaluation.figures import summary
from cnaf.evaluation.report import write_evaluation
from cnaf.evaluation.runner import Evaluation, Options, evaluate
from cnaf.evaluation.sources import Part
from cnaf.evaluation.tables import brief
from rich.table import Table

__all__ = ["evaluate_detectors"]


def evaluate_detectors(
    directory: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Write tables and plots there.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with any of csic2010, httpparams, octokit, gotestwaf, crs_tests and "
            "libinjection_data, folders or .tar.xz.",
        ),
    ] = None,
    wordpress: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Recorded benign sessions. Default: those of the checkout."
        ),
    ] = None,
    attacks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Labelled attacks on the same application.")
    ] = None,
    only: Annotated[
        list[Part] | None, typer.Option(help="A data set or experiment; repeatable. Default: all.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One fold and one draw each: a minute, wide intervals.")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds by session.")] = 5,
    target_fpr: TargetFpr = 0.001,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Measure detection and false positives of model, signatures and both, beside CRS."""
    options = Options(
        data=data, wordpress=wordpress, attacks=attacks, only=frozenset(only or ()), quick=quick,
        folds=folds, target_fpr=target_fpr,
    )  # fmt: skip
    with progress_bars(err) as progress:
        evaluation = evaluate(options, progress)
    written = write_evaluation(evaluation, directory)
    for reason in evaluation.missing:
        err.print(plain(f"left out: {reason}"))
    if as_json:
        print_json_line(summary(evaluation))
    else:
        out.print(_table(evaluation))
        out.print(plain(f"written to {directory}: {', '.join(path.name for path in written)}"))


def _table(evaluation: Evaluation) -> Table:
    table = Table(
        title="Blocked, in % of distinct requests, with 95 % intervals", title_justify="left"
    )
    table.add_column("")
    for name in ("attacks", "benign", "with a body"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in evaluation.results:
        table.add_section()
        table.add_row(plain(result.data_set, "bold"))
        for row in result.rows:
            groups = row.attacks, row.benign, row.bodies
            table.add_row(f"  {row.detector}", *(brief(group.distinct) for group in groups))
    return table
