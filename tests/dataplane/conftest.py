"""A real HAProxy before a real origin, with an agent in this process."""

from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
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


class Recorder:
    """A handler that remembers what it saw and decides by a function."""

    def __init__(self) -> None:
        self.decide: Callable[[Request], Decision] = lambda request: PASS
        self.requests: list[tuple[Request, str, str]] = []
        self.responses: list[tuple[str, Response]] = []
        self.responded = threading.Event()

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        self.requests.append((request, client, unique_id))
        return self.decide(request)

    def on_response(self, unique_id: str, response: Response) -> None:
        self.responses.append((unique_id, response))
        self.responded.set()


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as a client sees it."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """One keep-alive connection, in raw bytes so that nothing corrects a test's requests."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> Answer:
        status = int(self._file.readline().split(b" ", 2)[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        length = headers.get(b"content-length")
        body = self._file.read(int(length) if length else None)
        return Answer(status, headers, body)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Origin(socketserver.StreamRequestHandler):
    """Answers 200 with the method, the target and the number of body bytes that arrived."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            method, target, _ = line.split(b" ", 2)
            headers = {}
            while header := self.rfile.readline().strip():
                name, _, value = header.partition(b":")
                headers[name.lower()] = value.strip()
            size = self._body(headers)
            body = b"%s %s %d" % (method, target, size)
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nX-App: origin\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )

    def _body(self, headers: dict[bytes, bytes]) -> int:
        if headers.get(b"transfer-encoding") != b"chunked":
            return len(self.rfile.read(int(headers.get(b"content-length", b"0"))))
        size = 0
        while length := int(self.rfile.readline(), 16):
            size += len(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return size


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client or proxy that goes away is part of the tests."""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


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
        client = self.connect()
        client.send(data)
        return client.receive()

    def get(self, target: str, accept: str = "*/*", method: str = "GET") -> Answer:
        return self.ask(
            f"{method} {target} HTTP/1.1\r\nHost: app\r\nAccept: {accept}\r\n\r\n".encode()
        )


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Unix sockets need a short path, shorter than pytest's own.
    with tempfile.TemporaryDirectory(prefix="cnaf-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def origin() -> Iterator[Address]:
    with _Server(("127.0.0.1", 0), Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Address("127.0.0.1", server.server_address[1])
        server.shutdown()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_config(run_dir: Path, origin: Address) -> Callable[..., ProxyConfig]:
    def make(workers: int = 1, **values: Any) -> ProxyConfig:
        sockets = tuple(agent_socket(run_dir, index) for index in range(workers))
        listen = Address("127.0.0.1", free_port())
        return ProxyConfig(
            **{"listen": listen, "origin": origin, "agent_sockets": sockets, "run_dir": run_dir}
            | values
        )

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
                thread = AgentThread(recorder, config.agent_sockets[0])
                stack.enter_context(thread)
            argv = [
                [part.replace("SOCKET", str(path)) for part in worker]
                for worker, path in zip(workers or (), config.agent_sockets, strict=False)
            ]
            plane = stack.enter_context(DataPlane(config, argv))
            proxy = Proxy(config, plane, recorder, thread)
            stack.callback(lambda: [client.close() for client in proxy.clients])
            return proxy

        yield start
