"""Splits that leak nothing: whole sessions go to one side, chosen by a hash of their id.

Neither the order of exchanges nor the run matters, only the session id and the seed. Requests of
one session share nonces, cookies and a user's habits; a split inside of one would test on what
was learned.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cnaf.models.exchange import Exchange, Request

__all__ = ["Split", "deduplicate", "held_out_sessions", "kfold", "request_key", "split_sessions"]


@dataclass(frozen=True, slots=True)
class Split:
    """Two sides that share no session, each in the order that it came in."""

    train: tuple[Exchange, ...]
    held_out: tuple[Exchange, ...]


def held_out_sessions(sessions: Iterable[str], fraction: float, seed: int = 0) -> frozenset[str]:
    """Return the sessions to hold out: ``fraction`` of them, at least one, never all.

    Takes those whose seeded hashes are lowest, so a larger fraction holds out a superset, and a
    session more or less moves at most one other. Raises CorpusError for fewer than two sessions.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction} is not between 0 and 1")
    ranked = sorted(set(sessions), key=lambda session: (_position(session, seed), session))
    if len(ranked) < 2:
        raise CorpusError(
            f"a corpus of {len(ranked)} session(s) cannot be split",
            hint="record at least two sessions: one HAR file or one session id each",
        )
    return frozenset(ranked[: min(max(1, round(fraction * len(ranked))), len(ranked) - 1)])


def split_sessions(exchanges: Iterable[Exchange], fraction: float, seed: int = 0) -> Split:
    """Split exchanges by session; ``fraction`` of the sessions is held out.

    Holds all exchanges in memory; with :func:`held_out_sessions` the same split can be streamed.
    """
    everything = tuple(exchanges)
    held_out = held_out_sessions((exchange.session for exchange in everything), fraction, seed)
    return Split(
        train=tuple(e for e in everything if e.session not in held_out),
        held_out=tuple(e for e in everything if e.session in held_out),
    )


def kfold(session: str, folds: int, seed: int = 0) -> int:
    """Return the fold of a session, 0 to ``folds - 1``, whatever other sessions there are.

    Folds are of equal size in expectation only: with few sessions one may be empty.

    >>> kfold("checkout", 5) == kfold("checkout", 5)
    True
    """
    if folds < 2:
        raise ValueError(f"{folds} folds: at least 2 are needed")
    return _position(session, seed) % folds


def _position(session: str, seed: int) -> int:
    key = f"{seed}:".encode() + session.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big")


# What differs between two requests that mean the same: identifiers, random tokens and times. Runs
# of less than eight hexadecimal or six decimal digits are kept, as ids of posts and users are.
_VOLATILE = re.compile(
    rb"(?<![0-9a-fA-F%])(?:"
    rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # UUID
    rb"|(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}"  # nonces, hashes; a word like "defaced" has no digit
    rb"|[0-9]{6,}"  # seconds and milliseconds
    rb")(?![0-9a-fA-F])"
)
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]{1,200})', re.IGNORECASE)


def request_key(request: Request) -> bytes:
    """Return 32 bytes that are equal for requests that differ in volatile values only.

    Looks at method, target and body. UUIDs, hexadecimal runs of 8 digits and more, decimal runs of
    6 and more, and the multipart boundary are neutralised; cookies and other headers are left out.
    """
    body = request.body
    boundary = _BOUNDARY.search(request.header(b"content-type") or b"")
    if boundary:
        body = body.replace(boundary[1], b"(boundary)")
    parts = (
        request.method.encode(),
        _VOLATILE.sub(b"*", request.target),
        _VOLATILE.sub(b"*", body),
    )
    # Each part is hashed alone, so that no bytes can move from one into the next.
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def deduplicate(exchanges: Iterable[Exchange]) -> Iterator[Exchange]:
    """Yield the first exchange of each :func:`request_key` and label, for honest rates.

    A browser asks for the same style sheet in each session; rates over repeated requests say more
    about the repetitions than about the detector.
    """
    seen: set[tuple[str, bytes]] = set()
    for exchange in exchanges:
        key = (exchange.label.value, request_key(exchange.request))
        if key not in seen:
            seen.add(key)
            yield exchange
