"""The files of an evaluation: tables for people, figures for programs, plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from cnaf.evaluation.figures import evaluation_to_dict
from cnaf.evaluation.plots import write_evaluation_plots
from cnaf.evaluation.tables import evaluation_markdown
from cnaf.models.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from cnaf.evaluation.runner import Evaluation

__all__ = ["write_evaluation"]


def write_evaluation(evaluation: Evaluation, directory: Path) -> tuple[Path, ...]:
    """Write ``evaluation.md``, ``evaluation.json`` and the plots; return their paths.

    Raises InputError where the directory cannot be written.
    """
    tables, figures = directory / "evaluation.md", directory / "evaluation.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tables.write_text(evaluation_markdown(evaluation), "utf-8")
        described = orjson.dumps(evaluation_to_dict(evaluation), option=orjson.OPT_INDENT_2)
        figures.write_bytes(described + b"\n")
        return tables, figures, *write_evaluation_plots(evaluation, directory)
    except OSError as error:
        raise InputError(
            f"the evaluation cannot be written to {directory}: {error.strerror or error}",
            hint="name a directory that can be written with --out",
        ) from error
