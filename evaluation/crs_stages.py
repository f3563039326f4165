"""The regression tests of the Core Rule Set as requests with what must and must not fire.

The schema is that of go-ftw: a YAML file a rule, of tests, of stages. A stage is taken as the rule
engine behind a web server would get it: what go-ftw adds (length, content type, form encoding) is
added, chunks are joined, and a body ends where its length says. No socket is opened.

Left out is only what an engine alone cannot answer, each stage with its reason.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from cnaf.datasets.wire import BrokenError, as_dict, as_list, as_str, encode
from cnaf.evaluation.packed import read_folder
from cnaf.evaluation.payloads import load_yaml
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NEEDS_ANSWER", "NEEDS_SERVER", "Stage", "read_stages"]

NEEDS_ANSWER = "needs an answer of the application"
NEEDS_SERVER = "expects a web server to refuse a broken message (status 400)"

_FORM = "application/x-www-form-urlencoded"
#: Methods that go-ftw gives a length even without a body.
_WITH_BODY = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")
#: Of one stage; the longest of the rule set has 64 KB.
_MAX_BODY = 16 << 20


@dataclass(frozen=True, slots=True)
class Stage:
    """A request and what is expected of an engine, or the reason why it is left out.

    ``name`` is test and stage (``920100-4``, ``934120-43.2``), ``file`` the folder's name, which is
    that of the rule file.
    """

    name: str
    file: str
    request: Request
    expected: frozenset[int] = frozenset()
    unexpected: frozenset[int] = frozenset()
    logged: str = ""
    not_logged: str = ""
    left_out: str = ""

    def holds(self, ids: frozenset[int], log: str) -> bool:
        """Whether rules that fired and their log lines are as expected.

        Case does not count in lines: a proxy hands on the names of headers in lower case.
        """
        return (
            self.expected <= ids
            and not self.unexpected & ids
            and (not self.logged or re.search(self.logged, log, re.IGNORECASE) is not None)
            and (not self.not_logged or re.search(self.not_logged, log, re.IGNORECASE) is None)
        )

    @property
    def reads_log(self) -> bool:
        """Whether log lines decide."""
        return bool(self.logged or self.not_logged)


def read_stages(path: Path) -> tuple[Stage, ...]:
    """Read all stages of a folder or tar archive, plain or .xz.

    Raises CorpusError for another format.
    """
    found: list[Stage] = []
    for name, raw in read_folder(path, (".yaml", ".yml")):
        try:
            found += _file(name, load_yaml(raw))
        except (BrokenError, re.error) as error:
            raise CorpusError(
                f"{path}: {name} is no test of the Core Rule Set: {error}",
                hint="expected YAML with tests, stages, input and output",
            ) from None
    return tuple(found)


def _file(name: str, document: object) -> Iterator[Stage]:
    if document is None:  # a file that is all comments
        return
    folder, _, file = name.rpartition("/")
    rule = file.partition(".")[0]
    for item in as_list(as_dict(document, "document").get("tests"), "tests"):
        test = as_dict(item, "a test")
        stages = as_list(test.get("stages"), "stages")
        for number, outer in enumerate(stages, start=1):
            stage = as_dict(outer, "a stage")
            # Older files have one more level.
            stage = as_dict(stage.get("stage", stage), "a stage")
            suffix = f".{number}" if len(stages) > 1 else ""
            yield _stage(f"{rule}-{test.get('test_id')}{suffix}", folder, stage)


def _stage(name: str, folder: str, stage: dict[str, object]) -> Stage:
    sent = as_dict(stage.get("input"), "input")
    output = as_dict(stage.get("output"), "output")
    log = as_dict(output.get("log") or {}, "output.log")
    logged = as_str(log.get("match_regex") or "", "match_regex")
    not_logged = as_str(log.get("no_match_regex") or "", "no_match_regex")
    for pattern in (logged, not_logged):
        re.compile(pattern)
    left_out = ""
    if folder.rpartition("/")[2].startswith("RESPONSE-"):
        left_out = NEEDS_ANSWER
    elif output.get("status") == 400:
        left_out = NEEDS_SERVER
    return Stage(
        name, folder, _request(sent), _ids(log, "expect_ids"), _ids(log, "no_expect_ids"),
        logged, not_logged, left_out,
    )  # fmt: skip


def _ids(log: dict[str, object], key: str) -> frozenset[int]:
    found = as_list(log.get(key) or [], key)
    if not all(type(number) is int for number in found):
        raise BrokenError(f"{key} holds something that is no number")
    return frozenset(number for number in found if isinstance(number, int))


def _request(sent: dict[str, object]) -> Request:
    if "encoded_request" in sent:
        try:
            raw = base64.b64decode(as_str(sent["encoded_request"], "encoded_request"))
        except binascii.Error as error:
            raise BrokenError(f"encoded_request is not base64: {error}") from None
        return _raw(raw)
    method = as_str(sent.get("method") or "GET", "method")
    headers = {
        encode(str(name), "a header"): encode(str(value), "a header").strip(b" \t")
        for name, value in as_dict(sent.get("headers") or {}, "headers").items()
    }
    body = encode(as_str(sent.get("data") or "", "data"), "data")
    if sent.get("autocomplete_headers", True):
        headers, body = _completed(method, headers, body)
    elif _value(headers, b"content-type").startswith(b"multipart/form-data;"):
        body = body.replace(b"\n", b"\r\n")
    target = encode(as_str(sent.get("uri") or "/", "uri"), "uri")
    version = as_str(sent.get("version", "HTTP/1.1") or "", "version")
    return _received(method, target, version, tuple(headers.items()), body)


def _completed(
    method: str, headers: dict[bytes, bytes], body: bytes
) -> tuple[dict[bytes, bytes], bytes]:
    """Return headers and body with what go-ftw adds where the test does not forbid it."""
    headers = dict(headers)
    if body:
        if not _value(headers, b"content-type"):
            headers[b"Content-Type"] = _FORM.encode()
        if _value(headers, b"content-type") == _FORM.encode() and not set(b"%+") & set(body):
            body = _as_form(body)
    if _value(headers, b"content-type").startswith(b"multipart/form-data;"):
        body = body.replace(b"\n", b"\r\n")
    if not _value(headers, b"connection"):
        headers[b"Connection"] = b"close"
    if (body or method in _WITH_BODY) and not _value(headers, b"content-length"):
        headers[b"Content-Length"] = str(len(body)).encode()
    return headers, body


def _as_form(body: bytes) -> bytes:
    """Return pairs that were written plainly, encoded."""
    pairs = [pair.split(b"=", 1) for pair in body.split(b"&")]
    return b"&".join(
        b"=".join(quote_from_bytes(part, safe=" ").replace(" ", "+").encode() for part in pair)
        for pair in pairs
    )


def _raw(raw: bytes) -> Request:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    words = line.split(b" ")
    if len(words) < 3:
        raise BrokenError("encoded_request has no request line")
    pairs = (line.partition(b":") for line in lines)
    headers = tuple((name, value.strip(b" \t")) for name, _, value in pairs)
    method, version = words[0].decode("latin-1"), words[-1].decode("latin-1")
    return _received(method, b" ".join(words[1:-1]), version, headers, body)


def _received(
    method: str, target: bytes, version: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes
) -> Request:
    """Return the request as a web server hands it on."""
    if len(body) > _MAX_BODY:
        raise BrokenError(f"a body has more than {_MAX_BODY} bytes")
    lower = tuple((name.lower(), value) for name, value in headers)
    named = dict(reversed(lower))
    if named.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = _joined(body)
    elif b"content-length" not in named:
        body = b""  # RFC 9112, 6.3: no length, no body
    elif named[b"content-length"].isdigit():
        body = body[: int(named[b"content-length"])]
    # A request line without a version is one of HTTP/0.9 (RFC 1945, 5).
    number = version.removeprefix("HTTP/") or "0.9"
    return Request(method, target, lower, body, len(body), number)


def _joined(body: bytes) -> bytes:
    """Return the content of chunks, up to the first that is none."""
    found = []
    at = 0
    while (size := _CHUNK.match(body, at)) and int(size[1], 16):
        end = size.end() + int(size[1], 16)
        found.append(body[size.end() : end])
        at = end + len(b"\r\n" if body[end : end + 2] == b"\r\n" else b"\n")
    return b"".join(found)


def _value(headers: dict[bytes, bytes], name: bytes) -> bytes:
    return next((value for key, value in headers.items() if key.lower() == name), b"")
