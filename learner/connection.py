"""One HTTP/1.1 connection that sends a request's bytes exactly as they are given.

HTTP libraries normalise what they send (header case and order, targets, framing headers), and the
model would learn the library. So the request is written here; answers, which need parsing and not
fidelity, are read by the standard library's ``http.client``.
"""

from __future__ import annotations

import http.client
import socket
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from cnaf.dataplane.config import Address
    from cnaf.models.exchange import Headers, Request

__all__ = ["Answer", "Connection", "NoAnswerError", "encode_request"]

#: What is kept of an answer to look for issued values, after decompression; WordPress's editor
#: page, the largest of the recorded site, has 0.6 MB.
_KEPT_BYTES = 4 << 20
#: What is read, and for the most part thrown away, before the connection is given up.
_MAX_BYTES = 256 << 20
_BLOCK = 1 << 16

# Framing is of this connection; the recorded one may have been chunked, or HTTP/2.
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect"))


class NoAnswerError(Exception):
    """The connection broke, ran into its timeout or carried no HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; ``body`` is decompressed and holds at most its first 4 MiB."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return the first value of a header by its lower-case name, empty where it is missing."""
        return next((value for key, value in self.headers if key == name), b"")


class Connection:
    """A keep-alive connection from one local address, opened when it is needed."""

    def __init__(self, address: Address, source: str, timeout_s: float) -> None:
        self._address = address
        self._source = source
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, request: Request) -> Answer:
        """Send one request and read its answer, or raise NoAnswerError."""
        reused = self._socket is not None
        try:
            return self._ask(request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            # A server may close an idle connection just when the next request is on its way.
            if not (reused and isinstance(error, ConnectionError)):
                raise NoAnswerError(str(error) or type(error).__name__) from error
        return self.ask(request)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, request: Request) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(
                (self._address.host, self._address.port), self._timeout_s, (self._source, 0)
            )
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(encode_request(request))
        with http.client.HTTPResponse(self._socket, method=request.method) as response:
            response.begin()
            body, complete = _read(response, time.monotonic() + self._timeout_s)
            headers = tuple(
                (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in response.headers.items()
            )
            answer = Answer(response.status, headers, body)
            upgraded = response.status == http.client.SWITCHING_PROTOCOLS
            if response.will_close or upgraded or not complete:
                self.close()
        encoding = answer.header(b"content-encoding").strip().lower()
        return Answer(answer.status, headers, _decompress(body, encoding))


def encode_request(request: Request) -> bytes:
    """Return a request as it goes over an HTTP/1.1 connection."""
    version = b"1.0" if request.version == "1.0" else b"1.1"
    lines = [b"%s %s HTTP/%s" % (request.method.encode("latin-1"), request.target, version)]
    framed = bool(request.body)
    for name, value in request.headers:
        if name in _FRAMING:
            framed = True
        else:
            lines.append(name + b": " + value)
    if framed:
        lines.append(b"content-length: %d" % len(request.body))
    return b"\r\n".join((*lines, b"", request.body))


def _read(response: http.client.HTTPResponse, deadline: float) -> tuple[bytes, bool]:
    """Return the start of the body, and whether its end was reached (a stream may have none)."""
    blocks: list[bytes] = []
    size = 0
    while size < _MAX_BYTES and time.monotonic() < deadline:
        try:
            block = response.read1(_BLOCK)
        except TimeoutError:
            break
        if not block:
            return b"".join(blocks), True
        if size < _KEPT_BYTES:
            blocks.append(block)
        size += len(block)
    return b"".join(blocks), False


def _decompress(body: bytes, encoding: bytes) -> bytes:
    """Decompress what the standard library can; of other encodings nothing is kept."""
    if encoding in (b"", b"identity"):
        return body
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        return b""
    # 32 reads the header of either format by itself; some servers send deflate without one.
    for window in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(window).decompress(body, _KEPT_BYTES)
        except zlib.error:
            continue
    return b""
