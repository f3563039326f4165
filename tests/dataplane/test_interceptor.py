"""Interception between real namespaces: who the app sees, what is left alone, what is left over."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cnaf.dataplane.agent import AgentThread
from cnaf.dataplane.config import agent_socket
from cnaf.dataplane.handler import Decision
from cnaf.dataplane.haproxy import find_binary
from cnaf.dataplane.interception import Family, Interception
from cnaf.dataplane.interceptor import (
    Interceptor,
    apply_routing,
    apply_table,
    clear,
    families,
    look,
)
from cnaf.dataplane.namespace import Namespace
from cnaf.dataplane.transparent import TransparentConfig
from cnaf.models.errors import DataplaneError
from cnaf.models.exchange import Request

from .conftest import Recorder, eventually
from .namespace_app import DOWNLOAD, GREETING
from .network import (
    CLIENT,
    CONTAINER,
    GREETING_PORT,
    HTTP_PORTS,
    NODE,
    PUBLISHED,
    TIMEOUT_S,
    Network,
    app,
    behind,
    inside,
    network,
)

pytestmark = pytest.mark.namespaces

GET = b"GET %s HTTP/1.1\r\nHost: app\r\n\r\n"
H2_PORT = 9_090


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network() as net, app(net):
        yield net


@dataclass
class Setup:
    """What a test holds: the network, the interceptor and what its agent saw."""

    net: Network
    namespace: Namespace
    interceptor: Interceptor
    handler: Recorder

    @property
    def interception(self) -> Interception:
        return self.interceptor.config.interception

    def seen(self) -> list[tuple[bytes, str]]:
        return [(request.target, client) for request, client, _ in self.handler.requests]


@pytest.fixture
def make(net: Network, run_dir: Path) -> Iterator[Callable[..., Setup]]:
    """Make an interceptor that has not been inserted; whatever happens, nothing stays behind."""
    with ExitStack() as stack:
        namespace = stack.enter_context(Namespace(net.path()))
        recorder = Recorder()
        stack.enter_context(AgentThread(recorder, agent_socket(run_dir, 0)))

        def make(
            ports: tuple[int, ...] = (*HTTP_PORTS, GREETING_PORT),
            families: tuple[Family, ...] = tuple(Family),
            **values: Any,
        ) -> Setup:
            config = TransparentConfig(
                interception=Interception(ports, families),
                agent_sockets=(agent_socket(run_dir, 0),),
                run_dir=run_dir,
                budget_ms=10_000,
                **values,
            )
            interceptor = Interceptor(namespace, config)
            stack.callback(interceptor.haproxy.stop)
            stack.callback(clear, namespace, config.interception)
            return Setup(net, namespace, interceptor, recorder)

        yield make


@pytest.fixture
def intercepted(make: Callable[..., Setup]) -> Setup:
    setup = make()
    setup.interceptor.insert()
    return setup


def answer(client: socket.socket, method: str = "GET") -> tuple[int, bytes]:
    response = http.client.HTTPResponse(client, method=method)
    response.begin()
    return response.status, response.read()


def get(net: Network, where: str, host: str, port: int, target: bytes = b"/") -> str:
    with net.connect(where, host, port) as client:
        client.sendall(GET % target)
        status, body = answer(client)
        assert status == 200
        return body.decode()


@pytest.mark.parametrize("port", HTTP_PORTS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("where", ["client", "node"])
def test_the_app_sees_the_client_and_the_port_that_it_called(
    intercepted: Setup, where: str, version: int, port: int
) -> None:
    net = intercepted.net
    caller = (CLIENT if where == "client" else NODE)[version]
    body = get(net, getattr(net, where), CONTAINER[version], port, b"/from")
    host, _, called, told = body.split(" ", 3)
    assert (host, int(called)) == (caller, port)
    # The app is told nothing that it was not told before.
    assert told == "[('host', 'app')]"
    assert intercepted.seen() == [(b"/from", caller)]


def test_a_published_port_and_hairpin_pass_through(intercepted: Setup) -> None:
    net = intercepted.net
    assert get(net, net.client, *PUBLISHED).startswith(f"{CLIENT[4]} ")
    assert get(net, net.container, *PUBLISHED).startswith(f"{NODE[4]} ")
    assert [client for _, client in intercepted.seen()] == [CLIENT[4], NODE[4]]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", CONTAINER[4], CONTAINER[6]])
def test_what_the_container_asks_itself_is_left_alone(intercepted: Setup, host: str) -> None:
    net = intercepted.net
    assert get(net, net.container, host, HTTP_PORTS[0]).startswith(f"{host} ")
    assert intercepted.seen() == []


@pytest.mark.parametrize("version", [4, 6])
def test_what_the_container_sends_out_is_left_alone(intercepted: Setup, version: int) -> None:
    # To the very port that is intercepted, elsewhere.
    net = intercepted.net
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    address = (CLIENT[version], HTTP_PORTS[0])
    server = inside(net.client, lambda: socket.create_server(address, family=family))
    with server, net.connect(net.container, *address) as client:
        server.settimeout(TIMEOUT_S)
        accepted, peer = server.accept()
        with accepted:
            client.sendall(GET % b"/out")
            assert accepted.recv(100) == GET % b"/out"
            accepted.sendall(b"anything")
            assert client.recv(100) == b"anything"
    # IPv4 is masqueraded by the node.
    assert peer[0] == (CONTAINER[6] if version == 6 else "198.51.100.1")
    assert intercepted.seen() == []


def test_what_the_container_forwards_is_left_alone(intercepted: Setup) -> None:
    # As to a container in a container.
    net, port = intercepted.net, HTTP_PORTS[0]
    with behind(net) as (inner, address):
        server = inside(inner, lambda: socket.create_server((address, port)))
        with server, net.connect(net.client, address, port) as client:
            server.settimeout(TIMEOUT_S)
            accepted, peer = server.accept()
            accepted.close()
            assert client.recv(1) == b""
    assert peer[0] == CLIENT[4]


def test_haproxy_itself_cannot_be_called(intercepted: Setup) -> None:
    # Else it would call itself, and that one itself.
    net, port = intercepted.net, intercepted.interception.listen_port

    def call() -> bytes:
        with net.connect(net.container, "127.0.0.1", port) as client:
            return client.recv(100)

    with pytest.raises(ConnectionError):
        call()


@pytest.mark.parametrize("version", [4, 6])
def test_a_server_that_speaks_first_is_heard(intercepted: Setup, version: int) -> None:
    net = intercepted.net
    with net.connect(net.client, CONTAINER[version], GREETING_PORT) as client:
        assert client.recv(100) == GREETING
        client.sendall(b"\x01\x02 HTTP/1.1 is not spoken here")
        assert client.recv(100) == b"\x01\x02 HTTP/1.1 is not spoken here"
    assert intercepted.seen() == []


def test_a_connection_of_another_protocol_may_rest(make: Callable[..., Setup]) -> None:
    setup = make(client_timeout_s=1, server_timeout_s=1, tunnel_timeout_s=1)
    setup.interceptor.insert()
    with setup.net.connect(setup.net.client, CONTAINER[4], GREETING_PORT) as client:
        assert client.recv(100) == GREETING
        time.sleep(2)
        client.sendall(b"query")
        assert client.recv(100) == b"query"


def test_a_client_cannot_make_a_port_of_another_protocol_an_http_port(intercepted: Setup) -> None:
    net = intercepted.net
    with net.connect(net.client, CONTAINER[4], GREETING_PORT) as client:
        client.sendall(GET % b"/")
        assert answer(client)[0] == 502
    with net.connect(net.client, CONTAINER[4], GREETING_PORT) as client:
        assert client.recv(100) == GREETING


def test_what_a_client_says_in_no_http_passes_at_once(make: Callable[..., Setup]) -> None:
    # So long a wait would end the test.
    setup = make(detect_ms=10_000)
    setup.interceptor.insert()
    with setup.net.connect(setup.net.client, CONTAINER[4], GREETING_PORT) as client:
        client.settimeout(5)
        client.sendall(b"\x16\x03\x01")
        received = b""
        while len(received) < len(GREETING) + 3:
            received += client.recv(100)
        assert received == GREETING + b"\x16\x03\x01"


def test_silence_is_no_way_around(intercepted: Setup) -> None:
    net, port = intercepted.net, HTTP_PORTS[0]
    intercepted.handler.decide = lambda request: Decision(block=b"attack" in request.target)

    def wait_and_attack() -> bytes:
        with net.connect(net.client, CONTAINER[4], port) as client:
            time.sleep(5 * intercepted.interceptor.config.detect_ms / 1_000)
            client.sendall(GET % b"/attack")
            return client.recv(65_536)

    # Nobody knows yet that this port speaks HTTP: no answer comes out, and then it is known.
    assert wait_and_attack() == b""
    assert wait_and_attack().startswith(b"HTTP/1.1 403 ")


def test_a_port_that_is_known_is_inspected_from_the_start(make: Callable[..., Setup]) -> None:
    setup = make(http_ports=HTTP_PORTS)
    setup.interceptor.insert()
    with setup.net.connect(setup.net.client, CONTAINER[4], HTTP_PORTS[1]) as client:
        time.sleep(3 * setup.interceptor.config.detect_ms / 1_000)
        client.sendall(GET % b"/late")
        assert answer(client)[0] == 200
    assert setup.seen() == [(b"/late", CLIENT[4])]
    with setup.net.connect(setup.net.client, CONTAINER[4], HTTP_PORTS[1]) as client:
        client.sendall(b"\x16\x03\x01 no HTTP")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_every_request_of_a_connection_is_inspected_with_its_body(intercepted: Setup) -> None:
    net = intercepted.net
    seen: list[Request] = []

    def decide(request: Request) -> Decision:
        seen.append(request)
        return Decision(block=b"attack" in request.body)

    intercepted.handler.decide = decide
    with net.connect(net.client, CONTAINER[6], HTTP_PORTS[0]) as client:
        for body, status in ((b"a" * 5_000, 200), (b"an attack", 403), (b"good", 200)):
            head = b"POST /form HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % len(body)
            client.sendall(head)
            time.sleep(0.02)
            client.sendall(body)
            assert answer(client, "POST")[0] == status
    assert [request.body for request in seen] == [b"a" * 5_000, b"an attack", b"good"]


def exchange(net: Network, data: bytes) -> tuple[int, bytes]:
    with net.connect(net.client, CONTAINER[4], HTTP_PORTS[0]) as client:
        client.sendall(data)
        return answer(client)


def test_bytes_are_the_same_with_and_without(make: Callable[..., Setup]) -> None:
    setup = make()
    body = DOWNLOAD
    head = b"POST /upload HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % len(body)
    asked = (GET % b"/download", GET % b"/chunked", head + body)
    without = [exchange(setup.net, data) for data in asked]
    setup.interceptor.insert()
    assert [exchange(setup.net, data) for data in asked] == without
    assert len(setup.seen()) == 3
    assert without[0] == (200, DOWNLOAD)
    assert without[2][1].decode() == hashlib.sha256(DOWNLOAD).hexdigest()


def test_http2_without_tls_stays_http2(make: Callable[..., Setup], run_dir: Path) -> None:
    setup = make((H2_PORT,))
    config = run_dir / "h2.cfg"
    config.write_text(
        "defaults\n mode http\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n"
        f"frontend h2\n bind :{H2_PORT} proto h2\n http-request return status 200\n"
    )
    binary = find_binary()
    command = [*setup.namespace.launcher, str(binary.path), "-db", "-f", str(config)]
    # Preface, empty SETTINGS; HEADERS of stream 1, ended: GET / of http://a (RFC 7541, appendix A).
    headers = b"\x82\x86\x84\x41\x01a"
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    request = bytes((0, 0, len(headers), 1, 5, 0, 0, 0, 1)) + headers
    with subprocess.Popen(command, env=binary.environment()) as server:
        try:
            eventually(lambda: listening(setup.net, H2_PORT), "the HTTP/2 server listens")
            setup.interceptor.insert()
            with setup.net.connect(setup.net.client, CONTAINER[4], H2_PORT) as client:
                client.sendall(hello + request)
                assert status_of_stream_1(client) == 0x88  # 200 in the static table
        finally:
            server.terminate()
    assert setup.seen() == [(b"/", CLIENT[4])] or setup.seen() == [(b"http://a/", CLIENT[4])]


def listening(net: Network, port: int) -> bool:
    try:
        net.connect(net.container, CONTAINER[4], port).close()
    except OSError:
        return False
    return True


def status_of_stream_1(client: socket.socket) -> int:
    file = client.makefile("rb")
    while head := file.read(9):
        payload = file.read(int.from_bytes(head[:3], "big"))
        if head[3] == 1:
            return payload[0]
    raise AssertionError("no answer")


def test_a_container_without_ipv6_is_intercepted(make: Callable[..., Setup]) -> None:
    setup = make()
    net, disabled = setup.net, Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
    assert families(setup.namespace) == (Family.IPV4, Family.IPV6)
    inside(net.container, lambda: disabled.write_text("1"))
    try:
        assert families(setup.namespace) == (Family.IPV4,)
        setup = make(families=families(setup.namespace))
        before = net.state()
        setup.interceptor.insert()
        assert get(net, net.client, CONTAINER[4], HTTP_PORTS[0])
        assert setup.seen() == [(b"/", CLIENT[4])]
        setup.interceptor.withdraw(settle_s=0)
        assert net.state() == before
    finally:
        inside(net.container, lambda: disabled.write_text("0"))


def test_applying_twice_is_once_and_nothing_is_left(make: Callable[..., Setup]) -> None:
    setup = make()
    before = setup.net.state()
    setup.interceptor.insert()
    once, pid = setup.net.state(), setup.interceptor.haproxy.pid
    assert once != before
    setup.interceptor.insert()
    assert (setup.net.state(), setup.interceptor.haproxy.pid) == (once, pid)
    setup.interceptor.withdraw(settle_s=0)
    setup.interceptor.withdraw(settle_s=0)
    assert setup.net.state() == before
    assert setup.interceptor.haproxy.pid is None


def test_other_rules_stay(make: Callable[..., Setup]) -> None:
    setup = make()
    theirs = "table inet other {\n chain c { type filter hook input priority 0; }\n}\n"
    setup.namespace.run(["nft", "-f", "-"], theirs)
    setup.namespace.run(["ip", "rule", "add", "pref", "100", "fwmark", "7", "lookup", "main"])
    try:
        before = setup.net.state()
        setup.interceptor.insert()
        setup.interceptor.withdraw(settle_s=0)
        assert setup.net.state() == before
    finally:
        setup.namespace.run(["ip", "rule", "del", "pref", "100", "fwmark", "7"])
        setup.namespace.run(["nft", "delete", "table", "inet", "other"])


@pytest.mark.parametrize("table", [True, False], ids=["all of it", "without its table"])
def test_what_a_killed_predecessor_left_is_taken_over(
    make: Callable[..., Setup], table: bool
) -> None:
    setup = make()
    before = setup.net.state()
    other = replace(setup.interception, ports=(1, 2), rule_priority=77, families=(Family.IPV4,))
    apply_routing(setup.namespace, other)
    if table:
        apply_table(setup.namespace, other)
    setup.interceptor.insert()
    seen = look(setup.namespace, setup.interception)
    assert {text for _, text in seen.rules} == {"pref 100 fwmark 0xcaf0001 lookup 3247"}
    assert len(seen.routes) == 2
    assert get(setup.net, setup.net.client, CONTAINER[4], HTTP_PORTS[0])
    assert len(setup.seen()) == 1
    setup.interceptor.withdraw(settle_s=0)
    assert setup.net.state() == before


def test_a_killed_haproxy_leaves_the_app_reachable_and_comes_back(intercepted: Setup) -> None:
    net, haproxy = intercepted.net, intercepted.interceptor.haproxy
    state = net.state()
    assert haproxy.pid
    os.kill(haproxy.pid, signal.SIGKILL)
    eventually(lambda: haproxy.pid is None, "it ends")
    assert get(net, net.client, CONTAINER[4], HTTP_PORTS[0], b"/fail-open")
    assert intercepted.seen() == []
    intercepted.interceptor.insert()
    assert get(net, net.client, CONTAINER[4], HTTP_PORTS[0], b"/back")
    assert intercepted.seen() == [(b"/back", CLIENT[4])]
    assert net.state() == state


def test_the_haproxy_of_a_killed_supervisor_ends_what_it_has(
    make: Callable[..., Setup], intercepted: Setup
) -> None:
    net, first = intercepted.net, intercepted.interceptor.haproxy
    with net.connect(net.client, CONTAINER[4], GREETING_PORT) as client:
        assert client.recv(100) == GREETING
        second = make()
        second.interceptor.insert()
        assert get(net, net.client, CONTAINER[4], HTTP_PORTS[0], b"/second")
        client.sendall(b"still here")
        assert client.recv(100) == b"still here"
    eventually(lambda: first.pid is None, "the first one ends")
    assert second.interceptor.haproxy.pid
    assert get(net, net.client, CONTAINER[4], HTTP_PORTS[0], b"/third")


def test_what_a_killed_supervisor_left_can_be_withdrawn(
    net: Network, make: Callable[..., Setup]
) -> None:
    before = net.state()
    first, second = make(), make()
    first.interceptor.insert()
    second.interceptor.withdraw(settle_s=0)
    assert net.state() == before
    assert first.interceptor.haproxy.pid is None


def test_a_source_port_that_the_client_uses_is_drawn_again(make: Callable[..., Setup]) -> None:
    # HAProxy draws from eight even source ports, and the client's own connections sit on two.
    setup = make()
    net, setting = setup.net, Path("/proc/sys/net/ipv4/ip_local_port_range")
    before = inside(net.container, setting.read_text)
    inside(net.container, lambda: setting.write_text("40000 40015"))
    try:
        setup.interceptor.insert()
        with ExitStack() as stack:
            for port in (40_000, 40_002, 50_000, 50_002):
                client = net.connect(
                    net.client, CONTAINER[4], HTTP_PORTS[0], source=(CLIENT[4], port)
                )
                stack.enter_context(closing(client))
                client.sendall(GET % b"/")
                # Below timeout connect, which a lost SYN would take.
                client.settimeout(4)
                assert answer(client)[0] == 200
    finally:
        inside(net.container, lambda: setting.write_text(before))


class Load:
    """A bounded load over IPv4 and IPv6: every other request on a connection of its own."""

    def __init__(self, net: Network) -> None:
        self._net = net
        self._stop = threading.Event()
        self.done, self.failures = 0, []  # type: int, list[str]
        self._threads = [
            threading.Thread(target=self._run, args=(version, keep))
            for version in (4, 6)
            for keep in (True, False)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, version: int, keep: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        for _ in range(300):
            if self._stop.wait(0.02):
                break
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(CONTAINER[version], HTTP_PORTS[0])
                    connection.sock = self._net.connect(
                        self._net.client, CONTAINER[version], HTTP_PORTS[0]
                    )
                connection.request("GET", "/load")
                response = connection.getresponse()
                assert response.status == 200, response.status
                assert response.read()
                self.done += 1
                # The library closes where the answer says so.
                if not keep or connection.sock is None:
                    connection.close()
                    connection = None
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failures.append(f"{version} {keep} {error!r}")
                connection = None


def test_no_request_fails_while_it_comes_and_goes(make: Callable[..., Setup]) -> None:
    setup = make(drain_timeout_s=5)
    before = setup.net.state()
    with setup.net.connect(setup.net.client, CONTAINER[4], GREETING_PORT) as older:
        assert older.recv(100) == GREETING
        with Load(setup.net) as load:
            eventually(lambda: load.done > 30, "requests before")
            for _ in range(2):
                setup.interceptor.insert()
                inspected = len(setup.seen())
                eventually(lambda: len(setup.seen()) > inspected + 30, "requests during")  # noqa: B023
                setup.interceptor.withdraw()
            passed, inspected = load.done, len(setup.seen())
            eventually(lambda: load.done > passed + 30, "requests after")
        assert load.failures == []
        assert len(setup.seen()) == inspected
        # A connection from before was never touched.
        older.sendall(b"as ever")
        assert older.recv(100) == b"as ever"
    assert setup.net.state() == before


def test_an_answer_that_is_under_way_ends(intercepted: Setup) -> None:
    net = intercepted.net
    with net.connect(net.client, CONTAINER[4], HTTP_PORTS[0]) as client:
        client.sendall(GET % b"/slow")
        eventually(lambda: bool(intercepted.seen()), "it is under way")
        intercepted.interceptor.withdraw(settle_s=0)
        assert answer(client) == (200, b"begunended")


def test_nothing_is_diverted_any_more_when_haproxy_stops(
    intercepted: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup, haproxy = intercepted, intercepted.interceptor.haproxy
    found, stop = [], haproxy.stop

    def watched(**options: bool) -> None:
        found.append(look(setup.namespace, setup.interception))
        get(setup.net, setup.net.client, CONTAINER[4], HTTP_PORTS[0])
        stop(**options)

    monkeypatch.setattr(haproxy, "stop", watched)
    setup.interceptor.withdraw(settle_s=0)
    # What brings answers back is still there.
    assert [(seen.diverting, seen.table, len(seen.rules)) for seen in found] == [(False, True, 2)]
    assert setup.seen() == []


def test_a_port_of_haproxys_that_the_app_uses_leaves_nothing(make: Callable[..., Setup]) -> None:
    setup = make((80,))
    before = setup.net.state()
    taken = ("127.0.0.1", setup.interception.listen_port)
    server = inside(setup.net.container, lambda: socket.create_server(taken))
    with server, pytest.raises(DataplaneError, match="Address already in use"):
        setup.interceptor.insert()
    assert setup.net.state() == before
