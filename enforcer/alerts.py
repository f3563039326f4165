"""The alert: what the enforcer tells about one request that it did not simply pass.

One frozen type, one strict and versioned JSON form. An alert is scrubbed and capped when it is
made, so nothing that holds one can give away a secret or grow without bound. It is not made safe
for a terminal: whoever prints it does that.
"""

from __future__ import annotations

import math
import os
import time as clock
from base64 import b32hexencode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cnaf.enforcer.scrub import Scrubber, scrub_target, scrub_text
from cnaf.models.errors import AlertError
from cnaf.models.exchange import Request
from cnaf.models.limits import Limits
from cnaf.models.verdict import Action, Confidence, Detector, Evidence, Verdict

__all__ = [
    "ALERT_SCHEMA",
    "FORMER_SCHEMA",
    "Alert",
    "alert_from_dict",
    "alert_to_dict",
    "make_alert",
    "new_event_id",
]

ALERT_SCHEMA: Final = "cnaf.alert/3"
#: Read, too, as spools of the release before hold it: its evidence has no ``source``.
FORMER_SCHEMA: Final = "cnaf.alert/2"
#: Caps in bytes of UTF-8. A URL over 1 KB, a name over 256 bytes or a sentence over 512 is noise.
_MAX_TARGET: Final = 1024
_MAX_NAME: Final = 256
_MAX_SENTENCE: Final = 512
_MAX_EXCERPT: Final = Limits().excerpt_bytes
_MAX_TAG: Final = 64
#: The pipeline keeps 12; a later detector that forgets its bound meets this one.
_MAX_EVIDENCE: Final = 16
_MAX_TAGS: Final = 8
#: Crockford's alphabet, which leaves out I, L, O and U, in place of RFC 4648's.
_CROCKFORD: Final = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)


@dataclass(frozen=True, slots=True)
class Alert:
    """One request that was alerted on or blocked, and why.

    ``time`` is aware and in UTC. ``action`` is what was done. ``image`` and ``subject`` (a digest,
    or "") say whose model spoke. ``target`` is path and query, ``endpoint`` the template they fall
    under. ``score`` and ``p_value`` are None where no model is loaded. ``body_bytes`` is the size
    of the body that the client announced or sent. ``status`` is the app's answer: None where it
    was blocked, or is not known (yet).
    """

    event_id: str
    time: datetime
    action: Action
    image: str
    subject: str
    client: str
    method: str
    target: str
    endpoint: str
    host: str
    score: float | None
    p_value: float | None
    evidence: tuple[Evidence, ...]
    body_bytes: int
    status: int | None = None


def new_event_id() -> str:
    """Return a ULID: 26 letters and digits that sort by time and are easy to read out.

    The bits after the millisecond are its fraction (12), then random (68), so that the ids of one
    process sort within a millisecond, too.
    """
    millisecond, rest = divmod(clock.time_ns(), 1_000_000)
    number = (millisecond << 12 | rest * 4096 // 1_000_000) << 68
    number |= int.from_bytes(os.urandom(9)) >> 4
    # 130 bits fill 26 characters: two zeros come first, as in Crockford's form.
    padded = (number << 6).to_bytes(17)
    return b32hexencode(padded)[:26].translate(_CROCKFORD).decode()


def make_alert(
    event_id: str,
    time: datetime,
    request: Request,
    client: str,
    verdict: Verdict,
    *,
    image: str,
    subject: str,
) -> Alert:
    """Return the alert on a request that the verdict did not pass, scrubbed and capped.

    Raises ValueError for a verdict that passes, or a time without a zone.
    """
    if verdict.action is Action.PASS or time.tzinfo is None:
        raise ValueError("an alert needs a verdict that does not pass and a time with its zone")
    scrubber = Scrubber(request)
    host = (request.header(b"host") or b"").decode("utf-8", "replace")
    return Alert(
        event_id=event_id,
        time=time.astimezone(UTC),
        action=verdict.action,
        image=_capped(image, _MAX_NAME),
        subject=_capped(subject, _MAX_NAME),
        client=_capped(client, _MAX_NAME),
        method=_capped(request.method, _MAX_NAME),
        target=_capped(scrub_target(request.target, _MAX_TARGET), _MAX_TARGET),
        endpoint=_capped(scrub_text(verdict.endpoint), _MAX_NAME),
        host=_capped(scrub_text(host), _MAX_NAME),
        score=_finite(verdict.score),
        p_value=_finite(verdict.p_value),
        evidence=tuple(
            _capped_evidence(scrubber.evidence(e)) for e in verdict.evidence[:_MAX_EVIDENCE]
        ),
        body_bytes=max(request.body_size, len(request.body)),
    )


def alert_to_dict(alert: Alert) -> dict[str, Any]:
    """Return the alert as JSON values, its schema first."""
    described: dict[str, Any] = {"schema": ALERT_SCHEMA}
    described |= {name: getattr(alert, name) for name in _ALERT}
    described["time"] = alert.time.isoformat()
    described["action"] = alert.action.value
    described["evidence"] = [_evidence_to_dict(evidence) for evidence in alert.evidence]
    return described


def alert_from_dict(described: object) -> Alert:
    """Return the alert that the JSON values describe, every one of them and no others.

    Raises AlertError where a value is missing, unknown or of another type, or for another schema.
    """
    try:
        entries = _entries(described, {"schema", *_ALERT})
        if entries["schema"] == FORMER_SCHEMA:
            entries = _raised(entries)
        if entries["schema"] != ALERT_SCHEMA:
            raise ValueError(f"its schema is {str(entries['schema'])[:64]!r}, not {ALERT_SCHEMA}")
        return Alert(**{name: read(entries[name]) for name, read in _ALERT.items()})
    except ValueError as error:
        raise AlertError(
            f"an alert cannot be read: {error}", hint="it is damaged, or from another release"
        ) from error


def _raised(entries: Mapping[str, object]) -> Mapping[str, object]:
    """Return the entries of an alert of the former schema as those of this one."""
    evidence = entries["evidence"]
    if type(evidence) is not list or not all(type(one) is dict for one in evidence):
        return entries
    told = [{**one, "source": one.get("source", "")} for one in evidence]
    return {**entries, "schema": ALERT_SCHEMA, "evidence": told}


def _evidence_to_dict(evidence: Evidence) -> dict[str, Any]:
    described = {name: getattr(evidence, name) for name in _EVIDENCE}
    described["detector"] = evidence.detector.value
    described["confidence"] = evidence.confidence.value
    described["marks"] = [list(mark) for mark in evidence.marks]
    described["tags"] = list(evidence.tags)
    return described


def _capped(text: str, cap: int) -> str:
    """Return at most ``cap`` bytes of the text, as text that has a UTF-8 form."""
    return text.encode("utf-8", "replace")[:cap].decode("utf-8", "ignore")


def _capped_evidence(evidence: Evidence) -> Evidence:
    excerpt = _capped(evidence.excerpt, _MAX_EXCERPT)
    marks = ((start, min(end, len(excerpt))) for start, end in evidence.marks)
    return replace(
        evidence,
        rule=_capped(evidence.rule, _MAX_NAME),
        message=_capped(evidence.message, _MAX_SENTENCE),
        field=_capped(evidence.field, _MAX_NAME),
        excerpt=excerpt,
        expected=_capped(evidence.expected, _MAX_SENTENCE),
        would_pass=_capped(evidence.would_pass, _MAX_SENTENCE),
        seen=_capped(evidence.seen, _MAX_SENTENCE),
        marks=tuple((start, end) for start, end in marks if start < end),
        p_value=_finite(evidence.p_value),
        source=_capped(evidence.source, _MAX_NAME),
        tags=tuple(_capped(tag, _MAX_TAG) for tag in evidence.tags[:_MAX_TAGS]),
    )


def _finite(number: float | None) -> float | None:
    """JSON has no infinity."""
    return float(number) if number is not None and math.isfinite(number) else None


def _entries(value: object, names: set[str]) -> Mapping[str, object]:
    if type(value) is not dict or value.keys() != names:
        raise ValueError("its entries are not those of its schema")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError(f"{str(value)[:64]!r} is no text")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:64]!r} is no count")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{str(value)[:64]!r} is no number")
    return float(value)  # type: ignore[arg-type]  # the check above is by type


def _time(value: object) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.utcoffset() != timedelta(0):
        raise ValueError("its time is not in UTC")
    return time


def _done(value: object) -> Action:
    action = Action(_text(value))
    if action is Action.PASS:
        raise ValueError("a request that passed is no alert")
    return action


def _list(read: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    def read_list(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValueError(f"{str(value)[:64]!r} is no list")
        return tuple(read(item) for item in value)

    return read_list


def _optional(read: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else read(value)


def _mark(value: object) -> tuple[int, int]:
    start, end = _list(_count)(value)
    return start, end


def _evidence(value: object) -> Evidence:
    entries = _entries(value, set(_EVIDENCE))
    return Evidence(**{name: read(entries[name]) for name, read in _EVIDENCE.items()})


_EVIDENCE: Final[dict[str, Callable[[object], Any]]] = {
    field.name: _text for field in fields(Evidence)
} | {
    "detector": lambda value: Detector(_text(value)),
    "confidence": lambda value: Confidence(_text(value)),
    "start": _count,
    "end": _count,
    "marks": _list(_mark),
    "p_value": _optional(_number),
    "tags": _list(_text),
}
_ALERT: Final[dict[str, Callable[[object], Any]]] = {
    field.name: _text for field in fields(Alert)
} | {
    "time": _time,
    "action": _done,
    "score": _optional(_number),
    "p_value": _optional(_number),
    "evidence": _list(_evidence),
    "body_bytes": _count,
    "status": _optional(_count),
}
