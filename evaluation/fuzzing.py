"""Requests without end for holding two rule engines against each other, the same for the same seed.

Three kinds, by the number of the request: one of a corpus as it is or mutated; a corpus request
with an attack string in one of its fields, where :mod:`cnaf.evaluation.carriers` finds any; and a
new request with the string in a place that corpora rarely have (names of parameters, JSON keys, XML
attributes, file names, cookies, headers). Corpora are as likely as each other, whatever their size.
"""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes
from xml.sax.saxutils import escape, quoteattr

from cnaf.evaluation.carriers import places, write
from cnaf.evaluation.request_mutations import mutate_request, with_header
from cnaf.models.exchange import Headers, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnaf.evaluation.fuzz_seeds import Seeds

__all__ = ["Fuzzer"]

_HEADERS: Headers = (
    (b"host", b"shop.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8"),
)
_CARRIERS = (b"user-agent", b"referer", b"x-forwarded-for", b"accept", b"host", b"x-api-version",
             b"content-type", b"authorization", b"origin", b"range",
             b"x-requested-with")  # fmt: skip
_NAMES = (
    "id",
    "q",
    "name",
    "page",
    "file",
    "cmd",
    "url",
    "user[name]",
    "a.b",
    "json.data",
    "data",
    "x",
)
#: How many changes, so often: most requests are close to what somebody sent.
_ROUNDS = (0, 0, 0, 1, 1, 1, 2, 2, 3, 5)
#: A longer string is cut: engines differ at their limits, which have tests of their own.
_PAYLOAD = 8_192


class Fuzzer:
    """Makes request number ``n`` of a seed; requests do not depend on each other."""

    def __init__(self, seeds: Seeds, seed: int = 0) -> None:
        self._requests = [seeds.requests[name] for name in sorted(seeds.requests)]
        self._payloads = [seeds.payloads[name] for name in sorted(seeds.payloads)]
        self._seed = seed

    def request(self, number: int) -> Request:
        """Return one request."""
        draw = Random(f"{self._seed}:{number}")  # noqa: S311 - repeatable, not secret
        kind = number % 3
        if kind == 0:
            request = self._corpus_request(draw)
        elif kind == 1:
            request = self._injected(draw)
        else:
            request = draw.choice(_PLACES)(self._payload(draw), draw)
        return mutate_request(request, draw, draw.choice(_ROUNDS))

    def _corpus_request(self, draw: Random) -> Request:
        return draw.choice(draw.choice(self._requests))

    def _payload(self, draw: Random) -> bytes:
        return draw.choice(draw.choice(self._payloads))[:_PAYLOAD]

    def _injected(self, draw: Random) -> Request:
        request, payload = self._corpus_request(draw), self._payload(draw)
        found = list(places(request))
        if not found:
            return draw.choice(_PLACES)(payload, draw)
        try:
            return write(request, draw.choice(found), payload, append=draw.random() < 0.5)
        except UnicodeDecodeError:
            return draw.choice(_PLACES)(payload, draw)


def _encoded(payload: bytes, draw: Random) -> bytes:
    """Return a value for a query or form, encoded as one of several clients would."""
    return draw.choice((
        quote_from_bytes(payload, safe="").encode(),
        quote_from_bytes(payload, safe=" ").replace(" ", "+").encode(),
        quote_from_bytes(payload, safe="!'()*-._~:/@$,;").encode(),
        # As little as a request line needs.
        b"".join(b"%%%02x" % c if c in b"%&#\0\r\n" else bytes([c]) for c in payload)
        .replace(b" ", b"+"),
    ))  # fmt: skip


def _get(target: bytes) -> Request:
    return Request("GET", target, _HEADERS)


def _post(body: bytes, content_type: bytes) -> Request:
    headers = (*_HEADERS, (b"content-type", content_type), (b"content-length", b"%d" % len(body)))
    return Request("POST", b"/api/items", headers, body, len(body))


def _query_value(payload: bytes, draw: Random) -> Request:
    name = draw.choice(_NAMES).encode()
    return _get(b"/item.php?a=1&" + name + b"=" + _encoded(payload, draw))


def _query_name(payload: bytes, draw: Random) -> Request:
    name = quote_from_bytes(payload, safe="").encode()
    return _get(b"/item.php?" + name + draw.choice((b"=1", b"", b"=")))


def _path(payload: bytes, draw: Random) -> Request:
    path = quote_from_bytes(payload, safe=draw.choice(("/", "/.:;=,"))).encode()
    return _get(b"/files/" + path + draw.choice((b"", b"/x.html")))


def _form(payload: bytes, draw: Random) -> Request:
    name, value = draw.choice(_NAMES).encode(), _encoded(payload, draw)
    if draw.random() < 0.2:
        name, value = value, name
    return _post(name + b"=" + value + b"&b=2", b"application/x-www-form-urlencoded")


def _json_body(payload: bytes, draw: Random) -> Request:
    text = payload.decode("utf-8", "replace")
    shape: object = draw.choice((
        {"a": text}, {text: 1}, {"a": {"b": [1, {"c": text}]}}, [text], text, {"a": [text, text]},
        {"id": 1, "b": None, "c": True, "d": text}, {"a": {"": text}}, [[text], {"x": [[]]}],
    ))  # fmt: skip
    return _post(json.dumps(shape, ensure_ascii=draw.random() < 0.5).encode(), b"application/json")


def _xml_body(payload: bytes, draw: Random) -> Request:
    text = "".join(
        c for c in payload.decode("utf-8", "replace") if c.isprintable() or c in "\t\n\r"
    )
    body = draw.choice((
        f"<a><b>{escape(text)}</b><c>1</c></a>", f"<a b={quoteattr(text)}>x</a>",
        f'<?xml version="1.0"?><a xmlns:n="urn:x"><n:b><![CDATA[{text}]]></n:b></a>', text,
    ))  # fmt: skip
    return _post(body.encode("utf-8", "replace"), draw.choice((b"text/xml", b"application/xml")))


def _multipart_body(payload: bytes, draw: Random) -> Request:
    quoted = payload.replace(b'"', b'\\"').replace(b"\r", b"").replace(b"\n", b"")
    name, file, value = draw.choice((
        (b"a", b"", payload), (quoted, b"", b"1"), (b"a", quoted, b"content"),
        (b"a", b"x.txt", payload),
    ))  # fmt: skip
    head = b'Content-Disposition: form-data; name="' + name + b'"'
    if file:
        head += b'; filename="' + file + b'"\r\nContent-Type: text/plain'
    part = b"--bX1\r\n" + head + b"\r\n\r\n" + value + b"\r\n"
    first = b'--bX1\r\nContent-Disposition: form-data; name="first"\r\n\r\n1\r\n'
    return _post(first + part + b"--bX1--\r\n", b"multipart/form-data; boundary=bX1")


def _cookie(payload: bytes, draw: Random) -> Request:
    value = draw.choice((_encoded(payload, draw), _header_text(payload)))
    pair = draw.choice((b"session=" + value, value + b"=1"))
    return replace(_get(b"/"), headers=(*_HEADERS, (b"cookie", b"theme=dark; " + pair + b"; b=2")))


def _header(payload: bytes, draw: Random) -> Request:
    return with_header(_get(b"/"), draw.choice(_CARRIERS), _header_text(payload))


def _raw_body(payload: bytes, draw: Random) -> Request:
    types = (b"text/plain", b"application/octet-stream", b"application/x-www-form-urlencoded",
             b"application/graphql", b"application/json", b"text/xml")  # fmt: skip
    return _post(payload, draw.choice(types))


def _header_text(payload: bytes) -> bytes:
    return payload.replace(b"\r", b"").replace(b"\n", b" ").replace(b"\0", b"")


_PLACES: tuple[Callable[[bytes, Random], Request], ...] = (
    _query_value, _query_value, _query_name, _path, _form, _form, _json_body, _json_body, _xml_body,
    _multipart_body, _multipart_body, _cookie, _header, _raw_body,
)  # fmt: skip
