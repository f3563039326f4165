"""The codec: round trips, chunking, and hostile frames by name."""

from __future__ import annotations

import tracemalloc
from ipaddress import IPv4Address, IPv6Address

import pytest
from cnaf.dataplane.spop import (
    Connection,
    Disconnected,
    Event,
    FrameError,
    FrameType,
    Notify,
    Opened,
    State,
    Status,
    Value,
    decode_kv,
    decode_value,
    decode_varint,
    encode_ack,
    encode_disconnect,
    encode_frame,
    encode_hello,
    encode_kv,
    encode_set_var,
    encode_value,
    encode_varint,
)
from cnaf.models.errors import ProtocolError
from hypothesis import given
from hypothesis import strategies as st

VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.binary(max_size=300),
    st.text(max_size=300),
)
KV = st.dictionaries(st.text(max_size=12), VALUES, max_size=8)


def run(data: bytes, sizes: list[int] | None = None) -> tuple[list[Event | Status], bytes, State]:
    """Feed a connection in pieces; return its events (an error as its status), output and state."""
    connection, events, at = Connection(), [], 0
    for size in [*(sizes or []), len(data)]:
        connection.receive_data(data[at : at + size])
        at += size
        try:
            while (event := connection.next_event()) is not None:
                events.append(event)
        except FrameError as error:
            events.append(error.status)
    return events, connection.data_to_send(), connection.state


# Values


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_varint_round_trip(value: int, rest: bytes) -> None:
    data = encode_varint(value)
    assert decode_varint(data + rest, 0) == (value, len(data))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, b"\x00"),
        (239, b"\xef"),
        (240, b"\xf0\x00"),
        (2287, b"\xff\x7f"),
        (2288, b"\xf0\x80\x00"),
        (264431, b"\xff\xff\x7f"),
        (264432, b"\xf0\x80\x80\x00"),
    ],
)
def test_varint_as_in_the_specification(value: int, data: bytes) -> None:
    assert encode_varint(value) == data
    assert decode_varint(data, 0) == (value, len(data))


@pytest.mark.parametrize("value", [-1, 2**64])
def test_varint_refuses_what_does_not_fit(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        encode_varint(value)


@given(VALUES, st.binary(max_size=3))
def test_value_round_trip(value: Value, rest: bytes) -> None:
    data = encode_value(value)
    expected = value.encode() if isinstance(value, str) else value
    decoded, end = decode_value(data + rest, 0)
    assert (decoded, type(decoded), end) == (expected, type(expected), len(data))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x02" + encode_varint(2**64 - 5), -5),  # int32, sign-extended
        (b"\x03\x07", 7),  # uint32
        (b"\x05" + encode_varint(2**64 - 1), 2**64 - 1),  # uint64
        (b"\x06\x7f\x00\x00\x01", IPv4Address("127.0.0.1")),
        (b"\x07" + bytes(15) + b"\x01", IPv6Address("::1")),
        (b"\x08\x02\xff\xfe", b"\xff\xfe"),  # a string that is no text
    ],
)
def test_value_types_of_haproxy(data: bytes, value: Value) -> None:
    assert decode_value(data, 0) == (value, len(data))


def test_value_refuses_an_integer_over_64_bits() -> None:
    with pytest.raises(ValueError, match="int64"):
        encode_value(2**63)


@given(KV)
def test_kv_round_trip(pairs: dict[str, Value]) -> None:
    expected = {k.encode(): v.encode() if isinstance(v, str) else v for k, v in pairs.items()}
    assert decode_kv(encode_kv(pairs)) == expected


# The connection, as scripts of bytes and events


def encode_notify(stream_id: int, frame_id: int, payload: bytes) -> bytes:
    ids = encode_varint(stream_id) + encode_varint(frame_id)
    return encode_frame(FrameType.NOTIFY, payload, ids)


HELLO = encode_hello(max_frame_bytes=16_380)
NOTIFY = encode_notify(300, 1, b"\x07request" + b"x" * 300)
BYE = encode_disconnect(Status.NORMAL, "normal", agent=False)


def test_hello_notify_ack_disconnect() -> None:
    connection = Connection()
    connection.receive_data(HELLO + NOTIFY)
    assert connection.next_event() == Opened(16_380, healthcheck=False)
    assert connection.data_to_send() == encode_hello(max_frame_bytes=16_380, agent=True)
    event = connection.next_event()
    assert isinstance(event, Notify)
    assert event.ids == encode_varint(300) + encode_varint(1)
    assert connection.next_event() is None
    assert connection.data_to_send() == b""
    connection.receive_data(BYE)
    assert connection.next_event() == Disconnected(Status.NORMAL, "normal")
    assert connection.state is State.CLOSED
    assert connection.data_to_send() == encode_disconnect(Status.NORMAL, "bye")


def test_the_smaller_frame_size_counts() -> None:
    connection = Connection(max_frame_bytes=1_000)
    connection.receive_data(HELLO)
    assert connection.next_event() == Opened(1_000, healthcheck=False)


def test_a_health_check_ends_after_hello() -> None:
    events, output, state = run(encode_hello(healthcheck=True))
    assert events == [Opened(2_097_152, healthcheck=True)]
    assert output == encode_hello(agent=True)
    assert state is State.CLOSED


def test_close_says_goodbye_once() -> None:
    connection = Connection()
    connection.close()
    connection.close()
    assert connection.data_to_send() == encode_disconnect(Status.NORMAL, "the agent stops")
    connection.receive_data(HELLO)
    assert connection.next_event() is None


def test_ack_is_a_frame_with_the_same_ids() -> None:
    actions = encode_set_var("block", 1)
    ids = encode_varint(300) + b"\x01"
    assert encode_ack(ids, actions) == encode_frame(FrameType.ACK, actions, ids)
    assert actions == b"\x01\x03\x02\x05block\x04\x01"


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def hello(**pairs: Value) -> bytes:
    values: dict[str, Value] = {
        "supported-versions": "2.0",
        "max-frame-size": 16_380,
        "capabilities": "",
    } | {name.replace("_", "-"): value for name, value in pairs.items()}
    return encode_frame(FrameType.HAPROXY_HELLO, encode_kv(values))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\xff\xff\xff\xff", Status.TOO_BIG, id="length of 4 GiB"),
        pytest.param(HELLO + b"\x00\x00\x40\x00", Status.TOO_BIG, id="over the negotiated size"),
        pytest.param(frame(b""), Status.INVALID, id="empty frame"),
        pytest.param(frame(b"\x01\x00\x00\x00\x01"), Status.INVALID, id="no ids"),
        pytest.param(frame(b"\x01\0\0\0\x01\xff\x80\x80"), Status.INVALID, id="endless id"),
        pytest.param(frame(b"\x01\0\0\0\x01\xff\x7f"), Status.INVALID, id="no frame id"),
        pytest.param(frame(b"\x01\0\0\0\x01\x00\xf0") + b"\x00", Status.INVALID, id="id overruns"),
        pytest.param(frame(b"\x01\0\0\0\x00\0\0"), Status.NO_FRAGMENTATION, id="fragment"),
        pytest.param(NOTIFY, Status.INVALID, id="notify before hello"),
        pytest.param(HELLO + HELLO, Status.INVALID, id="second hello"),
        pytest.param(HELLO + encode_ack(b"\0\0", b""), Status.INVALID, id="ack from haproxy"),
        pytest.param(frame(b"\x63\0\0\0\x01\0\0"), Status.INVALID, id="unknown type"),
        pytest.param(hello(supported_versions=None), Status.NO_VERSION, id="no version"),
        pytest.param(hello(supported_versions="1.0"), Status.UNSUPPORTED_VERSION, id="version 1"),
        pytest.param(hello(max_frame_size=None), Status.NO_MAX_FRAME_SIZE, id="no size"),
        pytest.param(hello(max_frame_size=True), Status.NO_MAX_FRAME_SIZE, id="size a flag"),
        pytest.param(hello(max_frame_size=255), Status.BAD_MAX_FRAME_SIZE, id="size too small"),
        pytest.param(hello(max_frame_size=-1), Status.BAD_MAX_FRAME_SIZE, id="size negative"),
        pytest.param(hello(capabilities=None), Status.NO_CAPABILITIES, id="no capabilities"),
        pytest.param(
            encode_frame(FrameType.HAPROXY_HELLO, b"\x05ab"), Status.INVALID, id="name overruns"
        ),
        pytest.param(
            encode_frame(FrameType.HAPROXY_HELLO, b"\x01a\x0f"), Status.INVALID, id="type 15"
        ),
        pytest.param(
            encode_frame(FrameType.HAPROXY_HELLO, b"\x01a"), Status.INVALID, id="value missing"
        ),
        pytest.param(
            encode_frame(FrameType.HAPROXY_HELLO, b"\x01a\x08\xff" + b"\xff" * 9),
            Status.INVALID,
            id="string of 2^68 bytes",
        ),
        pytest.param(
            encode_frame(FrameType.HAPROXY_HELLO, b"\x01a\x06\x7f"), Status.INVALID, id="short ip"
        ),
    ],
)
def test_hostile_frames_are_refused_with_a_disconnect(data: bytes, status: Status) -> None:
    events, output, state = run(data)
    assert events[-1] == status
    assert state is State.CLOSED
    # The last frame of the output is the DISCONNECT that says why.
    at = 0
    while len(output) - at - 4 > (size := int.from_bytes(output[at : at + 4], "big")):
        at += 4 + size
    assert output[at + 4] == FrameType.AGENT_DISCONNECT
    assert decode_kv(output, at + 11)[b"status-code"] == status


def test_nothing_is_taken_after_a_refusal() -> None:
    events, _, _ = run(NOTIFY + HELLO + NOTIFY, [len(NOTIFY)])
    assert events == [Status.INVALID]


def test_an_incomplete_frame_is_bounded_by_the_frame_size() -> None:
    connection = Connection(max_frame_bytes=1_000)
    connection.receive_data((1_001).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="1001 bytes"):
        connection.next_event()


FRAMES = st.one_of(
    st.just(NOTIFY),
    st.just(HELLO),
    st.just(BYE),
    st.binary(max_size=40).map(frame),
    st.tuples(st.sampled_from(FrameType), st.binary(max_size=40)).map(lambda t: encode_frame(*t)),
    st.binary(max_size=20),
)


@given(st.lists(FRAMES, max_size=6), st.booleans(), st.lists(st.integers(0, 30), max_size=40))
def test_chunking_changes_nothing(frames: list[bytes], opened: bool, sizes: list[int]) -> None:
    data = (HELLO if opened else b"") + b"".join(frames)
    assert run(data, sizes) == run(data)


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_raise_nothing_but_protocol_errors(data: bytes, opened: bool) -> None:
    run((HELLO if opened else b"") + data)


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_notify_keeps_its_ids_and_payload(payload: bytes, stream_id: int, frame_id: int) -> None:
    events, _, _ = run(encode_hello() + encode_notify(stream_id, frame_id, payload))
    ids = encode_varint(stream_id) + encode_varint(frame_id)
    assert events[1:] == [Notify(ids, payload)]


GOOD = HELLO + NOTIFY + NOTIFY + BYE


@given(
    st.integers(0, len(GOOD) - 1),
    st.sampled_from(["flip", "cut", "insert", "delete"]),
    st.binary(min_size=1, max_size=4),
    st.lists(st.integers(1, 200), max_size=5),
)
def test_mutations_raise_nothing_but_protocol_errors(
    at: int, change: str, noise: bytes, sizes: list[int]
) -> None:
    mutant = {
        "flip": GOOD[:at] + noise + GOOD[at + len(noise) :],
        "cut": GOOD[:at],
        "insert": GOOD[:at] + noise + GOOD[at:],
        "delete": GOOD[:at] + GOOD[at + len(noise) :],
    }[change]
    assert run(mutant, sizes) == run(mutant)


def test_announced_sizes_allocate_nothing() -> None:
    """Lengths that a peer only claims cost no memory, however large."""
    huge = encode_varint(2**63)
    claims = [
        encode_frame(FrameType.HAPROXY_HELLO, b"\x01a\x08" + huge),
        encode_frame(FrameType.HAPROXY_HELLO, huge),
        b"\xff\xff\xff\xff" + bytes(64),
    ]
    tracemalloc.start()
    try:
        for claim in claims:
            run(claim)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_long_connection_keeps_no_more_than_a_frame() -> None:
    connection = Connection(max_frame_bytes=1_000)
    connection.receive_data(HELLO)
    connection.next_event()
    connection.data_to_send()
    stream = encode_notify(1, 1, bytes(900)) * 8
    tracemalloc.start()
    try:
        for _ in range(200):
            for at in range(0, len(stream), 333):
                connection.receive_data(stream[at : at + 333])
                while connection.next_event() is not None:
                    pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000
