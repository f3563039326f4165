"""Requests through a real HAProxy to a real origin: what the agent sees, what the client gets."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

import pytest
from cnaf.dataplane.handler import PASS, Decision
from cnaf.models.exchange import Headers, Request

from .conftest import DOWNLOAD, Client, OriginServer, Proxy, eventually

Start = Callable[..., Proxy]


def get(target: str, *headers: bytes) -> bytes:
    lines = (f"GET {target} HTTP/1.1".encode(), b"Host: app", *headers, b"", b"")
    return b"\r\n".join(lines)


def post(target: str, body: bytes, *headers: bytes) -> bytes:
    lines = (f"POST {target} HTTP/1.1".encode(), b"Host: app", *headers)
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))


def chunked(target: str, body: bytes, size: int, *headers: bytes) -> bytes:
    lines = (f"POST {target} HTTP/1.1".encode(), b"Host: app", *headers)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"\r\n".join((*lines, b"Transfer-Encoding: chunked", b"", chunks))


WEBSOCKET_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
BODY = bytes(range(256)) * 1_024  # 256 KiB

# The client gets what it would get without the proxy


UNHARMED = {
    "get": get("/a?b=c"),
    "hostile bytes in the target": get("/%00%ff/..//../;a=b?q=<script>'\"{}|\\^`[]%"),
    "head": b"HEAD /a HTTP/1.1\r\nHost: app\r\n\r\n",
    "head of a large answer": b"HEAD /download HTTP/1.1\r\nHost: app\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n",
    "unknown method": b"PURGE /a HTTP/1.1\r\nHost: app\r\n\r\n",
    "204": get("/204"),
    "304": get("/304", b'If-None-Match: "1"'),
    "chunked answer": get("/chunked"),
    "empty body": post("/a", b""),
    "body": post("/a", BODY[:1_000]),
    "body of the inspected size": post("/a", BODY[:65_536]),
    "body over the inspected size": post("/a", BODY),
    "chunked body": chunked("/a", BODY, 8_192),
    "chunked body in single bytes": chunked("/a", BODY[:5_000], 1),
    "download": get("/download"),
    "repeated and odd headers": get("/a", b"X-A: 1", b"X-A: 2", b"x-b:", b"X-C: \xff\x80 \t z"),
}


@pytest.fixture
def direct(origin: OriginServer) -> Client:
    return Client(origin.address.port)


@pytest.mark.parametrize("record", [False, True], ids=["protected", "recorded"])
def test_answers_are_those_of_the_origin(start: Start, direct: Client, record: bool) -> None:
    # One connection for all of them: keep-alive holds after each.
    proxied = start(record=record).connect()
    for name, data in UNHARMED.items():
        assert proxied.ask(data) == direct.ask(data), name


def test_an_upload_of_20_mb_arrives_whole(start: Start) -> None:
    proxy = start()
    answer = proxy.ask(post("/upload", DOWNLOAD))
    digest = hashlib.sha256(DOWNLOAD).hexdigest()
    assert answer.body.endswith(f" {len(DOWNLOAD)} {digest}".encode())
    request = proxy.handler.requests[0][0]
    assert (len(request.body), request.body_size) == (65_536, len(DOWNLOAD))


def test_http_1_0_gets_its_answer_and_a_closed_connection(start: Start) -> None:
    client = start().connect()
    answer = client.ask(b"GET /a HTTP/1.0\r\n\r\n")
    assert answer.status == 200
    assert client.socket.recv(1) == b""


def test_pipelined_requests_are_each_inspected(start: Start) -> None:
    proxy = start()
    client = proxy.connect()
    client.socket.sendall(get("/1") * 2)
    stream = b""
    while stream.count(b"b'GET' b'/1'") < 2:
        stream += client.socket.recv(65_536)
    assert [request.target for request, _, _ in proxy.handler.requests] == [b"/1", b"/1"]


def test_expect_100_continue_is_answered_before_the_body_is_sent(start: Start) -> None:
    proxy = start()
    client = proxy.connect()
    head, _, body = post("/a", b"x" * 10, b"Expect: 100-continue").partition(b"\r\n\r\n")
    client.socket.sendall(head + b"\r\n\r\n")
    assert client.socket.recv(65_536).startswith(b"HTTP/1.1 100")
    client.socket.sendall(body)
    # http.client skips the origin's own 100, which may follow.
    assert client.receive().status == 200
    assert proxy.handler.requests[0][0].body == body


def test_a_websocket_passes_both_ways(start: Start) -> None:
    proxy = start()
    client = proxy.connect()
    offer = (b"Connection: Upgrade", b"Upgrade: websocket", WEBSOCKET_KEY)
    client.socket.sendall(get("/ws", *offer))
    file = client.socket.makefile("rb")
    assert file.readline().split()[1] == b"101"
    while file.readline().strip():
        pass
    for frame in (b"\x81\x05hello", b"\x82\x7e\xff\xff" + bytes(65_535), b"\x88\x00"):
        client.socket.sendall(frame)
        assert file.read(len(frame)) == frame
    assert [request.target for request, _, _ in proxy.handler.requests] == [b"/ws"]


# The agent sees what was on the wire


def seen(proxy: Proxy, data: bytes) -> Request:
    assert proxy.ask(data).status == 200
    return proxy.handler.requests[-1][0]


def test_the_agent_sees_the_request(start: Start) -> None:
    proxy = start()
    data = post("/a/%2e?x=%27+1", b"q=\x00\xff", b"X-A: 1", b"Cookie: a=b; c=d", b"x-a: 2")
    assert seen(proxy, data) == Request(
        "POST",
        b"/a/%2e?x=%27+1",
        (
            (b"host", b"app"),
            (b"x-a", b"1"),
            (b"cookie", b"a=b; c=d"),
            (b"x-a", b"2"),
            (b"content-length", b"4"),
        ),
        b"q=\x00\xff",
        4,
        "1.1",
    )
    _, client, unique_id = proxy.handler.requests[0]
    assert client == "127.0.0.1"
    assert unique_id


HOSTILE_HEADERS: dict[str, Headers] = {
    "empty value": ((b"x-a", b""),),
    "high bytes": ((b"x-a", bytes(range(128, 256))),),
    "tabs within": ((b"x-a", b"a\tb"),),
    "repeated": ((b"x-a", b"1"), (b"x-a", b""), (b"x-a", b"1")),
    "commas and quotes": ((b"x-a", b"\"a, b\", 'c';, ,"),),
    "odd names": ((b"!#$%&'*+-.^_`|~09az", b"1"),),
    "sizes around the varint's steps": tuple(
        (b"x-%d" % size, b"v" * size) for size in (239, 240, 241, 2_287, 2_288, 2_289)
    ),
    "long name": ((b"n" * 255, b"1"),),
    "many": tuple((b"x-%d" % index, b"") for index in range(90)),
    "nearly 16 KiB": ((b"x-a", b"v" * 16_300),),
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_hostile_headers_are_seen_exactly(start: Start, name: str) -> None:
    headers = HOSTILE_HEADERS[name]
    lines = [b"%s: %s" % pair for pair in headers]
    assert seen(start(), get("/", *lines)).headers == ((b"host", b"app"), *headers)


@pytest.mark.parametrize("target", ["/", "/a?b", "/a??b", "//a//", "/" + "a" * 16_000])
def test_targets_are_seen_exactly(start: Start, target: str) -> None:
    assert seen(start(), get(target)).target == target.encode()


def test_the_absolute_form_is_seen_in_origin_form(start: Start) -> None:
    assert seen(start(), get("http://app/a?b")).target == b"/a?b"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536])
def test_bodies_up_to_the_limit_are_seen_whole(start: Start, size: int) -> None:
    proxy = start()
    for data in (post("/", BODY[:size]), chunked("/", BODY[:size], 4_000)):
        request = seen(proxy, data)
        assert (request.body, request.body_size) == (BODY[:size], size)


LONG_HEAD = [b"X-%d: %s" % (index, b"v" * 150) for index in range(96)]


@pytest.mark.parametrize("chunk", [0, 1, 997, 65_536], ids="chunk of {}".format)
@pytest.mark.parametrize("head", [[], LONG_HEAD], ids=["short head", "long head"])
@pytest.mark.parametrize("extra", [1, 100_000])
def test_a_body_over_the_limit_is_never_cut_silently(
    start: Start, chunk: int, head: list[bytes], extra: int
) -> None:
    body = BODY[: 65_536 + extra]
    target = "/" + "a" * (16_000 if head else 0)
    request = seen(
        start(), chunked(target, body, chunk, *head) if chunk else post(target, body, *head)
    )
    assert request.body == BODY[:65_536]
    assert request.body_size > len(request.body)


def test_the_limit_is_configurable(start: Start) -> None:
    request = seen(start(body_bytes=10), post("/", BODY[:1_000]))
    assert (request.body, request.body_size) == (BODY[:10], 1_000)


# Decisions


def block(request: Request) -> Decision:
    return Decision(block=True, event_id="01HX-7") if request.target == b"/attack" else PASS


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "TEXT/HTML"])
def test_a_browser_gets_the_page_with_the_event_id(
    start: Start, origin: OriginServer, accept: str
) -> None:
    proxy = start()
    proxy.handler.decide = block
    before = len(origin.seen)
    answer = proxy.get("/attack", accept)
    assert answer.status == 403
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-cnaf-event"] == "01HX-7"
    assert b"<dd>01HX-7</dd>" in answer.body
    assert len(origin.seen) == before


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test_a_program_gets_json_with_the_event_id(start: Start, accept: str) -> None:
    proxy = start(block_status=406)
    proxy.handler.decide = block
    answer = proxy.get("/attack", accept)
    assert answer.status == 406
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body)["event_id"] == "01HX-7"


def test_a_blocked_head_request_has_no_body_and_the_connection_goes_on(start: Start) -> None:
    proxy = start()
    proxy.handler.decide = block
    client = proxy.connect()
    assert client.ask(b"HEAD /attack HTTP/1.1\r\nHost: app\r\n\r\n").body == b""
    assert client.ask(get("/attack")).status == 403
    assert client.ask(get("/fine")).status == 200


def test_blocked_and_passed_requests_are_not_unchecked(start: Start) -> None:
    proxy = start()
    proxy.handler.decide = block
    assert [proxy.get(target).status for target in ("/attack", "/fine")] == [403, 200]
    assert proxy.unchecked == 0


def test_a_watched_request_brings_its_response(start: Start) -> None:
    proxy = start()
    proxy.handler.decide = lambda request: Decision(watch=request.target == b"/304")
    proxy.get("/a")
    proxy.get("/304")
    ((unique_id, response),) = proxy.handler.responses
    assert unique_id == proxy.handler.requests[1][2]
    assert response.status == 304
    assert (b"etag", b'"1"') in response.headers


def test_recording_brings_every_response(start: Start) -> None:
    proxy = start(record=True)
    for target in ("/a", "/204"):
        proxy.get(target)
    assert [response.status for _, response in proxy.handler.responses] == [200, 204]
    assert [unique_id for _, _, unique_id in proxy.handler.requests] == [
        unique_id for unique_id, _ in proxy.handler.responses
    ]


# The failure contract


def slow(request: Request) -> Decision:
    if request.target == b"/slow":
        time.sleep(0.5)
    return PASS


def is_inspected(proxy: Proxy) -> bool:
    before = proxy.unchecked
    return proxy.get("/fine").status == 200 and proxy.unchecked == before


def test_over_the_budget_fail_open_passes_and_counts(start: Start) -> None:
    proxy = start(budget_ms=100)
    proxy.handler.decide = slow
    assert proxy.get("/slow").status == 200
    assert proxy.unchecked == 1
    eventually(lambda: is_inspected(proxy), "the agent is back")


def test_over_the_budget_fail_closed_refuses(start: Start, origin: OriginServer) -> None:
    proxy = start(budget_ms=100, fail_open=False)
    proxy.handler.decide = slow
    before = len(origin.seen)
    program = proxy.get("/slow")
    assert (program.status, json.loads(program.body)["error"]) == (503, "unavailable")
    browser = proxy.get("/slow", "text/html")
    assert (browser.status, browser.headers["cache-control"]) == (503, "no-store")
    assert b"briefly unavailable" in browser.body
    assert len(origin.seen) == before
    assert proxy.unchecked == 2
    eventually(lambda: is_inspected(proxy), "the agent is back")


def test_a_handler_that_raises_has_not_decided(start: Start) -> None:
    proxy = start()

    def fail(request: Request) -> Decision:
        raise RuntimeError(request.target)

    proxy.handler.decide = fail
    assert proxy.get("/a").status == 200
    assert proxy.unchecked == 1
    assert proxy.agent
    assert proxy.agent.stats.handler_errors == 1


# What HAProxy refuses by itself


MALFORMED = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "http 0.9": b"GET /\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: app\r\n\r\n",
    "control character in the target": b"GET /\x01 HTTP/1.1\r\nHost: app\r\n\r\n",
    "null in a header": get("/", b"X-A: a\0b"),
    "bare carriage return in a header": get("/", b"X-A: a\rX-B: b"),
    "space before the colon": get("/", b"Content-Length : 5"),
    "header without a colon": get("/", b"nonsense"),
    "header name of 256 bytes": get("/", b"n" * 256 + b": 1"),
    "fragment in the target": get("/#x"),
    "empty header name": get("/", b": x"),
    "length no number": get("/", b"Content-Length: +5"),
    "length negative": get("/", b"Content-Length: -1"),
    "length beyond 64 bits": get("/", b"Content-Length: 99999999999999999999"),
    "two lengths": get("/", b"Content-Length: 5", b"Content-Length: 6"),
    "two lengths in one": get("/", b"Content-Length: 5, 6"),
    "unknown transfer coding last": get("/", b"Transfer-Encoding: chunked, gzip"),
    "obfuscated chunked": get("/", b"Transfer-Encoding: xchunked"),
    "chunked with a vertical tab": get("/", b"Transfer-Encoding: \x0bchunked"),
    "chunk size no number": get("/", b"Transfer-Encoding: chunked") + b"zz\r\n",
    "chunk without its end": get("/", b"Transfer-Encoding: chunked") + b"1\r\nabc\r\n0\r\n\r\n",
    "two hosts": get("/", b"Host: other"),
    "120 headers": get("/", *(b"X-%d: 1" % index for index in range(120))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_never_reach_the_origin(
    start: Start, origin: OriginServer, name: str
) -> None:
    before = len(origin.seen)
    assert start().ask(MALFORMED[name]).status in (400, 422, 501)
    assert len(origin.seen) == before


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(get("/" + "a" * 16_384), 414, id="long target"),
        pytest.param(get("/", b"X-A: " + b"v" * 16_384), 431, id="long headers"),
    ],
)
def test_a_long_head_is_refused(
    start: Start, origin: OriginServer, data: bytes, status: int
) -> None:
    before = len(origin.seen)
    assert start().ask(data).status == status
    assert len(origin.seen) == before


def until_closed(client: Client, data: bytes) -> bytes:
    client.socket.sendall(data)
    stream = b""
    while received := client.socket.recv(65_536):
        stream += received
    return stream


@pytest.mark.parametrize("coding", [b"Transfer-Encoding: chunked", b"transfer-encoding:\tChunked"])
def test_length_and_chunked_together_smuggle_nothing(
    start: Start, origin: OriginServer, coding: bytes
) -> None:
    """RFC 9112, 6.3: the length is dropped, and what follows the last chunk is no request."""
    proxy = start()
    before = len(origin.seen)
    data = post("/outer", b"0\r\n\r\n" + get("/smuggled"), coding)
    stream = until_closed(proxy.connect(), data)
    assert stream.count(b"HTTP/1.1 ") == 1
    assert b"content-length'" not in stream
    assert origin.seen[before:] == [b"/outer"]
    assert [request.target for request, _, _ in proxy.handler.requests] == [b"/outer"]


def test_connect_opens_no_tunnel_past_the_agent(start: Start, origin: OriginServer) -> None:
    before = len(origin.seen)
    client = start().connect()
    answer = client.ask(b"CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\n\r\n")
    assert answer.status == 405
    assert len(origin.seen) == before


@pytest.mark.parametrize(
    ("offer", "status"),
    [(b"h2c", 200), (b"H2C", 200), (b"websocket, h2c", 101), (b"h2c,websocket", 101)],
)
def test_an_upgrade_to_http_2_is_not_passed_on(start: Start, offer: bytes, status: int) -> None:
    """The origin takes an upgrade where websocket is all that is left of the offer."""
    settings = b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"
    offers = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + offer, settings)
    answer = start().ask(get("/", *offers, WEBSOCKET_KEY))
    assert (answer.status, b"h2c" in answer.body.lower()) == (status, False)
