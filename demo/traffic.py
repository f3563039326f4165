"""What both demos need: commands as a user types them, a proxy's life, and recorded requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cnaf.datasets.split import request_key
from cnaf.datasets.stats import wilson_interval
from cnaf.models.exchange import Exchange, Request
from rich.console import Console
from rich.table import Table

__all__ = [
    "Client",
    "Outcome",
    "cnaf",
    "console",
    "enforcing",
    "free_port",
    "latencies",
    "send_all",
    "show_outcomes",
    "wait_for_port",
]

console = Console()
_CNAF = str(Path(sys.executable).with_name("cnaf"))
_TIMEOUT_S = 30.0
#: Headers of one connection, which a client writes itself.
_HOP = frozenset((b"connection", b"content-length", b"host", b"transfer-encoding", b"expect"))


def cnaf(*arguments: str) -> None:
    """Show and run a command; its output goes where ours goes."""
    console.print(f"\n[bold green]$[/] [bold]cnaf {' '.join(arguments)}[/]", highlight=False)
    subprocess.run([_CNAF, *arguments], check=True)


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, timeout_s: float = _TIMEOUT_S) -> None:
    """Wait until something accepts connections, or raise TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers on port {port}")
        time.sleep(0.05)


@contextlib.contextmanager
def enforcing(*arguments: str) -> Iterator[None]:
    """Run ``cnaf enforce`` until the block ends; it is ready when the block begins."""
    console.print(
        f"\n[bold green]$[/] [bold]cnaf enforce {' '.join(arguments)}[/]", highlight=False
    )
    process = subprocess.Popen(
        [_CNAF, "enforce", *arguments, "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(process.wait())
        about = json.loads(line)
        console.print(f"  ready: {about['listen']} protects {about['origin']}", highlight=False)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_TIMEOUT_S)


class Client:
    """One keep-alive connection that sends requests as they were recorded."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)

    def send(self, request: Request) -> tuple[int, str]:
        """Return the status and, where the request was blocked, the event id."""
        connection = self._connection
        connection.putrequest(
            request.method, request.target.decode("latin-1"), skip_host=True,
            skip_accept_encoding=True,
        )  # fmt: skip
        connection.putheader("Host", request.header(b"host") or b"localhost")
        for name, value in request.headers:
            if name not in _HOP:
                connection.putheader(name.decode("latin-1"), value)
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("x-cnaf-event") or ""

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@dataclass(slots=True)
class Outcome:
    """What became of requests of one kind."""

    statuses: Counter[str] = field(default_factory=Counter)
    events: list[tuple[str, Exchange]] = field(default_factory=list)
    distinct: dict[bytes, bool] = field(default_factory=dict)

    def add(self, exchange: Exchange, verdict: str, event: str) -> None:
        """Count one request."""
        self.statuses[verdict] += 1
        if event:
            self.events.append((event, exchange))
        key = request_key(exchange.request)
        self.distinct[key] = self.distinct.get(key, False) or verdict == "blocked"


def send_all(port: int, exchanges: Sequence[Exchange], progress: Callable[[int], None]) -> Outcome:
    """Send requests, a connection a session; return what the proxy made of them."""
    outcome = Outcome()
    client, session = Client(port), ""
    for done, exchange in enumerate(exchanges, 1):
        if exchange.session != session:
            client.close()
            client, session = Client(port), exchange.session
        try:
            status, event = client.send(exchange.request)
        except (http.client.HTTPException, OSError, ValueError) as error:
            # What no HTTP client can send is no request either.
            outcome.add(exchange, f"not sent ({type(error).__name__})", "")
            client.close()
            client = Client(port)
        else:
            outcome.add(exchange, "blocked" if event else _verdict(status), event)
        progress(done)
    client.close()
    return outcome


def _verdict(status: int) -> str:
    return "refused as malformed" if status in {400, 414, 431} else "passed"


def show_outcomes(rows: Iterable[tuple[str, Outcome, int]]) -> None:
    """Print a table of kinds: name, what became of them, how many of the passed were alerted on."""
    table = Table(title="What the protected origin saw", title_justify="left")
    for name in ("", "sent", "passed", "of them alerted", "refused", "blocked", "95 % interval"):
        table.add_column(name, justify="right" if name else "left")
    for name, outcome, alerted in rows:
        blocked, total = outcome.statuses["blocked"], outcome.statuses.total()
        refused = total - blocked - outcome.statuses["passed"]
        for label, k, n, rest in (
            (name, blocked, total, (outcome.statuses["passed"], alerted, refused)),
            ("  distinct", sum(outcome.distinct.values()), len(outcome.distinct), None),
        ):
            low, high = wilson_interval(k, n)
            cells = [f"{count:,}" for count in rest] if rest else ["", "", ""]
            table.add_row(
                label, f"{n:,}", *cells, f"{k:,} ({k / n:.2%})", f"{low:.2%} to {high:.2%}"
            )
    console.print()
    console.print(table)


def latencies(
    direct: int, protected: int, exchanges: Sequence[Exchange], rounds: int = 3
) -> tuple[float, float, float, float]:
    """Return median and 99th percentile in ms, direct and protected, measured in turns."""
    times: dict[int, list[float]] = {direct: [], protected: []}
    for _ in range(rounds):
        for port in (direct, protected):
            client = Client(port)
            for exchange in exchanges:
                started = time.perf_counter()
                client.send(exchange.request)
                times[port].append(1e3 * (time.perf_counter() - started))
            client.close()
    result = []
    for port in (direct, protected):
        cuts = statistics.quantiles(times[port], n=100)
        result += [cuts[49], cuts[98]]
    return result[0], result[1], result[2], result[3]
