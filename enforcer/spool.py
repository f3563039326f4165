"""The durable spool: alerts as JSON lines in a directory, several workers side by side.

What holds:

- an alert is in the kernel's hands when :meth:`SpoolWriter.append` returns, so the death of the
  process loses nothing; a thread of the writer has it on the disk within a second, so neither does
  a power cut after that;
- each writer begins segments of its own and never opens an old one, so no line is ever appended
  to a torn one, and no two processes write to one file;
- what the disk does not take is kept in memory, bounded, and written as soon as there is room;
- nothing disappears in silence: alerts that found no room in memory, and whole segments that are
  removed because the spool passed its cap (the oldest first), become a loss record in the spool;
- files have mode 0600, directories that are made here 0700.

Reading is in :mod:`cnaf.enforcer.spool_reader`, whose functions are offered here, too.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import platformdirs
from cnaf.enforcer.spool_cap import sync_and_trim
from cnaf.enforcer.spool_reader import find, follow, read_alerts
from cnaf.enforcer.spool_records import (
    Loss,
    Outcome,
    line_of,
    segment_name,
)
from cnaf.models.errors import AlertError

if TYPE_CHECKING:
    from types import TracebackType

    from cnaf.enforcer.alerts import Alert

__all__ = [
    "SPOOL_VARIABLE",
    "SpoolLimits",
    "SpoolStats",
    "SpoolWriter",
    "default_spool_dir",
    "find",
    "follow",
    "read_alerts",
]

_log = logging.getLogger(__name__)

#: Names the spool directory where no option does.
SPOOL_VARIABLE: Final = "CNAF_SPOOL"


def default_spool_dir() -> Path:
    """Return ``CNAF_SPOOL``, or the folder ``alerts`` in the user's state folder."""
    named = os.environ.get(SPOOL_VARIABLE)
    return Path(named) if named else platformdirs.user_state_path("cnaf") / "alerts"


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """Caps of a spool. An alert takes 1 to 4 KB in it."""

    #: Bytes after which a writer begins a new segment.
    segment_bytes: int = 8 << 20
    #: Bytes of all segments of a directory, those of other writers included.
    total_bytes: int = 256 << 20
    #: Lines that are kept in memory while the disk takes none.
    pending_lines: int = 4096
    #: Seconds between two rounds of the writer's thread: fsync, retry, removal of old segments.
    sync_seconds: float = 0.5


class SpoolStats(NamedTuple):
    """Counts since a writer began: alerts written, in memory, lost, removed over the cap."""

    written: int
    pending: int
    failed: int
    removed: int


class _Line(NamedTuple):
    data: bytes
    alerts: int


class SpoolWriter:
    """Appends alerts of one process; a context manager. Its methods may be called by any thread."""

    def __init__(self, directory: Path, *, worker: str, limits: SpoolLimits | None = None) -> None:
        """Make the directory where it is missing; raises AlertError where it cannot be used."""
        self._directory = directory
        self._worker = worker
        self._limits = limits or SpoolLimits()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(directory, error.strerror or str(error)) from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise _unusable(directory, "it is not writable")
        self._lock = threading.Lock()
        # Guarded by the lock. The first pending line may be the rest of one that the disk took
        # in part: then nothing else may be written before it.
        self._pending: deque[_Line] = deque()
        self._torn = False
        self._segment: int | None = None
        self._segment_bytes = 0
        self._full: list[int] = []
        self._unsynced = False
        # Losses that the spool does not tell yet, by their reason.
        self._untold: dict[str, int] = {}
        self._refusal = ""
        self._written = self._failed = self._removed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tend_until_stopped, daemon=True)
        self._thread.start()

    def __enter__(self) -> SpoolWriter:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def stats(self) -> SpoolStats:
        """The counts so far."""
        with self._lock:
            pending = sum(line.alerts for line in self._pending)
            return SpoolStats(self._written, pending, self._failed, self._removed)

    def append(self, alert: Alert) -> bool:
        """Write the alert, or keep it until the disk takes it; never raises, never waits for it.

        Returns False where there was no room in memory either: the loss is counted, and told in
        the spool as soon as that is possible.
        """
        return self._add(_Line(line_of(alert), 1))

    def outcome(self, event_id: str, status: int) -> None:
        """Note the status of the app's answer to an alerted request, if there is room for it."""
        self._add(_Line(line_of(Outcome(event_id, status)), 0))

    def close(self) -> None:
        """Write what is pending, put everything on the disk, and end the thread."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join()
        self._tend()
        with self._lock:
            lost = sum(line.alerts for line in self._pending) + sum(self._untold.values())
            self._retire()
            for segment in self._full:
                os.close(segment)
        if lost:
            _log.error("%d alerts were lost: %s: %s", lost, self._directory, self._refusal)

    def _add(self, line: _Line) -> bool:
        with self._lock:
            self._pending.append(line)
            self._write_pending()
            if len(self._pending) <= self._limits.pending_lines:
                return True
            # The oldest tell how it began: they stay.
            self._pending.pop()
            self._failed += line.alerts
            self._lose(line.alerts, self._refusal)
            return False

    def _lose(self, alerts: int, reason: str) -> None:
        if alerts:
            self._untold[reason] = self._untold.get(reason, 0) + alerts

    def _write_pending(self) -> None:
        """Write lines in order until none is left or the disk takes no more."""
        try:
            while line := self._next_line():
                size = os.write(self._room_for(len(line.data)), line.data)
                self._segment_bytes += size
                self._unsynced = True
                self._torn = size < len(line.data)
                if self._torn:
                    self._pending[0] = _Line(line.data[size:], line.alerts)
                else:
                    self._pending.popleft()
                    self._written += line.alerts
        except OSError as error:
            if not self._refusal:
                _log.error("alerts wait in memory: %s: %s", self._directory, error)
            self._refusal = error.strerror or str(error)
        else:
            self._refusal = ""

    def _next_line(self) -> _Line | None:
        if not self._pending and self._untold:
            reason, alerts = self._untold.popitem()
            self._pending.append(_Line(line_of(Loss(datetime.now(UTC), alerts, reason)), 0))
        return self._pending[0] if self._pending else None

    def _room_for(self, size: int) -> int:
        """Return the segment that a line of this size goes to, a new one where it is full."""
        full = self._segment_bytes + size > self._limits.segment_bytes and self._segment_bytes > 0
        if self._segment is None or (full and not self._torn):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._directory / segment_name(self._worker)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            segment = os.open(path, flags, 0o600)
            # Says to whoever removes old segments that this one is in use; the system lets go of
            # it when the process dies.
            fcntl.flock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._retire()
            self._segment, self._segment_bytes = segment, 0
        return self._segment

    def _retire(self) -> None:
        if self._segment is not None:
            self._full.append(self._segment)
            self._segment = None

    def _tend_until_stopped(self) -> None:
        while not self._stopped.wait(self._limits.sync_seconds):
            self._tend()

    def _tend(self) -> None:
        """What takes long: retry, fsync, close, remove. One thread at a time is in here."""
        with self._lock:
            self._write_pending()
            if not self._unsynced:
                return
            self._unsynced = False
            full, self._full, current = self._full, [], self._segment
        try:
            for segment in full:
                try:
                    os.fsync(segment)
                finally:
                    os.close(segment)
            if current is not None:
                os.fsync(current)
                self._leave_if_deleted(current)
            sync_and_trim(self._directory, self._limits.total_bytes, self._tell_removed)
        except OSError as error:
            _log.error("the spool %s is in trouble: %s", self._directory, error)

    def _leave_if_deleted(self, segment: int) -> None:
        """Begin anew where somebody deleted the segment: what is written to it nobody reads."""
        if os.fstat(segment).st_nlink == 0:
            with self._lock:
                if self._segment == segment and not self._torn:
                    self._retire()

    def _tell_removed(self, alerts: int) -> None:
        with self._lock:
            self._removed += alerts
            self._lose(alerts, f"the spool is over its cap of {self._limits.total_bytes:,} bytes")
            self._write_pending()


def _unusable(directory: Path, reason: str) -> AlertError:
    return AlertError(
        f"the spool {directory} cannot be used: {reason}",
        hint=f"name another directory with --spool or {SPOOL_VARIABLE}",
    )
