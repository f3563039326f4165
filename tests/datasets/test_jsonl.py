from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from cnaf.datasets.files import ReadLimits
from cnaf.datasets.jsonl import decode_exchange, encode_exchange, read_jsonl, write_jsonl
from cnaf.datasets.problems import ProblemLog
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Request, Response
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Line = Callable[..., dict[str, object]]
    WriteLines = Callable[..., Path]

token = st.text("abcdefghijklmnopqrstuvwxyz0123456789-!#", min_size=1, max_size=12)
value = st.binary(max_size=40).map(lambda b: b.translate(None, b"\0\r\n"))
headers = st.lists(st.tuples(token.map(str.encode), value), max_size=5).map(tuple)
target = st.binary(max_size=40).map(lambda b: b"/" + b.translate(None, bytes(range(33)) + b"\x7f"))
name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
requests = st.builds(
    lambda m, t, h, b, cut, v: Request(m, t, h, b, len(b) + cut, v),
    token.map(str.upper),
    target,
    headers,
    st.binary(max_size=80),
    st.integers(0, 5),
    st.sampled_from(["1.0", "1.1", "2", "3"]),
)
exchanges = st.builds(
    Exchange,
    name,
    name,
    st.sampled_from(Label),
    requests,
    st.none() | st.builds(Response, st.integers(100, 599), headers),
    st.dictionaries(name, st.none() | st.booleans() | name, max_size=3),
)


@given(exchanges)
def test_any_exchange_survives_the_round_trip(exchange: Exchange) -> None:
    line = encode_exchange(exchange)
    assert b"\n" not in line
    assert decode_exchange(line) == exchange


def test_every_key_of_the_format(line: Line, write_lines: WriteLines) -> None:
    record = line(
        {"label": "attack", "response": {"status": 403}, "meta": {"class": "sqli"}},
        method="POST",
        target="/?q=\u0131",
        version="2",
        headers=[["Cookie", "\u0131"], ["X", {"base64": "/w=="}]],
        body_base64="AP8=",
        body_size=9,
    )
    (exchange,) = read_jsonl(write_lines(record))
    request = Request(
        "POST",
        "/?q=\u0131".encode(),
        ((b"cookie", "\u0131".encode()), (b"x", b"\xff")),
        b"\0\xff",
        9,
        "2",
    )
    assert exchange == Exchange("1", "s", Label.ATTACK, request, Response(403), {"class": "sqli"})


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_writing_is_complete_and_deterministic(
    name: str, tmp_path: Path, make_exchange: Callable[..., Exchange]
) -> None:
    made = [make_exchange(str(i)) for i in range(3)]
    path = tmp_path / name
    assert write_jsonl(path, made) == 3
    first = path.read_bytes()
    assert first.startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert list(read_jsonl(path)) == made
    write_jsonl(path, read_jsonl(path))
    assert path.read_bytes() == first


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, make_exchange: Callable[..., Exchange]
) -> None:
    path = tmp_path / "out.jsonl"
    write_jsonl(path, [make_exchange()])
    before = path.read_bytes()

    def failing() -> Iterator[Exchange]:
        yield make_exchange("b")
        raise OSError(28, "No space left on device")

    with pytest.raises(CorpusError, match="cannot be written: No space left on device"):
        write_jsonl(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"gone/out\.jsonl cannot be written"):
        write_jsonl(tmp_path / "gone" / "out.jsonl", [])


BROKEN: dict[str, tuple[object, str]] = {
    "not JSON": (b"GET / HTTP/1.1", "not JSON"),
    "cut short": (b'{"id": "1"', "not JSON"),
    "NaN": (b'{"id": NaN}', "not JSON"),
    "invalid UTF-8": (b'{"id": "\xff"}', "not JSON"),
    "a lone surrogate": (b'{"id": "\\ud800"}', "not JSON"),
    "deep JSON": (b"[" * 100_000, "not JSON"),
    "deep JSON in meta": (b'{"meta": ' + b'{"a":' * 100_000, "not JSON"),
    "an array": (b"[]", "line is of type list, expected an object"),
    "an unknown key": ({"lable": "benign"}, "unknown key lable"),
    "id a number": ({"id": 7}, "id is of type int, expected a string"),
    "id empty": ({"id": ""}, "id has 0 characters"),
    "id endless": ({"id": "x" * 600}, "id has 600 characters"),
    "session missing": ({"session": None}, "session is missing"),
    "label unknown": ({"label": "evil"}, "label 'evil' is neither benign nor attack"),
    "label an array": ({"label": []}, "is neither benign nor attack"),
    "request a string": ({"request": "GET /"}, "request is of type str"),
    "response an array": ({"response": []}, "response is of type list"),
    "status a string": ({"response": {"status": "200"}}, "status '200' is not a number"),
    "status 700": ({"response": {"status": 700}}, "status '700' is not a number"),
    "response with a body": ({"response": {"status": 200, "body": ""}}, "response.body"),
    "meta a string": ({"meta": "x"}, "meta is of type str"),
}
BROKEN_REQUESTS: dict[str, tuple[dict[str, object], str]] = {
    "unknown key": ({"path": "/"}, "unknown key request.path"),
    "method null": ({"method": None}, "method is missing"),
    "method with a line end": ({"method": "GET\n"}, "is not a token"),
    "target empty": ({"target": ""}, "target is empty"),
    "target with a line end": ({"target": "/ HTTP/1.1\r\nX: y"}, "space or control character"),
    "version an array": ({"version": []}, "request.version is of type list"),
    "version unknown": ({"version": "9"}, "'9' is not one of"),
    "headers an object": ({"headers": {"a": "b"}}, "request.headers is of type dict"),
    "a header of three": ({"headers": [["a", "b", "c"]]}, "is not [name, value]"),
    "a header value null": ({"headers": [["a", None]]}, "header value is missing"),
    "a header with a line end": ({"headers": [["a", "b\nc: d"]]}, "header a holds a line end"),
    "a header with NUL": ({"headers": [["a", {"base64": "AA=="}]]}, "line end or NUL"),
    "a header name empty": ({"headers": [["", "b"]]}, "is not a token"),
    "two bodies": ({"body": "", "body_base64": ""}, "both body and body_base64"),
    "base64 that is none": ({"body_base64": "a"}, "request.body_base64 is not base64"),
    "base64 not ASCII": ({"body_base64": "ä"}, "request.body_base64 is not base64"),
    "body a number": ({"body": 1}, "request.body is of type int"),
    "body_size below the body": ({"body": "ab", "body_size": 1}, "request.body_size"),
    "body_size true": ({"body_size": True}, "request.body_size"),
}


def check_broken(broken: object, reason: str, line: Line, write_lines: WriteLines) -> None:
    good = line()
    path = write_lines(good, b"", broken, good)
    with pytest.raises(CorpusError, match=r"capture\.jsonl, line 3: ") as caught:
        list(read_jsonl(path))
    assert reason in str(caught.value)
    log = ProblemLog()
    assert len(list(read_jsonl(path, problems=log))) == 2
    assert (log.broken, log.kept[0].where) == (1, "line 3")


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_line_is_named(case: str, line: Line, write_lines: WriteLines) -> None:
    broken, reason = BROKEN[case]
    check_broken(line(broken) if isinstance(broken, dict) else broken, reason, line, write_lines)


@pytest.mark.parametrize("case", BROKEN_REQUESTS)
def test_a_broken_request_is_named(case: str, line: Line, write_lines: WriteLines) -> None:
    change, reason = BROKEN_REQUESTS[case]
    check_broken(line(**change), reason, line, write_lines)


def test_a_huge_line_is_passed_over_unread(line: Line, write_lines: WriteLines) -> None:
    huge = line(body="x" * 3_000_000)
    check_limits = ReadLimits(line_bytes=1000)
    path = write_lines(line({"id": "1"}), huge, line({"id": "2"}))
    log = ProblemLog()
    assert [e.id for e in read_jsonl(path, limits=check_limits, problems=log)] == ["1", "2"]
    assert log.kept[0].reason == "longer than 1000 bytes"


def test_a_line_of_just_the_cap_is_read(line: Line, write_lines: WriteLines) -> None:
    path = write_lines(line())
    size = path.stat().st_size - 1
    assert len(list(read_jsonl(path, limits=ReadLimits(line_bytes=size)))) == 1
    with pytest.raises(CorpusError, match=f"longer than {size - 1} bytes"):
        list(read_jsonl(path, limits=ReadLimits(line_bytes=size - 1)))


@pytest.mark.parametrize("content", [b"x" * 5_000_000, b"\n" * 5_000_000])
def test_a_gzip_bomb_stops_at_the_cap(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    limits = ReadLimits(jsonl_bytes=1_000_000, line_bytes=10_000)
    with pytest.raises(CorpusError, match=r"bomb\.jsonl\.gz holds more than 1000000 bytes"):
        list(read_jsonl(path, limits=limits, problems=ProblemLog()))


def test_a_file_of_nonsense_fails_early(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"nonsense\n" * 10_000)
    with pytest.raises(CorpusError, match="1000 of 1000 records are broken; the first is line 1"):
        list(read_jsonl(path, problems=ProblemLog()))


def test_reading_streams(line: Line, tmp_path: Path) -> None:
    """50,000 lines, 40 MB: the first comes at once, and a pass holds one line at a time."""
    path = tmp_path / "large.jsonl"
    record = line(body="x" * 700)
    with path.open("wb") as file:
        for number in range(50_000):
            file.write(orjson.dumps(record | {"id": str(number)}) + b"\n")
        file.write(b"broken\n")
    # A lazy reader gives the first exchange long before it meets the broken last line.
    assert next(read_jsonl(path)).id == "0"
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_jsonl(path, problems=ProblemLog()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 50_000
    assert peak < 4_000_000


def test_equal_but_for_the_body_is_not_equal(make_exchange: Callable[..., Exchange]) -> None:
    exchange = make_exchange()
    other = replace(exchange, request=replace(exchange.request, body=b"\0", body_size=1))
    assert encode_exchange(exchange) != encode_exchange(other)
