"""``cnaf enforce``: an explicit reverse proxy in front of one origin."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from cnaf.ci_plugin.options import Reaction, RegistryUrl, RulesDir, TargetFpr
from cnaf.ci_plugin.output import err, print_json_line
from cnaf.dataplane.config import Address
from cnaf.dataplane.containers import container_digest
from cnaf.dataplane.plane import DataPlane
from cnaf.enforcer.pipeline import Policy
from cnaf.enforcer.reverse_proxy import Protection, protect
from cnaf.enforcer.spool import default_spool_dir
from cnaf.models.artifact import ArtifactFiles
from cnaf.models.errors import InputError
from cnaf.models.limits import Limits
from cnaf.models.registry_url import open_registry
from cnaf.models.stored_model import unpack_model
from cnaf.models.verdict import Action
from cnaf.signatures.sets.store import sets_for
from rich.logging import RichHandler

__all__ = ["enforce"]


def enforce(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where clients connect.")],
    origin: Annotated[str, typer.Option(metavar="HOST:PORT", help="The app to protect.")],
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE|DIGEST", help="Whose model, by image name or digest."),
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Take the digest that this container really runs."),
    ] = None,
    action: Annotated[Reaction, typer.Option(help="What happens to an attack.")] = Reaction.ALERT,
    registry: RegistryUrl = None,
    rules_dir: RulesDir = None,
    model: Annotated[
        bool, typer.Option(help="Without a model only signatures and protocol checks decide.")
    ] = True,
    target_fpr: TargetFpr = 0.001,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Inspection processes. Default: one a core.")
    ] = None,
    fail_open: Annotated[
        bool,
        typer.Option("--fail-open/--fail-closed", help="What a request without a verdict gets."),
    ] = True,
    budget_ms: Annotated[
        int, typer.Option(min=1, max=60_000, help="How long a verdict may take.")
    ] = 100,
    body_limit: Annotated[
        int, typer.Option(min=1, max=1 << 20, metavar="BYTES", help="Inspected part of a body.")
    ] = Limits().body_bytes,
    spool: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where alerts go. Default: CNAF_SPOOL.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what starts and, at the end, counters as JSON.")
    ] = False,
) -> None:
    """Stand in front of an app, and alert on or block what does not fit its image."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )
    reference = _reference(image, container)
    name, subject, files = _model(registry, reference) if model else (reference, "", None)
    protection = Protection(
        listen=Address.parse(listen),
        origin=Address.parse(origin),
        image=name,
        subject=subject,
        files=files,
        spool=spool or default_spool_dir(),
        policy=Policy(
            action=Action(action), target_fpr=target_fpr, limits=Limits(body_bytes=body_limit)
        ),
        workers=workers or len(os.sched_getaffinity(0)),
        fail_open=fail_open,
        budget_ms=budget_ms,
        rules=sets_for(name, rules_dir),
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    err.print(f"Starting {protection.workers} inspection workers …", highlight=False)
    with protect(protection) as plane:
        _tell_ready(protection, as_json=as_json)
        stopped.wait()
        err.print("Stopping: requests in flight end first.")
        counters = _counters(plane)
    if as_json:
        print_json_line({"event": "stopped", **counters})
    else:
        err.print("  ".join(f"{name} {value}" for name, value in counters.items()))


def _reference(image: str | None, container: str | None) -> str:
    if image is not None and container is None:
        return image
    if container is not None and image is None:
        return str(container_digest(container))
    raise InputError("whose model is it?", hint="give either --image or --container")


def _model(registry: str | None, image: str) -> tuple[str, str, ArtifactFiles]:
    store = open_registry(registry)
    record = store.find(image)
    files = store.pull(record.subject)
    # Loaded here, too: a model that must not be used is an error now, not a worker's log line.
    unpack_model(files, expect=record.subject)
    return record.image, str(record.subject), files


def _tell_ready(protection: Protection, *, as_json: bool) -> None:
    about: dict[str, Any] = {
        "listen": str(protection.listen),
        "origin": str(protection.origin),
        "image": protection.image,
        "subject": protection.subject,
        "action": protection.policy.action.value,
        "fail_mode": "open" if protection.fail_open else "closed",
        "workers": protection.workers,
        "rules": [f"{known.name} {known.version}" for known, _ in protection.rules],
        "spool": str(protection.spool),
        "pid": os.getpid(),
    }
    if as_json:
        print_json_line({"event": "ready", **about})
        return
    by = f"the model of {protection.image}" if protection.subject else "signatures only"
    if protection.rules:
        by += f" and {', '.join(about['rules'])}"
    err.print(
        f"Ready: http://{protection.listen} protects {protection.origin} with {by}, "
        f"action {protection.policy.action.value}, fail-{about['fail_mode']}. "
        f"Alerts: {protection.spool} (cnaf alerts --spool {protection.spool})",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _counters(plane: DataPlane) -> dict[str, int]:
    stats = plane.stats()
    return {
        "unchecked": stats.unchecked,
        "agent_restarts": stats.agent_restarts,
        "haproxy_restarts": stats.haproxy_restarts,
    }
