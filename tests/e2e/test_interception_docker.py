"""A container of a real engine is intercepted under its published port, and let go again."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import docker
import pytest
from cnaf.dataplane.agent import AgentThread
from cnaf.dataplane.config import agent_socket
from cnaf.dataplane.handler import PASS, Decision
from cnaf.dataplane.interception import Interception
from cnaf.dataplane.interceptor import Interceptor, families, look
from cnaf.dataplane.namespace import Namespace
from cnaf.dataplane.transparent import TransparentConfig
from cnaf.models.exchange import Request, Response

pytestmark = [pytest.mark.docker, pytest.mark.namespaces]

HELLO = "cnaf-test-hello:latest"
PORT = 8_080


class Blocker:
    """Blocks one path and remembers who asked for what."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        self.seen.append(request.target)
        return Decision(block=True) if request.target == b"/attack" else PASS

    def on_response(self, unique_id: str, response: Response) -> None:
        raise AssertionError("nobody asked for responses")


@pytest.fixture(scope="module")
def container() -> Iterator[Any]:
    build = Path(__file__).parent / "images" / "build"
    subprocess.run([str(build)], check=True, timeout=900)
    with closing(docker.from_env()) as client:
        made = client.containers.run(HELLO, detach=True, ports={PORT: ("127.0.0.1", None)})
        try:
            wait_for(made)
            yield made
        finally:
            made.remove(force=True)


def wait_for(container: Any) -> None:
    deadline = monotonic() + 30
    while monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException, KeyError, TypeError):
            container.reload()
            if get(container, "/") == 200:
                return
        sleep(0.05)
    raise AssertionError("the container does not answer")


def get(container: Any, target: str) -> int:
    port = container.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"]
    with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)) as connection:
        connection.request("GET", target)
        return connection.getresponse().status


def test_a_published_port_is_inspected_and_let_go(container: Any) -> None:
    handler = Blocker()
    with (
        tempfile.TemporaryDirectory(prefix="cnaf-") as name,
        Namespace.of_process(container.attrs["State"]["Pid"]) as namespace,
        AgentThread(handler, agent_socket(Path(name), 0)),
    ):
        interception = Interception((PORT,), families(namespace))
        config = TransparentConfig(
            interception=interception,
            agent_sockets=(agent_socket(Path(name), 0),),
            run_dir=Path(name),
            budget_ms=10_000,
        )
        interceptor = Interceptor(namespace, config)
        try:
            interceptor.insert()
            assert [get(container, target) for target in ("/", "/attack")] == [200, 403]
        finally:
            interceptor.withdraw()
        assert not look(namespace, interception)
        assert get(container, "/attack") == 200
    assert handler.seen == [b"/", b"/attack"]
