"""What lies in a spool: segments by name, and the three kinds of line in them.

A segment is ``<ULID>.<worker>.jsonl``: its name tells when it was begun, so names sort by time.
Each line is one JSON object that names its schema: an alert, the app's answer to an alerted
request, or a loss that the spool itself had to bear.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from cnaf.enforcer.alerts import (
    ALERT_SCHEMA,
    FORMER_SCHEMA,
    Alert,
    alert_from_dict,
    alert_to_dict,
    new_event_id,
)
from cnaf.models.errors import AlertError

__all__ = [
    "OUTCOME_START",
    "Loss",
    "Outcome",
    "Record",
    "alerts_told",
    "line_of",
    "record_of",
    "segment_name",
    "segments",
    "worker_of",
]

_OUTCOME_SCHEMA: Final = "cnaf.outcome/1"
_LOSS_SCHEMA: Final = "cnaf.loss/1"
#: How lines begin, for those who need not parse all of them.
_START: Final = '{"schema":"%s"'
OUTCOME_START: Final = (_START % _OUTCOME_SCHEMA).encode()
_ALERT_STARTS: Final = tuple((_START % one).encode() for one in (ALERT_SCHEMA, FORMER_SCHEMA))
_LOSS_START: Final = (_START % _LOSS_SCHEMA).encode()
_SEGMENT = re.compile(r"[0-9A-Z]{26}\.[A-Za-z0-9_-]{1,64}\.jsonl")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The app answered the alerted request with this HTTP status."""

    event_id: str
    status: int


@dataclass(frozen=True, slots=True)
class Loss:
    """So many alerts are gone, told at this time (aware, UTC), for this reason."""

    time: datetime
    alerts: int
    reason: str


Record = Alert | Outcome | Loss


def line_of(record: Record) -> bytes:
    """Return the record as a line with its end."""
    return orjson.dumps(_to_dict(record), option=orjson.OPT_APPEND_NEWLINE)


def record_of(line: bytes) -> Record:
    """Return what a whole line says; raises AlertError for damage or an unknown schema."""
    try:
        described = orjson.loads(line)
        schema = described["schema"]
        if schema in (ALERT_SCHEMA, FORMER_SCHEMA):
            return alert_from_dict(described)
        if schema == _OUTCOME_SCHEMA:
            return Outcome(str(described["event_id"]), int(described["status"]))
        if schema == _LOSS_SCHEMA:
            time = datetime.fromisoformat(described["time"]).astimezone(UTC)
            return Loss(time, int(described["alerts"]), str(described["reason"]))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise AlertError("a line of the spool is damaged") from error
    raise AlertError(
        f"a line of the spool has the unknown schema {str(schema)[:64]!r}", hint="upgrade cnaf"
    )


def alerts_told(content: bytes) -> int:
    """Return how many alerts a segment holds, and how many more it says were lost before."""
    told = 0
    for line in content.split(b"\n"):
        if line.startswith(_ALERT_STARTS):
            told += 1
        elif line.startswith(_LOSS_START):
            with suppress(AlertError):
                loss = record_of(line)
                told += loss.alerts if isinstance(loss, Loss) else 0
    return told


def segment_name(worker: str) -> str:
    """Return the name of a new segment of this worker."""
    return f"{new_event_id()}.{_NOT_IN_A_NAME.sub('-', worker)[:64] or '-'}.jsonl"


def worker_of(segment: Path) -> str:
    """Return the worker that a segment's name tells."""
    return segment.name.split(".")[1]


def segments(directory: Path) -> list[Path]:
    """Return the segments, oldest first; none where there is no such directory."""
    try:
        names = (path for path in directory.iterdir() if _SEGMENT.fullmatch(path.name))
        return sorted(names)
    except FileNotFoundError:
        return []


def _to_dict(record: Record) -> dict[str, Any]:
    if isinstance(record, Alert):
        return alert_to_dict(record)
    if isinstance(record, Outcome):
        return {
            "schema": _OUTCOME_SCHEMA,
            "event_id": record.event_id,
            "status": record.status,
        }
    return {
        "schema": _LOSS_SCHEMA,
        "time": record.time.isoformat(),
        "alerts": record.alerts,
        "reason": record.reason,
    }
