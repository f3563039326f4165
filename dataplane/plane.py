"""One protected origin at run time: HAProxy and its agent workers, supervised.

A thread looks after the processes: whatever ends is started again, at once the first time and
with growing pauses when it keeps failing. HAProxy goes on serving without its workers, by the
fail mode of its configuration.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.dataplane.haproxy import HAProxy
from cnaf.dataplane.spop import encode_hello
from cnaf.models.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from cnaf.dataplane.config import ProxyConfig
    from cnaf.dataplane.haproxy import Binary

__all__ = ["Backoff", "DataPlane", "PlaneStats"]

_log = logging.getLogger(__name__)

#: A worker compiles its kernels before it listens; a cold cache takes tens of seconds.
READY_TIMEOUT_S = 120.0
_WORKER_STOP_TIMEOUT_S = 5.0
_LOOK_EVERY_S = 0.1
_POLL_S = 0.02
#: How often hung workers are looked for, how long an answer may take, how many may be missing.
_HEALTH_EVERY_S = 1.0
_HEALTH_TIMEOUT_S = 0.3
_HEALTH_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses before restarts: none at first, then doubling from ``first_s`` to ``most_s``.

    >>> [Backoff().pause(failures) for failures in (1, 2, 3, 10)]
    [0.0, 0.2, 0.4, 10.0]
    """

    first_s: float = 0.2
    most_s: float = 10.0
    #: A process that lived so long starts without a history.
    forget_after_s: float = 30.0

    def pause(self, failures: int) -> float:
        """Return the seconds to wait before restarting after so many failures in a row."""
        if failures <= 1:
            return 0.0
        return float(min(self.most_s, self.first_s * 2 ** min(failures - 2, 30)))


@dataclass(frozen=True, slots=True)
class PlaneStats:
    """Counters since the data plane started.

    ``unchecked`` requests had no decision in time. HAProxy counts them and is asked every second,
    so those of the last second before it crashes are lost.
    """

    agent_restarts: int
    haproxy_restarts: int
    unchecked: int


class _Child:
    """When a supervised process was started, and when it may be started again."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._started_at = 0.0
        self._failures = 0
        self._due_at: float | None = None

    def started(self, now: float) -> None:
        """Take note of a start."""
        self._started_at, self._due_at = now, None

    def due(self, now: float) -> bool:
        """Return whether the process, which has ended, is to be started now."""
        if self._due_at is None:
            lived_s = now - self._started_at
            self._failures = 1 if lived_s > self._backoff.forget_after_s else self._failures + 1
            self._due_at = now + self._backoff.pause(self._failures)
        return now >= self._due_at


class _Worker:
    """One agent process."""

    def __init__(self, argv: Sequence[str], socket_path: Path, backoff: Backoff) -> None:
        self.argv = list(argv)
        self.socket_path = socket_path
        self.life = _Child(backoff)
        self.process: subprocess.Popen[bytes] | None = None
        # Silence counts from the first answer on: before, the worker warms up.
        self.answered = False
        self.silent = 0

    def start(self) -> None:
        self.life.started(time.monotonic())
        self.answered, self.silent = False, 0
        try:
            self.socket_path.unlink(missing_ok=True)
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise DataplaneError(
                f"the agent {self.argv[0]} cannot be started: {error.strerror}",
                hint="is CNAF installed completely?",
            ) from error

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def status(self) -> int | None:
        return self.process.returncode if self.process else None

    def look(self) -> None:
        """Kill the process where it stopped answering; the supervisor starts it again."""
        if _answers(self.socket_path, _HEALTH_TIMEOUT_S):
            self.answered, self.silent = True, 0
        elif self.answered:
            self.silent += 1
            if self.silent >= _HEALTH_FAILURES and self.process:
                _log.warning("agent %d hangs and is killed", self.process.pid)
                self.process.kill()

    def stop(self, deadline: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.socket_path.unlink(missing_ok=True)


class DataPlane:
    """HAProxy with its agent workers; a context manager.

    ``workers`` holds one command line for each of ``config.agent_sockets``; it is empty where the
    agent runs in this process (recording). Starting waits until every worker answers and HAProxy
    accepts connections, and raises DataplaneError otherwise.
    """

    def __init__(
        self,
        config: ProxyConfig,
        workers: Sequence[Sequence[str]] = (),
        *,
        binary: Binary | None = None,
        backoff: Backoff | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        if workers and len(workers) != len(config.agent_sockets):
            raise ValueError(f"{len(workers)} workers for {len(config.agent_sockets)} sockets")
        backoff = backoff or Backoff()
        self.haproxy = HAProxy(config, binary)
        self._life = _Child(backoff)
        self._workers = [
            _Worker(argv, path, backoff)
            for argv, path in zip(workers, config.agent_sockets, strict=False)
        ]
        self._ready_timeout_s = ready_timeout_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="cnaf-plane", daemon=True)
        self._agent_restarts = 0
        self._haproxy_restarts = 0
        # HAProxy counts from zero after each start: what earlier ones counted, and the last look.
        self._counting = threading.Lock()
        self._unchecked_before = 0
        self._unchecked = 0

    def __enter__(self) -> DataPlane:
        try:
            # Makes the directory of the sockets, and finds what is wrong before workers warm up.
            self.haproxy.prepare()
            for worker in self._workers:
                worker.start()
            self._wait_for_workers()
            self._life.started(time.monotonic())
            self.haproxy.start()
        except BaseException:
            self._stop_processes(graceful=False)
            raise
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run."""
        return tuple(w.process.pid for w in self._workers if w.process and not w.ended())

    def stats(self) -> PlaneStats:
        """Return the counters, that of unchecked requests read from HAProxy now."""
        self._count_unchecked()
        with self._counting:
            unchecked = self._unchecked_before + self._unchecked
        return PlaneStats(self._agent_restarts, self._haproxy_restarts, unchecked)

    def stop(self, *, graceful: bool = False) -> None:
        """Stop everything, at most 20 s; requests in flight end first where ``graceful``."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join()
        self._count_unchecked()
        self._stop_processes(graceful=graceful)

    def _stop_processes(self, *, graceful: bool) -> None:
        self.haproxy.stop(graceful=graceful)
        for worker in self._workers:
            if worker.process and not worker.ended():
                worker.process.terminate()
        deadline = time.monotonic() + _WORKER_STOP_TIMEOUT_S
        for worker in self._workers:
            worker.stop(deadline)

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        for worker in self._workers:
            while not _answers(worker.socket_path, _HEALTH_TIMEOUT_S):
                if worker.ended():
                    raise DataplaneError(
                        f"the agent ended with status {worker.status} before it was ready",
                        hint="its own messages above say why",
                    )
                if time.monotonic() > deadline:
                    raise DataplaneError(
                        f"the agent is not ready after {self._ready_timeout_s:.0f} s",
                        hint="free CPU time and start again; the first start compiles its kernels",
                    )
                time.sleep(_POLL_S)
            worker.answered = True

    def _supervise(self) -> None:
        health_at = 0.0
        while not self._stop.wait(_LOOK_EVERY_S):
            now = time.monotonic()
            if self.haproxy.pid is None and self._life.due(now):
                self._restart_haproxy(now)
            for worker in self._workers:
                if worker.ended() and worker.life.due(now):
                    self._restart_worker(worker)
            if now >= health_at:
                health_at = now + _HEALTH_EVERY_S
                self._count_unchecked()
                for worker in self._workers:
                    worker.look()

    def _restart_haproxy(self, now: float) -> None:
        self._haproxy_restarts += 1
        self._life.started(now)
        with self._counting:
            self._unchecked_before += self._unchecked
            self._unchecked = 0
        try:
            self.haproxy.start()
            _log.warning("HAProxy ended and was started again")
        except DataplaneError as error:
            _log.error("HAProxy cannot be started again: %s", error)

    def _restart_worker(self, worker: _Worker) -> None:
        self._agent_restarts += 1
        _log.warning("an agent ended with status %s and is started again", worker.status)
        try:
            worker.start()
        except DataplaneError as error:
            _log.error("%s", error)

    def _count_unchecked(self) -> None:
        with self._counting, contextlib.suppress(DataplaneError):
            self._unchecked = self.haproxy.unchecked()


def _answers(path: Path, timeout_s: float) -> bool:
    # The health check of the protocol itself, as HAProxy does it.
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_s)
            client.connect(str(path))
            client.sendall(encode_hello(healthcheck=True))
            return bool(client.recv(4096))
    except OSError:
        return False
