"""Alerts to write, read and show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cnaf.enforcer.alerts import Alert, make_alert, new_event_id
from cnaf.models.exchange import Request
from cnaf.models.verdict import Action, Confidence, Detector, Evidence, Verdict

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
EVIDENCE = Evidence(
    Detector.SIGNATURE, "sqli-1", "looks like SQL", "query:id", "1' OR 1=1", "no SQL", "' OR 1=1",
    Confidence.HIGH, 1, 9, ((1, 9),), None, ("sqli",),
)  # fmt: skip


def alert_of(minute: float = 0, *, action: Action = Action.BLOCK, image: str = "shop:1") -> Alert:
    request = Request("GET", b"/item?id=1%27+OR+1%3D1", ((b"host", b"shop.example"),))
    verdict = Verdict(action, (EVIDENCE,), 12.5, 0.0002, "GET /item")
    time = NOON + timedelta(minutes=minute)
    return make_alert(
        new_event_id(),
        time,
        request,
        "192.0.2.1",
        verdict,
        image=image,
        subject="sha256:" + "5" * 64,
    )


@pytest.fixture
def make() -> Callable[..., Alert]:
    return alert_of
