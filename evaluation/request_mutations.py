"""Changes to whole requests that parsers and rule engines disagree about.

Each takes a request and a source of numbers and returns a request, which may be the same where the
change does not apply. None keeps a meaning: they are for two engines to be compared on, not for
attacks that must still work (those are in :mod:`cnaf.evaluation.mutations`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from cnaf.models.exchange import Request

__all__ = ["OPERATORS", "mutate_request", "with_body", "with_header"]

_Operator = Callable[[Request, Random], Request]

_CONTENT_TYPES = (
    b"", b"text/plain", b"text/html", b"*/*", b"application/x-www-form-urlencoded",
    b"APPLICATION/X-WWW-FORM-URLENCODED", b"application/x-www-form-urlencoded; charset=ibm037",
    b"application/x-www-form-urlencoded;charset=utf-8", b"application/json",
    b"application/json; charset=utf-7", b"application/vnd.api+json", b"application/json-patch+json",
    b"text/json", b"text/xml", b"application/xml; charset=utf-8", b"application/soap+xml",
    b"application/xhtml+xml", b"multipart/form-data", b"multipart/form-data; boundary=",
    b'multipart/form-data; boundary="b"', b"multipart/form-data; boundary=b; boundary=c",
    b"multipart/form-data; boundary=b b", b"multipart/form-data, boundary=b",
    b"multipart/mixed; boundary=b", b"multipart/related; boundary=b", b"application/octet-stream",
    b"application/x-amf", b"application/csp-report", b"a" * 300, b"text/xml, application/json",
)  # fmt: skip
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
            "PROPFIND", "get", "FOO", "G.T")  # fmt: skip
_VERSIONS = ("0.9", "1.0", "1.1", "1.1", "2.0", "2", "3", "3.0", "9.9", "")
_HEADERS: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"range", (b"bytes=0-1", b"bytes=5-1", b"bytes=" + b"1-2," * 7 + b"1-2", b"bytes=-")),
    (b"content-encoding", (b"gzip", b"deflate", b"identity")),
    (b"transfer-encoding", (b"chunked", b"gzip, chunked")),
    (b"content-length", (b"0", b"5", b"999", b"-1", b"1x", b"")),
    (b"connection", (b"keep-alive, close", b"close, close", b"keep-alive,keep-alive", b"upgrade")),
    (b"host", (b"127.0.0.1", b"10.0.0.1:8080", b"", b"shop.example:80", b"[::1]", b"a b")),
    (b"x-http-method-override", (b"DELETE",)),
    (b"accept", (b"", b"text/html;q=0.9,*/*", b"text/$(x)", b"*/*;charset=utf-7")),
    (b"accept-encoding", (b"gzip, *", b"br;q=1.0", b"x, y, z, z")),
    (b"accept-charset", (b"utf-8",)),
    (b"user-agent", (b"", b"nikto", b"sqlmap/1.7", b"curl/8.0", b"Mozilla/5.0 (x)", b"masscan")),
    (b"referer", (b"http://x/?a=b#c", b"/../../etc/passwd", b"javascript:alert(1)")),
    (b"cookie", (b"a=1; b", b"=x; a=1", b"a=1;;b=2", b"a", b"SID=1; SID=2", b"$Version=1")),
    (b"x-forwarded-for", (b"127.0.0.1, 1.2.3.4",)),
    (b"expect", (b"100-continue",)), (b"proxy", (b"http://x",)), (b"if", (b"x",)),
    (b"cache-control", (b"no-cache, bogus=1", b"max-age=0")),
    (b"authorization", (b"Basic Zm9vOmJhcg==", b"Bearer x.y.z", b"")),
    (b"x.filename", (b"a.php",)), (b"x-file-name", (b"shell.php", b"a.jpg.php")),
    (b"x_y", (b"1",)), (b"content-disposition", (b"attachment; filename=a.php",)),
)  # fmt: skip
_BLANKS = (b" ", b"\t", b"\x0b", b"\x0c", b"\xa0", b"\r\n", b"\n", b"/**/", b"+", b"%09", b"%0a",
           b"%20", b"%c2%a0", b"%00", b"\x00")  # fmt: skip
_NOISE = (b"\x80", b"\xff", b"\xc0\xaf", b"\xe2\x80\x98", b"\xef\xbb\xbf", b"%u0027", b"%u002f",
          b"%uff1c", b"%c0%af", b"%", b"%zz", b"%2", b"%25", b"%2527", b"&#39;", b"&lt;", b"&#x3c;",
          b"\\x27", b"\\u0027", b"\\", b"'", b'"', b"`", b"<!--", b"-->", b"${", b"#", b";", b"=",
          b"&", b"[]", b"..", b"../", b"|", b"\x01", b"\x7f", b"{{", b"%e2%80%ae",
          b"\xf0\x9f\x98\x80", b"&#0000106", b"\\0", b"''", b'"+"')  # fmt: skip
_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]{1,100})', re.IGNORECASE)
_MAX = 65_536


def mutate_request(request: Request, draw: Random, rounds: int) -> Request:
    """Return the request after so many changes, each drawn from all."""
    for _ in range(rounds):
        request = draw.choice(OPERATORS)(request, draw)
    return request


def with_body(request: Request, body: bytes) -> Request:
    """Return the request with another body, at most 64 KiB, and a Content-Length put right."""
    body = body[:_MAX]
    headers = tuple(
        (name, str(len(body)).encode() if name == b"content-length" else value)
        for name, value in request.headers
    )
    return replace(request, headers=headers, body=body, body_size=len(body))


def with_header(request: Request, name: bytes, value: bytes) -> Request:
    """Return the request with a header instead of those of the same name."""
    kept = tuple(header for header in request.headers if header[0] != name)
    return replace(request, headers=(*kept, (name, value)))


# Texts


def _text_operator(change: Callable[[bytes, Random], bytes]) -> _Operator:
    """Return an operator that changes the target, the body or one header's value."""

    def operator(request: Request, draw: Random) -> Request:
        where = draw.random()
        if request.body and where < 0.45:
            return with_body(request, change(request.body, draw))
        if where < 0.85 or not request.headers:
            path, mark, query = request.target.partition(b"?")
            if mark and draw.random() < 0.8:
                return replace(request, target=path + mark + _line(change(query, draw)))
            return replace(request, target=_line(change(request.target, draw)) or b"/")
        at = draw.randrange(len(request.headers))
        headers = list(request.headers)
        name, value = headers[at]
        headers[at] = name, re.sub(rb"[\r\n\0]", b"", change(value, draw))
        return replace(request, headers=tuple(headers))

    return operator


def _line(text: bytes) -> bytes:
    """A target cannot hold what ends it, nor NUL, which ends it for libraries in C."""
    return re.sub(rb"[\r\n\0]", b"", text)[:_MAX]


def _span(text: bytes, draw: Random) -> tuple[int, int]:
    start = draw.randrange(len(text) + 1)
    return start, min(len(text), start + draw.choice((1, 2, 4, 8, 16, 64)))


def _percent_encode(text: bytes, draw: Random) -> bytes:
    start, end = _span(text, draw)
    form = draw.choice(("%%%02x", "%%%02X", "%%25%02x", "%%u00%02x", "\\x%02x", "&#%d;", "&#x%x;"))
    return text[:start] + b"".join((form % c).encode() for c in text[start:end]) + text[end:]


def _percent_decode(text: bytes, draw: Random) -> bytes:
    share = draw.random()

    def decoded(found: re.Match[bytes]) -> bytes:
        return bytes([int(found[0][1:], 16)]) if draw.random() < share else found[0]

    return _PERCENT.sub(decoded, text)


def _flip_case(text: bytes, draw: Random) -> bytes:
    start, end = _span(text, draw)
    return text[:start] + text[start:end].swapcase() + text[end:]


def _blank(text: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(text) + 1)
    if b" " in text and draw.random() < 0.5:
        return text.replace(b" ", draw.choice(_BLANKS))
    return text[:at] + draw.choice(_BLANKS) + text[at:]


def _insert(text: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(_NOISE) * draw.choice((1, 1, 1, 1, 3, 12)) + text[at:]


def _random_byte(text: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(text) + 1)
    return text[:at] + bytes([draw.randrange(256)]) + text[at + draw.randrange(2) :]


def _truncate(text: bytes, draw: Random) -> bytes:
    cut = draw.randrange(len(text) + 1)
    return text[:cut] if draw.random() < 0.7 else text[cut:]


def _delete(text: bytes, draw: Random) -> bytes:
    start, end = _span(text, draw)
    return text[:start] + text[end:]


def _repeat(text: bytes, draw: Random) -> bytes:
    start, end = _span(text, draw)
    return text[:end] + text[start:end] * draw.choice((1, 2, 5, 40)) + text[end:]


def _duplicate_pair(text: bytes, draw: Random) -> bytes:
    pairs = text.split(b"&")
    pair = draw.choice(pairs)
    if draw.random() < 0.5:
        pair = draw.choice(pairs).partition(b"=")[0] + b"=" + pair.partition(b"=")[2]
    pairs.insert(draw.randrange(len(pairs) + 1), pair)
    return b"&".join(pairs)


# Messages


def _content_type(request: Request, draw: Random) -> Request:
    return with_header(request, b"content-type", draw.choice(_CONTENT_TYPES))


def _method(request: Request, draw: Random) -> Request:
    return replace(request, method=draw.choice(_METHODS))


def _version(request: Request, draw: Random) -> Request:
    return replace(request, version=draw.choice(_VERSIONS))


def _odd_header(request: Request, draw: Random) -> Request:
    name, values = draw.choice(_HEADERS)
    value = draw.choice(values)
    if draw.random() < 0.3:
        return replace(request, headers=(*request.headers, (name, value)))
    return with_header(request, name, value)


def _drop_header(request: Request, draw: Random) -> Request:
    if not request.headers:
        return request
    at = draw.randrange(len(request.headers))
    return replace(request, headers=request.headers[:at] + request.headers[at + 1 :])


def _repeat_header(request: Request, draw: Random) -> Request:
    if not request.headers:
        return request
    return replace(request, headers=(*request.headers, draw.choice(request.headers)))


def _many_parameters(request: Request, draw: Random) -> Request:
    count = draw.choice((10, 100, 260))
    more = b"&".join(b"p%d=%d" % (i, draw.randrange(10)) for i in range(count))
    return replace(
        request, target=request.target + (b"&" if b"?" in request.target else b"?") + more
    )


def _odd_target(request: Request, draw: Random) -> Request:
    path, mark, query = request.target.partition(b"?")
    made = draw.choice((
        b"http://shop.example" + path, b"http://10.0.0.1" + path, path + b"#f", b"/" + path,
        path + b"/.", path.replace(b"/", b"//"), path.replace(b"/", b"\\"), path + b";a=b",
        path + b"/x.php/y.jpg", path + b".bak", path + b"%00.jpg", b"/./.." + path, path.upper(),
        path + b"?", b"*", path + b".", path + b"~", path + b"/.git/config", b"file://" + path,
        path[1:], path + b"/wp-config.php",
    ))  # fmt: skip
    return replace(request, target=(made + mark + query) or b"/")


def _multipart(request: Request, draw: Random) -> Request:
    found = _BOUNDARY.search(request.header(b"content-type") or b"")
    if found is None:
        return request
    line = b"--" + found[1]
    body = request.body
    made = draw.choice((
        body.replace(b"\r\n", b"\n"), body.replace(line + b"--", b""), b"preamble\r\n" + body,
        body + b"epilogue", body.replace(line, b"--x" + found[1], 1), body.removesuffix(b"\r\n"),
        body.replace(b"Content-Disposition", b"content-disposition"), body.replace(b'"', b"'"),
        body.replace(b'name="', b"name="), body.replace(b"form-data;", b"form-data", 1),
        body.replace(b"; ", b";"), body.replace(b"\r\n\r\n", b"\r\n", 1), body + body,
        body.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n", 1),
        body.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1),
        body.replace(b"\r\n\r\n", b"\r\n folded: yes\r\n\r\n", 1), body.replace(b": ", b":", 1),
        body.replace(b'name="', b'name="a"; name="', 1), body.replace(b"\r\n", b"\r\n\r\n", 1),
        body.replace(b'name="', b'filename="a.php"; name="', 1), body.replace(b"name", b"name*", 1),
        body.replace(b'"\r\n', b'\\"\r\n', 1), body.replace(line, line + b" ", 1), line + b"--",
    ))  # fmt: skip
    return with_body(request, made)


def _json(request: Request, draw: Random) -> Request:
    if b"json" not in (request.header(b"content-type") or b"").lower():
        return request
    body = request.body
    deep = draw.choice((5, 40, 200, 600))
    made = draw.choice((
        b"[" * deep + body + b"]" * deep, b'{"a":' * deep + body + b"}" * deep, body + b"}",
        body + body, body.replace(b'"', b"'"), b"\xef\xbb\xbf" + body, body.replace(b":", b":,", 1),
        b"// c\n" + body, body.replace(b"{", b'{"a":1e999,', 1),
        body.replace(b"{", b'{"a":NaN,', 1), body.replace(b"{", b'{"a":"\\ud800",', 1),
        body.replace(b"{", b'{"a":"\\u0000\\u0041",', 1),
        body.replace(b"{", b'{"":true,"b":null,"c":[],"d":{},', 1), body.replace(b"}", b",}", 1),
        body.replace(b"{", b'{"a":1,"a":"2",', 1),
        body.replace(b"{", b'{"a":[1,[2,"x"],-0.5e3],', 1), b'"' + body.replace(b'"', b"") + b'"',
        b" \n" + body + b"\n ", b"null", b"12", b"", body.replace(b"{", b'{"a":"\t\x01",', 1),
        body.replace(b"\\/", b"/"), body.decode("latin-1").encode("utf-16"),
    ))  # fmt: skip
    return with_body(request, made)


def _xml(request: Request, draw: Random) -> Request:
    if b"xml" not in (request.header(b"content-type") or b"").lower():
        return request
    body = request.body
    entity = b'<!DOCTYPE a [<!ENTITY e "union select">]>'
    made = draw.choice((
        entity + body, b'<?xml version="1.0" encoding="utf-16"?>' + body,
        body.replace(b"</", b"<", 1), body.replace(b">", b" a='1 or 1=1'>", 1),
        body.replace(b">", b"><![CDATA[<b>&amp;]]>", 1), body.replace(b">", b"><!-- c -->", 1),
        body + b"<x/>", body.replace(b">", b">&#x41;&lt;&e;", 1), b"\xef\xbb\xbf" + body,
        b"\n" + body, body.replace(b"<", b"<ns:", 1), b"", b"text",
        b"<a>" * 300 + body + b"</a>" * 300,
    ))  # fmt: skip
    return with_body(request, made)


OPERATORS: tuple[_Operator, ...] = (
    *map(_text_operator, (
        _percent_encode, _percent_encode, _percent_decode, _flip_case, _blank, _blank, _insert,
        _insert, _random_byte, _truncate, _delete, _repeat, _duplicate_pair,
    )),
    _content_type, _method, _version, _odd_header, _odd_header, _drop_header, _repeat_header,
    _many_parameters, _odd_target, _odd_target, _multipart, _multipart, _multipart, _json, _json,
    _json, _xml, _xml,
)  # fmt: skip
