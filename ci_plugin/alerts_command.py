"""``cnaf alerts``: what the enforcer alerted on and blocked, as a table, in full, or as JSON."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

import typer
from cnaf.ci_plugin.alerts_view import alert_panel, alert_row, alerts_table
from cnaf.ci_plugin.options import Reaction
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.enforcer.alerts import Alert, alert_to_dict
from cnaf.enforcer.spool import default_spool_dir, find, follow, read_alerts
from cnaf.models.errors import InputError

__all__ = ["alerts"]

#: Alerts that a table shows where no --since asks for more.
_SHOWN: Final = 50
_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def alerts(
    event_id: Annotated[
        str | None,
        typer.Argument(metavar="[EVENT_ID]", help="Explain this alert; a block page shows its id."),
    ] = None,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Print alerts as they come, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not older than 30s, 10m, 2h, 7d, or an ISO time (UTC)."),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Only of images such as 'wordpress*', or a digest."),
    ] = None,
    action: Annotated[Reaction | None, typer.Option(help="Only what was done like this.")] = None,
    spool: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where alerts are. Default: CNAF_SPOOL, or state folder."),
    ] = None,
) -> None:
    """Show what was alerted on and blocked, oldest first, or explain one event."""
    directory = spool or default_spool_dir()
    if event_id is not None:
        alert = find(directory, event_id.strip())
        if as_json:
            print_json_line(alert_to_dict(alert))
        else:
            out.print(alert_panel(alert))
        return
    begin = _time(since, datetime.now(UTC))
    if following:
        _print_following(
            _chosen(follow(directory, since=begin, report=_report), image, action),
            directory,
            as_json=as_json,
        )
        return
    chosen = _chosen(read_alerts(directory, since=begin, report=_report), image, action)
    if as_json:
        for alert in chosen:
            print_json_line(alert_to_dict(alert))
    else:
        _print_table(chosen, directory, None if since else _SHOWN)


def _chosen(found: Iterable[Alert], image: str | None, action: Reaction | None) -> Iterator[Alert]:
    for alert in found:
        names = (alert.image, alert.subject)
        if image is not None and not any(fnmatchcase(name, image) for name in names):
            continue
        if action is None or alert.action.value == action.value:
            yield alert


def _print_table(chosen: Iterator[Alert], directory: Path, cap: int | None) -> None:
    count = 0
    shown: deque[Alert] = deque(maxlen=cap)
    for alert in chosen:
        shown.append(alert)
        count += 1
    if not shown:
        err.print(plain(f"No alerts to show in {directory}."), soft_wrap=True)
        err.print("`cnaf enforce` writes them; name its spool with --spool or CNAF_SPOOL.")
        return
    table = alerts_table(out.width)
    for alert in shown:
        table.add_row(*alert_row(alert))
    out.print(table)
    if count > len(shown):
        err.print(f"The newest {len(shown)} of {count:,} alerts; --since or --json show more.")


def _print_following(chosen: Iterator[Alert], directory: Path, *, as_json: bool) -> None:
    """Print until Ctrl-C, which is how this ends and no failure."""
    if not as_json:
        err.print(plain(f"Waiting for alerts in {directory}; Ctrl-C ends."), soft_wrap=True)
    try:
        for alert in chosen:
            if as_json:
                print_json_line(alert_to_dict(alert))
            else:
                table = alerts_table(out.width, header=False)
                table.add_row(*alert_row(alert))
                out.print(table)
    except KeyboardInterrupt:
        return


def _report(sentence: str) -> None:
    err.print(plain(sentence, "yellow"), soft_wrap=True)


def _time(text: str | None, now: datetime) -> datetime | None:
    """Return the time that ``10m`` (ago) or an ISO text means; UTC where it names no zone."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"--since {text[:64]!r} is no time", hint="write 30s, 10m, 2h, 7d or 2024-05-01T12:00"
        ) from error
