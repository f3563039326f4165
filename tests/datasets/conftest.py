"""Builders of exchanges and traffic files, as fixtures."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Protocol

import orjson
import pytest
from cnaf.models.exchange import Exchange, Label, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class MakeExchange(Protocol):
    def __call__(self, id: str = "a", session: str = "s", target: bytes = b"/") -> Exchange: ...


@pytest.fixture
def make_exchange() -> MakeExchange:
    def make(id: str = "a", session: str = "s", target: bytes = b"/") -> Exchange:
        request = Request("GET", target, ((b"host", b"shop.test"),))
        return Exchange(id, session, Label.BENIGN, request, Response(200))

    return make


@pytest.fixture
def entry() -> Callable[..., dict[str, object]]:
    """A HAR entry; keywords replace keys of its request, ``entry`` those of the entry itself."""

    def make(entry: dict[str, object] | None = None, **request: object) -> dict[str, object]:
        made: dict[str, object] = {
            "request": {
                "method": "GET",
                "url": "http://shop.test/cart?item=1",
                "httpVersion": "HTTP/1.1",
                "headers": [{"name": "Host", "value": "shop.test"}],
                **request,
            },
            "response": {"status": 200, "headers": [{"name": "Server", "value": "x"}]},
        }
        return made | (entry or {})

    return make


@pytest.fixture
def write_har(tmp_path: Path) -> Callable[..., Path]:
    def write(*entries: object, name: str = "visit.har") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = orjson.dumps({"log": {"version": "1.2", "entries": list(entries)}})
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write


@pytest.fixture
def line() -> Callable[..., dict[str, object]]:
    """A JSONL record; keywords replace keys of its request, ``top`` those of the record."""

    def make(top: dict[str, object] | None = None, **request: object) -> dict[str, object]:
        made: dict[str, object] = {
            "id": "1",
            "session": "s",
            "label": "benign",
            "request": {"method": "GET", "target": "/", "headers": [], **request},
        }
        return made | (top or {})

    return make


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """Write raw bytes or records as the lines of a file."""

    def write(*lines: object, name: str = "capture.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = b"".join((i if isinstance(i, bytes) else orjson.dumps(i)) + b"\n" for i in lines)
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write
