"""A real HAProxy before a real origin, with an agent in this process or in workers."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cnaf.dataplane.agent import AgentThread
from cnaf.dataplane.config import Address, ProxyConfig, agent_socket
from cnaf.dataplane.handler import PASS, Decision
from cnaf.dataplane.plane import DataPlane
from cnaf.models.exchange import Request, Response

TIMEOUT_S = 20.0
#: What /download answers: no compression, no repetition within a buffer.
DOWNLOAD = b"".join(index.to_bytes(4, "big") for index in range(5 << 20))


class Recorder:
    """A handler that remembers what it saw and decides by a function."""

    def __init__(self) -> None:
        self.decide: Callable[[Request], Decision] = lambda request: PASS
        self.requests: list[tuple[Request, str, str]] = []
        self.responses: list[tuple[str, Response]] = []

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        self.requests.append((request, client, unique_id))
        return self.decide(request)

    def on_response(self, unique_id: str, response: Response) -> None:
        self.responses.append((unique_id, response))


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as a client sees it; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One keep-alive connection; requests are raw bytes, so that nothing corrects them."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)

    def ask(self, data: bytes) -> Answer:
        """Send one request and return its response, of which nothing may be left over."""
        self.socket.sendall(data)
        return self.receive(data.partition(b" ")[0].decode("latin-1"))

    def receive(self, method: str = "GET") -> Answer:
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


class Origin(socketserver.StreamRequestHandler):
    """Describes each request in its answer, byte for byte; some paths answer in their own way."""

    server: OriginServer

    def handle(self) -> None:
        while line := self.rfile.readline():
            method, target, _ = line.split(b" ", 2)
            headers = self._headers()
            if headers.get(b"upgrade") == b"websocket":
                self._echo(headers[b"sec-websocket-key"])
                return
            if headers.get(b"expect") == b"100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = self._body(headers)
            self.server.seen.append(target)
            # Not the app's business: the proxy's own word about the client and the connection.
            told = sorted(set(headers.items()) - {(b"x-forwarded-for", b"127.0.0.1")})
            digest = hashlib.sha256(body).hexdigest()
            description = f"{method!r} {target!r} {told} {len(body)} {digest}".encode()
            self.wfile.write(self._answer(method, target, description))

    def _headers(self) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = {}
        while header := self.rfile.readline().rstrip(b"\r\n"):
            name, _, value = header.partition(b":")
            name = name.lower()
            headers[name] = headers[name] + b"|" + value if name in headers else value.strip(b" ")
        return headers

    def _body(self, headers: dict[bytes, bytes]) -> bytes:
        if headers.get(b"transfer-encoding") != b"chunked":
            return self.rfile.read(int(headers.get(b"content-length", b"0")))
        body = bytearray()
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _answer(self, method: bytes, target: bytes, description: bytes) -> bytes:
        if target in (b"/204", b"/304"):
            return b'HTTP/1.1 %s Short\r\nETag: "1"\r\n\r\n' % target[1:]
        if target == b"/chunked":
            chunk = b"%x\r\n%s\r\n" % (len(description), description)
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (chunk * 3)
        body = DOWNLOAD if target == b"/download" else description
        head = b"HTTP/1.1 200 OK\r\nX-App: origin\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head if method == b"HEAD" else head + body

    def _echo(self, key: bytes) -> None:
        # RFC 6455, 4.2.2. HAProxy checks it.
        accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % base64.b64encode(accept)
        )
        while data := self.connection.recv(65_536):
            self.wfile.write(data)


class OriginServer(socketserver.ThreadingTCPServer):
    """The origin's port, and the targets that reached it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Origin)
        self.seen: list[bytes] = []

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client or proxy that goes away is part of the tests."""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds; the bound is far above what it takes."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def worker(*options: str) -> list[str]:
    """The command line of an agent in a process of its own; SOCKET stands for its socket."""
    return [sys.executable, str(Path(__file__).with_name("worker.py")), "SOCKET", *options]


@dataclass
class Proxy:
    """What a test holds: the proxy's port, its parts and its agent's handler."""

    config: ProxyConfig
    plane: DataPlane
    handler: Recorder
    agent: AgentThread | None
    clients: list[Client] = field(default_factory=list)

    def connect(self) -> Client:
        self.clients.append(Client(self.config.listen.port))
        return self.clients[-1]

    def ask(self, data: bytes) -> Answer:
        return self.connect().ask(data)

    def get(self, target: str, accept: str = "*/*", method: str = "GET") -> Answer:
        return self.ask(
            f"{method} {target} HTTP/1.1\r\nHost: app\r\nAccept: {accept}\r\n\r\n".encode()
        )

    @property
    def unchecked(self) -> int:
        return self.plane.stats().unchecked


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Unix sockets need a short path, shorter than pytest's own.
    with tempfile.TemporaryDirectory(prefix="cnaf-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def origin() -> Iterator[OriginServer]:
    with OriginServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_config(run_dir: Path, origin: OriginServer) -> Callable[..., ProxyConfig]:
    def make(workers: int = 1, **values: Any) -> ProxyConfig:
        sockets = tuple(agent_socket(run_dir, index) for index in range(workers))
        listen = Address("127.0.0.1", free_port())
        defaults: dict[str, Any] = {
            "listen": listen,
            "origin": origin.address,
            "agent_sockets": sockets,
            "run_dir": run_dir,
            # A busy machine must not make a request of a test unchecked.
            "budget_ms": 10_000,
        }
        return ProxyConfig(**defaults | values)

    return make


@pytest.fixture
def start(
    make_config: Callable[..., ProxyConfig], recorder: Recorder
) -> Iterator[Callable[..., Proxy]]:
    """Start a proxy; an agent in this process unless workers are given."""
    with ExitStack() as stack:

        def start(
            workers: list[list[str]] | None = None, *, agent: bool = True, **values: Any
        ) -> Proxy:
            config = make_config(workers=len(workers or "x"), **values)
            thread = None
            if agent and not workers:
                thread = stack.enter_context(AgentThread(recorder, config.agent_sockets[0]))
            argv = [
                [part.replace("SOCKET", str(path)) for part in command]
                for command, path in zip(workers or (), config.agent_sockets, strict=False)
            ]
            plane = stack.enter_context(DataPlane(config, argv))
            proxy = Proxy(config, plane, recorder, thread)
            stack.callback(lambda: [client.socket.close() for client in proxy.clients])
            return proxy

        yield start
