"""The named values of a request, canonically decoded: what every detector looks at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

__all__ = ["SEPARATOR", "Field", "Location", "ParsedRequest", "Problem", "ProblemKind"]

#: Stands between two values in :attr:`ParsedRequest.buffer`; a match across it is no match.
SEPARATOR = b"\x00"


class Location(IntEnum):
    """Where in a request a value stands; the number is stored in artifacts, never renumber."""

    PATH = 0
    QUERY = 1
    FORM = 2
    JSON = 3
    XML = 4
    MULTIPART = 5
    FILENAME = 6
    FILE = 7
    COOKIE = 8
    HEADER = 9
    BODY = 10

    @property
    def label(self) -> str:
        """The name that evidence shows, as in ``query:orderby``."""
        return self.name.lower()


class Field(NamedTuple):
    """One value: where it stands, its name, and its canonical (decoded once) bytes.

    ``name`` has its numbers folded (``meta[12]`` is ``meta[#]``), so that one field of a form is
    one field of the model. ``rounds`` counts the decoding rounds that still changed the value
    after the one that its carrier calls for: 0 is normal, 1 says that it was encoded twice.
    """

    location: Location
    name: str
    value: bytes
    rounds: int = 0

    @property
    def label(self) -> str:
        """The name that evidence shows: ``query:orderby``, ``header:user-agent``."""
        return f"{self.location.label}:{self.name}" if self.name else self.location.label


class ProblemKind(StrEnum):
    """What can be wrong with a request before any detector looks at its values."""

    BODY_TRUNCATED = "body-truncated"
    BODY_MALFORMED = "body-malformed"
    BODY_CODING = "body-coding"
    TOO_MANY_FIELDS = "too-many-fields"
    TOO_DEEP = "too-deep"
    VALUE_TRUNCATED = "value-truncated"
    XML_DOCTYPE = "xml-doctype"
    INVALID_UTF8 = "invalid-utf8"
    NUL_BYTE = "nul-byte"


class Problem(NamedTuple):
    """One thing that is wrong with a request: its kind, where, and the fact in a sentence."""

    kind: ProblemKind
    field: str
    detail: str


@dataclass(slots=True)
class ParsedRequest:
    """A request taken apart once.

    ``buffer`` holds all values joined by SEPARATOR in the order of ``fields``; value ``i`` is
    ``buffer[starts[i]:starts[i] + len(fields[i].value)]``. ``path`` is decoded once, as the app
    will route it; ``host`` is the Host header (empty where it is no name), ``body_bytes`` how much
    of a body was seen. Not frozen for speed alone (a frozen instance costs 1 µs more); nobody
    writes.
    """

    method: str
    path: str
    fields: list[Field]
    problems: list[Problem]
    buffer: bytes
    starts: list[int]
    body_bytes: int
    host: bytes = b""
