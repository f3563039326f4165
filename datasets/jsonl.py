"""The exchange format of CNAF: JSON lines, one exchange a line.

A line is an object with these keys, and no others (``?`` marks optional ones)::

    id        string, unique in the corpus
    session   string, groups what a split must not separate
    label     "benign" or "attack"
    request   method      string
              target      text: path and query as on the wire
              headers     array of [name, value], both text, in wire order
              version?    "1.1" (default), "1.0", "2" or "3"
              body?       string, sent as UTF-8, or
              body_base64? string
              body_size?  integer, where the body is only a prefix of what was sent
    response? status      100 to 599
              headers?    as above
    meta?     object, the tags of whoever recorded it

Text is a string, sent as UTF-8, or ``{"base64": string}`` where the bytes are not UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import orjson
from cnaf.datasets import wire
from cnaf.datasets.files import ReadLimits, read_lines, wrap_os_error
from cnaf.datasets.problems import FileTally
from cnaf.datasets.wire import BrokenError, as_dict, as_list, as_str
from cnaf.models.exchange import Exchange, Label, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set

    from cnaf.datasets.problems import ProblemLog
    from cnaf.models.exchange import Headers

__all__ = ["decode_exchange", "encode_exchange", "read_jsonl", "write_jsonl"]

_NAME_CAP = 512
_VERSIONS = frozenset(("1.0", "1.1", "2", "3"))
_KEYS = frozenset(("id", "session", "label", "request", "response", "meta"))
_REQUEST_KEYS = frozenset(
    ("method", "target", "headers", "version", "body", "body_base64", "body_size")
)
_RESPONSE_KEYS = frozenset(("status", "headers"))


def read_jsonl(
    path: Path, *, limits: ReadLimits | None = None, problems: ProblemLog | None = None
) -> Iterator[Exchange]:
    """Yield the exchanges of a JSONL file, plain or gzip; one line is in memory at a time.

    Without ``problems`` the first broken line raises CorpusError with its number; with it, broken
    lines are counted there and passed over, until more than half of the file is broken.
    """
    limits = limits or ReadLimits()
    tally = FileTally(path, "line", problems)
    for number, line in read_lines(path, limits):
        if line is not None and not line.strip():
            continue
        try:
            if line is None:
                raise BrokenError(f"longer than {limits.line_bytes} bytes")
            exchange = decode_exchange(line)
        except BrokenError as error:
            tally.broken(number, str(error))
        else:
            tally.good()
            yield exchange
    tally.judge()


def write_jsonl(path: Path, exchanges: Iterable[Exchange]) -> int:
    """Write exchanges, through gzip where the name ends in ``.gz``; return how many.

    The file appears complete or not at all. Equal exchanges give equal bytes. Raises CorpusError
    where it cannot be written (disk full, permissions).
    """
    count = 0
    with wrap_os_error(path, "written"):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                packed = path.name.endswith(".gz")
                stream = _packed(file) if packed else file
                for exchange in exchanges:
                    stream.write(encode_exchange(exchange) + b"\n")
                    count += 1
                if packed:
                    stream.close()
            # mkstemp makes private files; a corpus is shared like any file that a user writes.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return count


def _packed(file: IO[bytes]) -> IO[bytes]:
    # No name and no time in the header, so that equal content is equal bytes.
    return cast("IO[bytes]", gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))


def encode_exchange(exchange: Exchange) -> bytes:
    """Return the line of an exchange, without its end."""
    request = exchange.request
    sent: dict[str, object] = {
        "method": request.method,
        "target": _text(request.target),
        "version": request.version,
        "headers": _encode_headers(request.headers),
    }
    if request.body:
        sent.update(_encode_body(request.body))
    if request.body_size > len(request.body):
        sent["body_size"] = request.body_size
    line: dict[str, object] = {
        "id": exchange.id,
        "session": exchange.session,
        "label": exchange.label.value,
        "request": sent,
    }
    if exchange.response is not None:
        line["response"] = {
            "status": exchange.response.status,
            "headers": _encode_headers(exchange.response.headers),
        }
    if exchange.meta:
        line["meta"] = dict(exchange.meta)
    return orjson.dumps(line)


def decode_exchange(line: bytes) -> Exchange:
    """Return the exchange of one line; raises BrokenError with the reason."""
    try:
        record = as_dict(orjson.loads(line), "line")
    except orjson.JSONDecodeError as error:
        raise BrokenError(f"not JSON: {error}") from None
    _check_keys(record, _KEYS, "")
    response = record.get("response")
    return Exchange(
        id=_name(record.get("id"), "id"),
        session=_name(record.get("session"), "session"),
        label=_label(record.get("label")),
        request=_request(as_dict(record.get("request"), "request")),
        response=None if response is None else _response(as_dict(response, "response")),
        meta=as_dict(record.get("meta", {}), "meta"),
    )


def _request(record: dict[str, object]) -> Request:
    _check_keys(record, _REQUEST_KEYS, "request.")
    body = _body(record)
    size = record.get("body_size", len(body))
    if type(size) is not int or size < len(body):
        raise BrokenError("request.body_size is not an integer of at least the body's length")
    version = as_str(record.get("version", "1.1"), "request.version")
    if version not in _VERSIONS:
        raise BrokenError(f"request.version {version[:20]!r} is not one of 1.0, 1.1, 2 and 3")
    return Request(
        method=wire.method(record.get("method")),
        target=wire.target(_bytes(record.get("target"), "request.target")),
        headers=_headers(record.get("headers"), "request.headers"),
        body=body,
        body_size=size,
        version=version,
    )


def _response(record: dict[str, object]) -> Response:
    _check_keys(record, _RESPONSE_KEYS, "response.")
    return Response(
        wire.status(record.get("status")), _headers(record.get("headers", []), "response.headers")
    )


def _body(record: dict[str, object]) -> bytes:
    if "body" in record and "body_base64" in record:
        raise BrokenError("request has both body and body_base64")
    if record.get("body_base64") is not None:
        return _from_base64(record["body_base64"], "request.body_base64")
    text = record.get("body")
    return b"" if text is None else wire.encode(as_str(text, "request.body"), "request.body")


def _headers(value: object, what: str) -> Headers:
    pairs = [as_list(item, f"an item of {what}") for item in as_list(value, what)]
    if any(len(pair) != 2 for pair in pairs):
        raise BrokenError(f"an item of {what} is not [name, value]")
    if all(isinstance(text, str) for pair in pairs for text in pair):
        return wire.headers(cast("list[tuple[str, str]]", pairs))
    return tuple(wire.header(_bytes(n, "header name"), _bytes(v, "header value")) for n, v in pairs)


def _bytes(value: object, what: str) -> bytes:
    if isinstance(value, dict) and set(value) == {"base64"}:
        return _from_base64(value["base64"], what)
    return wire.encode(as_str(value, what), what)


def _from_base64(value: object, what: str) -> bytes:
    try:
        return base64.b64decode(as_str(value, what), validate=True)
    except BrokenError:
        raise
    except (binascii.Error, ValueError) as error:
        raise BrokenError(f"{what} is not base64: {error}") from None


def _name(value: object, what: str) -> str:
    text = as_str(value, what)
    if not 0 < len(text) <= _NAME_CAP:
        raise BrokenError(f"{what} has {len(text)} characters, expected 1 to {_NAME_CAP}")
    return text


def _label(value: object) -> Label:
    if value not in ("benign", "attack"):
        raise BrokenError(f"label {str(value)[:40]!r} is neither benign nor attack")
    return Label(value)


def _check_keys(record: dict[str, object], known: Set[str], prefix: str) -> None:
    unknown = record.keys() - known
    if unknown:
        raise BrokenError(f"unknown key {prefix}{min(unknown)[:40]}")


def _encode_headers(headers: Headers) -> list[list[object]]:
    return [[_text(name), _text(value)] for name, value in headers]


def _text(raw: bytes) -> object:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _encode_body(body: bytes) -> dict[str, object]:
    text = _text(body)
    if isinstance(text, str):
        return {"body": text}
    return {"body_base64": base64.b64encode(body).decode()}
