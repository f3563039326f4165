"""``cnaf calibrate``: a model's thresholds held against recorded traffic of production."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from cnaf.ci_plugin.options import CorpusPaths, MorePaths, RegistryUrl
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.ci_plugin.progress import progress_bars
from cnaf.datasets.corpus import open_corpus
from cnaf.learner.evaluate import ReachedRate
from cnaf.learner.recalibrate import Recalibration, recalibrate
from cnaf.learner.report import shown_thresholds
from cnaf.models.artifact import unpack
from cnaf.models.registry_url import open_registry
from cnaf.models.stored_model import pack_model, unpack_model
from rich.table import Table

__all__ = ["calibrate_model"]


def calibrate_model(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE|DIGEST", help="Whose model, by image name or digest.")
    ],
    more: MorePaths = None,
    corpus: CorpusPaths = None,
    registry: RegistryUrl = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Store the model under the new thresholds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what a model's thresholds make of production traffic, and which ones would keep them.

    This is a shadow run: nothing changes unless --apply is given. Record the traffic in alert
    mode; what a high-confidence rule takes for an attack is left out.
    """
    store = open_registry(registry)
    record = store.find(image)
    files = store.pull(record.subject)
    stored = unpack_model(files, expect=record.subject)
    traffic = open_corpus([*(corpus or []), *(more or [])])
    with progress_bars(err) as progress:
        found = recalibrate(stored.model, traffic, progress)
    if as_json:
        print_json_line(_described(found, apply))
    else:
        _print(found)
    if apply:
        about = unpack(files.config, files.tensors, expect=record.subject).metadata
        packed = pack_model(
            found.model,
            subject=stored.subject,
            image=stored.image,
            created=datetime.now(UTC),
            corpus=about["corpus"],  # type: ignore[arg-type]  # unpack checked it
            subject_source=str(about["subject_source"]),
        )
        store.push(packed, subject=stored.subject, image=stored.image)
        err.print(f"Stored under the new thresholds: {stored.image} {stored.subject.hex[:12]}",
                  markup=False)  # fmt: skip
    elif not as_json:
        err.print("Nothing was changed: --apply stores the model under the new thresholds.")


def _described(found: Recalibration, applied: bool) -> dict[str, object]:
    return {
        "distinct": found.distinct,
        "set_aside": len(found.selection.attacks),
        "refused": sum(found.selection.refused.values()),
        "before": [_rate(rate) for rate in found.before],
        "after": [_rate(rate) for rate in found.after],
        "strangest": [asdict(item) for item in found.strangest],
        "applied": applied,
    }


def _rate(rate: ReachedRate) -> dict[str, object]:
    thresholds = [t if t < float("inf") else None for t in rate.thresholds]
    return {**asdict(rate), "thresholds": thresholds, "rate": rate.rate}


def _print(found: Recalibration) -> None:
    rates = Table(
        "target", "thresholds now", "would block now", "new thresholds", "would block then",
        title=f"{found.distinct:,} distinct requests of production", title_justify="left",
    )  # fmt: skip
    for before, after in zip(found.before, found.after, strict=True):
        rates.add_row(
            f"{before.target:.2%}", shown_thresholds(before), _share(before),
            shown_thresholds(after), _share(after),
        )  # fmt: skip
    out.print(rates)
    strangest = Table(
        "score", "endpoint", "field", "exchange",
        title="What the new thresholds rest on: look at these first", title_justify="left",
    )  # fmt: skip
    for item in found.strangest:
        strangest.add_row(
            f"{item.score:.2f}", plain(item.endpoint), plain(item.field), plain(item.exchange)
        )
    out.print(strangest)
    if found.selection.attacks:
        err.print(f"{len(found.selection.attacks):,} requests look like attacks and were left out.")


def _share(rate: ReachedRate) -> str:
    return f"{rate.alarms:,} ({rate.rate:.2%}; {rate.low:.2%} to {rate.high:.2%})"
