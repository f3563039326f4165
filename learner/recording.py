"""The data plane in recording mode: what of a replay really reached the app, and what it answered.

Each session talks from a loopback address of its own, by which the agent tells the sessions apart:
no header has to be added to a request that the model will learn from.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.dataplane.agent import AgentThread
from cnaf.dataplane.config import Address, ProxyConfig, agent_socket
from cnaf.dataplane.handler import Decision
from cnaf.dataplane.plane import DataPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnaf.models.exchange import Request, Response

__all__ = ["Recorder", "recording", "session_address"]

_WATCH = Decision(watch=True)
#: Recording shares its process with the replay; nobody waits for a verdict, and none may be lost.
_BUDGET_MS = 30_000


class Recorder:
    """The handler that keeps the last request of each client, and the app's answer to it.

    A client waits for its answer before it sends the next request, so one of each is enough. The
    agent's thread writes, the client's thread takes when it has its answer; HAProxy hands the
    answer on only after the agent has seen it.
    """

    def __init__(self) -> None:
        self._requests: dict[str, tuple[str, Request]] = {}
        # By unique id, so that an answer that comes too late is not taken for the next one's.
        self._responses: dict[str, Response] = {}

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        """Keep the request, let it pass and ask for its response."""
        self._requests[client] = (unique_id, request)
        return _WATCH

    def on_response(self, unique_id: str, response: Response) -> None:
        """Keep the app's answer."""
        self._responses[unique_id] = response

    def take(self, client: str) -> tuple[Request, Response] | None:
        """Return and forget what this client exchanged, None where the app did not answer."""
        unique_id, request = self._requests.pop(client, ("", None))
        response = self._responses.pop(unique_id, None)
        return (request, response) if request and response else None


@contextlib.contextmanager
def recording(origin: Address, timeout_s: int) -> Iterator[tuple[Address, Recorder]]:
    """Put the recording data plane in front of ``origin``; give its address and what it records.

    ``timeout_s`` is how long the app may take to answer. Raises DataplaneError.
    """
    recorder = Recorder()
    with tempfile.TemporaryDirectory(prefix="cnaf-") as name:
        run_dir = Path(name)
        config = ProxyConfig(
            listen=Address("127.0.0.1", _free_port()),
            origin=origin,
            agent_sockets=(agent_socket(run_dir, 0),),
            run_dir=run_dir,
            record=True,
            budget_ms=_BUDGET_MS,
            server_timeout_s=timeout_s,
        )
        with AgentThread(recorder, config.agent_sockets[0]), DataPlane(config):
            yield config.listen, recorder


def session_address(index: int) -> str:
    """Return the loopback address of a session, one of sixteen million.

    >>> session_address(0), session_address(300)
    ('127.1.0.2', '127.1.1.46')
    """
    number = (1 << 16) + 2 + index % ((1 << 24) - (1 << 17))
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _free_port() -> int:
    # HAProxy cannot choose one and say so; another process may take it first, which is an error.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
