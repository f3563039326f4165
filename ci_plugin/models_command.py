"""``cnaf models``: what the registry holds. Data goes to standard output, questions to stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from cnaf.ci_plugin.options import RegistryUrl
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.models.artifact import Artifact, unpack
from cnaf.models.registry import ModelRecord
from cnaf.models.registry_url import open_registry
from rich.table import Table

__all__ = ["app"]

#: Endpoints that a terminal shows; --json prints them all.
_SHOWN_ENDPOINTS = 20

app = typer.Typer(help="List, show and remove the request models of a registry.")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_Reference = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Image name, image digest, or at least 12 digits of one."),
]


@app.command("ls")
def list_models(registry: RegistryUrl = None, as_json: _Json = False) -> None:
    """List the models, newest first."""
    records = open_registry(registry).list()
    if as_json:
        print_json_line([_record_json(record) for record in records])
    elif records:
        out.print(_records_table(records))
    else:
        err.print("No models yet: learn an image with `cnaf learn`.")


@app.command("show")
def show_model(reference: _Reference, registry: RegistryUrl = None, as_json: _Json = False) -> None:
    """Show one model: where it comes from, what it knows, and whether it is whole."""
    store = open_registry(registry)
    record = store.find(reference)
    files = store.pull(record.subject)
    artifact = unpack(files.config, files.tensors, expect=record.subject)
    described = {
        **_record_json(record),
        "config_bytes": len(files.config),
        "tensors_bytes": len(files.tensors),
        **{key: value for key, value in artifact.metadata.items() if key != "model"},
        **_knowledge(artifact),
    }
    if as_json:
        print_json_line(described)
    else:
        _print_model(described)


@app.command("rm")
def remove_model(
    reference: _Reference,
    registry: RegistryUrl = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Remove one model from the registry."""
    store = open_registry(registry)
    record = store.find(reference)
    name = f"{record.image} ({record.subject.short})"
    if not yes:
        typer.confirm(f"Remove the model of {name}?", abort=True, err=True)
    removed = store.remove(record.subject)
    if as_json:
        print_json_line(_record_json(removed))
    else:
        out.print(plain(f"Removed the model of {name}."))


def _record_json(record: ModelRecord) -> dict[str, Any]:
    return {
        "image": record.image,
        "subject": str(record.subject),
        "created": record.created.isoformat(),
        "manifest": str(record.manifest),
        "bytes": record.size,
    }


def _knowledge(artifact: Artifact) -> dict[str, Any]:
    """Return what the model's own object tells; an older or newer one may tell less."""
    model = artifact.metadata["model"]
    assert isinstance(model, Mapping)  # unpack made sure
    rows = model.get("endpoints")
    endpoints = [
        {"method": row[0], "template": row[1], "sightings": row[2]}
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list) and len(row) >= 3
    ]
    profiles = model.get("profiles")
    result: dict[str, Any] = {"endpoints": endpoints}
    if isinstance(profiles, list):
        result["fields"] = len(profiles)
    if isinstance(model.get("thresholds"), Mapping):
        result["thresholds"] = model["thresholds"]
    return result


def _records_table(records: Sequence[ModelRecord]) -> Table:
    table = Table(box=None)
    table.add_column("Image", overflow="fold")
    table.add_column("Digest", no_wrap=True)
    table.add_column("Created")
    table.add_column("Size", justify="right")
    for record in records:
        row = (record.image, record.subject.short, record.created.isoformat(), _kilobytes(record))
        table.add_row(*map(plain, row))
    return table


def _print_model(described: Mapping[str, Any]) -> None:
    trainer, corpus = described["trainer"], described["corpus"]
    rows = {
        "Image": described["image"],
        "Digest": described["subject"],
        "Created": described["created"],
        "Trainer": f"{trainer['name']} {trainer['version']}",
        "Corpus": f"{corpus['exchanges']} exchanges, {corpus['sessions']} sessions",
        "Corpus hash": corpus["hash"],
        "Parent": described["parent"] or "none",
        "Size": f"{described['config_bytes']} bytes JSON, "
        f"{described['tensors_bytes']} bytes in {len(described['tensors'])} tensors",
        "Knows": f"{len(described['endpoints'])} endpoints, {described.get('fields', 0)} fields",
    }
    for rate, threshold in described.get("thresholds", {}).items():
        rows[f"Threshold {rate}"] = _thresholds(threshold)
    for name, value in rows.items():
        # Soft-wrapped, so that a digest can be copied in one piece.
        out.print(plain(f"{name:<16} {value}"), soft_wrap=True)
    if described["endpoints"]:
        out.print(_endpoints_table(described["endpoints"]))


def _endpoints_table(endpoints: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None)
    table.add_column("Method", overflow="fold")
    table.add_column("Endpoint", overflow="fold")
    table.add_column("Seen", justify="right")
    ordered = sorted(endpoints, key=lambda endpoint: str(endpoint["template"]))
    for endpoint in ordered[:_SHOWN_ENDPOINTS]:
        table.add_row(*(plain(endpoint[key]) for key in ("method", "template", "sightings")))
    if len(ordered) > _SHOWN_ENDPOINTS:
        table.add_row("…", plain(f"{len(ordered) - _SHOWN_ENDPOINTS} more, see --json"), "")
    return table


def _kilobytes(record: ModelRecord) -> str:
    return f"{record.size / 1000:.0f} kB"


def _thresholds(both: object) -> str:
    """Return the thresholds of requests without and with a body in words."""
    if not isinstance(both, list) or len(both) != 2:
        return str(both)
    plain_one, body = (f"{one:.2f}" if isinstance(one, float) else "none" for one in both)
    return f"{plain_one}, with a body {body}"
