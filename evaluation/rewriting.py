"""Rewrite the attacking value of a recorded attack and encode it for its carrier again.

Which value attacks is decided by a rule that shares nothing with the detectors: each value of the
request (path, query, form, JSON, multipart text, XML text, cookies, and headers that do not
describe the client unless nothing else qualifies) is searched for the signs of the attack's
language, one list of patterns for each; the value with the most signs attacks, the longer one
where two are level. A leading run of plain sentences, which attacks hide behind, is kept.

A value that was encoded in several layers is decoded fully before it is rewritten, and encoded in
the one layer of its carrier after: what a mutation hides is judged, not what the recording hid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote_from_bytes
from xml.sax.saxutils import escape, unescape

from cnaf.evaluation.mutations import Kind, mutate
from cnaf.models.decoding import canonical, decode_carrier
from cnaf.models.exchange import Exchange, Request
from cnaf.models.fields import Location
from cnaf.models.parsing import decode_path

__all__ = ["Slot", "attacking_slot", "kind_of", "mutate_exchange", "rewrite", "slots"]

#: More layers than any recorded attack has.
_ROUNDS = 5
_SENTENCES = re.compile(r"(?:[A-Z][A-Za-z ,]*[.!?] )+")
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]{1,200})', re.IGNORECASE)
_PART_NAME = re.compile(rb'(?i)content-disposition:[^\r\n]*?[; ]name="?([^";\r\n]*)')
_XML_TEXT = re.compile(rb">([^<>]+)<")
_FRAMING = frozenset((b"host", b"content-length", b"content-type", b"content-encoding",
                      b"connection", b"transfer-encoding"))  # fmt: skip
#: Headers of every browser, whose ordinary values look like several languages at once.
_CLIENT = re.compile(rb"accept.*|sec-.*|upgrade-insecure-requests|origin|x-requested-with|if-.*")

_SIGNS: dict[Kind, re.Pattern[str]] = {
    Kind.SQL: re.compile(
        r"(?i)['\"`#]|--|/\*|\|\||&&|[()=<>]|;|@@|\b(?:select|union|and|or|xor|where|from|sleep|order"
        r"|by|having|limit|like|rlike|regexp|case|when|null|insert|drop|benchmark|procedure|waitfor"
        r"|concat|char|into|outfile|version|database)\b"
    ),
    Kind.MARKUP: re.compile(
        r"(?i)[<>\"'`(){}\\]|\bon[a-z]{3,}\s*=|javascript|script|alert|confirm|prompt|svg|img|&#|=|;"
    ),
    Kind.PATH: re.compile(
        r"(?i)\.\.+[/\\]|\\|\0|://|%|\b(?:etc|passwd|shadow|proc|self|environ|windows|win\.ini|boot\.ini"
        r"|wp-config|htaccess|phar|expect|base64|var)\b"
    ),
    Kind.SHELL: re.compile(
        r"(?i)[;|&`$<>\n\\{}()]|\b(?:cat|id|whoami|uname|ls|curl|wget|nc|ncat|bash|sh|ping|sleep"
        r"|python|perl|echo|nslookup|passwd|powershell|cmd|dir|type|rm|chmod|tmp|etc|dev|tcp|bin)\b"
    ),
}
_KINDS = {"sqli": Kind.SQL, "xss": Kind.MARKUP, "lfi": Kind.PATH}


@dataclass(frozen=True, slots=True)
class Slot:
    """One value of a request: where it stands, its fully decoded text, and how to replace it.

    ``text`` has raw bytes that are not UTF-8 as lone surrogates (``surrogateescape``). ``put``
    returns the request with another text in this place, encoded for the carrier, and with the
    length of the body put right.
    """

    location: Location
    name: str
    text: str
    put: Callable[[str], Request]


def kind_of(exchange: Exchange) -> Kind | None:
    """Return the language of an attack by its tags, or None where no operator is for it."""
    if exchange.meta.get("class") == "rce" and exchange.meta.get("technique") == "cmd":
        return Kind.SHELL
    return _KINDS.get(str(exchange.meta.get("class")))


def attacking_slot(request: Request, kind: Kind) -> Slot | None:
    """Return the value that attacks, by the rule of the module; None where no value has a sign."""
    found = [(_signs(slot.text, kind), len(slot.text), slot) for slot in slots(request)]
    found = [entry for entry in found if entry[0]]
    return max(found, key=lambda entry: entry[:2])[2] if found else None


def rewrite(request: Request, kind: Kind, change: Callable[[str], str]) -> Request | None:
    """Return the request with its attacking value changed; None where there is no such value.

    ``change`` gets the decoded text without the plain sentences before the attack.
    """
    slot = attacking_slot(request, kind)
    if slot is None:
        return None
    prose = _SENTENCES.match(slot.text)
    start = prose.end() if prose else 0
    return slot.put(slot.text[:start] + change(slot.text[start:]))


def mutate_exchange(exchange: Exchange, rounds: int = 3, seed: int = 0) -> Exchange | None:
    """Return the mutated attack under an id of its own; None where nothing could be changed."""
    kind = kind_of(exchange)
    if kind is None:
        return None
    changed: list[bool] = []

    def change(text: str) -> str:
        mutated = mutate(text, kind, rounds, seed)
        changed.append(mutated != text)
        return mutated

    request = rewrite(exchange.request, kind, change)
    if request is None or not any(changed):
        return None
    name = f"{exchange.id}~{rounds}.{seed}"
    meta = {**exchange.meta, "mutated": True}
    return replace(exchange, id=name, request=request, response=None, meta=meta)


def slots(request: Request) -> Iterator[Slot]:
    """Yield the replaceable values of a request; bodies of other formats have none."""
    path, mark, query = request.target.partition(b"?")

    def put_path(raw: bytes) -> Request:
        return replace(request, target=quote_from_bytes(raw, safe="/").encode() + mark + query)

    yield _slot(Location.PATH, b"", decode_path(path), put_path)
    if query:
        yield from _pairs(
            Location.QUERY, query, lambda raw: replace(request, target=path + mark + raw)
        )
    yield from _headers(request)
    yield from _body(request)


def _slot(location: Location, name: bytes, value: bytes, put: Callable[[bytes], Request]) -> Slot:
    text = _text(canonical(value, _ROUNDS)[0])
    return Slot(location, _text(name), text, lambda changed: put(_bytes(changed)))


def _pairs(location: Location, encoded: bytes, put: Callable[[bytes], Request]) -> Iterator[Slot]:
    pairs = encoded.split(b"&")
    for index, pair in enumerate(pairs):
        name, _, value = pair.partition(b"=")

        def put_pair(raw: bytes, index: int = index, name: bytes = name) -> Request:
            made = name + b"=" + quote_from_bytes(raw, safe="").encode()
            return put(b"&".join([*pairs[:index], made, *pairs[index + 1 :]]))

        if pair:
            yield _slot(location, decode_carrier(name), decode_carrier(value), put_pair)


def _headers(request: Request) -> Iterator[Slot]:
    for index, (name, value) in enumerate(request.headers):

        def put_header(raw: bytes, index: int = index, name: bytes = name) -> Request:
            # A header cannot hold line ends or NUL; blanks are what they were for.
            headers = list(request.headers)
            headers[index] = (name, re.sub(rb"[\r\n\0]+", b"\t", raw))
            return replace(request, headers=tuple(headers))

        if name == b"cookie":
            yield from _cookies(value, put_header)
        elif name not in _FRAMING and not _is_ordinary(name, value):
            yield _slot(Location.HEADER, name, value, put_header)


def _is_ordinary(name: bytes, value: bytes) -> bool:
    """Whether a header is what a browser sends, and not a carrier."""
    if name == b"user-agent":
        return not re.search(rb"['\"<>`$|{]|--|\.\./", value)
    if name == b"referer":
        return re.fullmatch(rb"https?://[\w.:-]+[\w./?=&%-]*", value) is not None
    return _CLIENT.fullmatch(name) is not None and not re.search(rb"['<>`$|()]", value)


def _cookies(header: bytes, put: Callable[[bytes], Request]) -> Iterator[Slot]:
    cookies = header.split(b";")
    for index, cookie in enumerate(cookies):
        name, equals, value = cookie.partition(b"=")

        def put_cookie(raw: bytes, index: int = index, name: bytes = name) -> Request:
            made = name + b"=" + quote_from_bytes(raw, safe="").encode()
            return put(b";".join([*cookies[:index], made, *cookies[index + 1 :]]))

        if equals:
            yield _slot(Location.COOKIE, name.strip(), decode_path(value), put_cookie)


def _body(request: Request) -> Iterator[Slot]:
    content_type = request.header(b"content-type") or b""
    media_type = content_type.partition(b";")[0].strip().lower()
    body = request.body
    if not body or request.body_size > len(body) or request.header(b"content-encoding"):
        return

    def put(raw: bytes) -> Request:
        length = str(len(raw)).encode()
        headers = tuple(
            (name, length if name == b"content-length" else value)
            for name, value in request.headers
        )
        return replace(request, headers=headers, body=raw, body_size=len(raw))

    boundary = _BOUNDARY.search(content_type)
    if media_type == b"application/x-www-form-urlencoded":
        yield from _pairs(Location.FORM, body, put)
    elif media_type.endswith(b"json"):
        yield from _json(body, put)
    elif media_type.endswith(b"xml"):
        yield from _xml(body, put)
    elif boundary is not None:
        yield from _multipart(body, b"--" + boundary[1], put)


def _json(body: bytes, put: Callable[[bytes], Request]) -> Iterator[Slot]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    for at in _strings(document):

        def put_string(raw: bytes, at: tuple[str | int, ...] = at) -> Request:
            # JSON is UTF-8: a raw byte is written as the character of its number.
            text = re.sub("[\udc80-\udcff]", lambda m: chr(ord(m[0]) - 0xDC00), _text(raw))
            made = json.dumps(_replaced(document, at, text), ensure_ascii=False)
            return put(made.encode("utf-8", "replace"))

        value = document
        for key in at:
            value = value[key]
        name = b".".join(str(key).encode("utf-8", "replace") for key in at)
        yield _slot(Location.JSON, name, value.encode("utf-8", "replace"), put_string)


def _strings(document: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(document, str):
        yield at
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from _strings(value, (*at, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from _strings(value, (*at, index))


def _replaced(document: object, at: tuple[str | int, ...], text: str) -> object:
    if not at:
        return text
    first, rest = at[0], at[1:]
    if isinstance(document, dict):
        return {k: _replaced(v, rest, text) if k == first else v for k, v in document.items()}
    assert isinstance(document, list)
    return [_replaced(v, rest, text) if i == first else v for i, v in enumerate(document)]


def _xml(body: bytes, put: Callable[[bytes], Request]) -> Iterator[Slot]:
    for found in _XML_TEXT.finditer(body):
        if not found[1].strip():
            continue

        def put_text(raw: bytes, found: re.Match[bytes] = found) -> Request:
            # XML 1.0 has no control characters but these three.
            text = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\U0010ffff]", " ", _text(raw))
            return put(body[: found.start(1)] + escape(text).encode() + body[found.end(1) :])

        value = unescape(_text(found[1]), {"&quot;": '"', "&apos;": "'"})
        yield _slot(Location.XML, b"", _bytes(value), put_text)


def _multipart(body: bytes, boundary: bytes, put: Callable[[bytes], Request]) -> Iterator[Slot]:
    parts = body.split(boundary)
    for index, part in enumerate(parts):
        head, end, value = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if not end or name is None or b"filename" in head.lower():
            continue

        def put_part(raw: bytes, index: int = index, head: bytes = head + end) -> Request:
            return put(boundary.join([*parts[:index], head + raw + b"\r\n", *parts[index + 1 :]]))

        yield _slot(Location.MULTIPART, name[1], value.removesuffix(b"\r\n"), put_part)


def _signs(text: str, kind: Kind) -> int:
    return sum(1 for _ in _SIGNS[kind].finditer(text))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
