"""VCR cassettes (recorded HTTP of a client library's tests) as benign exchanges.

A cassette is a session. Placeholders that the recorder put in for secrets stay as they are. Left
out are the Authorization header and the server's name, of which some are placeholders.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from typing import TYPE_CHECKING

import orjson
from cnaf.datasets import wire
from cnaf.datasets.wire import BrokenError, as_dict, as_list, as_str
from cnaf.evaluation.data_set import DataSet
from cnaf.evaluation.packed import read_folder
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnaf.models.exchange import Headers

__all__ = ["read_cassettes"]

_SERVER = re.compile(r"https?://[^/?#]*|<<?\w+>>?", re.ASCII)
_LEFT_OUT = frozenset((b"authorization", b"host"))


def read_cassettes(path: Path) -> DataSet:
    """Read the cassettes (VCR, JSON) of a folder or tar archive, plain or .xz.

    Interactions that no HTTP client can have sent are counted and left out. Raises CorpusError
    where a file is no cassette, or none holds an interaction.
    """
    left_out: Counter[str] = Counter()
    exchanges: list[Exchange] = []
    for name, raw in read_folder(path, (".json",)):
        session = name.removesuffix(".json")
        try:
            document = as_dict(orjson.loads(raw), "document")
            recorded = as_list(document.get("http_interactions"), "http_interactions")
        except (orjson.JSONDecodeError, BrokenError) as error:
            raise CorpusError(
                f"{path}: {name} is no cassette: {error}",
                hint="expected JSON files of VCR, with http_interactions",
            ) from None
        exchanges += _exchanges(session, recorded, left_out)
    if not exchanges:
        raise CorpusError(f"{path} holds no interaction", hint="pass the folder of the cassettes")
    return DataSet("cassettes", tuple(exchanges), left_out=dict(left_out))


def _exchanges(session: str, recorded: list[object], left_out: Counter[str]) -> Iterator[Exchange]:
    for number, item in enumerate(recorded, 1):
        try:
            interaction = as_dict(item, "an interaction")
            request = _request(as_dict(interaction.get("request"), "request"))
            answer = as_dict(interaction.get("response"), "response")
            code = wire.status(as_dict(answer.get("status"), "response.status").get("code"))
        except BrokenError as error:
            left_out[str(error)] += 1
            continue
        name = f"{session}#{number:03d}"
        yield Exchange(name, session, Label.BENIGN, request, Response(code))


def _request(recorded: dict[str, object]) -> Request:
    uri = _SERVER.sub("", as_str(recorded.get("uri"), "request.uri"), count=1).partition("#")[0]
    body = _body(as_dict(recorded.get("body"), "request.body"))
    return Request(
        method=wire.method(as_str(recorded.get("method"), "request.method").upper()),
        target=wire.target(wire.encode(uri if uri[:1] == "/" else f"/{uri}", "request.uri")),
        headers=_headers(as_dict(recorded.get("headers"), "request.headers")),
        body=body,
        body_size=len(body),
    )


def _body(recorded: dict[str, object]) -> bytes:
    if "base64_string" not in recorded:
        return wire.encode(as_str(recorded.get("string"), "request.body.string"), "request.body")
    try:
        # The recorder breaks lines after 60 characters, which this decoder passes over.
        return base64.b64decode(as_str(recorded["base64_string"], "request.body.base64_string"))
    except (binascii.Error, ValueError) as error:
        raise BrokenError(f"request.body is not base64: {error}") from None


def _headers(recorded: dict[str, object]) -> Headers:
    pairs = [
        (name, as_str(value, f"header {name[:40]}"))
        for name, values in recorded.items()
        for value in as_list(values, f"header {name[:40]}")
    ]
    return tuple(header for header in wire.headers(pairs) if header[0] not in _LEFT_OUT)
