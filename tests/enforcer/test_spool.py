from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import platformdirs
import pytest
from cnaf.enforcer.alerts import Alert, alert_to_dict
from cnaf.enforcer.spool import (
    SPOOL_VARIABLE,
    SpoolLimits,
    SpoolWriter,
    default_spool_dir,
    read_alerts,
)
from cnaf.enforcer.spool_records import Loss, record_of, segments
from cnaf.models.errors import AlertError

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
#: A thread that does nothing by itself: close() does its round.
QUIET = SpoolLimits(sync_seconds=3600)


def ids(directory: Path, sentences: list[str] | None = None) -> list[str]:
    report = (sentences if sentences is not None else []).append
    return [alert.event_id for alert in read_alerts(directory, report=report)]


def losses(directory: Path) -> list[Loss]:
    lines = [line for path in segments(directory) for line in path.read_bytes().splitlines()]
    return [record for line in lines if isinstance(record := record_of(line), Loss)]


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, "waited for 30 s"
        time.sleep(0.01)


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    prelude = """
import os, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from cnaf.enforcer.alerts import make_alert, new_event_id
from cnaf.enforcer.spool import SpoolLimits, SpoolWriter
from cnaf.models.exchange import Request
from cnaf.models.verdict import Action, Verdict
def alert():
    return make_alert(new_event_id(), datetime.now(UTC), Request("GET", b"/", ()), "192.0.2.1",
                      Verdict(Action.BLOCK), image="shop", subject="")
"""
    command = [sys.executable, "-c", prelude + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_is_written_is_read(tmp_path: Path, make: Callable[..., Alert]) -> None:
    written = [make(minute) for minute in range(5)]
    with SpoolWriter(tmp_path, worker="w0") as spool:
        assert all(spool.append(alert) for alert in written)
        # Before anything else happens: the kernel has it.
        assert list(read_alerts(tmp_path)) == written
        assert spool.stats == (5, 0, 0, 0)
    assert list(read_alerts(tmp_path)) == written


def test_the_answer_is_joined_to_its_alert(tmp_path: Path, make: Callable[..., Alert]) -> None:
    first, second = make(0), make(1)
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(first)
        spool.append(second)
        spool.outcome(first.event_id, 500)
    assert [alert.status for alert in read_alerts(tmp_path)] == [500, None]


def test_only_the_owner_may_read(tmp_path: Path, make: Callable[..., Alert]) -> None:
    directory = tmp_path / "state" / "alerts"
    with SpoolWriter(directory, worker="w0") as spool:
        spool.append(make())
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_a_worker_may_have_any_name(tmp_path: Path, make: Callable[..., Alert]) -> None:
    for name in ("", "../../x", "a.b/\n", "w" * 300):
        with SpoolWriter(tmp_path, worker=name) as spool:
            spool.append(make())
    assert len(ids(tmp_path)) == 4
    assert sorted(tmp_path.iterdir()) == segments(tmp_path)


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    script = """
spool = SpoolWriter(Path(sys.argv[1]), worker="w0", limits=SpoolLimits(segment_bytes=20_000))
while True:
    one = alert()
    spool.append(one)
    os.write(1, (one.event_id + "\\n").encode())
"""
    worker = python(script, tmp_path)
    assert worker.stdout is not None
    told = [worker.stdout.readline().strip() for _ in range(300)]
    worker.send_signal(signal.SIGKILL)
    told += [
        line.strip() for line in worker.stdout.read().splitlines(keepends=True) if line[-1:] == "\n"
    ]
    worker.wait()
    worker.stdout.close()
    assert set(told) <= set(ids(tmp_path))


def test_a_torn_line_is_skipped_and_nothing_is_appended_to_it(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    first, second, third = make(0), make(1), make(2)
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(first)
        spool.append(second)
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:-40])
    torn = segment.read_bytes()
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(third)
    sentences: list[str] = []
    assert ids(tmp_path, sentences) == [first.event_id, third.event_id]
    assert segment.name in sentences[0]
    assert segment.read_bytes() == torn


def test_workers_write_side_by_side(tmp_path: Path) -> None:
    script = """
with SpoolWriter(Path(sys.argv[1]), worker=sys.argv[2],
                 limits=SpoolLimits(segment_bytes=5_000, sync_seconds=0.01)) as spool:
    for _ in range(200):
        one = alert()
        spool.append(one)
        print(one.event_id)
"""
    workers = [python(script, tmp_path, name) for name in ("w0", "w1", "w1")]
    told = [line for worker in workers for line in worker.communicate()[0].split()]
    assert len(told) == 600
    found = ids(tmp_path)
    assert len(found) == 600
    assert set(found) == set(told)


def test_segments_are_bounded(tmp_path: Path, make: Callable[..., Alert]) -> None:
    limits = SpoolLimits(segment_bytes=3_000, sync_seconds=3600)
    with SpoolWriter(tmp_path, worker="w0", limits=limits) as spool:
        written = [make(minute) for minute in range(50)]
        assert all(map(spool.append, written))
    sizes = [path.stat().st_size for path in segments(tmp_path)]
    assert len(sizes) > 5
    assert max(sizes) <= 3_000
    assert ids(tmp_path) == [alert.event_id for alert in written]


def test_over_the_cap_the_oldest_segments_go_and_are_told(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    limits = SpoolLimits(segment_bytes=3_000, total_bytes=10_000, sync_seconds=3600)
    written = [make(minute) for minute in range(40)]
    # Twice, so that segments go that tell of segments gone before.
    for part in (written[:20], written[20:]):
        with SpoolWriter(tmp_path, worker="w0", limits=limits) as spool:
            assert all(map(spool.append, part))
        removed = spool.stats.removed
        assert removed > 0
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 11_000
    sentences: list[str] = []
    kept = ids(tmp_path, sentences)
    assert kept == [alert.event_id for alert in written][-len(kept) :]
    assert sum(loss.alerts for loss in losses(tmp_path)) == len(written) - len(kept)
    assert any("over its cap" in sentence for sentence in sentences)


def test_a_segment_in_use_is_never_removed(tmp_path: Path, make: Callable[..., Alert]) -> None:
    first = make(0)
    with SpoolWriter(tmp_path, worker="old", limits=QUIET) as old:
        old.append(first)
        limits = SpoolLimits(segment_bytes=1_500, total_bytes=1, sync_seconds=3600)
        with SpoolWriter(tmp_path, worker="new", limits=limits) as new:
            new.append(make(1))
            new.append(make(2))
        assert first.event_id in ids(tmp_path)


def test_the_thread_syncs_and_removes_while_alerts_come(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    limits = SpoolLimits(segment_bytes=3_000, total_bytes=10_000, sync_seconds=0.01)
    with SpoolWriter(tmp_path, worker="w0", limits=limits) as spool:
        for minute in range(40):
            spool.append(make(minute))
        wait_for(lambda: spool.stats.removed > 0)
        wait_for(lambda: sum(path.stat().st_size for path in segments(tmp_path)) < 11_000)


# A limit on the size of a file refuses as a full disk does: a write is taken in part or not at all.
FULL_DISK = """
def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
spool = SpoolWriter(Path(sys.argv[1]), worker="w0",
                    limits=SpoolLimits(pending_lines=10, sync_seconds=float(sys.argv[2])))
line = alert()
room(2_000)
kept = [one.event_id for one in (alert() for _ in range(50)) if spool.append(one)]
full = spool.stats
assert full.pending == 10 and full.failed == 50 - len(kept), full
"""


def test_a_full_disk_loses_what_memory_does_not_hold_and_says_so(tmp_path: Path) -> None:
    script = """
room(-1)
last = alert()
assert spool.append(last)
spool.close()
assert spool.stats.failed == full.failed and spool.stats.pending == 0, spool.stats
print(full.failed, *kept, last.event_id)
"""
    worker = python(FULL_DISK + script, tmp_path, 3600)
    output, _ = worker.communicate()
    assert worker.returncode == 0
    failed, *kept = output.split()
    sentences: list[str] = []
    assert ids(tmp_path, sentences) == kept
    (loss,) = losses(tmp_path)
    assert loss.alerts == int(failed) > 30
    # A line that the disk took in part was ended when there was room again.
    assert len(sentences) == 1
    assert f"{loss.alerts} alerts were lost" in sentences[0]


def test_the_thread_tries_again_without_a_further_alert(tmp_path: Path) -> None:
    script = """
room(-1)
while spool.stats.pending:
    time.sleep(0.01)
print(*kept, flush=True)
os._exit(0)
"""
    worker = python(FULL_DISK + script, tmp_path, 0.05)
    output, _ = worker.communicate(timeout=60)
    assert ids(tmp_path, []) == output.split()


def test_a_writer_begins_anew_where_its_segment_or_directory_was_deleted(
    tmp_path: Path, make: Callable[..., Alert]
) -> None:
    directory = tmp_path / "alerts"
    with SpoolWriter(directory, worker="w0", limits=SpoolLimits(sync_seconds=0.01)) as spool:
        spool.append(make(0))
        for path in segments(directory):
            path.unlink()
        directory.rmdir()

        def writes_again() -> bool:
            spool.append(make(1))
            return len(segments(directory)) > 0

        wait_for(writes_again)
    assert ids(directory)


def test_an_unusable_directory_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for directory in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(AlertError, match="cannot be used") as caught:
            SpoolWriter(directory, worker="w0")
        assert "--spool" in caught.value.hint


def test_closing_twice_is_closing(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path, worker="w0")
    spool.close()
    spool.close()
    assert segments(tmp_path) == []


def test_a_line_is_the_alert_as_json(tmp_path: Path, make: Callable[..., Alert]) -> None:
    alert = make()
    with SpoolWriter(tmp_path, worker="w0") as spool:
        spool.append(alert)
    (segment,) = segments(tmp_path)
    assert orjson.loads(segment.read_bytes()) == alert_to_dict(alert)


def test_the_default_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(SPOOL_VARIABLE, str(tmp_path))
    assert default_spool_dir() == tmp_path
    monkeypatch.delenv(SPOOL_VARIABLE)
    assert default_spool_dir() == Path(platformdirs.user_state_dir("cnaf")) / "alerts"


def test_the_documentation_tells_the_limits() -> None:
    text = DOCS.read_text("utf-8")
    limits = SpoolLimits()
    for told in (
        f"{limits.segment_bytes >> 20} MiB",
        f"{limits.total_bytes >> 20} MiB",
        f"{limits.pending_lines:,} lines",
        f"{limits.sync_seconds} s",
        SPOOL_VARIABLE,
        "cnaf.alert/3",
        "cnaf.outcome/1",
        "cnaf.loss/1",
    ):
        assert told in text
