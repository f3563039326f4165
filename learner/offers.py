"""What an app offered in one session, and which of it best stands for a recorded value."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.learner.values import Kind, Offer, kind_of, same_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["Offers", "Target"]

#: Newest values of one name that are remembered, names, and newest tokens of any name.
_PER_NAME = 256
_NAMES = 4_096
_RECENT = 64
#: Tokens whose addresses are remembered: what a session of a browser sees, many times over.
_TOKENS = 65_536
_NOT_IN_NAME = re.compile(rb"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: its path, and its query and form values by name."""

    path: bytes
    pairs: frozenset[tuple[bytes, bytes]]


class Offers:
    """A bounded memory of named values, the newest in the place of the oldest."""

    def __init__(self) -> None:
        self._names: dict[bytes, deque[tuple[int, Offer]]] = {}
        self._recent: deque[tuple[int, Offer]] = deque(maxlen=_RECENT)
        # The paths of the links and forms in which a token was seen.
        self._paths: dict[bytes, set[bytes]] = {}
        self._count = 0

    def add(self, offer: Offer) -> None:
        """Remember one value."""
        self._count += 1
        name = _fold(offer.name)
        # Taken out and put back, so that the name that was not seen for longest comes first.
        offers = self._names.pop(name, None) or deque(maxlen=_PER_NAME)
        offers.append((self._count, offer))
        self._names[name] = offers
        if len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]
        if kind_of(offer.value) is Kind.TOKEN:
            self._recent.append((self._count, offer))
            if len(self._paths) < _TOKENS:
                self._paths.setdefault(offer.value, set()).update((offer.path,) * bool(offer.path))

    def has(self, token: bytes) -> bool:
        """Say whether the app has sent this token."""
        return token in self._paths

    def has_named(self, name: bytes, value: bytes) -> bool:
        """Say whether the app has sent this value under this name lately."""
        return any(offer.value == value for _, offer in self._names.get(_fold(name), ()))

    def ranked(
        self,
        name: bytes,
        recorded: bytes,
        target: Target,
        taken: Collection[bytes],
        *,
        any_name: bool,
    ) -> list[bytes]:
        """Return the values that may stand for a recorded one of this name, the best first.

        A value of a link or form to the request's path is better than one without an address, and
        that is better than one that belongs to another path. Then count: not ``taken`` for another
        recorded value, the same name and not only one that ends like it (``nonce`` for
        ``x-wp-nonce``), the same values beside it, and newness. ``any_name`` adds the newest tokens
        of that shape.
        """
        offers = [(0, *item) for item in self._recent] if any_name else []
        best: dict[bytes, tuple[int, bool, int, int, int]] = {}
        for fit, order, offer in (*offers, *self._named(name)):
            value = offer.value
            if value == recorded or not same_shape(value, recorded):
                continue
            paths = self._paths.get(value)
            address = 1 if not paths else 2 if target.path in paths else 0
            beside = len(offer.others & target.pairs) if offer.path == target.path else 0
            rank = (address, value not in taken, fit, beside, order)
            best[value] = max(best.get(value, rank), rank)
        return sorted(best, key=best.__getitem__, reverse=True)

    def links(self, names: Iterable[bytes], target: Target) -> list[Offer]:
        """Return links and forms to the target's path that hold one of these names.

        Those that have most values in common with the request come first, then the newest.
        """
        found: dict[frozenset[tuple[bytes, bytes]], tuple[int, int, Offer]] = {}
        for name in names:
            for order, offer in self._names.get(_fold(name), ()):
                if offer.others and offer.path == target.path:
                    found[offer.others] = (len(offer.others & target.pairs), order, offer)
        return [offer for _, _, offer in sorted(found.values(), key=_order, reverse=True)]

    def _named(self, name: bytes) -> Iterator[tuple[int, int, Offer]]:
        wanted = _fold(name)
        for key, offers in self._names.items():
            if key == wanted:
                yield from ((2, *item) for item in offers)
            elif key[:1] != b"/" != wanted[:1] and (wanted.endswith(key) or key.endswith(wanted)):
                yield from ((1, *item) for item in offers)


def _order(item: tuple[int, int, Offer]) -> tuple[int, int]:
    return item[:2]


def _fold(name: bytes) -> bytes:
    # The name of an id in a path is that path, and stays.
    return name if name.startswith(b"/") else _NOT_IN_NAME.sub(b"", name.lower())
