"""All that the pipelines of many rules make of a value, each step taken once.

Pipelines are paths in a tree of transformations. Of all paths only steps that act on a value, by
its traits, do anything, so where they lead is worked out for sets of places in the tree and
remembered by traits: the tree becomes an automaton whose moves are the steps that act. For most
values there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.signatures.seclang.transformations import TRANSFORMATIONS, traits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Variants"]

#: Moves that are remembered; there are some hundreds for all traits that requests have.
_MAX_MOVES = 8192

#: Names and short values come again, and their variants with them.
_MAX_KNOWN = 8192
_MAX_KNOWN_BYTES = 128
_NOTHING: frozenset[bytes] = frozenset()

_State = frozenset[int]
_Moves = tuple[tuple["Callable[[bytes], bytes]", _State], ...]


class Variants:
    """The automaton of some pipelines, given as names of transformations."""

    def __init__(self, pipelines: Iterable[tuple[str, ...]]) -> None:
        #: For each place in the tree the steps that leave it, by name, and where they lead.
        self._tree: list[dict[str, int]] = [{}]
        for names in pipelines:
            place = 0
            for name in names:
                if name not in self._tree[place]:
                    self._tree.append({})
                    self._tree[place][name] = len(self._tree) - 1
                place = self._tree[place][name]
        self._acts_on = 0
        for steps in self._tree:
            for name in steps:
                self._acts_on |= TRANSFORMATIONS[name].acts_on
        self._known: dict[bytes, frozenset[bytes]] = {}
        self._moves: dict[tuple[_State, int], _Moves] = {}
        self._start: _State = frozenset((0,))

    def add_to(self, out: set[bytes], value: bytes) -> None:
        """Add what pipelines make of a value, where it differs from the value."""
        made = self._known.get(value)
        if made is None:
            made = self._make(value)
        if made:
            out.update(made)

    def _make(self, value: bytes) -> frozenset[bytes]:
        found: set[bytes] = set()
        traits = traits_of(value, self._acts_on)
        if traits:
            moves = self._moves.get((self._start, traits)) or self._find(self._start, traits)
            if moves:
                self._follow(moves, value, found)
        made = frozenset(found) if found else _NOTHING
        if len(value) <= _MAX_KNOWN_BYTES:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[value] = made
        return made

    def _follow(self, moves: _Moves, value: bytes, out: set[bytes]) -> None:
        for step, state in moves:
            result = step(value)
            if result == value:
                # The step did nothing after all: what follows it is found from its state.
                traits = traits_of(value, self._acts_on)
            else:
                out.add(result)
                traits = traits_of(result, self._acts_on)
            if traits:
                found = self._moves.get((state, traits))
                following = self._find(state, traits) if found is None else found
                if following:
                    self._follow(following, result, out)

    def _find(self, state: _State, traits: int) -> _Moves:
        """Work out which steps that act on the traits can come next, past those that do not."""
        targets: dict[str, set[int]] = {}
        pending, seen = list(state), set(state)
        while pending:
            for name, place in self._tree[pending.pop()].items():
                if TRANSFORMATIONS[name].acts_on & traits:
                    targets.setdefault(name, set()).add(place)
                elif place not in seen:
                    seen.add(place)
                    pending.append(place)
        moves = tuple(
            (TRANSFORMATIONS[name].apply, frozenset(places)) for name, places in targets.items()
        )
        if len(self._moves) >= _MAX_MOVES:
            self._moves.clear()
        self._moves[state, traits] = moves
        return moves
