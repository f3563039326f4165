"""The values of a request as places: where each stands, and how to write another one there.

The counterpart of :mod:`cnaf.models.parsing`, which only reads. A place is a location, the field's
folded name, and where the value stands: the number of its segment in the path or of its pair in
a query or form, or the keys and indices that lead to a string in a JSON body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

import orjson
from cnaf.models.exchange import Request
from cnaf.models.fields import Location
from cnaf.models.parsing import fold_name

__all__ = ["Place", "places", "write"]

_FORM_TYPE = b"application/x-www-form-urlencoded"
#: Characters of a name that the names below it repeat, as in :mod:`cnaf.models.bodies`.
_PREFIX_CAP = 256

_Keys = tuple[str | int, ...]


class Place(NamedTuple):
    """Where a value stands in a request."""

    location: Location
    name: str
    at: int | _Keys


def places(request: Request) -> Iterator[Place]:
    """Yield the path segments, query and form values and JSON strings of a request.

    Empty segments and pairs without a name or ``=`` are no values. A body that was compressed, or
    of which a part was not recorded, has none.
    """
    path, _, query = request.target.partition(b"?")
    for at, segment in enumerate(path.split(b"/")):
        if segment:
            yield Place(Location.PATH, "", at)
    yield from _pairs(Location.QUERY, query)
    whole = request.body and request.body_size <= len(request.body)
    if not whole or request.header(b"content-encoding") is not None:
        return
    media_type = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type == _FORM_TYPE:
        yield from _pairs(Location.FORM, request.body)
    elif media_type == b"application/json" or media_type.endswith(b"+json"):
        yield from _json_strings(request.body)


def write(request: Request, place: Place, value: bytes, *, append: bool) -> Request:
    """Return the request with ``value`` instead of, or appended to, the one at ``place``.

    It is encoded as its carrier asks for, and a Content-Length header corrected. Raises
    UnicodeDecodeError for a JSON string that is not UTF-8.
    """
    location, _, at = place
    if location is Location.JSON:
        assert isinstance(at, tuple)
        return _with_body(request, _into_json(request.body, at, value.decode(), append))
    assert isinstance(at, int)
    if location is Location.FORM:
        return _with_body(request, _into_pair(request.body, at, value, append))
    path, mark, query = request.target.partition(b"?")
    if location is Location.QUERY:
        query = _into_pair(query, at, value, append)
    else:
        segments = path.split(b"/")
        kept = segments[at] if append else b""
        segments[at] = kept + quote_from_bytes(value, safe="").encode()
        path = b"/".join(segments)
    return replace(request, target=path + mark + query)


def _pairs(location: Location, text: bytes) -> Iterator[Place]:
    for at, pair in enumerate(text.split(b"&")):
        name, equals, _ = pair.partition(b"=")
        if name and equals:
            plain = unquote_to_bytes(name.replace(b"+", b" ")).decode("utf-8", "replace")
            yield Place(location, fold_name(plain), at)


def _json_strings(body: bytes) -> Iterator[Place]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    stack: list[tuple[_Keys, str, object]] = [((), "", document)]
    while stack:
        keys, name, value = stack.pop()
        name = name[:_PREFIX_CAP]
        if isinstance(value, dict):
            prefix = f"{name}." if name else ""
            for key, item in value.items():
                stack.append(((*keys, key), prefix + key[:_PREFIX_CAP], item))
        elif isinstance(value, list):
            stack.extend(((*keys, at), f"{name}[]", item) for at, item in enumerate(value))
        elif isinstance(value, str):
            yield Place(Location.JSON, fold_name(name), keys)


def _into_pair(text: bytes, at: int, value: bytes, append: bool) -> bytes:
    pairs = text.split(b"&")
    name, _, old = pairs[at].partition(b"=")
    # The blank as "+", as browsers and most tools write forms.
    encoded = quote_from_bytes(value, safe=" ").replace(" ", "+").encode()
    pairs[at] = name + b"=" + (old if append else b"") + encoded
    return b"&".join(pairs)


def _into_json(body: bytes, keys: _Keys, value: str, append: bool) -> bytes:
    document = orjson.loads(body)
    if not keys:
        return orjson.dumps(document + value if append else value)
    parent = document
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = parent[keys[-1]] + value if append else value
    return orjson.dumps(document)


def _with_body(request: Request, body: bytes) -> Request:
    headers = tuple(
        (name, str(len(body)).encode() if name == b"content-length" else value)
        for name, value in request.headers
    )
    return replace(request, headers=headers, body=body, body_size=len(body))
