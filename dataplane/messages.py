"""What HAProxy tells the agent: the arguments of a NOTIFY frame as a request or a response.

The sample expressions below are those that :mod:`cnaf.dataplane.config` renders into the SPOE
configuration; both ends come from here. Arguments carry no names, their order is their meaning.
This is the hot path (every request passes once), so it is one pass over the payload without
intermediate objects. Header names are lower-case already: HAProxy makes them so when it parses.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import Any, NamedTuple

from cnaf.dataplane.spop import FrameError, decode_varint
from cnaf.models.exchange import Headers, Request, Response

__all__ = [
    "REQUEST_ARGUMENTS",
    "REQUEST_MESSAGE",
    "RESPONSE_ARGUMENTS",
    "RESPONSE_MESSAGE",
    "Inquiry",
    "Report",
    "decode_headers",
    "decode_message",
]

REQUEST_MESSAGE = "request"
RESPONSE_MESSAGE = "response"

#: HAProxy's sample expressions; ``{body_bytes}`` is the inspected prefix. ``pathq`` is the target
#: in origin form whatever form the client sent.
REQUEST_ARGUMENTS = (
    "unique-id",
    "src",
    "method",
    "pathq",
    "req.ver",
    "req.hdrs_bin",
    "req.body,bytes(0,{body_bytes})",
    "req.body_size",
)
RESPONSE_ARGUMENTS = ("unique-id", "status", "res.hdrs_bin")

# ::ffff:0:0/96, how an IPv4 client looks to a listener on [::].
_MAPPED = bytes(10) + b"\xff\xff"
_REQUEST = REQUEST_MESSAGE.encode()
_RESPONSE = RESPONSE_MESSAGE.encode()


class Inquiry(NamedTuple):
    """A request that waits for a decision."""

    unique_id: str
    client: str
    request: Request


class Report(NamedTuple):
    """A response that the handler asked for."""

    unique_id: str
    response: Response


def decode_message(payload: bytes) -> Inquiry | Report:
    """Return the one message of a NOTIFY frame, or raise ProtocolError."""
    try:
        size = payload[0]
        name = payload[1 : 1 + size]
        values = _decode_values(payload, 2 + size, payload[1 + size])
    except IndexError:
        raise FrameError("a message ends behind its frame") from None
    try:
        if name == _REQUEST:
            return _inquiry(*values)
        if name == _RESPONSE:
            return _report(*values)
    except (TypeError, ValueError):
        raise FrameError(f"a {name.decode()} message whose arguments do not fit") from None
    raise FrameError("a message that is neither request nor response")


@lru_cache(maxsize=256)
def decode_headers(block: bytes) -> Headers:
    """Return the pairs of a ``hdrs_bin`` block, or raise ProtocolError.

    The block is a row of sized names and values that ends with an empty name and value. Blocks are
    kept for a while: a browser sends the same one for each picture of a page, and equal blocks
    give the same object, which later steps recognise.
    """
    pairs = []
    end = len(block)
    at = 0
    try:
        while at < end:
            size = block[at]
            if size < 240:
                at += 1
            else:
                size, at = decode_varint(block, at)
            name = block[at : at + size]
            at += size
            size = block[at]
            if size < 240:
                at += 1
            else:
                size, at = decode_varint(block, at)
            if name:
                pairs.append((name, block[at : at + size]))
            at += size
    except IndexError:
        at = end + 1
    if at != end:
        raise FrameError("a header ends behind its block")
    return tuple(pairs)


def _decode_values(data: bytes, at: int, count: int) -> list[Any]:
    # Same wire format as spop.decode_kv, which is its reference in the tests; addresses stay raw.
    values: list[Any] = []
    for _ in range(count):
        if data[at]:
            raise FrameError("an argument has a name")
        kind = data[at + 1] & 0x0F
        at += 2
        if kind in (8, 9):
            size = data[at]
            if size < 240:
                at += 1
            else:
                size, at = decode_varint(data, at)
            values.append(data[at : at + size])
            at += size
        elif 2 <= kind <= 5:
            value, at = decode_varint(data, at)
            values.append(value)
        elif kind in (6, 7):
            size = 4 if kind == 6 else 16
            values.append(data[at : at + size])
            at += size
        elif kind <= 1:
            values.append(None)
        else:
            raise FrameError(f"values of type {kind} do not exist")
    if at != len(data):
        raise FrameError("the arguments of a message do not fill its frame")
    return values


def _inquiry(
    unique_id: bytes,
    client: bytes | None,
    method: bytes,
    target: bytes | None,
    version: bytes,
    headers: bytes | None,
    body: bytes | None,
    size: int | None,
) -> Inquiry:
    # What HAProxy does not know comes as null. Other types fail in the calls below, but for these.
    target, body = target or b"", body or b""
    if type(target) is not bytes or type(body) is not bytes:
        raise TypeError
    return Inquiry(
        str(unique_id, "ascii"),
        _client(client) if client else "",
        Request(
            str(method, "ascii"),
            target,
            decode_headers(headers or b""),
            body,
            max(size or 0, len(body)),
            str(version, "ascii"),
        ),
    )


def _report(unique_id: bytes, status: int, headers: bytes | None) -> Report:
    pairs = decode_headers(headers or b"")
    return Report(str(unique_id, "ascii"), Response(int(status), pairs))


def _client(address: bytes) -> str:
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    if address[:12] == _MAPPED:
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)
