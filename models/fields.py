"""The named values of a request, canonically decoded: what every detector looks at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

__all__ = ["SEPARATOR", "Field", "Location", "ParsedRequest"]

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

    ``rounds`` counts the decoding rounds that still changed the value after the one that its
    encoding calls for: 0 is normal, 1 says that it was encoded twice.
    """

    location: Location
    name: str
    value: bytes
    rounds: int = 0


@dataclass(slots=True)
class ParsedRequest:
    """A request taken apart once.

    ``buffer`` holds all values joined by SEPARATOR in the order of ``fields``; value ``i`` is
    ``buffer[starts[i]:starts[i] + len(fields[i].value)]``.
    """

    method: str
    path: str
    fields: list[Field]
    buffer: bytes
    starts: list[int]
