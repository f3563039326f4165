"""Bodies of every format that forms and APIs use, as raw fields.

One generator a format, chosen by content type and, where that is missing or lies, by the first
bytes. Values come out after the format's own decoding; :mod:`cnaf.models.parsing` does the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.parsers import expat

import orjson
from cnaf.models.fields import Field, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cnaf.models.limits import Limits

__all__ = ["BodyError", "DepthError", "DoctypeError", "body_fields"]

_BOUNDARY = re.compile(rb'boundary="?([^";,\s]{1,200})', re.IGNORECASE)
_DISPOSITION = re.compile(rb'(?i);\s*(filename\*?|name)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_FORM_START = re.compile(rb"[\w.\-\[\]%+]{1,128}=")
#: Bytes of an uploaded file that are inspected; magic numbers and script tags come early.
_FILE_PREFIX = 4096


class BodyError(ValueError):
    """A body that is not what its content type says; the message says why."""


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
        raise BodyError(f"not JSON: {error}") from None
    stack: list[tuple[str, object, int]] = [("", document, 0)]
    while stack:
        name, value, depth = stack.pop()
        if depth > limits.depth:
            raise DepthError(f"JSON nested deeper than {limits.depth}")
        if isinstance(value, dict):
            prefix = f"{name}." if name else ""
            # Reversed, so that the stack gives the document's own order.
            stack.extend((prefix + key, item, depth + 1) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{name}[]", item, depth + 1) for item in reversed(value))
        elif isinstance(value, str):
            yield Field(Location.JSON, name, value.encode("utf-8", "replace"))
        else:
            yield Field(Location.JSON, name, orjson.dumps(value))


def _multipart(content_type: bytes, body: bytes, limits: Limits) -> Iterator[Field]:
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise BodyError("multipart without a boundary")
    parts = body.split(b"--" + match[1], limits.fields + 2)
    if len(parts) < 2:
        raise BodyError("the boundary that the header names is not in the body")
    for part in parts[1:]:
        if part.startswith(b"--"):
            return
        head, found, content = part.partition(b"\r\n\r\n")
        if not found:
            head, found, content = part.partition(b"\n\n")
        if not found:
            raise BodyError("a part without an end to its headers")
        yield from _part(head, content.removesuffix(b"\n").removesuffix(b"\r"))


def _part(head: bytes, content: bytes) -> Iterator[Field]:
    names = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _DISPOSITION.finditer(head)}
    name = names.get(b"name", b"").decode("utf-8", "replace")
    filename = names.get(b"filename", names.get(b"filename*"))
    if filename is None:
        yield Field(Location.MULTIPART, name, content)
    else:
        yield Field(Location.FILENAME, name, filename)
        yield Field(Location.FILE, name, content[:_FILE_PREFIX])


def _xml(_type: bytes, body: bytes, limits: Limits) -> Iterator[Field]:
    reader = _XmlReader(limits.depth)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Refusing the declaration refuses every entity with it: internal, external and parameter.
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise BodyError(f"not XML: {error}") from None
    yield from reader.fields


class _XmlReader:
    """Collects element texts and attributes under their element path."""

    def __init__(self, depth_cap: int) -> None:
        self.fields: list[Field] = []
        self._depth_cap = depth_cap
        self._path: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        if len(self._path) > self._depth_cap:
            raise DepthError(f"XML nested deeper than {self._depth_cap}")
        for name, value in attributes.items():
            self._add(f"{'.'.join(self._path)}@{name}", value)

    def end(self, _tag: str) -> None:
        self._path.pop()

    def text(self, text: str) -> None:
        if text.strip():
            self._add(".".join(self._path), text)

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
    if start[:5].lower() in (b"<?xml", b"<!doc"):
        return _xml
    return _form if _FORM_START.match(start) else _opaque
