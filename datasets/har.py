"""HTTP Archive files (HAR 1.2) as exchanges: a file is one session.

What a recorder changed is changed back as far as the file allows: URLs become targets, HTTP/2
pseudo-headers a Host header, base64 and parameter lists bodies. Percent-encoding is never touched.
Header values and body texts are UTF-8, as browsers and recorders write them, unless ``postData``
names another ``encoding``. Response bodies are not kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson
from cnaf.datasets import wire
from cnaf.datasets.files import ReadLimits, read_whole
from cnaf.datasets.problems import FileTally
from cnaf.datasets.wire import BrokenError, SkippedError, as_dict, as_list, as_str
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnaf.datasets.problems import ProblemLog
    from cnaf.models.exchange import Headers

__all__ = ["har_session", "read_har"]

_HTTP_URL = re.compile(r"(?i)https?://([^/?#]*)([^#]*)")
#: What recorders write; anything else, such as nothing, is taken as HTTP/1.1.
_VERSIONS = {
    "http/1.0": "1.0",
    "h2": "2",
    "http/2": "2",
    "http/2.0": "2",
    "h3": "3",
    "http/3": "3",
    "http/3.0": "3",
}
_BOUNDARY = re.compile(r'(?i)boundary="?([^";,\s]{1,200})')
_LATIN_1 = frozenset(("latin-1", "latin1", "iso-8859-1", "iso8859-1"))


def har_session(path: Path) -> str:
    """Return the session id of a HAR file: its name without ``.har`` or ``.har.gz``."""
    # A name on disk may be any bytes; an id is text.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    return name.removesuffix(".gz").removesuffix(".har") or name


def read_har(
    path: Path,
    *,
    session: str | None = None,
    limits: ReadLimits | None = None,
    problems: ProblemLog | None = None,
) -> Iterator[Exchange]:
    """Yield the exchanges of a HAR file, plain or gzip, in recorded order.

    Parameters
    ----------
    session:
        Session id, instead of the one that the file name gives. Exchange ids are this and the
        number of the entry, from 1.
    problems:
        Counts what gave no exchange. Without it the first broken entry raises; entries that were
        never on the wire (blocked, cached, WebSocket) are passed over in either case.

    Raises CorpusError where the file is unreadable or no HAR, or more than half of it is broken.
    """
    session = har_session(path) if session is None else session
    entries = _entries(path, limits or ReadLimits())
    tally = FileTally(path, "entry", problems)
    for number, entry in enumerate(entries, 1):
        try:
            exchange = _exchange(entry, session, number)
        except BrokenError as error:
            tally.broken(number, str(error))
        except SkippedError as error:
            tally.skipped(number, str(error))
        else:
            tally.good()
            yield exchange
    tally.judge()


def _entries(path: Path, limits: ReadLimits) -> list[object]:
    raw = read_whole(path, limits.har_bytes)
    if sum(map(raw.count, (b",", b"[", b"{"))) > limits.har_values:
        raise CorpusError(
            f"{path} holds more than {limits.har_values} JSON values",
            hint="split it into smaller files, or save it without response bodies",
        )
    try:
        document = _parse(raw)
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{path} is not JSON: {error}", hint="expected a HAR file; export the recording again"
        ) from None
    try:
        return as_list(
            as_dict(as_dict(document, "document").get("log"), "log").get("entries"), "log.entries"
        )
    except BrokenError as error:
        raise CorpusError(
            f"{path} is JSON but no HAR: {error}",
            hint="a HAR file is an object with log.entries; JSONL captures end in .jsonl",
        ) from None


def _parse(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # JavaScript writes half of a cut surrogate pair as an escape, mostly in a response body
        # that nobody reads; orjson refuses the whole file for it, the standard library does not.
        if "surrogate" not in str(error) or b"\\u" not in raw:
            raise
    return json.loads(raw, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _exchange(value: object, session: str, number: int) -> Exchange:
    entry = as_dict(value, "entry")
    recorded = as_dict(entry.get("request"), "request")
    url = as_str(recorded.get("url"), "request.url")
    _check_on_wire(entry, url)
    match = _HTTP_URL.match(url)
    if match is None:
        raise BrokenError(f"request.url {url[:80]!r} is no URL")
    path = match[2] if match[2].startswith("/") else "/" + match[2]
    body, body_size = _body(recorded)
    return Exchange(
        id=f"{session}#{number:04d}",
        session=session,
        label=_label(entry),
        request=Request(
            method=wire.method(recorded.get("method")),
            target=wire.target(wire.encode(path, "request.url")),
            headers=_request_headers(recorded, match[1].rpartition("@")[2]),
            body=body,
            body_size=body_size,
            version=_version(recorded),
        ),
        response=_response(as_dict(entry.get("response"), "response")),
        meta=_meta(entry),
    )


def _check_on_wire(entry: dict[str, object], url: str) -> None:
    """Raise SkippedError for entries that no HTTP server has answered."""
    scheme = url[:40].partition(":")[0].lower()
    if scheme in ("ws", "wss") or entry.get("_resourceType") == "websocket":
        raise SkippedError("a WebSocket")
    if scheme in ("data", "blob", "about", "file", "chrome", "chrome-extension", "moz-extension"):
        raise SkippedError(f"a {scheme} URL, never on the network")
    if entry.get("_fromCache") is not None:
        raise SkippedError("answered from the browser's cache")
    response = entry.get("response")
    # Browsers write status 0 (or -1) for requests that were blocked, aborted or not answered.
    if response is None or as_dict(response, "response").get("status") in (None, 0, -1):
        raise SkippedError("no response: blocked, aborted or failed")


def _label(entry: dict[str, object]) -> Label:
    value = entry.get("_label", Label.BENIGN.value)
    try:
        return Label(as_str(value, "_label"))
    except ValueError:
        raise BrokenError(f"_label {str(value)[:40]!r} is neither benign nor attack") from None


def _version(recorded: dict[str, object]) -> str:
    return _VERSIONS.get(str(recorded.get("httpVersion")).lower(), "1.1")


def _meta(entry: dict[str, object]) -> dict[str, object]:
    tag = entry.get("_tag")
    return {"tag": tag} if isinstance(tag, str) and wire.encode(tag, "_tag") else {}


def _pairs(value: object, what: str) -> list[tuple[str, str]]:
    pairs = []
    for item in as_list(value, what):
        entry = as_dict(item, f"an item of {what}")
        name = as_str(entry.get("name"), f"a name in {what}")
        pairs.append((name, as_str(entry.get("value"), f"a value in {what}")))
    return pairs


def _request_headers(recorded: dict[str, object], host: str) -> Headers:
    pairs = _pairs(recorded.get("headers"), "request.headers")
    pseudo = {name.lower(): value for name, value in pairs if name.startswith(":")}
    plain = [pair for pair in pairs if not pair[0].startswith(":")]
    if not any(name.lower() == "host" for name, _ in plain):
        # Recorders leave out what HTTP/1.1 demands and HTTP/2 says in :authority.
        plain.insert(0, ("host", pseudo.get(":authority", host)))
    return wire.headers(plain)


def _response(recorded: dict[str, object]) -> Response:
    # Chromium joins the values of repeated response headers (Set-Cookie) with line feeds.
    pairs = [
        (name, part)
        for name, value in _pairs(recorded.get("headers") or [], "response.headers")
        if not name.startswith(":")
        for part in value.split("\n")
    ]
    return Response(wire.status(recorded.get("status")), wire.headers(pairs))


def _body(recorded: dict[str, object]) -> tuple[bytes, int]:
    """Return the body and its size on the wire, which is larger where the recorder cut it."""
    if recorded.get("postData") is None:
        body = b""
    else:
        post = as_dict(recorded["postData"], "postData")
        if post.get("text") is None and post.get("params"):
            rebuilt = _from_params(post)
            return rebuilt, len(rebuilt)
        body = _from_text(post)
    size = recorded.get("bodySize")
    return body, max(len(body), size) if type(size) is int else len(body)


def _from_text(post: dict[str, object]) -> bytes:
    text = as_str(post.get("text") or "", "postData.text")
    encoding = str(post.get("encoding") or "utf-8").lower()
    if encoding == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BrokenError(f"postData.text is not base64: {error}") from None
    if encoding in _LATIN_1:
        return wire.encode(text, "postData.text", "latin-1")
    if encoding not in ("utf-8", "utf8"):
        raise BrokenError(f"postData.encoding {encoding[:40]!r} is not base64, utf-8 or latin-1")
    return wire.encode(text, "postData.text")


def _from_params(post: dict[str, object]) -> bytes:
    """Rebuild a form from its parameters, as a browser sends it."""
    params = [as_dict(item, "a parameter") for item in as_list(post["params"], "postData.params")]
    mime = str(post.get("mimeType") or "")
    if not mime.lower().startswith("multipart/"):
        pairs = [(_text(item, "name"), _text(item, "value")) for item in params]
        return wire.encode(urlencode(pairs, errors="surrogatepass"), "postData.params")
    boundary = _BOUNDARY.search(mime)
    if boundary is None:
        raise BrokenError("postData is multipart without a boundary")
    parts = [
        f"--{boundary[1]}\r\n{_part_head(item)}\r\n\r\n{_text(item, 'value')}" for item in params
    ]
    return wire.encode("\r\n".join([*parts, f"--{boundary[1]}--\r\n"]), "postData.params")


def _part_head(item: dict[str, object]) -> str:
    head = f'Content-Disposition: form-data; name="{_quoted(_text(item, "name"))}"'
    if item.get("fileName") is not None:
        head += f'; filename="{_quoted(_text(item, "fileName"))}"'
    if item.get("contentType"):
        head += f"\r\nContent-Type: {_quoted(_text(item, 'contentType'))}"
    return head


def _quoted(text: str) -> str:
    """Escape as browsers do (HTML standard, multipart/form-data encoding algorithm)."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _text(item: dict[str, object], key: str) -> str:
    return as_str(item.get(key) or "", f"parameter {key}")
