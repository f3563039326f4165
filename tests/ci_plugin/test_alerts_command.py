from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from cnaf.ci_plugin.alerts_command import alerts
from cnaf.ci_plugin.alerts_view import rarity
from cnaf.ci_plugin.output import CommandGroup
from cnaf.enforcer.alerts import Alert, alert_from_dict, make_alert, new_event_id
from cnaf.enforcer.spool import SPOOL_VARIABLE, SpoolWriter
from cnaf.enforcer.spool_records import segments
from cnaf.models.exchange import Request
from cnaf.models.verdict import Action, Confidence, Detector, Evidence, Verdict
from rich.cells import cell_len
from typer.testing import CliRunner

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
HOSTILE = "1' OR \x1b[2J[red]\u202e\x9b31m=1"

app = typer.Typer(cls=CommandGroup)
app.command("alerts")(alerts)


@app.callback()
def group() -> None:
    """Make it a group, as the whole command line is one."""


def run(*arguments: str, columns: int = 80) -> Any:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["alerts", *arguments])


def alert_of(
    minutes_ago: float,
    *,
    action: Action = Action.BLOCK,
    image: str = "shop:1",
    client: str = "192.0.2.1",
    score: float | None = 12.5,
) -> Alert:
    evidence = Evidence(
        Detector.SIGNATURE, "sqli-1", "looks like SQL", "query:id", HOSTILE, "no SQL",
        "a quote", Confidence.HIGH, 1, 9, ((1, 9),), None, ("sqli",),
    )  # fmt: skip
    verdict = Verdict(action, (evidence,), score, None if score is None else 0.0002, "GET /item")
    time = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    request = Request("GET", b"/item?id=1&pwd=hunter2", ((b"host", b"shop.example"),))
    return make_alert(
        new_event_id(), time, request, client, verdict, image=image, subject="sha256:" + "5" * 64
    )


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., None]:
    def write(*alerts: Alert, outcome: int | None = None) -> None:
        with SpoolWriter(tmp_path, worker="w0") as spool:
            for alert in alerts:
                spool.append(alert)
                if outcome is not None:
                    spool.outcome(alert.event_id, outcome)

    return write


def listed(*arguments: str) -> list[Alert]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    return [alert_from_dict(json.loads(line)) for line in result.stdout.splitlines()]


def test_an_empty_spool_says_what_to_do(tmp_path: Path) -> None:
    result = run("--spool", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "cnaf enforce" in result.stderr
    assert listed("--spool", str(tmp_path / "none")) == []


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal(
    tmp_path: Path, fill: Callable[..., None], columns: int
) -> None:
    blocked = alert_of(2)
    alerted = alert_of(1, action=Action.ALERT, client="2001:db8:1234:5678:9abc:def0:1234:5678")
    fill(blocked, alerted)
    result = run("--spool", str(tmp_path), columns=columns)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(cell_len, lines)) <= columns
    for part in (
        blocked.event_id, alerted.event_id, f"{blocked.time:%F %T}", "block", "alert", "192.0.2.1",
        "GET /item", "query:id: looks like SQL",
    ):  # fmt: skip
        assert any(part in line for line in lines), part
    assert result.stdout.index(blocked.event_id) < result.stdout.index(alerted.event_id)


def test_the_table_shows_the_newest_and_says_so(tmp_path: Path, fill: Callable[..., None]) -> None:
    many = [alert_of(60 - minute) for minute in range(55)]
    fill(*many)
    result = run("--spool", str(tmp_path))
    assert many[4].event_id not in result.stdout
    assert many[5].event_id in result.stdout
    assert "newest 50 of 55" in result.stderr
    assert many[0].event_id in run("--spool", str(tmp_path), "--since", "2h").stdout
    assert len(listed("--spool", str(tmp_path))) == 55


@pytest.mark.parametrize("columns", [80, 120])
def test_one_alert_is_explained(tmp_path: Path, fill: Callable[..., None], columns: int) -> None:
    alert = alert_of(1)
    fill(alert)
    result = run(alert.event_id, "--spool", str(tmp_path), columns=columns)
    assert result.exit_code == 0
    assert max(map(cell_len, result.stdout.splitlines())) <= columns
    for part in (
        f"Event {alert.event_id}: blocked", "GET /item?id=1&pwd=[scrubbed, 7 bytes]",
        "shop.example", "192.0.2.1", "shop:1", "query:id", "no SQL", "a quote", "looks like SQL",
        "12.50: 1 of 5,000 benign requests looks this odd",
        "signature sqli-1, high confidence (sqli)",
    ):  # fmt: skip
        assert part in result.stdout, part


def test_an_alert_without_a_model_and_with_an_answer(
    tmp_path: Path, fill: Callable[..., None]
) -> None:
    alert = alert_of(1, action=Action.ALERT, score=None)
    fill(alert, outcome=302)
    shown = run(alert.event_id, "--spool", str(tmp_path)).stdout
    assert "let through with an alert" in shown
    assert "the app answered 302" in shown
    assert "no model was loaded" in shown


def test_nothing_that_a_client_sent_reaches_the_terminal_raw(
    tmp_path: Path, fill: Callable[..., None]
) -> None:
    alert = alert_of(1)
    fill(alert)
    for arguments in ([], [alert.event_id], ["--json"], [alert.event_id, "--json"]):
        shown = run("--spool", str(tmp_path), *arguments, columns=120).stdout
        assert all(char.isprintable() for char in shown.replace("\n", ""))
    shown = run("--spool", str(tmp_path), alert.event_id, columns=120).stdout
    assert r"1' OR \x1b[2J[red]\u202e\x9b31m=1" in shown


def test_marks_are_highlighted_on_a_terminal(tmp_path: Path, fill: Callable[..., None]) -> None:
    alert = alert_of(1)
    fill(alert)
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}
    script = "from test_alerts_command import app; app()"
    result = subprocess.run(
        [sys.executable, "-c", script, "alerts", alert.event_id, "--spool", str(tmp_path)],
        capture_output=True, text=True, env=environment, check=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    # Characters 1 to 8 of the excerpt, of which the sixth is an escape that is spelled out.
    marked = re.search(r"1\x1b\[[\d;]+m(' OR .*?)\x1b\[0m", result.stdout)
    assert marked is not None
    assert marked[1] == r"' OR \x1b[2"


def test_filters(tmp_path: Path, fill: Callable[..., None]) -> None:
    old = alert_of(90)
    shop = alert_of(5, action=Action.ALERT)
    wordpress = alert_of(4, image="wordpress:6.5")
    fill(old, shop, wordpress)
    spool = ("--spool", str(tmp_path))
    assert listed(*spool) == [old, shop, wordpress]
    assert listed(*spool, "--since", "10m") == [shop, wordpress]
    assert listed(*spool, "--since", shop.time.isoformat()) == [shop, wordpress]
    assert listed(*spool, "--since", f"{shop.time.replace(tzinfo=None)}") == [shop, wordpress]
    assert listed(*spool, "--image", "wordpress*") == [wordpress]
    assert listed(*spool, "--image", "sha256:55*", "--action", "alert") == [shop]
    assert listed(*spool, "--action", "block") == [old, wordpress]
    assert listed(*spool, shop.event_id) == [shop]


@pytest.mark.parametrize("time", ["10", "soon", "10y", "999999w", "2024-13-01", "", "-5m"])
def test_a_time_that_is_none(tmp_path: Path, time: str) -> None:
    result = run("--spool", str(tmp_path), "--since", time)
    assert result.exit_code == 3
    assert "10m" in result.stderr


def test_an_unknown_event_id(tmp_path: Path, fill: Callable[..., None]) -> None:
    fill(alert_of(1))
    for options in ([], ["--json"]):
        result = run("01HWTFR8T0G5V9M2E4X7B3C6DK", "--spool", str(tmp_path), *options)
        assert (result.exit_code, result.stdout) == (8, "")
        assert "01HWTFR8T0G5V9M2E4X7B3C6DK" in result.stderr
        assert "hint:" in result.stderr


def test_damage_is_told_on_stderr(tmp_path: Path, fill: Callable[..., None]) -> None:
    fill(alert_of(1))
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes() + b"{")
    result = run("--spool", str(tmp_path), "--json")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    assert "cut off" in result.stderr


def test_the_spool_may_come_from_the_environment(
    tmp_path: Path, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(alert_of(1))
    monkeypatch.setenv(SPOOL_VARIABLE, str(tmp_path))
    assert len(listed()) == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_following_prints_alerts_as_they_come_and_ends_well(
    tmp_path: Path, fill: Callable[..., None], options: list[str]
) -> None:
    first, second = alert_of(1), alert_of(0)
    fill(first)
    process = subprocess.Popen(
        # A test run in the background of a shell ignores SIGINT, and so would what it starts.
        ["env", "--default-signal=INT", sys.executable, "-c",
         "from test_alerts_command import app; app()", "alerts", "--follow",
         "--since", "5m", "--spool", str(tmp_path), *options],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert process.stdout is not None
    seen: list[str] = []
    for alert in (first, second):
        for line in process.stdout:
            seen.append(line)
            if alert.event_id in line:
                break
        if alert is first:
            fill(second)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    if options:
        assert [alert_from_dict(json.loads(line)) for line in seen] == [first, second]


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (0.0002, "1 of 5,000 benign requests looks this odd"),
        (0.5, "1 of 2 benign requests looks this odd"),
        (0.9, "most benign requests look this odd"),
        (0.0, "no benign request looks this odd"),
    ],
)
def test_rarity_in_words(p_value: float, words: str) -> None:
    assert rarity(p_value) == words


def test_the_documentation_names_every_option() -> None:
    text = DOCS.read_text("utf-8")
    command: Any = typer.main.get_command(app)
    names = {name for parameter in command.commands["alerts"].params for name in parameter.opts}
    assert {"--follow", "-f", "--json", "--since", "--image", "--action", "--spool"} <= names
    for name in names - {"event_id"}:
        assert f"`{name}" in text
