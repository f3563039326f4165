"""The agent behind its socket, with peers that no HAProxy would be."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cnaf.dataplane.agent import AgentThread
from cnaf.dataplane.handler import Decision
from cnaf.dataplane.spop import (
    FrameType,
    Status,
    Value,
    decode_kv,
    encode_ack,
    encode_disconnect,
    encode_frame,
    encode_hello,
    encode_set_var,
    encode_value,
    encode_varint,
)
from cnaf.models.errors import DataplaneError
from cnaf.models.exchange import Request

from .conftest import TIMEOUT_S, Recorder, eventually


def ids(number: int) -> bytes:
    return encode_varint(number) + encode_varint(1)


def notify(number: int, target: str = "/") -> bytes:
    values: tuple[Value, ...] = ("A-1", None, "GET", target, "1.1", b"", b"", 0)
    arguments = b"".join(b"\x00" + encode_value(value) for value in values)
    return encode_frame(FrameType.NOTIFY, b"\x07request\x08" + arguments, ids(number))


class Peer:
    """The other end of the socket."""

    def __init__(self, path: Path, *, hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")
        if hello:
            self.socket.sendall(encode_hello())
            assert self.frame() == encode_hello(agent=True)

    def frame(self) -> bytes:
        """Return the next whole frame, or nothing at the end of the connection."""
        size = self._file.read(4)
        return size + self._file.read(int.from_bytes(size, "big"))

    def end(self) -> int:
        """Return the status of the DISCONNECT that is next, and see that nothing follows."""
        frame = self.frame()
        assert frame[4] == FrameType.AGENT_DISCONNECT
        assert self.frame() == b""
        status = decode_kv(frame, 11)[b"status-code"]
        assert isinstance(status, int)
        return status


@pytest.fixture
def path(run_dir: Path) -> Path:
    return run_dir / "agent.sock"


@pytest.fixture
def agent(path: Path, recorder: Recorder) -> Iterator[AgentThread]:
    with AgentThread(recorder, path) as thread:
        yield thread


NOT_BLOCKED = encode_set_var("block", 0)
BLOCKED = encode_set_var("block", 1)


@pytest.mark.parametrize(
    ("decision", "actions"),
    [
        (Decision(), NOT_BLOCKED),
        (Decision(block=True), BLOCKED),
        (Decision(block=True, event_id="E"), BLOCKED + encode_set_var("event", "E")),
        (Decision(watch=True), NOT_BLOCKED + encode_set_var("watch", "agent.sock")),
    ],
)
def test_decisions_as_actions(
    agent: AgentThread, path: Path, recorder: Recorder, decision: Decision, actions: bytes
) -> None:
    recorder.decide = lambda request: decision
    peer = Peer(path)
    peer.socket.sendall(notify(300))
    assert peer.frame() == encode_ack(ids(300), actions)


def test_many_frames_in_one_piece_are_answered_in_order(agent: AgentThread, path: Path) -> None:
    peer = Peer(path)
    peer.socket.sendall(b"".join(map(notify, range(100))))
    assert [peer.frame() for _ in range(100)] == [
        encode_ack(ids(number), NOT_BLOCKED) for number in range(100)
    ]
    assert agent.stats.requests == 100


def test_a_frame_in_single_bytes_is_answered(agent: AgentThread, path: Path) -> None:
    peer = Peer(path)
    for byte in notify(1):
        peer.socket.sendall(bytes((byte,)))
    assert peer.frame() == encode_ack(ids(1), NOT_BLOCKED)


def test_a_handler_that_raises_leaves_the_others_their_answers(
    agent: AgentThread, path: Path, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    def decide(request: Request) -> Decision:
        if request.target == b"/secret":
            raise ValueError(request.target)
        return Decision()

    recorder.decide = decide
    peer = Peer(path)
    peer.socket.sendall(notify(1) + notify(2, "/secret") + notify(3, "/secret") + notify(4))
    assert [peer.frame() for _ in range(4)] == [
        encode_ack(ids(1), NOT_BLOCKED),
        encode_ack(ids(2), b""),
        encode_ack(ids(3), b""),
        encode_ack(ids(4), NOT_BLOCKED),
    ]
    assert agent.stats.handler_errors == 2
    # Told once, with its place, and without what the request held.
    (record,) = caplog.records
    assert "ValueError at" in record.getMessage()
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Status.TOO_BIG),
        (notify(1)[:-1] + b"\xff", Status.INVALID),
        (encode_frame(FrameType.NOTIFY, b"\x05audit\x00"), Status.INVALID),
        (encode_hello(), Status.INVALID),
    ],
)
def test_a_bad_peer_is_told_and_closed_and_others_go_on(
    agent: AgentThread, path: Path, data: bytes, status: Status
) -> None:
    good, bad = Peer(path), Peer(path)
    bad.socket.sendall(data)
    assert bad.end() == status
    good.socket.sendall(notify(1))
    assert good.frame() == encode_ack(ids(1), NOT_BLOCKED)
    assert agent.stats.protocol_errors == 1


def test_frames_before_a_bad_one_are_answered(agent: AgentThread, path: Path) -> None:
    peer = Peer(path)
    peer.socket.sendall(notify(1) + b"\xff\xff\xff\xff")
    assert peer.frame() == encode_ack(ids(1), NOT_BLOCKED)
    assert peer.end() == Status.TOO_BIG


def test_a_peer_that_says_goodbye_hears_it(agent: AgentThread, path: Path) -> None:
    peer = Peer(path)
    peer.socket.sendall(encode_disconnect(Status.NORMAL, "bye", agent=False))
    assert peer.end() == Status.NORMAL


def test_a_health_check_ends_after_hello(agent: AgentThread, path: Path) -> None:
    peer = Peer(path, hello=False)
    peer.socket.sendall(encode_hello(healthcheck=True))
    assert peer.frame() == encode_hello(agent=True)
    assert peer.frame() == b""


def send_until_blocked(peer: Peer, frames: bytes) -> None:
    peer.socket.settimeout(1.0)
    for _ in range(10_000):
        try:
            peer.socket.send(frames)
        except TimeoutError:
            return
    raise AssertionError("the agent never stops reading")


def test_a_peer_that_reads_nothing_gets_no_more_decisions(agent: AgentThread, path: Path) -> None:
    silent, other = Peer(path), Peer(path)
    send_until_blocked(silent, notify(1) * 1_000)
    decided = agent.stats.requests
    for number in range(10):
        other.socket.sendall(notify(number))
        assert other.frame() == encode_ack(ids(number), NOT_BLOCKED)
    assert agent.stats.requests == decided + 10


def test_stopping_says_goodbye_and_takes_the_socket_along(agent: AgentThread, path: Path) -> None:
    peer = Peer(path)
    agent.close()
    assert peer.end() == Status.NORMAL
    assert not path.exists()
    agent.close()


def test_only_this_user_may_connect(agent: AgentThread, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_replaced(path: Path, recorder: Recorder) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with AgentThread(recorder, path):
        Peer(path)


def test_the_socket_of_a_successor_stays(path: Path, recorder: Recorder) -> None:
    with AgentThread(recorder, path) as late, AgentThread(recorder, path):
        late.close()
        Peer(path)


def in_a_missing_directory(path: Path) -> Path:
    return path.parent / "missing" / path.name


def at_a_file(path: Path) -> Path:
    path.write_bytes(b"somebody's")
    return path


def too_long(path: Path) -> Path:
    return path.with_name("x" * 120)


@pytest.mark.parametrize("where", [in_a_missing_directory, at_a_file, too_long])
def test_a_socket_that_cannot_be_made_is_told(
    path: Path, recorder: Recorder, where: Callable[[Path], Path]
) -> None:
    place = where(path)
    with pytest.raises(DataplaneError, match="cannot listen on"), AgentThread(recorder, place):
        pass
    assert not place.is_file() or place.read_bytes() == b"somebody's"


@contextmanager
def no_threads_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    eventually(lambda: threading.active_count() == before, "the thread ends")


def test_a_failed_start_leaves_no_thread(path: Path, recorder: Recorder) -> None:
    with no_threads_left(), pytest.raises(DataplaneError):
        AgentThread(recorder, in_a_missing_directory(path)).__enter__()
