"""Carry over what the app issued: nonces, ids and the like, from its answers into later requests.

A recording holds the values of the installation that it was made from. While a session is
replayed, what the app offers (:mod:`cnaf.learner.values`) is remembered, and recorded values are
replaced by those that the app offers under the same name, best for the same path and beside the
same other values. Where the app refuses the request all the same, the next best are tried; what it
then accepts stands for the recorded values from there on.

- A **token** is replaced whenever the app offers one of its name and shape.
- An **id** (a record's number) is left alone until the app refuses it, because most ids are equal
  in both installations, and most numbers are no ids.

Nothing here knows an application. A value that was issued where this session did not see it, or
under another name, is not carried over, and the app may refuse its request.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

from cnaf.learner.values import (
    Kind,
    Offer,
    Place,
    find_offers,
    find_path_places,
    find_places,
    kind_of,
    parse_pairs,
    same_shape,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnaf.models.exchange import Request

__all__ = ["Carrier", "Draft"]

#: Requests that are sent for one of the recording, where the app goes on refusing.
_TRIES = 8
#: Newest values of one name that are remembered, names, and newest tokens of any name.
_PER_NAME = 256
_NAMES = 4096
_RECENT = 64
#: Values of a request that are looked at; a menu editor sends hundreds of numbers.
_MAX_SLOTS = 512
_NOT_IN_NAME = re.compile(rb"[^a-z0-9]+")
# Headers in which an app's value comes back. Others are the browser's own, or the cookie jar's.
_HEADER = re.compile(rb"authorization|.*(?:csrf|xsrf|token|nonce).*")
_OPAQUE = re.compile(
    rb"(?:image|audio|video|font)/|application/(?:octet-stream|zip|pdf)|text/css|.*javascript"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A request to send, and which of its recorded values were replaced, by which of the app."""

    request: Request
    carried: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A value in a part of a request: its path, its query, its body or a header."""

    part: int
    place: Place

    @property
    def is_id(self) -> bool:
        return kind_of(self.place.value) is Kind.ID


class Carrier:
    """What the app offered in one session, and which recorded values it stands for."""

    def __init__(self) -> None:
        self._offers: dict[bytes, deque[Offer]] = {}
        self._recent: deque[Offer] = deque(maxlen=_RECENT)
        self._offered: set[bytes] = set()
        self._known: dict[bytes, bytes] = {}

    def learn(self, body: bytes, content_type: bytes, page: bytes) -> None:
        """Remember what an answer to a request for the path ``page`` offers."""
        if not _OPAQUE.match(content_type.strip().lower()):
            for offer in find_offers(body, page):
                self.offer(offer)

    def offer(self, offer: Offer) -> None:
        """Remember one value that the app issued."""
        name = _fold(offer.name)
        # Taken out and put back, so that the name that was not seen for longest comes first.
        offers = self._offers.pop(name, None) or deque(maxlen=_PER_NAME)
        offers.append(offer)
        self._offers[name] = offers
        if len(self._offers) > _NAMES:
            del self._offers[next(iter(self._offers))]
        if kind_of(offer.value) is Kind.TOKEN:
            self._offered.add(offer.value)
            self._recent.append(offer)

    def accepted(self, draft: Draft) -> None:
        """Say that the app accepted a draft: its values stand for the recorded ones."""
        self._known.update(draft.carried)

    def drafts(self, request: Request) -> Iterator[Draft]:
        """Yield the request as it should be sent, then variants for where the app refuses it."""
        parts = _split(request)
        slots = list(islice(_slots(request, parts), _MAX_SLOTS))
        target = _Target(
            parts[0],
            frozenset(parse_pairs(parts[_QUERY].removeprefix(b"?")) + parse_pairs(parts[_BODY])),
        )
        first = self._first(slots, target)
        sent: list[Mapping[bytes, bytes]] = []
        for values in self._variants(slots, target, first):
            if values not in sent:
                sent.append(values)
                yield Draft(_fill(request, parts, self._meant(slots, values), values), values)
            if len(sent) == _TRIES:
                return

    def _first(self, slots: Iterable[_Slot], target: _Target) -> dict[bytes, bytes]:
        values = {}
        for slot in slots:
            recorded = slot.place.value
            if recorded in self._known:
                values[recorded] = self._known[recorded]
            elif not slot.is_id and recorded not in self._offered:
                for value in self._ranked(slot, target)[:1]:
                    values[recorded] = value
        return values

    def _variants(
        self, slots: list[_Slot], target: _Target, first: dict[bytes, bytes]
    ) -> Iterator[dict[bytes, bytes]]:
        yield first
        # As if another link or form of the page had been used, with all of its values.
        for offer in self._links(slots, target):
            theirs = dict(offer.others)
            yield first | {
                slot.place.value: theirs[slot.place.name]
                for slot in slots
                if slot.place.name in theirs
                and theirs[slot.place.name] != slot.place.value
                and same_shape(theirs[slot.place.name], slot.place.value)
            }
        # Then one value at a time, those first that were never accepted.
        ordered = sorted(slots, key=lambda slot: (slot.place.value in self._known, slot.part))
        rows = [
            [(slot.place.value, value) for value in self._ranked(slot, target, anywhere=True)]
            for slot in ordered
            if slot.part == _PATH or not slot.is_id
        ]
        for column in zip_longest(*rows):
            for change in filter(None, column):
                yield first | dict([change])

    def _links(self, slots: list[_Slot], target: _Target) -> list[Offer]:
        found: dict[frozenset[tuple[bytes, bytes]], tuple[int, Offer]] = {}
        for slot in slots:
            for offer in self._offers.get(_fold(slot.place.name), ()):
                if offer.others and offer.path == target.path:
                    found[offer.others] = (len(offer.others & target.pairs), offer)
        # The newest first, among those with equally many values in common.
        newest = list(found.values())[::-1]
        return [offer for _, offer in sorted(newest, key=lambda item: -item[0])][: _TRIES // 2]

    def _meant(self, slots: list[_Slot], values: Mapping[bytes, bytes]) -> list[_Slot]:
        """Return the slots whose recorded value is replaced: all for a token, the fit for an id."""
        return [
            slot
            for slot in slots
            if (value := values.get(slot.place.value)) is not None
            and (not slot.is_id or self._offers_id(slot, value))
        ]

    def _offers_id(self, slot: _Slot, value: bytes) -> bool:
        return any(offer.value == value for offer in self._offers.get(_fold(slot.place.name), ()))

    def _ranked(self, slot: _Slot, target: _Target, *, anywhere: bool = False) -> list[bytes]:
        """Return the offered values that may stand for a recorded one, the best first.

        ``anywhere`` adds the newest tokens of that shape, whatever they are called.
        """
        recorded, best = slot.place.value, {}
        offers = [(0, offer) for offer in self._recent] if anywhere and not slot.is_id else []
        for order, (fit, offer) in enumerate((*offers, *self._named(slot.place.name))):
            if offer.value != recorded and same_shape(offer.value, recorded):
                rank = (fit, offer.path == target.path, len(offer.others & target.pairs), order)
                best[offer.value] = max(best.get(offer.value, rank), rank)
        return sorted(best, key=best.__getitem__, reverse=True)[:_TRIES]

    def _named(self, name: bytes) -> Iterator[tuple[int, Offer]]:
        """Yield the offers of a name, and those that end like it (``nonce``, ``x-wp-nonce``)."""
        wanted = _fold(name)
        for key, offers in self._offers.items():
            if key == wanted:
                yield from ((2, offer) for offer in offers)
            elif key[:1] != b"/" != wanted[:1] and (wanted.endswith(key) or key.endswith(wanted)):
                yield from ((1, offer) for offer in offers)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request goes: its path, and its values by name."""

    path: bytes
    pairs: frozenset[tuple[bytes, bytes]]


#: Parts of a request: its path, its query, its body, then its headers.
_PATH, _QUERY, _BODY, _HEADERS = range(4)


def _split(request: Request) -> list[bytes]:
    path, mark, query = request.target.partition(b"?")
    return [path, mark + query, request.body, *(value for _, value in request.headers)]


def _slots(request: Request, parts: list[bytes]) -> Iterator[_Slot]:
    """Yield the values that may be replaced."""
    for place in find_path_places(parts[_PATH]):
        yield _Slot(_PATH, place)
    for number in (_QUERY, _BODY):
        if number == _QUERY or not _OPAQUE.match(request.header(b"content-type") or b""):
            for place in find_places(parts[number]):
                yield _Slot(number, place)
    for number, (name, value) in enumerate(request.headers, _HEADERS):
        # A scheme (Bearer) may stand before the value.
        start = value.rfind(b" ") + 1
        if _HEADER.fullmatch(name) and kind_of(value[start:]) is Kind.TOKEN:
            yield _Slot(number, Place(name, value[start:], start, len(value)))


def _fill(
    request: Request, parts: list[bytes], slots: list[_Slot], values: Mapping[bytes, bytes]
) -> Request:
    """Return the request with values replaced, byte for byte the same elsewhere."""
    if not slots:
        return request
    filled = list(parts)
    # From the end, so that the places before stay where they are.
    for slot in reversed(slots):
        text, place = filled[slot.part], slot.place
        filled[slot.part] = text[: place.start] + values[place.value] + text[place.end :]
    names = [name for name, _ in request.headers]
    return replace(
        request,
        target=filled[_PATH] + filled[_QUERY],
        body=filled[_BODY],
        body_size=len(filled[_BODY]),
        headers=tuple(zip(names, filled[_HEADERS:], strict=True)),
    )


def _fold(name: bytes) -> bytes:
    # The name of an id in a path is that path, and stays.
    return name if name.startswith(b"/") else _NOT_IN_NAME.sub(b"", name.lower())
