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
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

from cnaf.learner.offers import Offers, Target
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
    from collections.abc import Collection, Iterator, Mapping

    from cnaf.models.exchange import Request

__all__ = ["Carrier", "Draft"]

#: Requests that are sent for one of the recording, where the app goes on refusing.
_TRIES = 12
#: Values of a request that are looked at; a menu editor sends hundreds of numbers.
_MAX_SLOTS = 512
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
    """What one session knows: the app's offers, and which recorded values they stand for."""

    def __init__(self) -> None:
        self._offers = Offers()
        self._known: dict[bytes, bytes] = {}

    def learn(self, body: bytes, content_type: bytes, page: bytes) -> None:
        """Remember what an answer to a request for the path ``page`` offers."""
        if not _OPAQUE.match(content_type.strip().lower()):
            for offer in find_offers(body, page):
                self._offers.add(offer)

    def offer(self, name: bytes, value: bytes) -> None:
        """Remember one value that the app issued, in a header or cookie."""
        if kind_of(value) is Kind.TOKEN:
            self._offers.add(Offer(name, value))

    def accepted(self, draft: Draft) -> None:
        """Say that the app accepted a draft: its values stand for the recorded ones."""
        self._known.update(draft.carried)

    def drafts(self, request: Request) -> Iterator[Draft]:
        """Yield the request as it should be sent, then variants for where the app refuses it."""
        parts = _split(request)
        slots = list(islice(_slots(request, parts), _MAX_SLOTS))
        query = parse_pairs(parts[_QUERY].removeprefix(b"?"))
        target = Target(parts[_PATH], frozenset(query + parse_pairs(parts[_BODY])))
        addressed = {slot.place.value for slot in slots if slot.part == _PATH}
        sent = []
        for values in self._variants(slots, target):
            filled = [slot for slot in slots if self._fits(slot, values, addressed)]
            carried = {slot.place.value: values[slot.place.value] for slot in filled}
            if carried not in sent:
                sent.append(carried)
                yield Draft(_fill(request, parts, filled, carried), carried)
            if len(sent) == _TRIES:
                return

    def _variants(self, slots: list[_Slot], target: Target) -> Iterator[dict[bytes, bytes]]:
        first = self._first(slots, target)
        yield first
        # As if another link or form of the page had been used, with all of its values.
        for link in self._offers.links((slot.place.name for slot in slots), target)[: _TRIES // 2]:
            yield first | _values_of(link, slots)
        # Then one value at a time, those first that were never accepted.
        ordered = sorted(slots, key=lambda slot: (slot.place.value in self._known, slot.part))
        changes = [
            [(slot.place.value, value) for value in self._ranked(slot, target, any_name=True)]
            for slot in ordered
            if slot.part == _PATH or not slot.is_id
        ]
        for row in zip_longest(*changes):
            for change in filter(None, row):
                yield first | dict([change])

    def _first(self, slots: list[_Slot], target: Target) -> dict[bytes, bytes]:
        """Return what stands for the recorded values, as far as it is known or likely."""
        values = {}
        for slot in slots:
            recorded = slot.place.value
            if recorded in self._known:
                values[recorded] = self._known[recorded]
            elif not slot.is_id and not self._offers.has(recorded):
                for value in self._ranked(slot, target)[:1]:
                    values[recorded] = value
        return values

    def _ranked(self, slot: _Slot, target: Target, *, any_name: bool = False) -> list[bytes]:
        name, recorded = slot.place.name, slot.place.value
        taken = {value for key, value in self._known.items() if key != recorded}
        any_name = any_name and not slot.is_id
        return self._offers.ranked(name, recorded, target, taken, any_name=any_name)[:_TRIES]

    def _fits(
        self, slot: _Slot, values: Mapping[bytes, bytes], addressed: Collection[bytes]
    ) -> bool:
        """Say whether a slot is to be filled.

        A number only where the app used it by this name, or where it repeats an id of the path.
        """
        recorded = slot.place.value
        if recorded not in values or not slot.is_id:
            return recorded in values
        repeats = recorded in addressed and len(recorded) > 1
        return repeats or self._offers.has_named(slot.place.name, values[recorded])


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


def _values_of(link: Offer, slots: list[_Slot]) -> dict[bytes, bytes]:
    theirs = dict(link.others)
    return {
        slot.place.value: theirs[slot.place.name]
        for slot in slots
        if same_shape(theirs.get(slot.place.name, b""), slot.place.value)
    }
