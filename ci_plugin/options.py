"""Options that several commands share: one name, one help text, one range."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CorpusPaths", "MorePaths", "Reaction", "RegistryUrl", "RulesDir", "TargetFpr"]


class Reaction(StrEnum):
    """What is done about an attack; passing it is not among it."""

    ALERT = "alert"
    BLOCK = "block"


CorpusPaths = Annotated[
    list[Path] | None,
    typer.Option("--corpus", metavar="PATH", help="HAR or JSONL file or folder; repeatable."),
]
MorePaths = Annotated[
    list[Path] | None, typer.Argument(metavar="[PATH]...", help="More corpus paths.")
]
RegistryUrl = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        help="A folder, file:// or oci-layout: URL. Default: CNAF_REGISTRY, or your data folder.",
    ),
]
RulesDir = Annotated[
    Path | None,
    typer.Option(
        "--rules-dir",
        metavar="DIR",
        help="Where rule sets are registered. Default: CNAF_RULES, or your configuration folder.",
    ),
]
TargetFpr = Annotated[
    float,
    typer.Option(
        "--target-fpr",
        min=1e-6,
        max=0.5,
        help="Share of benign requests that the model may block.",
    ),
]
