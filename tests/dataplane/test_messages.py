"""Arguments of a NOTIFY frame as requests and responses."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from cnaf.dataplane.messages import (
    Inquiry,
    Report,
    decode_headers,
    decode_message,
)
from cnaf.dataplane.spop import Value, encode_value, encode_varint
from cnaf.models.errors import ProtocolError
from cnaf.models.exchange import Headers, Request, Response
from hypothesis import given
from hypothesis import strategies as st


def sized(raw: bytes) -> bytes:
    return encode_varint(len(raw)) + raw


def block(headers: Headers) -> bytes:
    """The plain reference of ``hdrs_bin``."""
    return b"".join(sized(name) + sized(value) for name, value in headers) + b"\x00\x00"


def message(name: str, values: Iterable[Value]) -> bytes:
    arguments = [b"\x00" + encode_value(value) for value in values]
    return sized(name.encode()) + bytes((len(arguments),)) + b"".join(arguments)


def request(**changes: Value) -> bytes:
    values: dict[str, Value] = {
        "id": "6B05567D-0001-1DEC",
        "source": ip_address("192.0.2.7"),
        "method": "GET",
        "target": b"/?p=1",
        "version": "1.1",
        "headers": block(((b"host", b"app"),)),
        "body": b"",
        "size": 0,
    }
    return message("request", (values | changes).values())


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
    client=st.ip_addresses().filter(lambda a: getattr(a, "ipv4_mapped", None) is None),
)
def test_request_round_trip(
    headers: Headers, target: bytes, body: bytes, extra: int, client: IPv4Address | IPv6Address
) -> None:
    size = len(body) + extra
    payload = request(source=client, target=target, headers=block(headers), body=body, size=size)
    assert decode_message(payload) == Inquiry(
        "6B05567D-0001-1DEC",
        socket.inet_ntop(socket.AF_INET if client.version == 4 else socket.AF_INET6, client.packed),
        Request("GET", target, headers, body, size, "1.1"),
    )


def test_response() -> None:
    payload = message("response", ("A-1", 404, block(((b"server", b"x"),))))
    assert decode_message(payload) == Report("A-1", Response(404, ((b"server", b"x"),)))


def test_what_haproxy_does_not_know_is_empty() -> None:
    inquiry = decode_message(request(source=None, body=None, size=None, headers=None))
    assert inquiry == Inquiry("6B05567D-0001-1DEC", "", Request("GET", b"/?p=1", ()))


def test_an_ipv4_client_of_an_ipv6_listener_keeps_its_ipv4_address() -> None:
    inquiry = decode_message(request(source=ip_address("::ffff:192.0.2.7")))
    assert isinstance(inquiry, Inquiry)
    assert inquiry.client == "192.0.2.7"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x07request", id="no arguments"),
        pytest.param(b"\x07request\x00", id="no argument at all"),
        pytest.param(b"\xff" + b"x" * 80, id="endless name"),
        pytest.param(message("audit", ()), id="unknown message"),
        pytest.param(message("request", ("A", 1)), id="two arguments"),
        pytest.param(b"\x07request\x01\x01a\x00", id="named argument"),
        pytest.param(b"\x07request\x01\x00\x0f", id="argument of type 15"),
        pytest.param(request() + b"\x00", id="rest behind the message"),
        pytest.param(request()[:-1], id="truncated"),
        pytest.param(request(headers=b"\x04ho"), id="header overruns"),
        pytest.param(request(headers=b"\xff\xff"), id="header length overruns"),
        pytest.param(request(method=5), id="method a number"),
        pytest.param(request(method="\xe9"), id="method no ASCII"),
        pytest.param(request(target=5), id="target a number"),
        pytest.param(request(body=5), id="body a number"),
        pytest.param(request(size=b"5"), id="size a string"),
        pytest.param(request(source=b"abc"), id="address of 3 bytes"),
        pytest.param(request(source=7), id="address a number"),
        pytest.param(message("response", ("A", b"x", b"")), id="status no number"),
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
