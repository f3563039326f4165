"""The bytes that go out, and the answers that come back, also those that are none."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cnaf.dataplane.config import Address
from cnaf.learner.connection import Answer, Connection, NoAnswerError, encode_request
from cnaf.models.exchange import Request

TIMEOUT_S = 1.0
REQUEST = Request("GET", b"/", ((b"host", b"a"),))


@contextmanager
def server(*answers: bytes, close: bool = False) -> Iterator[Address]:
    """Answer one request after the other with these bytes, all on one connection or each on one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            client = None
            for answer in answers:
                if client is None or close:
                    client = listener.accept()[0]
                client.settimeout(5)
                while not client.recv(65536).endswith(b"\r\n\r\n"):
                    pass
                client.sendall(answer)
                if close:
                    client.close()
            if client is not None and not close:
                client.recv(1)
                client.close()

        def run() -> None:
            # The test may be through with its connection before the server is.
            try:
                serve()
            except OSError:
                return

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Address("127.0.0.1", listener.getsockname()[1])
        thread.join(5)


def ask(address: Address) -> Answer:
    with Connection(address, "127.0.0.1", TIMEOUT_S) as connection:
        return connection.ask(REQUEST)


def http(body: bytes, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"", body))


ENCODED = {
    "as it is": (
        Request("GET", b"/%7e//x?a=%zz;&b", ((b"host", b"A:1"), (b"x", b""), (b"x", b" \xff"))),
        b"GET /%7e//x?a=%zz;&b HTTP/1.1\r\nhost: A:1\r\nx: \r\nx:  \xff\r\n\r\n",
    ),
    "body": (
        Request("POST", b"/", ((b"content-length", b"99"), (b"a", b"b")), b"x=1", 3),
        b"POST / HTTP/1.1\r\na: b\r\ncontent-length: 3\r\n\r\nx=1",
    ),
    "recorded in chunks": (
        Request("POST", b"/", ((b"transfer-encoding", b"chunked"), (b"expect", b"x")), b"x", 1),
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx",
    ),
    "empty body that was announced": (
        Request("POST", b"/", ((b"content-length", b"0"),)),
        b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    ),
    "old version": (Request("GET", b"/", (), version="1.0"), b"GET / HTTP/1.0\r\n\r\n"),
    "version without a text form": (
        Request("GET", b"/", (), version="2"),
        b"GET / HTTP/1.1\r\n\r\n",
    ),
}


@pytest.mark.parametrize(("request_", "data"), ENCODED.values(), ids=ENCODED)
def test_requests_are_written_as_they_are(request_: Request, data: bytes) -> None:
    assert encode_request(request_) == data


def test_answers_come_one_after_the_other_on_one_connection() -> None:
    chunked = b"HTTP/1.1 201 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    with (
        server(http(b"one", b"X-A:  b \xff"), chunked, http(b"")) as address,
        Connection(address, "127.0.0.1", TIMEOUT_S) as connection,
    ):
        first = connection.ask(REQUEST)
        assert (first.status, first.body, first.header(b"x-a")) == (200, b"one", b"b \xff")
        assert connection.ask(REQUEST).body == b"hi"
        assert connection.ask(REQUEST).header(b"x-a") == b""


def test_a_connection_that_the_server_closed_is_opened_again() -> None:
    with (
        server(http(b"one"), http(b"two"), close=True) as address,
        Connection(address, "127.0.0.1", TIMEOUT_S) as connection,
    ):
        assert [connection.ask(REQUEST).body for _ in range(2)] == [b"one", b"two"]


_RAW_DEFLATE = zlib.compressobj(wbits=-15)
COMPRESSED = {
    "gzip": (b"gzip", gzip.compress(b"page", mtime=0)),
    "deflate": (b"Deflate", zlib.compress(b"page")),
    "deflate without its header": (
        b"deflate",
        _RAW_DEFLATE.compress(b"page") + _RAW_DEFLATE.flush(),
    ),
    "none": (b"identity", b"page"),
}


@pytest.mark.parametrize(("encoding", "body"), COMPRESSED.values(), ids=COMPRESSED)
def test_bodies_are_decompressed(encoding: bytes, body: bytes) -> None:
    with server(http(body, b"Content-Encoding: " + encoding)) as address:
        assert ask(address).body == b"page"


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"\xff"])
def test_bodies_that_cannot_be_decompressed_are_empty(encoding: bytes) -> None:
    with server(http(b"page", b"Content-Encoding: " + encoding)) as address:
        assert ask(address).body == b""


def test_a_bomb_is_cut() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20), compresslevel=1)
    with server(http(bomb, b"Content-Encoding: gzip")) as address:
        assert len(ask(address).body) == 4 << 20


def test_an_endless_answer_is_left_when_time_is_up() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    with server(endless) as address:
        assert ask(address) == Answer(200, ((b"transfer-encoding", b"chunked"),), b"hi")


BROKEN = {
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "nothing": b"",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a line without end": b"HTTP/1.1 200 " + b"x" * 70_000,
    "200 headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_says_so(answer: bytes) -> None:
    with server(answer, close=True) as address, pytest.raises(NoAnswerError):
        ask(address)


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NoAnswerError):
            ask(Address("127.0.0.1", free.getsockname()[1]))
