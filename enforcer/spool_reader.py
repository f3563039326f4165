"""Reading a spool: by itself, while workers write to it, and while old segments are removed.

A line that cannot be read is skipped and told, never taken for an alert: the torn last line of a
worker that was killed, damage, the schema of a later release. So is what the spool says that it
lost. Both go as sentences to ``report``, which logs a warning unless told otherwise.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Final

from cnaf.enforcer.alerts import Alert
from cnaf.enforcer.spool_records import (
    OUTCOME_START,
    Loss,
    Outcome,
    Record,
    record_of,
    segments,
    worker_of,
)
from cnaf.models.errors import AlertError

__all__ = ["Report", "find", "follow", "read_alerts"]

#: Takes one sentence about what could not be read.
Report = Callable[[str], None]
_warn: Final[Report] = logging.getLogger(__name__).warning


def read_alerts(
    directory: Path, *, since: datetime | None = None, report: Report = _warn
) -> Iterator[Alert]:
    """Yield the alerts from ``since`` on, oldest first, with the app's answer where it is known.

    A directory that is not there holds none. Raises AlertError where it cannot be read.
    """
    paths = [path for path in _listed(directory) if not _is_older(path, since)]
    statuses = {
        outcome.event_id: outcome.status
        for path in paths
        for outcome in _records(path, _outcome_lines(_content(path)))
        if isinstance(outcome, Outcome)
    }
    by_worker: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_worker[worker_of(path)].append(path)
    streams = (_alerts_of(worker, since, report) for worker in by_worker.values())
    for alert in heapq.merge(*streams, key=attrgetter("time")):
        yield replace(alert, status=statuses.get(alert.event_id))


def follow(
    directory: Path,
    *,
    since: datetime | None = None,
    report: Report = _warn,
    poll_seconds: float = 0.25,
) -> Iterator[Alert]:
    """Yield alerts as they are written, forever; those before this call only from ``since`` on.

    Each comes once, when it is seen, so most come before the app has answered. The directory may
    come later. Raises AlertError where it cannot be read.
    """
    seen = {
        path: _size(path) for path in _listed(directory) if since is None or _is_older(path, since)
    }
    return _follow(directory, seen, since, report, poll_seconds)


def find(directory: Path, event_id: str) -> Alert:
    """Return the alert with this event id; raises AlertError where there is none."""
    status = None
    wanted = event_id.encode("utf-8", "replace")
    # Newest first: an answer comes after its alert.
    for path in reversed(_listed(directory)):
        lines = [line for line in _lines(_content(path)) if wanted in line]
        for record in _records(path, reversed(lines)):
            if isinstance(record, Outcome) and record.event_id == event_id:
                status = record.status
            elif isinstance(record, Alert) and record.event_id == event_id:
                return replace(record, status=status)
    raise AlertError(
        f"no alert has the event id {event_id[:64]!r} in {directory}",
        hint="see `cnaf alerts`, or name the spool of the node that showed it with --spool",
    )


def _follow(
    directory: Path, seen: dict[Path, int], since: datetime | None, report: Report, poll: float
) -> Iterator[Alert]:
    while True:
        records: list[Record] = []
        for path in _listed(directory):
            position = seen.get(path, 0)
            if _size(path) > position:
                data = _content(path, position)
                whole = data[: data.rfind(b"\n") + 1]
                seen[path] = position + len(whole)
                records += _records(path, _lines(whole), report)
        statuses = {r.event_id: r.status for r in records if isinstance(r, Outcome)}
        alerts = [r for r in _told(records, since, report) if isinstance(r, Alert)]
        for alert in sorted(alerts, key=attrgetter("time")):
            yield replace(alert, status=statuses.get(alert.event_id))
        if not records:
            time.sleep(poll)


def _alerts_of(paths: list[Path], since: datetime | None, report: Report) -> Iterator[Alert]:
    for path in paths:
        data = _content(path)
        if data and not data.endswith(b"\n"):
            report(f"the last line of {path.name} is cut off: its worker died, or still writes it")
            data = data[: data.rfind(b"\n") + 1]
        for record in _told(_records(path, _lines(data), report), since, report):
            if isinstance(record, Alert):
                yield record


def _told(records: Iterable[Record], since: datetime | None, report: Report) -> Iterator[Record]:
    """Yield what is not older than ``since``, and report the losses among it."""
    for record in records:
        if isinstance(record, Outcome) or (since is not None and record.time < since):
            continue
        if isinstance(record, Loss):
            report(
                f"{record.alerts:,} alerts were lost by {record.time:%F %T} UTC: {record.reason}"
            )
        yield record


def _records(path: Path, lines: Iterable[bytes], report: Report | None = None) -> Iterator[Record]:
    for line in lines:
        try:
            yield record_of(line)
        except AlertError as error:
            if report is not None:
                report(f"a line of {path.name} was skipped: {error}")


def _lines(data: bytes) -> list[bytes]:
    # Not splitlines(): it also splits at what JSON may hold as it is.
    return [line for line in data.split(b"\n") if line]


def _outcome_lines(data: bytes) -> Iterator[bytes]:
    return (line for line in _lines(data) if line.startswith(OUTCOME_START))


def _listed(directory: Path) -> list[Path]:
    with _readable(directory):
        return segments(directory)


def _content(path: Path, position: int = 0) -> bytes:
    """Return the segment's bytes from a position on; none where it was removed meanwhile."""
    with _readable(path):
        try:
            with path.open("rb") as stream:
                stream.seek(position)
                return stream.read()
        except FileNotFoundError:
            return b""


def _size(path: Path) -> int:
    with _readable(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0


def _is_older(path: Path, since: datetime | None) -> bool:
    """Tell whether the segment was last written to before ``since``."""
    try:
        return since is not None and path.stat().st_mtime < since.timestamp()
    except OSError:
        return False


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AlertError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="run as the user that the enforcer runs as, or name a spool with --spool",
        ) from error
