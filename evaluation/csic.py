"""CSIC 2010: raw requests to a Spanish web shop, benign and anomalous, as exchanges.

The publisher's split is kept: the training file to learn from, the normal test file held out. The
requests were generated, so the headers tell which run of the generator made them (it changed the
host for one, the port for another) and not what a client wants: only those that say what the body
is are kept. Escapes are of Latin-1 and stay untouched.

Every request has a JSESSIONID of its own, and most with parameters come twice in a row, by GET and
by POST: the session id is the JSESSIONID of the first of the two, or folds would test on what was
learned.

The anomalies are of three kinds, told apart by this rule, the first line that holds decides:

1. a path, or a method at this path, that training traffic never showed: attack;
2. a name or value that no slip of the hand explains (:func:`_is_hostile`): attack;
3. a name that training traffic never showed at this path: renamed;
4. the rest, so known names and the characters that people type: typo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from cnaf.datasets import wire
from cnaf.datasets.wire import BrokenError
from cnaf.evaluation.data_set import DataSet, Kind
from cnaf.evaluation.packed import read_packed
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_csic"]

_FILES = ("normalTrafficTraining.txt", "normalTrafficTest.txt", "anomalousTrafficTest.txt")
_HEAD = re.compile(
    rb"\s*([A-Z]+) https?://[^/?#\s:]+(?::[0-9]+)?(\S*) HTTP/1\.([01])\r?\n"
    rb"((?:[^\r\n]+\r?\n)+)\r?\n"
)
_HEADER = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)")
_SESSION = re.compile(rb"JSESSIONID=([^;\s]{1,128})")
_KEPT = frozenset((b"content-type", b"content-length"))

#: Characters beside letters and digits that a hand may slip to, whatever the field: those beside
#: the keys one means, and those that are part of names, addresses and prose.
_SLIPS = frozenset(" .,'/?+*@-_")
#: An apostrophe that ends a string: a comment or a word in capitals follows. Elsewhere it is a slip
#: or part of a name ("Carrer d' Entença").
_END_OF_STRING = re.compile(r"'(?:\s*--|\s+[A-Z]{2}|[A-Z_]{3})")
#: A slip does not double a value's length, and short fields need some room.
_LENGTH_ROOM = 32
_ORDINARY_NAME = re.compile(r"[\w.-]{1,64}")

_Pairs = tuple[tuple[str, str], ...]


def read_csic(folder: Path) -> DataSet:
    """Read the three files of the data set, plain or .xz, from their folder.

    Raises CorpusError where one is missing or is not a file of raw requests.
    """
    train, benign, anomalous = (tuple(_read(folder / name)) for name in _FILES)
    normal = _Normal.of(train)
    return DataSet("CSIC 2010", benign, tuple(map(normal.tagged, anomalous)), train)


def _read(path: Path) -> Iterator[Exchange]:
    raw = read_packed(path)
    stem = path.name.removesuffix(".txt")
    label = Label.ATTACK if stem.startswith("anomalous") else Label.BENIGN
    at = number = 0
    session = ""
    twin: tuple[bytes, _Pairs] | None = None
    while raw[at : at + 8].strip():
        number += 1
        head = _HEAD.match(raw, at)
        if head is None:
            raise CorpusError(
                f"{path}: request {number} at byte {at} is no raw HTTP/1 request",
                hint="expected absolute URLs, a blank line after the headers, and Content-Length",
            )
        try:
            exchange = _exchange(head, raw)
        except BrokenError as error:
            raise CorpusError(
                f"{path}: request {number} at byte {at}: {error}", hint="fetch the file again"
            ) from None
        at = head.end() + len(exchange.request.body)
        if (parts := _parts(exchange.request)) != twin:
            session = exchange.session or f"{stem}:{number:05d}"
        # Three in a row are a pair and another one.
        twin = parts if parts != twin else None
        yield Exchange(f"csic:{stem}:{number:05d}", session, label, exchange.request)


def _exchange(head: re.Match[bytes], raw: bytes) -> Exchange:
    headers = [wire.header(name, value) for name, value in _HEADER.findall(head[4])]
    size = dict(headers).get(b"content-length", b"0")
    if not re.fullmatch(rb"[0-9]{1,9}", size):
        raise BrokenError(f"content-length {size[:20]!r} is no number")
    body = raw[head.end() : head.end() + int(size)]
    if len(body) < int(size):
        raise BrokenError("the body is cut short")
    # The generator also wrote "http://localhost:8080.old": what follows the port is the path.
    target = head[2] if head[2].startswith(b"/") else b"/" + head[2]
    session = _SESSION.search(dict(headers).get(b"cookie", b""))
    request = Request(
        method=wire.method(head[1].decode()),
        target=wire.target(target),
        headers=tuple(header for header in headers if header[0] in _KEPT),
        body=body,
        body_size=len(body),
        version=f"1.{head[3].decode()}",
    )
    return Exchange("", session[1].decode("latin-1") if session else "", Label.BENIGN, request)


@dataclass(slots=True)
class _Field:
    """The characters beside letters and digits, and the longest length, of normal values."""

    characters: set[str] = field(default_factory=set)
    longest: int = 0

    def add(self, value: str) -> None:
        self.characters.update(c for c in value if not c.isalnum())
        self.longest = max(self.longest, len(value))


class _Normal:
    """What training traffic shows: methods, and for each path and name the values' make-up."""

    def __init__(self) -> None:
        self._methods: set[tuple[str, bytes]] = set()
        self._paths: set[bytes] = set()
        self._fields: dict[tuple[bytes, str], _Field] = {}

    @classmethod
    def of(cls, exchanges: tuple[Exchange, ...]) -> _Normal:
        normal = cls()
        for exchange in exchanges:
            path, pairs = _parts(exchange.request)
            normal._paths.add(path)
            normal._methods.add((exchange.request.method, path))
            for name, value in pairs:
                normal._fields.setdefault((path, name), _Field()).add(value)
        return normal

    def tagged(self, anomaly: Exchange) -> Exchange:
        kind, attack_class = self._judge(anomaly.request)
        meta = {"kind": kind.value, "class": attack_class}
        return Exchange(anomaly.id, anomaly.session, Label.ATTACK, anomaly.request, meta=meta)

    def _judge(self, request: Request) -> tuple[Kind, str]:
        path, pairs = _parts(request)
        if path not in self._paths:
            return Kind.ATTACK, "forced-browsing"
        if (request.method, path) not in self._methods:
            return Kind.ATTACK, "method"
        unknown = [name for name, _ in pairs if (path, name) not in self._fields]
        if not all(map(_ORDINARY_NAME.fullmatch, unknown)):
            return Kind.ATTACK, "injection"
        for name, value in pairs:
            normal = self._fields.get((path, name)) or self._anywhere(path)
            if _is_hostile(value, normal):
                return Kind.ATTACK, "injection"
            if len(value) > 2 * normal.longest + _LENGTH_ROOM:
                return Kind.ATTACK, "overlong"
        return (Kind.RENAMED, "renamed") if unknown else (Kind.TYPO, "typo")

    def _anywhere(self, path: bytes) -> _Field:
        """The make-up of all values at a path: what a field of unknown name may hold."""
        fields = [made for (at, _), made in self._fields.items() if at == path]
        characters = set().union(*(made.characters for made in fields))
        return _Field(characters, max((made.longest for made in fields), default=0))


def _is_hostile(value: str, normal: _Field) -> bool:
    """Whether a value holds what is neither typed by accident nor normal in its field.

    That is a character other than a letter, a digit, one of ``_SLIPS`` or one that training
    traffic shows there (a percent sign: it was encoded twice); or an apostrophe that ends a string.
    """
    return _END_OF_STRING.search(value) is not None or not all(
        c.isalnum() or c in _SLIPS or c in normal.characters for c in value
    )


def _parts(request: Request) -> tuple[bytes, _Pairs]:
    path, _, query = request.target.partition(b"?")
    return path, _pairs(query) + _pairs(request.body)


@lru_cache(maxsize=4096)
def _pairs(text: bytes) -> _Pairs:
    parts = (pair.partition("=") for pair in text.decode("latin-1").split("&") if pair)
    return tuple(
        (unquote_plus(name, "latin-1"), unquote_plus(value, "latin-1")) for name, _, value in parts
    )
