"""Bodies of every format that forms and APIs use, as raw fields.

One generator a format, chosen by content type and, where that is missing or lies, by the first
bytes. Values come out after the format's own decoding; :mod:`cnaf.models.parsing` does the rest.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING
from xml.parsers import expat

import orjson
from cnaf.models.fields import Field, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cnaf.models.limits import Limits

__all__ = [
    "ODD_NAME",
    "BodyError",
    "CodingError",
    "DepthError",
    "DoctypeError",
    "body_fields",
    "plain_body",
]

#: The name of a field whose value is itself a name, one that is looked at as a value, too.
ODD_NAME = "(name)"

_BOUNDARY = re.compile(rb'boundary=(?:"([^"]{1,200})"|([^";,\s]{1,200}))', re.IGNORECASE)
# What may follow a boundary on its line; two hyphens close the body (RFC 2046, 5.1.1).
_BOUNDARY_END = re.compile(rb"(--)?[ \t]*\r?(?:\n|\Z)")
_HEAD_END = re.compile(rb"(?:\A|\r?\n)\r?\n")
_DISPOSITION = re.compile(rb"(?im)^content-disposition:[^\n]*(?:\n[ \t][^\n]*)*")
_PARAMETER = re.compile(rb'(?i);\s*(filename\*?|name)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_FORM_START = re.compile(rb"[\w.\-\[\]%+]{1,128}=")
_HTML_START = re.compile(rb"<!doctype\s+html\s*>", re.IGNORECASE)
#: Bytes of an uploaded file that are inspected; magic numbers and script tags come early.
_FILE_PREFIX = 4096
#: Characters of a name that its children's names repeat: a long one must not be multiplied.
_PREFIX_CAP = 256


class BodyError(ValueError):
    """A body that is not what its content type says; the message says why."""


class CodingError(BodyError):
    """A content coding that is not undone here, or that the body is not in."""


class DepthError(BodyError):
    """A body nested deeper than the cap."""


class DoctypeError(BodyError):
    """XML that declares a document type, the door to entity attacks; apps do not send it."""


def body_fields(content_type: bytes, body: bytes, limits: Limits) -> Iterator[Field]:
    """Yield the raw fields of a body; a form comes as one unnamed field for the pair splitter.

    Raises BodyError where the body cannot be parsed as what it claims to be.
    """
    media_type = content_type.partition(b";")[0].strip().lower()
    parser = _BY_TYPE.get(media_type) or _by_suffix(media_type) or _sniff(body)
    return parser(content_type, body, limits)


def plain_body(coding: bytes, body: bytes, cap: int) -> tuple[bytes, bool]:
    """Return at most ``cap`` bytes of a body without its content coding, and if that is all.

    Some frameworks inflate bodies unasked, so a compressed one must be looked into (RFC 9110,
    8.4). Raises CodingError for a coding other than gzip and deflate.
    """
    name = coding.strip().lower()
    if name in (b"", b"identity"):
        return body, True
    if name not in (b"gzip", b"x-gzip", b"deflate"):
        raise CodingError(f"the content coding {coding[:64].decode('latin-1')!r} is not inspected")
    # 32 more window bits: zlib's or gzip's header, whichever is there.
    inflater = zlib.decompressobj(zlib.MAX_WBITS + 32)
    try:
        return inflater.decompress(body, cap), inflater.eof and not inflater.unused_data
    except zlib.error as error:
        raise CodingError(f"not {name.decode()}: {error}") from None


def _form(_type: bytes, body: bytes, _limits: Limits) -> Iterator[Field]:
    yield Field(Location.FORM, "", body)


def _opaque(_type: bytes, body: bytes, _limits: Limits) -> Iterator[Field]:
    if body[:4096].isascii() or _is_utf8(body[:4096]):
        yield Field(Location.BODY, "", body)
    else:
        yield Field(Location.FILE, "", body[:_FILE_PREFIX])


def _json(_type: bytes, body: bytes, limits: Limits) -> Iterator[Field]:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        body = body.decode("utf-16", "replace").encode("utf-8", "replace")
    try:
        # orjson refuses nesting beyond 1024 by itself, so its recursion is bounded.
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        kind = DepthError if error.msg.startswith("depth limit") else BodyError
        raise kind(f"not JSON: {error}") from None
    stack: list[tuple[str, object, int]] = [("", document, 0)]
    while stack:
        name, value, depth = stack.pop()
        if depth > limits.depth:
            raise DepthError(f"JSON nested deeper than {limits.depth}")
        if isinstance(value, dict) and value:
            prefix = f"{name[:_PREFIX_CAP]}." if name else ""
            # Reversed, so that the stack gives the document's own order.
            for key, item in reversed(value.items()):
                if len(key) > _PREFIX_CAP:
                    yield Field(Location.JSON, ODD_NAME, key.encode("utf-8", "replace"))
                stack.append((prefix + key[:_PREFIX_CAP], item, depth + 1))
        elif isinstance(value, list) and value:
            item_name = f"{name[:_PREFIX_CAP]}[]"
            stack.extend((item_name, item, depth + 1) for item in reversed(value))
        elif isinstance(value, str):
            yield Field(Location.JSON, name, value.encode("utf-8", "replace"))
        else:
            yield Field(Location.JSON, name, b"" if value in ({}, []) else orjson.dumps(value))


def _multipart(content_type: bytes, body: bytes, limits: Limits) -> Iterator[Field]:
    """Where readers of multipart differ, refuse: each would see other parts than we do."""
    found = {quoted or plain for quoted, plain in _BOUNDARY.findall(content_type)}
    if len(found) != 1:
        raise BodyError("multipart with several boundaries" if found else "multipart without one")
    parts = (b"\n" + body).split(b"\n--" + found.pop(), limits.fields + 2)
    if len(parts) < 2:
        raise BodyError("the boundary that the header names is not in the body")
    for number, part in enumerate(parts[1:], 2):
        end = _BOUNDARY_END.match(part)
        if end is None:
            raise BodyError("a boundary with other text on its line")
        rest = part[end.end() :]
        if end[1]:
            if rest.strip() or number < len(parts):
                raise BodyError("text after the closing boundary")
            return
        head_end = _HEAD_END.search(rest)
        if head_end is None:
            raise BodyError("a part without an end to its headers")
        yield from _part(rest[: head_end.start()], rest[head_end.end() :])


def _part(head: bytes, content: bytes) -> Iterator[Field]:
    dispositions = _DISPOSITION.findall(head)
    if len(dispositions) > 1:
        raise BodyError("a part with several Content-Disposition headers")
    found = _PARAMETER.finditer(dispositions[0] if dispositions else b"")
    parameters = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in found}
    name = parameters.get(b"name", b"").decode("utf-8", "replace")
    content = content.removesuffix(b"\r")
    for key in (b"filename", b"filename*"):
        if key in parameters:
            yield Field(Location.FILENAME, name, parameters[key])
    # Readers that do not know the starred form take such a part for a plain field.
    if b"filename" in parameters:
        yield Field(Location.FILE, name, content[:_FILE_PREFIX])
    else:
        yield Field(Location.MULTIPART, name, content)


def _xml(_type: bytes, body: bytes, limits: Limits) -> Iterator[Field]:
    reader = _XmlReader(limits.depth)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    # One text is one field, however long: a split could hide what stands across it.
    parser.buffer_size = max(1, len(body))
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Refusing the declaration refuses every entity with it: internal, external and parameter.
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(body, True)
    except BodyError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        # The latter two: an encoding that Python does not know, or not byte by byte.
        raise BodyError(f"not XML: {error}") from None
    yield from reader.fields


class _XmlReader:
    """Collects element texts and attributes under their element path."""

    def __init__(self, depth_cap: int) -> None:
        self.fields: list[Field] = []
        self._depth_cap = depth_cap
        self._path: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        parent = f"{self._path[-1][:_PREFIX_CAP]}." if self._path else ""
        self._path.append(parent + tag[:_PREFIX_CAP])
        if len(self._path) > self._depth_cap:
            raise DepthError(f"XML nested deeper than {self._depth_cap}")
        for name, value in attributes.items():
            self._add(f"{self._path[-1]}@{name[:_PREFIX_CAP]}", value)

    def end(self, _tag: str) -> None:
        self._path.pop()

    def text(self, text: str) -> None:
        if text.strip():
            self._add(self._path[-1], text)

    def doctype(self, name: str, *_rest: object) -> None:
        raise DoctypeError(f"declares the document type {name[:64]!r}")

    def _add(self, name: str, value: str) -> None:
        self.fields.append(Field(Location.XML, name, value.encode("utf-8", "replace")))


def _is_utf8(prefix: bytes) -> bool:
    try:
        prefix.decode("utf-8")
    except UnicodeDecodeError as error:
        # The prefix may end inside of a character.
        return error.start >= len(prefix) - 3
    return True


_BY_TYPE: dict[bytes, Callable[[bytes, bytes, Limits], Iterator[Field]]] = {
    b"application/x-www-form-urlencoded": _form,
    b"application/json": _json,
    b"text/json": _json,
    b"multipart/form-data": _multipart,
    b"application/xml": _xml,
    b"text/xml": _xml,
}


def _by_suffix(media_type: bytes) -> Callable[[bytes, bytes, Limits], Iterator[Field]] | None:
    """Structured syntax suffixes, RFC 6839."""
    if media_type.endswith(b"+json"):
        return _json
    return _xml if media_type.endswith(b"+xml") else None


def _sniff(body: bytes) -> Callable[[bytes, bytes, Limits], Iterator[Field]]:
    """Choose by the first bytes what a missing or foreign content type does not tell."""
    start = body[:256].lstrip()
    if start[:1] in (b"{", b"["):
        return _json
    if start[:5].lower() in (b"<?xml", b"<!doc") and not _HTML_START.match(start):
        return _xml
    return _form if _FORM_START.match(start) else _opaque
