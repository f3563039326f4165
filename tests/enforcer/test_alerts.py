from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cnaf.dataplane.handler import Decision
from cnaf.enforcer.alerts import (
    Alert,
    alert_from_dict,
    alert_to_dict,
    make_alert,
    new_event_id,
)
from cnaf.models.errors import AlertError
from cnaf.models.exchange import Request
from cnaf.models.verdict import Action, Confidence, Detector, Evidence, Verdict
from hypothesis import given, settings
from hypothesis import strategies as st

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
evidence = st.builds(
    Evidence, st.sampled_from(Detector), texts, texts, texts, texts, texts, texts,
    st.sampled_from(Confidence), st.integers(0, 99), st.integers(0, 99),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3).map(tuple),
    st.none() | numbers, st.lists(texts, max_size=3).map(tuple),
)  # fmt: skip
alerts = st.builds(
    Alert, texts, st.datetimes(timezones=st.just(UTC)),
    st.sampled_from([Action.ALERT, Action.BLOCK]), texts, texts, texts, texts, texts, texts, texts,
    st.none() | numbers, st.none() | numbers, st.lists(evidence, max_size=3).map(tuple),
    st.integers(0, 2**40), st.none() | st.integers(100, 599),
)  # fmt: skip


def made(request: Request, verdict: Verdict, time: datetime = NOW) -> Alert:
    return make_alert("id", time, request, "192.0.2.1", verdict, image="shop", subject="")


@given(alerts)
@settings(deadline=None, max_examples=100)
def test_an_alert_is_the_same_after_json(alert: Alert) -> None:
    assert alert_from_dict(json.loads(json.dumps(alert_to_dict(alert)))) == alert


def test_alerts_of_the_former_schema_are_read(make: Callable[..., Alert]) -> None:
    alert = make()
    described = alert_to_dict(alert)
    for evidence in described["evidence"]:
        assert evidence.pop("source") == ""
    assert alert_from_dict(described | {"schema": "cnaf.alert/2"}) == alert


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "cnaf.alert/1"}, "cnaf.alert/1"),
        ({"schema": "cnaf.alert/2", "evidence": [7]}, "cnaf.alert/2"),
        ({"extra": 1}, "entries"),
        ({"time": "2024-05-01T12:00:00"}, "UTC"),
        ({"time": "2024-05-01T12:00:00+02:00"}, "UTC"),
        ({"time": "noon"}, "noon"),
        ({"time": 5}, "no text"),
        ({"action": "pass"}, "passed"),
        ({"action": "ban"}, "ban"),
        ({"score": "high"}, "no number"),
        ({"score": True}, "no number"),
        ({"body_bytes": -1}, "no count"),
        ({"body_bytes": 1.5}, "no count"),
        ({"client": None}, "no text"),
        ({"evidence": {}}, "no list"),
        ({"evidence": [{}]}, "entries"),
        ({"evidence": ["x"]}, "entries"),
    ],
)
def test_reading_is_strict(make: Callable[..., Alert], change: dict[str, Any], said: str) -> None:
    with pytest.raises(AlertError, match=said):
        alert_from_dict({**alert_to_dict(make()), **change})


@pytest.mark.parametrize(
    "change", [{"marks": [[1]]}, {"marks": [1]}, {"confidence": "sure"}, {"tags": [1]}]
)
def test_reading_of_evidence_is_strict(make: Callable[..., Alert], change: dict[str, Any]) -> None:
    described = alert_to_dict(make())
    described["evidence"] = [{**described["evidence"][0], **change}]
    with pytest.raises(AlertError):
        alert_from_dict(described)


@pytest.mark.parametrize("key", ["schema", *(field.name for field in fields(Alert))])
def test_every_entry_is_required(make: Callable[..., Alert], key: str) -> None:
    described = alert_to_dict(make())
    del described[key]
    with pytest.raises(AlertError, match="entries"):
        alert_from_dict(described)


@pytest.mark.parametrize("value", [None, [], "x", 7])
def test_what_is_no_object_is_no_alert(value: object) -> None:
    with pytest.raises(AlertError):
        alert_from_dict(value)


def test_event_ids_sort_by_time_and_may_stand_in_a_url() -> None:
    ids = [new_event_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", event_id) for event_id in ids)
    # A quarter of a microsecond tells two apart; a call takes longer.
    assert ids == sorted(ids)
    Decision(block=True, event_id=ids[0])


def test_event_ids_tell_their_time() -> None:
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    milliseconds = 0
    for char in new_event_id()[:10]:
        milliseconds = milliseconds * 32 + digits.index(char)
    assert abs(datetime.now(UTC) - datetime.fromtimestamp(milliseconds / 1000, UTC)) < timedelta(
        minutes=1
    )


def test_an_alert_tells_what_was_asked() -> None:
    request = Request("POST", b"/a?b=1", ((b"host", b"shop.example"),), b"x" * 10, 70_000)
    time = NOW.astimezone(timezone(timedelta(hours=2)))
    alert = made(request, Verdict(Action.ALERT, (), 1.5, 0.5, "POST /a"), time)
    assert alert == Alert(
        "id", NOW, Action.ALERT, "shop", "", "192.0.2.1", "POST", "/a?b=1", "POST /a",
        "shop.example", 1.5, 0.5, (), 70_000,
    )  # fmt: skip
    assert alert.time.utcoffset() == timedelta(0)


def test_a_pass_is_no_alert_and_a_time_has_a_zone() -> None:
    request = Request("GET", b"/", ())
    with pytest.raises(ValueError, match="pass"):
        made(request, Verdict(Action.PASS))
    with pytest.raises(ValueError, match="zone"):
        made(request, Verdict(Action.BLOCK), NOW.replace(tzinfo=None))


@given(text=st.text(min_size=1, max_size=40).map(lambda t: t * 100), count=st.integers(0, 40))
@settings(deadline=None, max_examples=30)
def test_hostile_requests_give_bounded_alerts_that_json_takes(text: str, count: int) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    one = Evidence(
        Detector.SIGNATURE, text, text, f"query:{text}", text, text, text, Confidence.HIGH, 0, 5,
        ((0, len(text)),), float("inf"), (text,) * count,
    )  # fmt: skip
    request = Request(text, b"/" + raw, ((b"host", raw), (b"cookie", raw)), raw, len(raw))
    alert = made(request, Verdict(Action.BLOCK, (one,) * count, float("nan"), None, text))
    line = json.dumps(alert_to_dict(alert), ensure_ascii=False).encode()
    assert len(line) < 256 << 10
    assert alert_from_dict(json.loads(line)) == alert
    for kept in alert.evidence:
        assert len(kept.excerpt.encode()) <= 256
        assert all(0 <= start < end <= len(kept.excerpt) for start, end in kept.marks)


def test_a_status_does_not_change_the_rest(make: Callable[..., Alert]) -> None:
    alert = replace(make(), status=503)
    assert alert_to_dict(alert)["status"] == 503
    assert alert_from_dict(alert_to_dict(alert)) == alert


def test_the_documentation_names_every_field() -> None:
    text = DOCS.read_text("utf-8")
    for kind in (Alert, Evidence):
        for field in fields(kind):
            assert f"`{field.name}`" in text
