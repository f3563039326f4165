"""The explicit reverse proxy: one origin, one model, HAProxy and its workers in a directory."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import IO, TYPE_CHECKING

from cnaf.dataplane.config import Address, ProxyConfig, agent_socket
from cnaf.dataplane.plane import DataPlane
from cnaf.enforcer.pipeline import Policy
from cnaf.enforcer.settings import WorkerSettings, write_settings
from cnaf.enforcer.spool import SpoolWriter
from cnaf.models.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnaf.models.artifact import ArtifactFiles
    from cnaf.signatures.sets.registered import RegisteredSet
    from cnaf.signatures.sets.sources import Sources

__all__ = ["Protection", "protect"]


@dataclass(frozen=True, slots=True)
class Protection:
    """What stands in front of an origin, and how it decides.

    ``files`` is the model of ``subject``; None, and an empty ``subject``, where only signatures
    enforce. ``spool`` is where alerts go. ``rules`` are registered sets with their files.
    """

    listen: Address
    origin: Address
    image: str
    subject: str
    files: ArtifactFiles | None
    spool: Path
    policy: Policy = field(default_factory=Policy)
    workers: int = 2
    fail_open: bool = True
    budget_ms: int = 100
    rules: tuple[tuple[RegisteredSet, Sources], ...] = ()


@contextmanager
def protect(protection: Protection) -> Iterator[DataPlane]:
    """Run the data plane; on leaving, requests in flight end before anything stops.

    Raises DataplaneError where it cannot start, AlertError where alerts cannot be kept, InputError
    for values that HAProxy must not see.
    """
    # An unusable spool is an error now, not a line in the log of a worker that never gets ready.
    SpoolWriter(protection.spool, worker="check").close()
    with ExitStack() as stack:
        run_dir, lock = _locked_run_dir(protection.listen)
        stack.enter_context(lock)
        stack.callback(shutil.rmtree, run_dir, ignore_errors=True)
        config = ProxyConfig(
            listen=protection.listen,
            origin=protection.origin,
            agent_sockets=tuple(agent_socket(run_dir, i) for i in range(protection.workers)),
            run_dir=run_dir,
            fail_open=protection.fail_open,
            budget_ms=protection.budget_ms,
            body_bytes=protection.policy.limits.body_bytes,
        )
        settings = write_settings(
            WorkerSettings(
                run_dir, protection.image, protection.subject, protection.spool, protection.policy
            ),
            protection.files,
            protection.rules,
        )
        command = (sys.executable, "-m", "cnaf.enforcer.worker", str(settings))
        plane = DataPlane(config, [(*command, str(socket)) for socket in config.agent_sockets])
        stack.enter_context(plane)
        try:
            yield plane
        finally:
            plane.stop(graceful=True)


def _locked_run_dir(listen: Address) -> tuple[Path, IO[str]]:
    """Return the directory of one listen address, and a file whose lock lasts until it is closed.

    It is the same at each start, so that the HAProxy that a killed run left behind is found there
    and taken over. Only this user may use it: it holds sockets that decide about requests.
    """
    # Sockets allow paths of a hundred bytes only, so the host is not spelled out.
    name = f"{listen.port}-{sha256(listen.host.encode()).hexdigest()[:8]}"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) / "cnaf" if runtime else Path(gettempdir()) / f"cnaf-{os.geteuid()}"
    path = base / name
    try:
        for folder in (base, path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise DataplaneError(
                    f"{folder} belongs to somebody else, or others may use it",
                    hint="remove it, or set XDG_RUNTIME_DIR to a directory of your own",
                )
        lock = (path / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataplaneError(
            f"another cnaf enforce listens on {listen}", hint="stop it, or choose another port"
        ) from None
    except OSError as error:
        raise DataplaneError(
            f"the proxy's directory {path} cannot be used: {error.strerror or error}",
            hint="free space, or set XDG_RUNTIME_DIR to a directory that you can write",
        ) from error
    return path, lock
