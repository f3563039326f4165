from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.files import ReadLimits
from cnaf.datasets.har import read_har
from cnaf.datasets.problems import ProblemLog
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Entry = Callable[..., dict[str, object]]
    WriteHar = Callable[..., Path]


def pairs(*items: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in items]


def test_an_entry_becomes_the_exchange_that_was_on_the_wire(
    entry: Entry, write_har: WriteHar
) -> None:
    recorded = entry(
        {"_tag": "checkout"},
        method="POST",
        url="https://user:pw@shop.test:8443/a%2Fb/?q=%27+x&q=é#top",
        headers=pairs(("Host", "shop.test"), ("X-Twice", "1"), ("x-twice", "2")),
        postData={"mimeType": "text/plain", "text": "grüße"},
    )
    (exchange,) = read_har(write_har(recorded, name="visit.har.gz"))
    assert exchange.id == "visit#0001"
    assert exchange.session == "visit"
    assert exchange.label is Label.BENIGN
    assert exchange.meta == {"tag": "checkout"}
    request = exchange.request
    assert request.method == "POST"
    assert request.target == "/a%2Fb/?q=%27+x&q=é".encode()
    assert request.headers == ((b"host", b"shop.test"), (b"x-twice", b"1"), (b"x-twice", b"2"))
    assert request.body == "grüße".encode()
    assert request.body_size == 7
    assert exchange.response is not None
    assert exchange.response.status == 200
    assert exchange.response.headers == ((b"server", b"x"),)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://shop.test", b"/"),
        ("http://shop.test?a=1", b"/?a=1"),
        ("http://shop.test/#x?y", b"/"),
        ("http://shop.test//evil/%2e%2e/", b"//evil/%2e%2e/"),
        ("HTTP://shop.test/?next=http://a/b?c", b"/?next=http://a/b?c"),
    ],
)
def test_target_is_the_url_without_scheme_host_and_fragment(
    url: str, target: bytes, entry: Entry, write_har: WriteHar
) -> None:
    (exchange,) = read_har(write_har(entry(url=url)))
    assert exchange.request.target == target


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            [(":method", "GET"), (":authority", "a.test"), (":path", "/"), ("accept", "*/*")],
            ((b"host", b"a.test"), (b"accept", b"*/*")),
        ),
        ([("Host", "b.test"), (":authority", "a.test")], ((b"host", b"b.test"),)),
        ([("Accept", "*/*")], ((b"host", b"shop.test"), (b"accept", b"*/*"))),
    ],
)
def test_pseudo_headers_become_host(
    headers: list[tuple[str, str]],
    expected: tuple[tuple[bytes, bytes], ...],
    entry: Entry,
    write_har: WriteHar,
) -> None:
    (exchange,) = read_har(write_har(entry(headers=pairs(*headers))))
    assert exchange.request.headers == expected


@pytest.mark.parametrize(
    ("recorded", "version"),
    [("HTTP/1.0", "1.0"), ("http/2.0", "2"), ("h2", "2"), ("h3", "3"), ("", "1.1"), (None, "1.1")],
)
def test_version_in_the_spellings_of_recorders(
    recorded: str | None, version: str, entry: Entry, write_har: WriteHar
) -> None:
    (exchange,) = read_har(write_har(entry(httpVersion=recorded)))
    assert exchange.request.version == version


MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a%22b"\r\n\r\n1\r\n'
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhi\r\n--B--\r\n"
)


@pytest.mark.parametrize(
    ("post", "body"),
    [
        ({"text": base64.b64encode(b"\x00\xff").decode(), "encoding": "base64"}, b"\x00\xff"),
        ({"text": "\xff", "encoding": "latin-1"}, b"\xff"),
        ({"text": "\xff", "encoding": "ISO-8859-1"}, b"\xff"),
        ({"text": "\xff"}, b"\xc3\xbf"),
        ({"params": pairs(("a b", "1&2"), ("c", ""))}, b"a+b=1%262&c="),
        ({"text": "raw=%20", "params": pairs(("raw", " "))}, b"raw=%20"),
        (
            {
                "mimeType": "multipart/form-data; boundary=B",
                "params": [
                    {"name": 'a"b', "value": "1"},
                    {"name": "f", "fileName": "x.txt", "contentType": "text/plain", "value": "hi"},
                ],
            },
            MULTIPART,
        ),
    ],
)
def test_body_in_every_form_that_recorders_write(
    post: dict[str, object], body: bytes, entry: Entry, write_har: WriteHar
) -> None:
    (exchange,) = read_har(write_har(entry(method="POST", postData=post)))
    assert exchange.request.body == body
    assert exchange.request.body_size == len(body)


def test_a_body_that_the_recorder_cut_keeps_its_size(entry: Entry, write_har: WriteHar) -> None:
    (exchange,) = read_har(write_har(entry(method="POST", postData={"text": "abc"}, bodySize=999)))
    assert (exchange.request.body, exchange.request.body_size) == (b"abc", 999)


def test_label_and_joined_response_headers(entry: Entry, write_har: WriteHar) -> None:
    answer = {"status": 302, "headers": pairs((":status", "302"), ("Set-Cookie", "a=1\nb=2"))}
    (exchange,) = read_har(write_har(entry({"_label": "attack", "response": answer})))
    assert exchange.label is Label.ATTACK
    assert exchange.response is not None
    assert exchange.response.headers == ((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))


@pytest.mark.parametrize(
    ("change", "request_change", "reason"),
    [
        ({"response": {"status": 0, "headers": []}}, {}, "blocked, aborted or failed"),
        ({"response": {"status": -1}}, {}, "blocked, aborted or failed"),
        ({"response": None}, {}, "blocked, aborted or failed"),
        ({"_resourceType": "websocket"}, {}, "WebSocket"),
        ({}, {"url": "wss://shop.test/live"}, "WebSocket"),
        ({}, {"url": "data:image/png;base64,AA"}, "data URL"),
        ({"_fromCache": "memory"}, {}, "cache"),
    ],
)
def test_entries_that_were_never_on_the_wire_are_counted_and_not_fatal(
    change: dict[str, object],
    request_change: dict[str, object],
    reason: str,
    entry: Entry,
    write_har: WriteHar,
) -> None:
    path = write_har(entry(change, **request_change), entry(change, **request_change), entry())
    log = ProblemLog()
    assert [e.id for e in read_har(path, problems=log)] == ["visit#0003"]
    assert (log.broken, log.skipped) == (0, 2)
    assert reason in str(log.kept[0])
    assert len(list(read_har(path))) == 1


BROKEN = {
    "an entry that is a number": (7, "entry is of type int, expected an object"),
    "no request": ({}, "request is missing"),
    "a header value that is a number": (
        {"headers": [{"name": "a", "value": 1}]},
        "a value in request.headers is of type int",
    ),
    "a line end in a header": (
        {"headers": [{"name": "a", "value": "x\r\ny: z"}]},
        "header a holds a line end",
    ),
    "a header name with a colon": ({"headers": [{"name": "a:b", "value": ""}]}, "not a token"),
    "a header name of Kelvin sign": ({"headers": [{"name": "\u212a", "value": ""}]}, "not a token"),
    "a target with a space": ({"url": "http://shop.test/a b"}, "space or control character"),
    "a url that is none": ({"url": "shop"}, "'shop' is no URL"),
    "a method with a space": ({"method": "GET /"}, "is not a token"),
    "base64 that is none": (
        {"postData": {"text": "*", "encoding": "base64"}},
        "postData.text is not base64",
    ),
    "an unknown encoding": ({"postData": {"text": "", "encoding": "rot13"}}, "'rot13' is not"),
    "latin-1 that is none": (
        {"postData": {"text": "\u0131", "encoding": "latin-1"}},
        "not latin-1",
    ),
    "multipart without boundary": (
        {"postData": {"mimeType": "multipart/form-data", "params": [{"name": "a"}]}},
        "without a boundary",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_entry_is_named(case: str, entry: Entry, write_har: WriteHar) -> None:
    change, reason = BROKEN[case]
    broken: object = change
    if isinstance(change, dict):
        broken = entry(**change) if change else {"response": {"status": 200}}
        if not change:
            broken = {"request": None}
    path = write_har(entry(), broken, entry())
    with pytest.raises(CorpusError, match=r"visit\.har, entry 2: ") as caught:
        list(read_har(path))
    assert reason in str(caught.value)
    log = ProblemLog()
    assert len(list(read_har(path, problems=log))) == 2
    assert log.broken == 1


def test_a_status_that_is_true_is_no_status(entry: Entry, write_har: WriteHar) -> None:
    with pytest.raises(CorpusError, match="status 'True' is not a number"):
        list(read_har(write_har(entry({"response": {"status": True}}))))


def test_a_wrong_label_is_named(entry: Entry, write_har: WriteHar) -> None:
    with pytest.raises(CorpusError, match="'evil' is neither benign nor attack"):
        list(read_har(write_har(entry({"_label": "evil"}))))


def test_more_than_half_broken_is_an_error_even_with_a_log(
    entry: Entry, write_har: WriteHar
) -> None:
    path = write_har(entry(), 1, 2)
    with pytest.raises(CorpusError, match="2 of 3 records are broken; the first is entry 2"):
        list(read_har(path, problems=ProblemLog()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"GET / HTTP/1.1\r\n", "is not JSON"),
        (b'{"log": {"entries": [', "is not JSON"),
        (b'{"log": {"entries": [NaN]}}', "is not JSON"),
        (b'{"log": {"entries": ["\xff"]}}', "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b'{"a": "\\ud800", "b": ' + b"[" * 200_000, "is not JSON"),
        (b'{"a": "\\ud800", "b": NaN}', "NaN is not JSON"),
        (b"[]", "no HAR: document is of type list"),
        (b"{}", "no HAR: log is missing"),
        (b'{"log": {}}', "no HAR: log.entries is missing"),
        (b'{"log": {"entries": {}}}', "no HAR: log.entries is of type dict"),
    ],
)
def test_a_file_that_is_no_har_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.har"
    path.write_bytes(content)
    with pytest.raises(CorpusError) as caught:
        list(read_har(path, problems=ProblemLog()))
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_cut_surrogate_in_a_response_body_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.har"
    path.write_bytes(
        b'{"log": {"entries": [{"request": {"method": "GET", "url": "http://a/", "headers": []},'
        b'"response": {"status": 200, "content": {"text": "\\ud83d"}}},'
        b'{"request": {"method": "GET", "url": "http://a/\\ud83d", "headers": []},'
        b'"response": {"status": 200}}]}}'
    )
    log = ProblemLog()
    assert len(list(read_har(path, problems=log))) == 1
    assert "surrogates not allowed" in log.kept[0].reason


def test_a_byte_order_mark_is_allowed(entry: Entry, write_har: WriteHar) -> None:
    path = write_har(entry())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(list(read_har(path))) == 1


def test_a_file_of_countless_values_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "x.har"
    path.write_bytes(b'{"log": {"entries": [' + b"[]," * 1000 + b"0]}}")
    with pytest.raises(CorpusError, match=r"x\.har holds more than 1999 JSON values"):
        list(read_har(path, limits=ReadLimits(har_values=1999)))


def test_a_gzip_bomb_stops_at_the_cap(entry: Entry, write_har: WriteHar) -> None:
    path = write_har(entry(postData={"text": "0" * 5_000_000}), name="bomb.har.gz")
    assert path.stat().st_size < 10_000
    with pytest.raises(CorpusError, match=r"bomb.* more than 1000000 bytes after decompression"):
        list(read_har(path, limits=ReadLimits(har_bytes=1_000_000)))
