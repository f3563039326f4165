"""What a client controls has a cap; these are the documented defaults."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on everything that a client controls, in bytes or counts.

    Reaching one is counted and told as evidence, never silent.
    """

    #: Prefix of a body that is inspected. 64 KiB holds every form of the recorded corpora.
    body_bytes: int = 65_536
    #: Fields of one request that are inspected. WordPress's own menu editor sends 1,400 when the
    #: JSON inside of one of them is taken apart (docs/adr/0004).
    fields: int = 2048
    #: Nesting of JSON and XML. Parsers of common frameworks refuse far earlier than they overflow.
    depth: int = 32
    #: Rounds of percent- and entity-decoding: double encoding is an evasion, triple is the margin.
    decode_rounds: int = 3
    #: Bytes of one canonical value that detectors look at; the rest of the value is counted. As
    #: many as of a body: less would let padding push an attack out of sight.
    value_bytes: int = 65_536
    #: Bytes of a value that an alert may show.
    excerpt_bytes: int = 256
