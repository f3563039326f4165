"""The inspection agent: a SPOP server on a unix socket that asks a handler about each request.

One process, one event loop, one socket; several processes make several workers. What a request
means is the handler's business, the wire format is :mod:`cnaf.dataplane.spop`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import stat
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import uvloop
from cnaf.dataplane.handler import PASS
from cnaf.dataplane.messages import Inquiry, decode_message
from cnaf.dataplane.spop import (
    Connection,
    Event,
    Notify,
    State,
    encode_ack,
    encode_set_var,
)
from cnaf.models.errors import DataplaneError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from cnaf.dataplane.handler import Decision, Handler
    from cnaf.dataplane.messages import Report

__all__ = ["AgentStats", "AgentThread", "run_agent", "serve"]

_log = logging.getLogger(__name__)

# ACKs that wait for more frames of the same read before they are written: large enough to save
# system calls, small enough that HAProxy goes on while this process decides about the rest.
_ACKS_PER_WRITE = 8
#: How often a worker looks whether the process that started it is still there, in seconds.
_ORPHAN_CHECK_S = 1.0
_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0

_NOT_BLOCKED = encode_set_var("block", 0)
_BLOCKED = encode_set_var("block", 1)


@dataclass(slots=True)
class AgentStats:
    """Counters of one agent since it started."""

    requests: int = 0
    responses: int = 0
    handler_errors: int = 0
    protocol_errors: int = 0
    connections: int = 0


class _Session(asyncio.Protocol):
    """One connection of HAProxy."""

    def __init__(self, agent: _Agent) -> None:
        self._agent = agent
        self._connection = Connection()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._agent.sessions.add(self)
        self._agent.stats.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._agent.sessions.discard(self)

    def pause_writing(self) -> None:
        # A peer that does not read its answers gets no further request decided.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        connection, answers = self._connection, []
        connection.receive_data(data)
        try:
            while (event := connection.next_event()) is not None:
                answers.append(self._answer(event))
                if len(answers) >= _ACKS_PER_WRITE:
                    self._transport.write(b"".join(answers))
                    answers.clear()
        except ProtocolError as error:
            self._agent.stats.protocol_errors += 1
            _log.warning("connection refused: %s", error.message)
            answers.append(connection.data_to_send())
        if answers:
            self._transport.write(b"".join(answers))
        if connection.state is State.CLOSED:
            self._transport.close()

    def close(self) -> None:
        """Tell HAProxy that this connection ends."""
        self._connection.close()
        self._transport.write(self._connection.data_to_send())
        self._transport.close()

    def _answer(self, event: Event) -> bytes:
        if type(event) is not Notify:
            return self._connection.data_to_send()
        try:
            message = decode_message(event.payload)
        except ProtocolError as error:
            self._connection.refuse(error)
            raise
        return encode_ack(event.ids, self._agent.decide(message))


class _Agent:
    """What the connections of one agent share."""

    def __init__(self, handler: Handler, name: str, stats: AgentStats) -> None:
        self.handler = handler
        self.stats = stats
        self.sessions: set[_Session] = set()
        self._watch = encode_set_var("watch", name)
        self._told: set[type] = set()

    def decide(self, message: Inquiry | Report) -> bytes:
        """Return the actions for HAProxy; none at all says that no decision was taken."""
        try:
            if isinstance(message, Inquiry):
                self.stats.requests += 1
                unique_id, client, request = message
                decision = self.handler.on_request(request, client, unique_id)
                return _NOT_BLOCKED if decision is PASS else self._actions(decision)
            self.stats.responses += 1
            self.handler.on_response(*message)
        except Exception as error:
            # Whatever a handler does wrong, the other requests of this connection go on.
            self.stats.handler_errors += 1
            self._tell(error)
        return b""

    def _actions(self, decision: Decision) -> bytes:
        actions = _BLOCKED if decision.block else _NOT_BLOCKED
        if decision.event_id:
            actions += encode_set_var("event", decision.event_id)
        return actions + self._watch if decision.watch else actions

    def _tell(self, error: Exception) -> None:
        # Once for each type, and without its message: that may quote the request.
        if type(error) not in self._told:
            self._told.add(type(error))
            trace = traceback.extract_tb(error.__traceback__)
            where = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else "?"
            _log.error("the handler failed with %s at %s", type(error).__name__, where)


async def serve(
    handler: Handler,
    socket_path: Path,
    *,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[], None] | None = None,
    stats: AgentStats | None = None,
) -> None:
    """Answer HAProxy on a unix socket until ``stop`` is set or the task is cancelled.

    A stale socket at this path is replaced; only this user may connect. ``on_ready`` is called
    once connections are accepted. Raises DataplaneError where the socket cannot be made.
    """
    agent = _Agent(handler, socket_path.name, stats or AgentStats())
    loop = asyncio.get_running_loop()
    try:
        _remove_stale(socket_path)
        server = await loop.create_unix_server(lambda: _Session(agent), str(socket_path))
        socket_path.chmod(0o600)
        mine = socket_path.lstat().st_ino
    except OSError as error:
        raise DataplaneError(
            f"the agent cannot listen on {socket_path}: {error.strerror or error}",
            hint="give a directory that this user can write and a path below 100 bytes",
        ) from error
    try:
        if on_ready:
            on_ready()
        await (stop or asyncio.Event()).wait()
    finally:
        server.close()
        for session in tuple(agent.sessions):
            session.close()
        # An agent that comes to its end late must not take the socket of its successor along.
        with contextlib.suppress(FileNotFoundError):
            if socket_path.lstat().st_ino == mine:
                socket_path.unlink()
        # One turn of the loop for the transports to flush their last frame.
        await asyncio.sleep(0)


def run_agent(handler: Handler, socket_path: Path, *, stats: AgentStats | None = None) -> None:
    """Serve in this process until SIGTERM or SIGINT, or until its parent is gone."""
    # What the handler has loaded stays; collections need not look at it again.
    gc.collect()
    gc.freeze()
    # Requests make no cycles; what little does is collected often enough by the hundred thousand.
    gc.set_threshold(100_000, 10, 10)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_signal(handler, socket_path, stats))


async def _serve_until_signal(
    handler: Handler, socket_path: Path, stats: AgentStats | None
) -> None:
    stop, parent = asyncio.Event(), os.getppid()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def look() -> None:
        if os.getppid() != parent:
            stop.set()
        loop.call_later(_ORPHAN_CHECK_S, look)

    look()
    await serve(handler, socket_path, stop=stop, stats=stats)


def _remove_stale(path: Path) -> None:
    # Anything else at this path is somebody's file: binding fails on it, with its reason.
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


class AgentThread:
    """An agent in a thread of this process, for recording; a context manager.

    Raises DataplaneError where the socket cannot be made.
    """

    def __init__(self, handler: Handler, socket_path: Path) -> None:
        self.stats = AgentStats()
        self._handler = handler
        self._socket_path = socket_path
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="cnaf-agent", daemon=True)

    def __enter__(self) -> AgentThread:
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT_S):
            raise DataplaneError(f"the agent on {self._socket_path} does not start")
        if self._error:
            raise self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the agent and wait for its thread, at most 10 s."""
        if self._loop and self._stop:
            # The loop is closed already where the agent ended by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(
            self._handler,
            self._socket_path,
            stop=self._stop,
            on_ready=self._ready.set,
            stats=self.stats,
        )
