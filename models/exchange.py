"""HTTP exchanges as they were on the wire: the one input of learning, inspection and replay.

Names of headers are lower-case (HTTP/2 and HAProxy hand them over so), values and bodies are
untouched bytes. Decoding happens once, in :mod:`cnaf.models.fields`, never here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Exchange", "Headers", "Label", "Request", "Response"]

#: Pairs of lower-case name and raw value, in wire order, duplicates kept.
Headers = tuple[tuple[bytes, bytes], ...]

_EMPTY: Mapping[str, object] = MappingProxyType({})


class Label(StrEnum):
    """What whoever made the corpus says about an exchange."""

    BENIGN = "benign"
    ATTACK = "attack"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    ``target`` is in origin form (path and query), percent-encoding untouched. ``body`` holds at
    most the inspected prefix; ``body_size`` is the size that the client announced or sent, in
    bytes, so ``body_size > len(body)`` says that something was not seen.
    """

    method: str
    target: bytes
    headers: Headers
    body: bytes = b""
    body_size: int = 0
    version: str = "1.1"

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header by its lower-case name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Response:
    """What the app answered; headers may be empty where a recording did not keep them."""

    status: int
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its answer where known, and where it came from.

    ``session`` groups what must never be split between training and evaluation (one browser
    session, one test case). ``meta`` carries a recording's own tags (attack class, carrier).
    """

    id: str
    session: str
    label: Label
    request: Request
    response: Response | None = None
    meta: Mapping[str, object] = field(default_factory=lambda: _EMPTY)
