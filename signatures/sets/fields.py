"""From the variables of SecLang to the fields that all detectors of CNAF speak of.

    ARGS:id, ARGS_POST:id   query:id, form:id, multipart:id, json:id
    ARGS:json.a.array_0.b   json:a[].b
    REQUEST_COOKIES:s       cookie:s
    REQUEST_HEADERS:Host    header:host
    REQUEST_URI             path, or the query's fields that hold what matched

A variable that stands for many fields (the whole body) is laid to those that hold the matched text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnaf.models.decoding import canonical
from cnaf.models.fields import Location
from cnaf.models.limits import Limits
from cnaf.models.parsing import fold_name

if TYPE_CHECKING:
    from cnaf.models.fields import Field, ParsedRequest

__all__ = ["fields_of", "label_of"]

_ANY = (Location.QUERY, Location.FORM, Location.MULTIPART, Location.JSON)
_POST = (Location.FORM, Location.MULTIPART, Location.JSON)
_BODY = (*_POST, Location.XML, Location.FILENAME, Location.FILE, Location.BODY)
_NAMED = {
    "ARGS": _ANY, "ARGS_NAMES": _ANY, "ARGS_GET": (Location.QUERY,),
    "ARGS_GET_NAMES": (Location.QUERY,), "ARGS_POST": _POST, "ARGS_POST_NAMES": _POST,
    "FILES": (Location.FILENAME,), "FILES_NAMES": (Location.FILENAME,),
    "REQUEST_COOKIES": (Location.COOKIE,), "REQUEST_COOKIES_NAMES": (Location.COOKIE,),
    "REQUEST_HEADERS": (Location.HEADER,), "REQUEST_HEADERS_NAMES": (Location.HEADER,),
}  # fmt: skip
_PATH = (Location.PATH,)
_WHOLE = {
    "PATH_INFO": _PATH, "REQUEST_BASENAME": _PATH, "REQUEST_FILENAME": _PATH,
    "REQUEST_LINE": (*_PATH, Location.QUERY), "REQUEST_URI": (*_PATH, Location.QUERY),
    "REQUEST_URI_RAW": (*_PATH, Location.QUERY), "QUERY_STRING": (Location.QUERY,),
    "REQUEST_BODY": _BODY, "XML": (Location.XML,), "FULL_REQUEST": tuple(Location),
    "MULTIPART_PART_HEADERS": (Location.FILENAME, Location.MULTIPART),
    "MULTIPART_FILENAME": (Location.FILENAME,), "MULTIPART_NAME": (Location.MULTIPART,),
}  # fmt: skip
_SHOWN = {
    "QUERY_STRING": "query", "REQUEST_BODY": "body", "REQUEST_METHOD": "method",
    "REQUEST_PROTOCOL": "protocol", "XML": "xml",
}  # fmt: skip
_ROUNDS = Limits().decode_rounds
_ELEMENT = re.compile(r"\.array_[0-9]+")


def fields_of(variable: str, text: bytes, request: ParsedRequest) -> tuple[int, ...]:
    """Return the indices of the fields that a variable stands for; empty where it is none.

    ``text`` is what matched in it, empty where that is not known.
    """
    collection, _, name = variable.partition(":")
    if collection in _NAMED and name:
        return _by_name(_NAMED[collection], name, request)
    places = _WHOLE.get(collection)
    if places is None:
        return ()
    found = [index for index, field in enumerate(request.fields) if field.location in places]
    # Raw addresses and bodies match as they came, fields are decoded.
    wanted = {text.lower(), canonical(text, _ROUNDS)[0].lower()} - {b""}
    holding = [
        index
        for index in found
        if any(one in request.fields[index].value.lower() for one in wanted)
    ]
    # What is in no single field is nobody's but where there is one only.
    return tuple(holding) or (tuple(found) if len(found) == 1 else ())


def _by_name(places: tuple[Location, ...], name: str, request: ParsedRequest) -> tuple[int, ...]:
    folded = fold_name(name).lower()
    in_json = fold_name(_ELEMENT.sub("[]", name.removeprefix("json."))).lower()
    return tuple(
        index
        for index, field in enumerate(request.fields)
        if field.location in places and _is_called(field, folded, in_json)
    )


def _is_called(field: Field, folded: str, in_json: str) -> bool:
    name = field.name.lower()
    return name == (in_json if field.location is Location.JSON else folded)


def label_of(variable: str) -> str:
    """Return the label of a variable that is no field.

    >>> label_of("REQUEST_METHOD"), label_of("REQUEST_HEADERS:Host"), label_of("TX:extension")
    ('method', 'header:host', 'TX:extension')
    """
    collection, _, name = variable.partition(":")
    places = _NAMED.get(collection)
    if places is not None and name:
        return f"{places[0].label}:{name.lower() if places[0] is Location.HEADER else name}"
    return _SHOWN.get(collection, variable[:128])
