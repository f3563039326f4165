"""HAProxy and its workers under a supervisor: what dies comes back, and how long nobody looked."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cnaf.dataplane.config import ProxyConfig
from cnaf.dataplane.plane import Backoff, DataPlane
from cnaf.models.errors import DataplaneError

from .conftest import Client, Proxy, eventually, worker

Start = Callable[..., Proxy]
MakeConfig = Callable[..., ProxyConfig]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def blocks(proxy: Proxy) -> bool:
    return proxy.get("/attack").status == 403


def test_workers_decide(start: Start) -> None:
    proxy = start([worker(), worker()])
    assert [proxy.get("/attack").status for _ in range(8)] == [403] * 8
    assert [proxy.get("/fine").status for _ in range(8)] == [200] * 8
    assert proxy.unchecked == 0


def test_a_response_comes_to_the_worker_that_watches(start: Start, run_dir: Path) -> None:
    proxy = start([worker(), worker()])
    for _ in range(40):
        assert proxy.get("/watched").status == 200
    lines = [line for path in run_dir.glob("*.responses") for line in path.read_text().splitlines()]
    assert lines == ["own 200"] * 40


def test_stop_leaves_no_process_and_no_socket(start: Start) -> None:
    proxy = start([worker(), worker()])
    pids = (*proxy.plane.worker_pids, proxy.plane.haproxy.pid)
    assert len(pids) == 3
    proxy.get("/fine")
    proxy.plane.stop()
    proxy.plane.stop()
    assert all(pid and gone(pid) for pid in pids)
    assert not [path for path in proxy.config.run_dir.iterdir() if path.is_socket()]


def test_a_graceful_stop_lets_a_request_end(start: Start) -> None:
    proxy = start([worker()])
    client = proxy.connect()
    # The body over the inspected size is still on its way when the stop begins.
    size = 300_000
    client.socket.sendall(b"POST /a HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % size)
    client.socket.sendall(bytes(200_000))
    eventually(lambda: "cnaf" in proxy.plane.haproxy.command("show sess"), "the request is there")
    stopping = threading.Thread(target=lambda: proxy.plane.stop(graceful=True))
    stopping.start()
    eventually(lambda: refuses(proxy), "no new connection is taken")
    client.socket.sendall(bytes(100_000))
    assert client.receive().status == 200
    stopping.join()


def refuses(proxy: Proxy) -> bool:
    try:
        proxy.connect().socket.close()
    except OSError:
        return True
    return False


# A worker dies


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}/task").exists() or zombie(pid), "killed")


def zombie(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 503)])
def test_without_a_worker_the_fail_mode_counts(
    start: Start, run_dir: Path, fail_open: bool, status: int
) -> None:
    gate = run_dir / "gate"
    gate.touch()
    proxy = start([worker(str(gate))], fail_open=fail_open)
    assert blocks(proxy)
    gate.unlink()
    kill(proxy.plane.worker_pids[0])
    assert [proxy.get("/attack").status for _ in range(20)] == [status] * 20
    assert proxy.unchecked == 20
    gate.touch()
    eventually(lambda: blocks(proxy), "the worker is back")
    assert proxy.plane.stats().agent_restarts == 1


@pytest.mark.parametrize(("fail_open", "allowed"), [(True, {200}), (False, {200, 503})])
def test_a_worker_killed_under_traffic_fails_no_connection(
    start: Start, fail_open: bool, allowed: set[int]
) -> None:
    proxy = start([worker(), worker()], fail_open=fail_open)
    answers, stop = Traffic(proxy, 4), proxy.plane.stats
    with answers:
        eventually(lambda: len(answers.statuses) > 200, "traffic flows")
        kill(proxy.plane.worker_pids[0])
        eventually(lambda: stop().agent_restarts == 1, "the worker is started again")
        eventually(lambda: len(proxy.plane.worker_pids) == 2, "both workers run")
        before = len(answers.statuses)
        eventually(lambda: len(answers.statuses) > before + 200, "traffic goes on")
    assert set(answers.statuses) <= allowed
    refused = answers.statuses.count(503)
    assert refused <= proxy.unchecked
    eventually(lambda: blocks(proxy), "attacks are blocked")


class Traffic:
    """Keep-alive clients in threads; a broken connection fails the test as status 0."""

    def __init__(self, proxy: Proxy, clients: int) -> None:
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(proxy.connect(),)) for _ in range(clients)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: Client) -> None:
        while not self._stop.is_set():
            try:
                status = client.ask(b"GET /fine HTTP/1.1\r\nHost: app\r\n\r\n").status
            except OSError:
                status = 0
            self.statuses.append(status)


def test_a_worker_that_hangs_is_killed_and_replaced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnaf.dataplane.plane._HEALTH_EVERY_S", 0.05)
    monkeypatch.setattr("cnaf.dataplane.plane._HEALTH_TIMEOUT_S", 0.05)
    proxy = start([worker()], budget_ms=50)
    pid = proxy.plane.worker_pids[0]
    os.kill(pid, signal.SIGSTOP)
    assert proxy.get("/attack").status == 200
    eventually(lambda: proxy.plane.worker_pids not in ((), (pid,)), "another one runs")
    eventually(lambda: blocks(proxy), "it decides")


# HAProxy dies


def test_haproxy_is_back_within_a_second(start: Start) -> None:
    """The bound of the failure contract; the best of three, as this machine may be busy."""
    proxy = start([worker()])
    took = []
    for restarts in (1, 2, 3):
        pid = proxy.plane.haproxy.pid
        assert pid
        before = time.monotonic()
        kill(pid)
        eventually(lambda: not refuses(proxy), "connections are taken again")
        took.append(time.monotonic() - before)
        assert blocks(proxy)
        assert proxy.plane.stats().haproxy_restarts == restarts
    assert min(took) < 1.0


def test_a_restart_of_haproxy_keeps_the_count(start: Start) -> None:
    proxy = start(agent=False)
    for _ in range(3):
        proxy.get("/a")
    assert proxy.unchecked == 3
    pid = proxy.plane.haproxy.pid
    assert pid
    kill(pid)
    eventually(lambda: not refuses(proxy), "connections are taken again")
    for _ in range(5):
        proxy.get("/a")
    assert proxy.unchecked == 8
    proxy.plane.stop()
    assert proxy.unchecked == 8


def test_a_port_taken_meanwhile_is_retried(start: Start) -> None:
    proxy = start([worker()])
    pid = proxy.plane.haproxy.pid
    assert pid
    address = (proxy.config.listen.host, proxy.config.listen.port)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        thief.bind(address)
        thief.listen()
        kill(pid)
        eventually(lambda: proxy.plane.stats().haproxy_restarts >= 2, "it is tried again")
        assert proxy.plane.haproxy.pid is None

    def blocks_again() -> bool:
        try:
            return blocks(proxy)
        except ConnectionResetError:
            # The thief's queue took this connection before it closed.
            return False

    eventually(lambda: not refuses(proxy), "connections are taken again")
    eventually(blocks_again, "attacks are blocked")


# It does not start


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["/nonexistent/agent"], "cannot be started: No such file", id="no program"),
        pytest.param([sys.executable, "-c", "exit(3)"], "ended with status 3", id="ends at once"),
        pytest.param(worker("/nonexistent"), "not ready after 1 s", id="never listens"),
    ],
)
def test_a_worker_that_never_gets_ready_is_told(
    make_config: MakeConfig, argv: list[str], message: str
) -> None:
    config = make_config()
    command = [part.replace("SOCKET", str(config.agent_sockets[0])) for part in argv]
    with (
        pytest.raises(DataplaneError, match=message),
        DataPlane(config, [command], ready_timeout_s=1.0),
    ):
        pass
    assert not [path for path in config.run_dir.iterdir() if path.is_socket()]


def test_a_taken_port_is_told_before_the_workers_warm_up(make_config: MakeConfig) -> None:
    config = make_config()
    with socket.socket() as server:
        server.bind((config.listen.host, config.listen.port))
        server.listen()
        plane = DataPlane(config, [["/nonexistent"]])
        with pytest.raises(DataplaneError, match=f"cannot listen on {config.listen}"), plane:
            pass


def test_as_many_workers_as_sockets(make_config: MakeConfig) -> None:
    with pytest.raises(ValueError, match="2 workers for 1 sockets"):
        DataPlane(make_config(), [["a"], ["b"]])


def test_pauses_grow_to_their_bound() -> None:
    backoff = Backoff(first_s=1.0, most_s=5.0)
    assert [backoff.pause(n) for n in (0, 1, 2, 3, 4, 5, 1_000)] == [0, 0, 1, 2, 4, 5, 5]
