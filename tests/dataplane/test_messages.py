"""Arguments of a NOTIFY frame as requests and responses."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from cnaf.dataplane.messages import (
    REQUEST_ARGUMENTS,
    Inquiry,
    Report,
    decode_headers,
    decode_message,
)
from cnaf.dataplane.spop import Value, encode_kv, encode_varint
from cnaf.models.errors import ProtocolError
from cnaf.models.exchange import Headers, Request, Response
from hypothesis import given
from hypothesis import strategies as st


def sized(raw: bytes) -> bytes:
    return encode_varint(len(raw)) + raw


def block(headers: Headers) -> bytes:
    """The plain reference of ``hdrs_bin``."""
    return b"".join(sized(name) + sized(value) for name, value in headers) + b"\x00\x00"


def message(name: str, pairs: dict[str, Value]) -> bytes:
    return sized(name.encode()) + bytes((len(pairs),)) + encode_kv(pairs)


def arguments(**changes: Value) -> dict[str, Value]:
    values: dict[str, Value] = {
        "id": "6B05567D-0001-1DEC",
        "src": ip_address("192.0.2.7"),
        "m": "GET",
        "t": b"/?p=1",
        "v": "1.1",
        "h": block(((b"host", b"app"),)),
        "b": b"",
        "n": 0,
    }
    return values | changes


HEADERS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=300)), max_size=8
).map(tuple)


@given(HEADERS)
def test_headers_round_trip(headers: Headers) -> None:
    assert decode_headers(block(headers)) == headers


@given(
    headers=HEADERS,
    target=st.binary(max_size=300),
    body=st.binary(max_size=300),
    extra=st.integers(0, 2**40),
    client=st.ip_addresses(),
)
def test_request_round_trip(
    headers: Headers, target: bytes, body: bytes, extra: int, client: Value
) -> None:
    size = len(body) + extra
    pairs = arguments(src=client, t=target, h=block(headers), b=body, n=size)
    assert decode_message(message("request", pairs)) == Inquiry(
        "6B05567D-0001-1DEC",
        str(client),
        Request("GET", target, headers, body, size, "1.1"),
    )


def test_response() -> None:
    pairs: dict[str, Value] = {"id": "A-1", "s": 404, "h": block(((b"server", b"x"),))}
    assert decode_message(message("response", pairs)) == Report(
        "A-1", Response(404, ((b"server", b"x"),))
    )


def test_what_haproxy_does_not_know_is_empty() -> None:
    inquiry = decode_message(message("request", arguments(src=None, b=None, n=None, h=None)))
    assert inquiry == Inquiry("6B05567D-0001-1DEC", "", Request("GET", b"/?p=1", ()))


def test_the_names_are_those_that_haproxy_is_told() -> None:
    assert list(arguments()) == list(REQUEST_ARGUMENTS)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x07request", id="no arguments"),
        pytest.param(b"\x07request\x00", id="no argument at all"),
        pytest.param(b"\xff" + b"x" * 80, id="endless name"),
        pytest.param(message("audit", {}), id="unknown message"),
        pytest.param(message("request", arguments()) + b"\x00", id="rest behind the message"),
        pytest.param(message("request", arguments())[:-1], id="truncated"),
        pytest.param(message("request", arguments(h=b"\x04ho")), id="header overruns"),
        pytest.param(message("request", arguments(h=b"\xff\xff")), id="header length overruns"),
        pytest.param(message("request", arguments(m=5)), id="method a number"),
        pytest.param(message("request", arguments(m="\xe9")), id="method no ASCII"),
        pytest.param(message("request", arguments(t=5)), id="target a number"),
        pytest.param(message("request", arguments(b=5)), id="body a number"),
        pytest.param(message("request", arguments(n=b"5")), id="size a string"),
        pytest.param(message("request", arguments(src=b"abc")), id="address of 3 bytes"),
        pytest.param(message("request", arguments(src=7)), id="address a number"),
        pytest.param(message("response", {"id": "A", "s": b"x", "h": b""}), id="status no number"),
    ],
)
def test_hostile_messages_are_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_message(payload)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x07request\x08", b"\x08response\x03"]))
def test_random_bytes_raise_nothing_but_protocol_errors(data: bytes, head: bytes) -> None:
    try:
        decode_message(head + data)
    except ProtocolError:
        return
