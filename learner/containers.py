"""Start an image, alone or with the services of a compose file, and leave nothing behind.

Everything that is started carries the label of this run, and whatever carries it is removed at the
end: containers with their volumes, networks, also after an error, Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import secrets
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnaf.dataplane.config import Address
from cnaf.dataplane.containers import container_digest, engine, engine_errors, resolve_image_digest
from cnaf.learner.compose import PROJECT_LABEL, choose_service, start_project
from cnaf.models.errors import ImageError, InputError
from docker.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cnaf.models.digest import Digest

__all__ = ["RUN_LABEL", "Launch", "RunningApp", "running_app"]

_log = logging.getLogger(__name__)

#: Carried by everything that a run starts itself; its value is the id of the run.
RUN_LABEL = "cnaf.run"
_POLL_S = 0.2
_ANSWER_TIMEOUT_S = 10.0
_LOG_LINES = 12
_LOG_CHARACTERS = 2_000
#: An app that cannot do its work yet says so (503 while it starts, 500 without its database).
_NOT_READY = 500
#: A start that was cut short leaves requests at the engine, which still make what they ask for.
_SETTLED_S = 3.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How an image is started, and from when on it counts as ready."""

    compose: Path | None = None
    service: str | None = None
    #: TCP port of the app; without it, those that the image exposes are tried.
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 120.0
    ready_path: str = "/"
    #: Host header of the readiness request: some apps know their name and refuse others.
    host: str = "localhost"


@dataclass(frozen=True, slots=True)
class RunningApp:
    """A container whose app answers."""

    image: str
    digest: Digest
    address: Address
    #: Where the app sent the readiness request on to, empty where it did not.
    location: str
    container: Any

    def check(self) -> None:
        """Raise ImageError where the container has ended since."""
        _check_runs(self.image, self.container)


@contextlib.contextmanager
def running_app(image: str, launch: Launch) -> Iterator[RunningApp]:
    """Start an image, wait until it answers, and remove everything at the end.

    Raises InputError for options that do not fit, ImageError for an image that is not here, ends
    early (with its last log lines) or does not answer in time, and where no engine answers.
    """
    digest = resolve_image_digest(image)
    run = secrets.token_hex(6)
    deadline = time.monotonic() + launch.ready_timeout_s
    settled_s = _SETTLED_S
    with _unwound_by_sigterm(), engine() as client:
        try:
            start = _start_project if launch.compose else _start_alone
            with engine_errors(f"{image} cannot be started"):
                container = start(client, image, launch, run)
            settled_s = 0.0
            address, location = _wait(image, container, launch, deadline)
            if container_digest(container.id) != digest:
                raise ImageError(f"the tag {image} moved while it was started", hint="run it again")
            yield RunningApp(image, digest, address, location, container)
        finally:
            _remove(client, run, settled_s)


@contextlib.contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which CI cancels a job, unwind the program as Ctrl-C does.

    Only where nobody handles it yet, and in the main thread, which alone may.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _start_alone(client: Any, image: str, launch: Launch, run: str) -> Any:
    name, labels = f"cnaf-{run}", {RUN_LABEL: run}
    client.networks.create(name, labels=labels)
    container = client.containers.create(
        image, name=name, network=name, labels=labels, environment=dict(launch.env)
    )
    container.start()
    return container


def _start_project(client: Any, image: str, launch: Launch, run: str) -> Any:
    assert launch.compose is not None
    service = choose_service(launch.compose, launch.service)
    change = {"image": image, "labels": {RUN_LABEL: run}, "environment": dict(launch.env)}
    start_project(f"cnaf-{run}", launch.compose, {service: change}, launch.ready_timeout_s)
    containers = client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run}"})
    if not containers:
        raise ImageError(f"Compose started no container of the service {service}")
    return containers[0]


def _wait(image: str, container: Any, launch: Launch, deadline: float) -> tuple[Address, str]:
    """Return where the app answers, and the Location of that answer."""
    ports: list[int] = []
    while True:
        _check_runs(image, container)
        ports = [launch.port] if launch.port else _exposed(image, container)
        for port in ports:
            address = Address(_host(container), port)
            location = _ask(address, launch)
            if location is not None:
                return address, location
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    raise ImageError(
        f"{image} does not answer on port {' or '.join(map(str, ports))} within "
        f"{launch.ready_timeout_s:.0f} s{_last_words(container)}",
        hint="does it need other services (--compose), another --port or more time?",
    )


def _ask(address: Address, launch: Launch) -> str | None:
    """Return the Location of the app's answer (empty without), None while it is not ready."""
    connection = http.client.HTTPConnection(
        address.host, address.port, timeout=min(_ANSWER_TIMEOUT_S, launch.ready_timeout_s)
    )
    try:
        connection.request("GET", launch.ready_path, headers={"Host": launch.host})
        response = connection.getresponse()
        return None if response.status >= _NOT_READY else response.headers.get("Location", "")
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _check_runs(image: str, container: Any) -> None:
    with engine_errors(f"the container of {image} is gone"):
        container.reload()
    state = container.attrs["State"]
    if state["Status"] in ("exited", "dead"):
        raise ImageError(
            f"{image} ended with status {state.get('ExitCode')}{_last_words(container)}",
            hint="does it need other services, or settings from a compose file (--compose)?",
        )


def _exposed(image: str, container: Any) -> list[int]:
    exposed = container.attrs["Config"].get("ExposedPorts") or {}
    ports = sorted(
        int(port) for port, _, kind in (p.partition("/") for p in exposed) if kind == "tcp"
    )
    if not ports:
        raise InputError(f"{image} exposes no TCP port", hint="say which one with --port")
    return ports


def _host(container: Any) -> str:
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    # Without an address of its own, it uses the host's network.
    return next((str(n["IPAddress"]) for n in networks if n.get("IPAddress")), "127.0.0.1")


def _last_words(container: Any) -> str:
    """Return the end of the container's log, as lines that cannot steer a terminal."""
    with contextlib.suppress(ImageError), engine_errors("its log cannot be read"):
        text = container.logs(tail=_LOG_LINES)[-_LOG_CHARACTERS:].decode("utf-8", "replace")
        lines = ["".join(c for c in line if c.isprintable()) for line in text.splitlines()]
        if lines:
            return "; its last lines:\n  " + "\n  ".join(lines) + "\n"
    return ""


def _remove(client: Any, run: str, settled_s: float) -> None:
    """Remove what carries the run's labels, until none of it was seen for ``settled_s`` seconds."""
    labels = (f"{RUN_LABEL}={run}", f"{PROJECT_LABEL}=cnaf-{run}")
    quiet_from = time.monotonic()
    while True:
        removed = [_remove_labelled(client, label) for label in labels]
        if any(removed):
            quiet_from = time.monotonic()
        if time.monotonic() - quiet_from >= settled_s:
            return
        time.sleep(_POLL_S)


def _remove_labelled(client: Any, label: str) -> bool:
    """Remove what carries the label; return whether there was anything that could be removed."""
    chosen = {"label": label}
    removed = False
    try:
        with engine_errors(f"what carries the label {label} cannot be removed"):
            for container in client.containers.list(all=True, filters=chosen):
                with contextlib.suppress(NotFound):
                    container.remove(force=True, v=True)
                    removed = True
            for kept in (client.networks, client.volumes):
                for item in kept.list(filters=chosen):
                    with contextlib.suppress(NotFound):
                        item.remove(**({"force": True} if kept is client.volumes else {}))
                        removed = True
    except ImageError as error:
        _log.error("%s; see docker ps -a --filter label=%s", error, label)
    return removed
