"""SPOP 2.0, the protocol between HAProxy and an inspection agent, without any input or output.

:class:`Connection` is the agent's end of one connection: bytes go in with ``receive_data``, events
come out of ``next_event``, and ``data_to_send`` holds what the protocol itself has to answer
(HELLO, DISCONNECT). Fragmented frames are refused, as this end never announces that capability.
What the messages of a NOTIFY mean is not decided here, see :mod:`cnaf.dataplane.messages`.

The wire format is that of HAProxy's SPOE.txt, chapter 3: a frame is a big-endian length (4 bytes),
a type (1), flags (4), two varints (stream and frame id) and a payload.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from cnaf.models.errors import ProtocolError

__all__ = [
    "MAX_FRAME_BYTES",
    "Connection",
    "Disconnected",
    "Event",
    "Frame",
    "FrameError",
    "FrameType",
    "Notify",
    "Opened",
    "State",
    "Status",
    "Value",
    "decode_kv",
    "decode_value",
    "decode_varint",
    "encode_ack",
    "encode_disconnect",
    "encode_frame",
    "encode_hello",
    "encode_kv",
    "encode_set_var",
    "encode_value",
    "encode_varint",
]

#: Largest frame that the agent takes. HAProxy's own limit, tune.bufsize, is negotiated below it.
MAX_FRAME_BYTES = 2_097_152
#: Smallest limit that the protocol lets a peer announce.
_MIN_FRAME_BYTES = 256
# 64 bits need one byte with 4 of them and nine with 7.
_MAX_VARINT_BYTES = 10
_MAX_UINT64 = (1 << 64) - 1
_VERSION = "2.0"
#: What stands in front of the two ids in a frame: type and flags.
_HEADER_BYTES = 5
_FIN = 1
_SCOPE_TRANSACTION = 2
_SET_VAR = 1

Value = None | bool | int | IPv4Address | IPv6Address | bytes | str


class FrameType(IntEnum):
    """The frames that the two ends exchange."""

    HAPROXY_HELLO = 1
    HAPROXY_DISCONNECT = 2
    NOTIFY = 3
    AGENT_HELLO = 101
    AGENT_DISCONNECT = 102
    ACK = 103


class Status(IntEnum):
    """Why a connection ends, as both ends write it in a DISCONNECT frame."""

    NORMAL = 0
    IO = 1
    TIMEOUT = 2
    TOO_BIG = 3
    INVALID = 4
    NO_VERSION = 5
    NO_MAX_FRAME_SIZE = 6
    NO_CAPABILITIES = 7
    UNSUPPORTED_VERSION = 8
    BAD_MAX_FRAME_SIZE = 9
    NO_FRAGMENTATION = 10
    INTERLACED = 11
    UNKNOWN_FRAME_ID = 12
    RESOURCES = 13
    UNKNOWN = 99


class FrameError(ProtocolError):
    """A frame that the protocol does not allow, with the status that its sender is told."""

    def __init__(self, message: str, status: Status = Status.INVALID) -> None:
        super().__init__(message, hint="the peer is not a HAProxy that speaks SPOP 2.0")
        self.status = status


# Values


def encode_varint(value: int) -> bytes:
    """Return an unsigned integer of up to 64 bits as 1 to 10 bytes."""
    if not 0 <= value <= _MAX_UINT64:
        raise ValueError(f"{value} does not fit into 64 bits")
    if value < 240:
        return bytes((value,))
    out = bytearray((value & 0xF | 0xF0,))
    value = (value - 240) >> 4
    while value >= 128:
        out.append(value & 0x7F | 0x80)
        value = (value - 128) >> 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at an offset and the offset behind it, or raise FrameError."""
    try:
        value = data[at]
        if value < 240:
            return value, at + 1
        for index in range(1, _MAX_VARINT_BYTES):
            byte = data[at + index]
            value += byte << (7 * index - 3)
            if byte < 128:
                break
    except IndexError:
        raise FrameError("a number ends behind its frame") from None
    if byte >= 128 or value > _MAX_UINT64:
        raise FrameError("a number is wider than 64 bits")
    return value, at + index + 1


def encode_value(value: Value) -> bytes:
    """Return a typed value: str as a string, bytes as binary data, int as int64."""
    if value is None or isinstance(value, bool):
        return {None: b"\x00", False: b"\x01", True: b"\x11"}[value]
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"{value} is not an int64")
        return b"\x04" + encode_varint(value & _MAX_UINT64)
    if isinstance(value, IPv4Address | IPv6Address):
        return (b"\x06" if value.version == 4 else b"\x07") + value.packed
    if isinstance(value, str):
        return b"\x08" + _sized(value.encode())
    return b"\x09" + _sized(value)


def decode_value(data: bytes, at: int) -> tuple[Value, int]:
    """Return the typed value at an offset and the offset behind it, or raise FrameError.

    Strings and binary data both come back as bytes: what a client sent need not be text.
    """
    if at >= len(data):
        raise FrameError("a value is missing")
    head = data[at]
    kind = head & 0x0F
    at += 1
    if kind == 0:
        return None, at
    if kind == 1:
        return bool(head & 0x10), at
    if kind in (2, 3, 4, 5):
        number, at = decode_varint(data, at)
        signed = kind in (2, 4) and number >> 63
        return number - (1 << 64) if signed else number, at
    if kind == 6:
        raw, at = _take(data, at, 4)
        return IPv4Address(raw), at
    if kind == 7:
        raw, at = _take(data, at, 16)
        return IPv6Address(raw), at
    if kind in (8, 9):
        size, at = decode_varint(data, at)
        return _take(data, at, size)
    raise FrameError(f"values of type {kind} do not exist")


def encode_kv(pairs: dict[str, Value]) -> bytes:
    """Return a list of names and values."""
    return b"".join(_sized(name.encode()) + encode_value(value) for name, value in pairs.items())


def decode_kv(data: bytes, at: int = 0) -> dict[bytes, Value]:
    """Return the names and values from an offset to the end, or raise FrameError."""
    pairs: dict[bytes, Value] = {}
    while at < len(data):
        size, at = decode_varint(data, at)
        name, at = _take(data, at, size)
        pairs[name], at = decode_value(data, at)
    return pairs


def _sized(raw: bytes) -> bytes:
    return encode_varint(len(raw)) + raw


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(data):
        raise FrameError("a value ends behind its frame")
    return data[at:end], end


# Frames


def encode_frame(kind: FrameType, payload: bytes, ids: bytes = b"\x00\x00") -> bytes:
    """Return one whole frame; ``ids`` are the encoded stream and frame id."""
    body = bytes((kind, 0, 0, 0, _FIN)) + ids + payload
    return len(body).to_bytes(4, "big") + body


def encode_hello(
    *, max_frame_bytes: int = MAX_FRAME_BYTES, healthcheck: bool = False, agent: bool = False
) -> bytes:
    """Return the HELLO frame of HAProxy, or of the agent."""
    pairs: dict[str, Value] = {
        "version" if agent else "supported-versions": _VERSION,
        "max-frame-size": max_frame_bytes,
        "capabilities": "pipelining",
    }
    if healthcheck:
        pairs["healthcheck"] = True
    kind = FrameType.AGENT_HELLO if agent else FrameType.HAPROXY_HELLO
    return encode_frame(kind, encode_kv(pairs))


def encode_set_var(name: str, value: Value) -> bytes:
    """Return the action that sets a variable of the transaction (``txn.<prefix>.<name>``)."""
    head = bytes((_SET_VAR, 3, _SCOPE_TRANSACTION))
    return head + _sized(name.encode()) + encode_value(value)


def encode_ack(ids: bytes, actions: bytes) -> bytes:
    """Return the answer to the NOTIFY with these ids."""
    size = _HEADER_BYTES + len(ids) + len(actions)
    return size.to_bytes(4, "big") + b"\x67\x00\x00\x00\x01" + ids + actions


def encode_disconnect(status: Status, message: str, *, agent: bool = True) -> bytes:
    """Return the frame that ends a connection."""
    kind = FrameType.AGENT_DISCONNECT if agent else FrameType.HAPROXY_DISCONNECT
    return encode_frame(kind, encode_kv({"status-code": int(status), "message": message}))


# The connection


class State(Enum):
    """Where a connection stands."""

    HELLO = "waits for HELLO"
    OPEN = "takes NOTIFY"
    CLOSED = "closed"


#: Which frame is allowed when, and where it leads. Everything else is an invalid frame.
_TRANSITIONS: dict[tuple[State, int], State] = {
    (State.HELLO, FrameType.HAPROXY_HELLO): State.OPEN,
    (State.HELLO, FrameType.HAPROXY_DISCONNECT): State.CLOSED,
    (State.OPEN, FrameType.NOTIFY): State.OPEN,
    (State.OPEN, FrameType.HAPROXY_DISCONNECT): State.CLOSED,
}


class Opened(NamedTuple):
    """The handshake is done; frames have at most this size. A health check closes after it."""

    max_frame_bytes: int
    healthcheck: bool


class Notify(NamedTuple):
    """Messages that wait for :func:`encode_ack` with the same ``ids``."""

    ids: bytes
    payload: bytes


class Disconnected(NamedTuple):
    """HAProxy has closed the connection."""

    status: int
    message: str


Event = Opened | Notify | Disconnected


class Frame(NamedTuple):
    """A frame taken apart, its payload untouched."""

    kind: int
    ids: bytes
    payload: bytes


class Connection:
    """The agent's end of one SPOP connection.

    Holds at most one incomplete frame of ``max_frame_bytes`` beside the bytes of the last
    ``receive_data``.
    """

    __slots__ = ("_at", "_data", "_limit", "_needed", "_output", "_partial", "state")

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.state = State.HELLO
        self._limit = max_frame_bytes
        self._data = b""
        self._at = 0
        self._partial = bytearray()
        # Bytes that the incomplete frame in _partial takes: its length field, then all of it.
        self._needed = 4
        self._output = b""

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; call next_event until it returns None before the next call."""
        if not self._partial:
            self._data, self._at = data, 0
            return
        # A frame that comes in many small pieces is joined once, when it is whole.
        self._partial += data
        if len(self._partial) >= self._needed:
            self._data, self._at = bytes(self._partial), 0
            self._partial.clear()

    def next_event(self) -> Event | None:
        """Return the next event, or None where more bytes are needed.

        Raises ProtocolError for a frame that is not allowed; the connection is closed then, and
        ``data_to_send`` holds the DISCONNECT frame that says why.
        """
        try:
            return self._next_event()
        except FrameError as error:
            self.refuse(error)
            raise

    def refuse(self, error: ProtocolError) -> None:
        """Close the connection and leave the DISCONNECT frame for the peer in the output."""
        status = error.status if isinstance(error, FrameError) else Status.INVALID
        self.state = State.CLOSED
        self._output += encode_disconnect(status, error.message)

    def close(self) -> None:
        """End the connection in good order, once."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._output += encode_disconnect(Status.NORMAL, "the agent stops")

    def data_to_send(self) -> bytes:
        """Return what the protocol itself has to send, once."""
        output, self._output = self._output, b""
        return output

    def _next_event(self) -> Event | None:
        data, at = self._data, self._at
        have = len(data) - at
        if self.state is State.CLOSED or not have:
            return None
        if have < 4:
            self._keep(4)
            return None
        size = int.from_bytes(data[at : at + 4], "big")
        if size > self._limit:
            raise FrameError(f"a frame of {size} bytes", Status.TOO_BIG)
        if have < 4 + size:
            self._keep(4 + size)
            return None
        self._at = at + 4 + size
        kind, ids, payload = _parse_frame(data, at + 4, self._at)
        state = _TRANSITIONS.get((self.state, kind))
        if state is None:
            raise FrameError(f"a frame of type {kind} while the agent {self.state.value}")
        self.state = state
        if kind == FrameType.NOTIFY:
            return Notify(ids, payload)
        if kind == FrameType.HAPROXY_HELLO:
            return self._open(decode_kv(payload))
        return self._disconnect(decode_kv(payload))

    def _keep(self, needed: int) -> None:
        self._partial += memoryview(self._data)[self._at :]
        self._data, self._at = b"", 0
        self._needed = needed

    def _open(self, pairs: dict[bytes, Value]) -> Opened:
        versions, limit = pairs.get(b"supported-versions"), pairs.get(b"max-frame-size")
        if not isinstance(versions, bytes):
            raise FrameError("HELLO without supported-versions", Status.NO_VERSION)
        # "2.0" or "1.0,2.0"; any 2.x is compatible by the protocol's own rule.
        if not any(version.strip().startswith(b"2.") for version in versions.split(b",")):
            raise FrameError("HELLO without version 2", Status.UNSUPPORTED_VERSION)
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise FrameError("HELLO without max-frame-size", Status.NO_MAX_FRAME_SIZE)
        if limit < _MIN_FRAME_BYTES:
            raise FrameError(f"a max-frame-size of {limit}", Status.BAD_MAX_FRAME_SIZE)
        if not isinstance(pairs.get(b"capabilities"), bytes):
            raise FrameError("HELLO without capabilities", Status.NO_CAPABILITIES)
        self._limit = min(self._limit, limit)
        self._output += encode_hello(max_frame_bytes=self._limit, agent=True)
        healthcheck = pairs.get(b"healthcheck") is True
        if healthcheck:
            self.state = State.CLOSED
        return Opened(self._limit, healthcheck)

    def _disconnect(self, pairs: dict[bytes, Value]) -> Disconnected:
        status, message = pairs.get(b"status-code"), pairs.get(b"message")
        self._output += encode_disconnect(Status.NORMAL, "bye")
        return Disconnected(
            status if isinstance(status, int) else Status.UNKNOWN,
            message.decode("utf-8", "replace") if isinstance(message, bytes) else "",
        )


def _parse_frame(data: bytes, start: int, end: int) -> Frame:
    # The ids are handed back as they came, so they are skipped here and never built.
    at = start + _HEADER_BYTES
    if end - at < 2:
        raise FrameError("a frame without type, flags and ids")
    flags = data[at - 1]
    if not flags & _FIN:
        raise FrameError("a fragmented frame", Status.NO_FRAGMENTATION)
    for name in ("stream", "frame"):
        if at >= end:
            raise FrameError(f"a frame without its {name} id")
        if data[at] < 240:
            at += 1
        else:
            _, at = decode_varint(data, at)
    if at > end:
        raise FrameError("the frame id ends behind its frame")
    return Frame(data[start], data[start + _HEADER_BYTES : at], data[at:end])
