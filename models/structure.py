"""What is new about a request's structure, and how much that says.

A path, a method, a set of fields or a name that CI never showed is news. How much news is worth
depends on how often the image shows any: a folder where every other page was requested by one
session alone will have more pages, one where a thousand requests led to the same five will not.
Good and Turing's estimate says it: of n sightings of which s were of something that one session
alone showed, the next is new with a probability of about s / n (Good, "The population frequencies
of species", Biometrika 1953). News is counted in bits, -log2 of that.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log2
from typing import Final
from zlib import crc32

from cnaf.models.fields import Location

__all__ = ["NAMED", "NOTHING_SEEN", "UNKNOWN", "News", "add_name", "composition_of", "news_of"]

#: Places (by number) whose names make up a request's composition: paths are endpoints, cookies
#: and headers come from others, too, and a file comes with its name.
NAMED: Final = tuple(
    location not in (Location.PATH, Location.COOKIE, Location.HEADER, Location.FILE)
    for location in Location
)
#: A parameter given twice is one thing to the app and another to a filter in front of it; the
#: elements of a JSON array are as many as they are.
_SINGLE: Final = tuple(location in (Location.QUERY, Location.FORM) for location in Location)
#: The number of a name that the image never showed; no profile has it.
UNKNOWN: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class News:
    """How often something was new in one place: sightings, and those of what was shown once.

    A sighting is a session that showed a thing, whatever the number of its requests.
    """

    sightings: int
    once: int

    @property
    def bits(self) -> float:
        """-log2 of the chance that the next sighting is of something new."""
        return log2((self.sightings + 2.0) / (self.once + 1.0))


NOTHING_SEEN: Final = News(0, 0)


def news_of(sessions: Iterable[int]) -> News:
    """Return the news of a place from how many sessions showed each thing in it.

    >>> news_of([10, 1, 5]).once
    1
    """
    counts = list(sessions)
    return News(sum(counts), sum(count == 1 for count in counts))


def add_name(order: dict[int, int], location: int, profile: int) -> None:
    """Note a field of a request: ``order`` says which profiles came, in what order, which twice."""
    if NAMED[location]:
        if profile not in order:
            order[profile] = 0
        elif _SINGLE[location]:
            order[profile] = 1


def composition_of(order: Mapping[int, int]) -> int:
    """Return a number (32 bits) for what :func:`add_name` noted; 0 for no field at all."""
    if not order:
        return 0
    return crc32(array("I", [profile << 1 | twice for profile, twice in order.items()]).tobytes())
