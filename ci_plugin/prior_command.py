"""``cnaf prior``: what small corpora lean on, and how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cnaf.ci_plugin.options import CorpusPaths
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.ci_plugin.progress import progress_bars
from cnaf.datasets.corpus import open_corpus
from cnaf.learner.prior import make_prior, ordinary_corpus
from cnaf.learner.reference import pack_reference, packaged_reference
from cnaf.learner.rehearsal import make_reference, small_corpora
from cnaf.models.errors import InputError
from cnaf.models.exchange import Label
from cnaf.models.prior import general_prior, unpack_prior
from rich.table import Table

__all__ = ["app"]

app = typer.Typer(help="Show the general prior, or make it again from its sources.")


@app.command("show")
def show_prior(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what the prior of this release was made from."""
    prior = general_prior()
    slots = len(prior.table.tags)
    described = {"digest": prior.digest, "slots": slots, "sources": dict(prior.sources)}
    if as_json:
        print_json_line(described)
        return
    table = Table("source", "version", title=f"General prior {prior.digest[:12]}", show_edge=False)
    for name, version in prior.sources.items():
        table.add_row(plain(name), plain(str(version)))
    out.print(table)


@app.command("make")
def make(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where prior.json and prior.safetensors go.")
    ],
    size: Annotated[int, typer.Option(min=1000, help="Ordinary values to draw.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
) -> None:
    """Draw ordinary values and make the prior of them; equal sources give equal files."""
    values, sources = ordinary_corpus(seed, size)
    with progress_bars(err) as progress:
        files = make_prior(values, sources, progress)
    prior = unpack_prior(files)
    _write(folder, {"prior.json": files.config, "prior.safetensors": files.tensors})
    same = prior.digest == general_prior().digest
    out.print(
        f"Prior {prior.digest[:12]}: {len(files.tensors):,} bytes in {folder}, "
        + ("the one of this release" if same else "not the one of this release"),
        highlight=False,
        soft_wrap=True,
    )


@app.command("reference")
def reference(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Where reference.json and reference.safetensors go."),
    ],
    corpus: CorpusPaths,
) -> None:
    """Learn small corpora of a recorded site and make the reference of what the rest looks like.

    Attacks of the corpus are left out. An equal corpus gives equal files.
    """
    traffic = open_corpus(corpus or [])
    benign = [exchange for exchange in traffic if exchange.label is Label.BENIGN]
    draws = small_corpora(benign)
    with progress_bars(err) as progress:
        made = make_reference(draws, progress)
    facts = traffic.facts
    files = pack_reference(
        made,
        {"corpus": facts.sha256, "exchanges": len(benign), "small corpora": len(draws)},
    )
    same = files == packaged_reference()
    _write(folder, {"reference.json": files.config, "reference.safetensors": files.tensors})
    out.print(
        f"Reference of {len(draws)} small corpora: {len(files.tensors):,} bytes in {folder}, "
        + ("the one of this release" if same else "not the one of this release"),
        highlight=False,
        soft_wrap=True,
    )


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}", hint="name a folder that you may write"
        ) from error
