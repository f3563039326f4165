"""The explicit reverse proxy: one origin, one model, HAProxy and its workers in a directory."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.dataplane.config import Address, ProxyConfig, agent_socket
from cnaf.dataplane.plane import DataPlane
from cnaf.enforcer.pipeline import Policy
from cnaf.enforcer.settings import WorkerSettings, write_settings
from cnaf.enforcer.spool import SpoolWriter
from cnaf.models.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnaf.models.artifact import ArtifactFiles

__all__ = ["Protection", "protect"]


@dataclass(frozen=True, slots=True)
class Protection:
    """What stands in front of an origin, and how it decides.

    ``files`` is the model of ``subject``; None, and an empty ``subject``, where only signatures
    enforce. ``spool`` is where alerts go.
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


@contextmanager
def protect(protection: Protection) -> Iterator[DataPlane]:
    """Run the data plane; on leaving, requests in flight end before anything stops.

    Raises DataplaneError where it cannot start, AlertError where alerts cannot be kept, InputError
    for values that HAProxy must not see.
    """
    # An unusable spool is an error now, not a line in the log of a worker that never gets ready.
    SpoolWriter(protection.spool, worker="check").close()
    with ExitStack() as stack:
        try:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="cnaf-"))
        except OSError as error:
            raise DataplaneError(
                f"no directory for the proxy can be made: {error}", hint="free space, or set TMPDIR"
            ) from error
        run_dir = Path(name)
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
        )
        command = (sys.executable, "-m", "cnaf.enforcer.worker", str(settings))
        plane = DataPlane(config, [(*command, str(socket)) for socket in config.agent_sockets])
        stack.enter_context(plane)
        try:
            yield plane
        finally:
            plane.stop(graceful=True)
