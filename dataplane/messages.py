"""What HAProxy tells the agent: the arguments of a NOTIFY frame as a request or a response.

The names below are those that :mod:`cnaf.dataplane.config` renders into the SPOE configuration;
both ends come from here. This is the hot path (every request passes once), so it is one pass over
the payload without intermediate objects. Header names are lower-case already: HAProxy makes them
so when it parses.
"""

from __future__ import annotations

import socket
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

#: Argument name to HAProxy sample expression; ``{body_bytes}`` is the inspected prefix. ``pathq``
#: is the target in origin form whatever form the client sent.
REQUEST_ARGUMENTS: dict[str, str] = {
    "id": "unique-id",
    "src": "src",
    "m": "method",
    "t": "pathq",
    "v": "req.ver",
    "h": "req.hdrs_bin",
    "b": "req.body,bytes(0,{body_bytes})",
    "n": "req.body_size",
}
RESPONSE_ARGUMENTS: dict[str, str] = {
    "id": "unique-id",
    "s": "status",
    "h": "res.hdrs_bin",
}

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
        arguments = _decode_arguments(payload, 2 + size, payload[1 + size])
    except IndexError:
        raise FrameError("a message ends behind its frame") from None
    try:
        if name == _REQUEST:
            return _inquiry(arguments)
        if name == _RESPONSE:
            return _report(arguments)
    except (KeyError, TypeError, AttributeError, ValueError, OSError):
        raise FrameError(f"a {name.decode()} message whose arguments have other types") from None
    raise FrameError("a message that is neither request nor response")


def decode_headers(block: bytes) -> Headers:
    """Return the pairs of a ``hdrs_bin`` block, or raise ProtocolError.

    The block is a row of sized names and values that ends with an empty name and value.
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


def _decode_arguments(data: bytes, at: int, count: int) -> dict[bytes, Any]:
    # Same wire format as spop.decode_kv, which is its reference in the tests; addresses stay raw.
    arguments: dict[bytes, Any] = {}
    for _ in range(count):
        size = data[at]
        at += 1
        name = data[at : at + size]
        at += size
        kind = data[at] & 0x0F
        at += 1
        value: Any = None
        if kind in (8, 9):
            size = data[at]
            if size < 240:
                at += 1
            else:
                size, at = decode_varint(data, at)
            value = data[at : at + size]
            at += size
        elif 2 <= kind <= 5:
            value, at = decode_varint(data, at)
        elif kind in (6, 7):
            size = 4 if kind == 6 else 16
            value = data[at : at + size]
            at += size
        elif kind > 1:
            raise FrameError(f"values of type {kind} do not exist")
        arguments[name] = value
    if at != len(data):
        raise FrameError("the arguments of a message do not fill its frame")
    return arguments


def _inquiry(arguments: dict[bytes, Any]) -> Inquiry:
    # Wrong types raise TypeError in the calls below, which decode_message turns into a refusal.
    target = arguments[b"t"] or b""
    if type(target) is not bytes:
        raise TypeError
    body = arguments[b"b"] or b""
    size = len(body)
    return Inquiry(
        str(arguments[b"id"], "ascii"),
        _client(arguments[b"src"]),
        Request(
            str(arguments[b"m"], "ascii"),
            target,
            decode_headers(arguments[b"h"] or b""),
            body,
            max(arguments[b"n"] or 0, size),
            str(arguments[b"v"], "ascii"),
        ),
    )


def _report(arguments: dict[bytes, Any]) -> Report:
    headers = decode_headers(arguments[b"h"] or b"")
    return Report(str(arguments[b"id"], "ascii"), Response(int(arguments[b"s"]), headers))


def _client(address: bytes | None) -> str:
    # A client on a unix socket has no address.
    if not address:
        return ""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
