"""What protection costs: raw HAProxy, the protected proxy, and nginx with ModSecurity and CRS.

All three stand in front of the same nginx that answers at once, on loopback, and get the same
twelve requests of a WordPress visit from wrk. After a warm-up they take turns; the median of the
rounds counts. Throughput is measured at saturation, latency at a steady rate that all of them
sustain. The last line is one JSON object. Needs wrk and nginx; ModSecurity is skipped where its
packages are absent.

    python benchmarks/dataplane.py                  the enforcer (cnaf enforce)
    python benchmarks/dataplane.py --agent pass     an agent that decides nothing: the data plane

The workers of the enforcer remember requests that passed; "no request twice" is the same traffic
with a cookie that changes each time, which is the price of an inspection.

The enforcer blocks, with a model learned from the recorded WordPress site; the requests are a visit
to another WordPress, under another name. What is measured is benign traffic: it passes, and a run
that refuses any says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.dataplane.agent import run_agent
from cnaf.dataplane.config import Address, ProxyConfig, agent_socket
from cnaf.dataplane.handler import PASS
from cnaf.dataplane.haproxy import find_binary
from cnaf.dataplane.plane import DataPlane
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnaf.dataplane.handler import Decision
    from cnaf.models.exchange import Request, Response

ASSETS = Path(__file__).with_name("dataplane")
CORPUS = Path(__file__).parents[1] / "datasets" / "wordpress"
MIX = ASSETS / "mix.jsonl"
MODULE = Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so")
CRS = (Path("/etc/modsecurity/crs/crs-setup.conf"), Path("/usr/share/modsecurity-crs/rules"))
#: Clients at saturation, and those that keep the steady rate: 16 connections with a pause of
#: 10 ms offer at most 1,600 requests a second, far below what a protected proxy sustains.
SATURATION_CONNECTIONS = 64
STEADY_CONNECTIONS = 16
STEADY_PAUSE_MS = 10
START_TIMEOUT_S = 60.0

console = Console()


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk says about one run."""

    rps: float
    p50_us: int
    p99_us: int
    refused: int
    failed: int


@dataclass(slots=True)
class Target:
    """Something that is measured: its port and what it did so far."""

    name: str
    port: int
    distinct: bool = False
    runs: list[Run] = field(default_factory=list)
    steady: list[Run] = field(default_factory=list)

    @property
    def rps(self) -> float:
        return statistics.median(run.rps for run in self.runs)

    def ratio(self, other: Target) -> float:
        """Return this throughput over the other's, round by round: both had the same neighbours."""
        pairs = zip(self.runs, other.runs, strict=True)
        return statistics.median(mine.rps / its.rps for mine, its in pairs)

    @property
    def p99_ms(self) -> float:
        return statistics.median(run.p99_us for run in self.steady) / 1000


def protected_argv(args: argparse.Namespace, folder: Path, listen: int, origin: int) -> list[str]:
    """Return the command line of the proxy under test, its model learned where none is given."""
    if args.agent == "pass":
        return [sys.executable, __file__, "--serve", f"{listen}", f"{origin}"]
    cnaf = str(Path(sys.executable).with_name("cnaf"))
    registry = args.registry or str(folder / "registry")
    if not args.registry:
        learn = [cnaf, "learn", args.image, "--corpus", str(CORPUS), "--recorded"]
        learn += ["--registry", registry]
        subprocess.run(learn, check=True, stdout=subprocess.DEVNULL)
    return [
        *(cnaf, "enforce", "--listen", f"127.0.0.1:{listen}", "--origin", f"127.0.0.1:{origin}"),
        *("--image", args.image, "--registry", registry, "--action", "block"),
        *("--spool", str(folder / "spool")),
    ]


def main() -> None:
    """Measure and report."""
    args = _arguments()
    if args.worker:
        run_agent(_Pass(), args.worker)
        return
    if args.serve:
        _serve(*args.serve)
        return
    missing = [name for name in ("wrk", "nginx") if not shutil.which(name)]
    if missing:
        sys.exit(f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnaf-bench-")))
        _report(args, *_measure(args, stack, folder))


def _measure(
    args: argparse.Namespace, stack: ExitStack, folder: Path
) -> tuple[list[Target], dict[str, float]]:
    origin = _free_port()
    stack.enter_context(_nginx(folder, "origin.conf", origin))
    raw = Target("HAProxy, raw", _free_port())
    stack.enter_context(_raw_haproxy(folder, raw.port, origin))
    protected = Target(f"HAProxy + {args.agent}", _free_port())
    argv = protected_argv(args, folder, protected.port, origin)
    process = stack.enter_context(_running(argv, protected.port))
    # The enforcer remembers what passed, and twelve requests repeat: the same without that.
    distinct = Target(f"{protected.name}, no request twice", protected.port, distinct=True)
    targets = [raw, protected, distinct]
    if MODULE.exists() and all(path.exists() for path in CRS):
        modsecurity = Target("nginx + ModSecurity + CRS", _free_port())
        (folder / "modsecurity.rules").write_text(_asset("modsecurity.rules", folder=folder))
        stack.enter_context(_nginx(folder, "modsecurity.conf", modsecurity.port, origin=origin))
        targets.append(modsecurity)
    else:
        console.print("ModSecurity skipped: apt-get install libnginx-mod-http-modsecurity")
    requests = _requests(folder)
    for target in targets:
        _wrk(target, requests, 1, SATURATION_CONNECTIONS)
    for _ in range(args.rounds):
        for target in targets:
            target.runs.append(_wrk(target, requests, args.seconds, SATURATION_CONNECTIONS))
    for _ in range(args.rounds):
        for target in (raw, protected):
            run = _wrk(target, requests, args.seconds, STEADY_CONNECTIONS, STEADY_PAUSE_MS)
            target.steady.append(run)
    figures = {
        "agent_rss_mb": round(_agent_rss_mb(process.pid), 1),
        "unchecked": _unchecked(process.pid),
    }
    return targets, figures


def _report(args: argparse.Namespace, targets: Sequence[Target], figures: dict[str, float]) -> None:
    raw, protected, distinct, *others = targets
    table = Table(title="12 requests of a WordPress visit, median of the rounds")
    for name in ("", "requests/s", "of raw", "spread", "refused", "failed", "p99 at 1.6k/s"):
        table.add_column(name, justify="right" if name else "left")
    for target in targets:
        rates = [run.rps for run in target.runs]
        table.add_row(
            target.name,
            f"{target.rps:,.0f}",
            f"{target.ratio(raw):.3f}",
            f"{(max(rates) - min(rates)) / target.rps:.0%}",
            str(sum(run.refused for run in target.runs)),
            str(sum(run.failed for run in target.runs)),
            f"{target.p99_ms:.2f} ms" if target.steady else "",
        )
    console.print(table)
    if figures["unchecked"]:
        console.print(f"{figures['unchecked']:,} requests passed unchecked (over the budget)")
    result = {
        "agent": args.agent,
        "raw_rps": round(raw.rps),
        "protected_rps": round(protected.rps),
        "modsecurity_rps": round(others[0].rps) if others else None,
        "protected_to_raw": round(protected.ratio(raw), 3),
        "protected_to_modsecurity": round(protected.ratio(others[0]), 1) if others else None,
        "protected_distinct_rps": round(distinct.rps),
        "protected_distinct_to_raw": round(distinct.ratio(raw), 3),
        "p99_added_ms": round(protected.p99_ms - raw.p99_ms, 3),
        "refused": sum(run.refused for run in protected.runs),
        **figures,
    }
    sys.stdout.write(json.dumps(result) + "\n")


def _requests(folder: Path) -> Path:
    """Write the mix as mix.lua reads it, and return where."""
    path = folder / "requests"
    requests = [json.loads(line)["request"] for line in MIX.read_text().splitlines()]
    path.write_text(
        "\0".join(
            "\r\n".join(
                (
                    f"{request['method']} {request['target']} HTTP/{request['version']}",
                    *(f"{name}: {value}" for name, value in request["headers"]),
                    "",
                    request.get("body", ""),
                )
            )
            for request in requests
        ),
        newline="",
    )
    return path


def _wrk(
    target: Target, requests: Path, seconds: float, connections: int, pause_ms: int = 0
) -> Run:
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(ASSETS / "mix.lua")]
    argv += [f"http://127.0.0.1:{target.port}", "--", str(requests), str(pause_ms)]
    if target.distinct:
        argv.append("distinct")
    output = subprocess.run(
        argv, capture_output=True, text=True, check=True, timeout=seconds + 30
    ).stdout
    figures = json.loads(output.strip().splitlines()[-1])
    return Run(
        figures["requests"] / figures["seconds"],
        figures["p50_us"],
        figures["p99_us"],
        figures["refused"],
        figures["failed"],
    )


# Processes


@contextmanager
def _running(
    argv: Sequence[str], port: int, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, env=env, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        if not _listens(port, process):
            sys.exit(f"does not listen on port {port}: {' '.join(argv)}")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _nginx(folder: Path, name: str, port: int, **values: object) -> AbstractContextManager[object]:
    path = folder / name
    path.write_text(_asset(name, folder=folder, port=port, module=MODULE, **values))
    return _running(["nginx", "-p", str(folder), "-c", str(path)], port)


def _raw_haproxy(folder: Path, port: int, origin: int) -> AbstractContextManager[object]:
    path = folder / "raw.cfg"
    path.write_text(_asset("raw.cfg", port=port, origin=origin))
    binary = find_binary()
    return _running([str(binary.path), "-q", "-f", str(path)], port, binary.environment())


def _asset(name: str, **values: object) -> str:
    # nginx has variables of its own, so what is not given stays as it is.
    return string.Template((ASSETS / name).read_text()).safe_substitute(values)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


# Figures of the processes under test


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _agent_rss_mb(pid: int) -> float:
    """Return the memory of the largest process of ours: a worker, or what starts the workers."""
    sizes = [0.0]
    for process in (pid, *_descendants(pid)):
        name, *lines = Path(f"/proc/{process}/status").read_text().splitlines()
        if "haproxy" not in name:
            sizes += (int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
    return max(sizes)


def _unchecked(pid: int) -> int:
    """Return how many requests passed without a decision, by HAProxy's own count."""
    for process in _descendants(pid):
        for part in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0"):
            if part.endswith(b"/haproxy.cfg"):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(part.removesuffix(b"cfg") + b"sock")
                    client.sendall(b"show table unchecked\n")
                    match = re.search(rb"gpc0=(\d+)", client.recv(4096))
                return int(match[1]) if match else 0
    return 0


# The data plane without an enforcer


class _Pass:
    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        return PASS

    def on_response(self, unique_id: str, response: Response) -> None:
        """Never called: it watches nothing."""


def _serve(listen: int, origin: int) -> None:
    with tempfile.TemporaryDirectory(prefix="cnaf-bench-") as name:
        folder = Path(name)
        config = ProxyConfig(
            Address("127.0.0.1", listen),
            Address("127.0.0.1", origin),
            (agent_socket(folder, 0),),
            folder,
        )
        workers = [[sys.executable, __file__, "--worker", str(config.agent_sockets[0])]]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with DataPlane(config, workers):
            signal.pause()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--agent", choices=("cnaf", "pass"), default="cnaf")
    parser.add_argument("--image", default="wordpress:latest")
    parser.add_argument("--registry", help="where a model of the image is; default: learn one")
    parser.add_argument("--rounds", type=int, choices=range(3, 8), default=3)
    parser.add_argument("--seconds", type=int, choices=range(1, 6), default=5)
    parser.add_argument("--serve", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
