from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from cnaf.enforcer.alerts import Alert
from cnaf.enforcer.spool import SpoolLimits, SpoolWriter
from cnaf.enforcer.spool_reader import find, follow, read_alerts
from cnaf.enforcer.spool_records import segments
from cnaf.models.errors import AlertError

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_missing_or_empty_directory_holds_no_alerts(tmp_path: Path) -> None:
    assert list(read_alerts(tmp_path / "none")) == []
    assert list(read_alerts(tmp_path)) == []


def test_workers_are_merged_by_time(tmp_path: Path, make: Callable[..., Alert]) -> None:
    limits = SpoolLimits(segment_bytes=2_500, sync_seconds=3600)
    with (
        SpoolWriter(tmp_path, worker="w0", limits=limits) as one,
        SpoolWriter(tmp_path, worker="w1", limits=limits) as two,
    ):
        for minute in range(0, 20, 2):
            one.append(make(minute))
        for minute in range(1, 20, 2):
            two.append(make(minute))
    found = [alert.time for alert in read_alerts(tmp_path)]
    assert found == [NOON + timedelta(minutes=minute) for minute in range(20)]


def test_since_leaves_out_what_is_older(tmp_path: Path, make: Callable[..., Alert]) -> None:
    with SpoolWriter(tmp_path, worker="w0") as spool:
        for minute in range(5):
            spool.append(make(minute))
    found = read_alerts(tmp_path, since=NOON + timedelta(minutes=3))
    assert [alert.time.minute for alert in found] == [3, 4]
    (segment,) = segments(tmp_path)
    os.utime(segment, (NOON.timestamp(), NOON.timestamp()))
    assert list(read_alerts(tmp_path, since=NOON + timedelta(minutes=9))) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"no json\n", "damaged"),
        (b"[]\n", "damaged"),
        (b"{}\n", "damaged"),
        (b'{"schema":"cnaf.alert/3"}\n', "entries"),
        (b'{"schema":"cnaf.loss/1","time":7,"alerts":1,"reason":""}\n', "damaged"),
        (b'{"schema":"cnaf.outcome/1"}\n', "damaged"),
        (b'{"schema":"cnaf.alert/9"}\n', "upgrade"),
        (b"\xff\x00\n", "damaged"),
        (b'{"schema":', "cut off"),
    ],
)
def test_a_line_that_cannot_be_read_is_skipped_and_told(
    tmp_path: Path, make: Callable[..., Alert], line: bytes, said: str
) -> None:
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(make(0))
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes() + line)
    sentences: list[str] = []
    assert len(list(read_alerts(tmp_path, report=sentences.append))) == 1
    assert len(sentences) == 1
    assert said in sentences[0]
    assert segment.name in sentences[0]


def test_by_default_what_was_skipped_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{'0' * 26}.w0.jsonl").write_bytes(b"x\n")
    assert list(read_alerts(tmp_path)) == []
    assert "was skipped" in caplog.text


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("x\n")
    sentences: list[str] = []
    assert list(read_alerts(tmp_path, report=sentences.append)) == []
    assert sentences == []


def test_find_one_alert_with_its_answer(tmp_path: Path, make: Callable[..., Alert]) -> None:
    limits = SpoolLimits(segment_bytes=2_500, sync_seconds=3600)
    alerts = [make(minute) for minute in range(10)]
    with SpoolWriter(tmp_path, worker="w0", limits=limits) as spool:
        for alert in alerts:
            spool.append(alert)
        spool.outcome(alerts[0].event_id, 404)
    assert find(tmp_path, alerts[0].event_id).status == 404
    assert find(tmp_path, alerts[7].event_id) == alerts[7]


@pytest.mark.parametrize("event_id", ["", "nope", "GET", '","', "\ud800", "x" * 10_000])
def test_an_unknown_id_is_an_error(
    tmp_path: Path, make: Callable[..., Alert], event_id: str
) -> None:
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(make())
    with pytest.raises(AlertError, match="no alert has the event id") as caught:
        find(tmp_path, event_id)
    assert "--spool" in caught.value.hint


def test_a_directory_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AlertError, match="cannot be read"):
        list(read_alerts(tmp_path / "file"))


def test_follow_yields_what_comes_after_the_call(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    before, after = make(0), make(1)
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(before)
        following = follow(tmp_path, poll_seconds=0.01)
        spool.append(after)
        assert next(following) == after


def test_follow_with_since_begins_with_what_is_there(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    with SpoolWriter(tmp_path, worker="w0") as spool:
        for minute in range(4):
            spool.append(make(minute))
        following = follow(tmp_path, since=NOON + timedelta(minutes=2), poll_seconds=0.01)
        assert [alert.time.minute for alert in islice(following, 2)] == [2, 3]
        spool.append(make(7))
        assert next(following).time.minute == 7


def test_follow_misses_nothing_while_segments_come_and_go(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    """A slow writer, so that no segment goes before it was seen; the directory comes later."""
    directory = tmp_path / "later"
    alerts = [make(minute) for minute in range(60)]
    following = follow(directory, poll_seconds=0.001)
    seen = threading.Semaphore(10)

    def write() -> None:
        limits = SpoolLimits(segment_bytes=2_500, total_bytes=30_000, sync_seconds=0.001)
        with SpoolWriter(directory, worker="w0", limits=limits) as spool:
            for alert in alerts:
                assert seen.acquire(timeout=30)
                spool.append(alert)

    def found() -> Iterator[str]:
        for alert in islice(following, len(alerts)):
            seen.release()
            yield alert.event_id

    thread = threading.Thread(target=write)
    thread.start()
    assert list(found()) == [alert.event_id for alert in alerts]
    thread.join()


def test_follow_waits_for_the_end_of_a_line(tmp_path: Path, make: Callable[..., Alert]) -> None:
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(make())
    (segment,) = segments(tmp_path)
    line = segment.read_bytes()
    segment.write_bytes(b"")
    sentences: list[str] = []
    following = follow(tmp_path, report=sentences.append, poll_seconds=0.01)
    segment.write_bytes(line[:50])
    timer = threading.Timer(0.05, lambda: segment.write_bytes(line))
    timer.start()
    assert next(following).method == "GET"
    timer.join()
    assert sentences == []
