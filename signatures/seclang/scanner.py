"""Scan values for what rules imply: which rules can match at all?

Rules are grouped by where their targets stand (the address, arguments with cookies and bodies,
headers), each group with a Hyperscan database of its own. Values, and all that transformations
make of them, are joined by a byte that no expression matches but for anchors, and scanned once.
Where a value holds that byte itself, all rules of the group are candidates. Candidates are
confirmed value by value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hyperscan
from cnaf.signatures.seclang.prefilter import SEPARATOR, join
from cnaf.signatures.seclang.regexes import LimitReachedError, compile_regex
from cnaf.signatures.seclang.syntax import Place as SourcePlace
from cnaf.signatures.seclang.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["GATE", "WORD_BYTES", "Group", "Scanner"]

#: Stands for the phase where what is found is no rule yet: the number is one of ``slow``.
GATE = -1

#: Of these bytes alone no injection consists, whatever language.
WORD_BYTES = bytes(c for c in range(0x80) if chr(c).isalnum()) + b"_"

#: Reports of one scan. A text that makes more makes all rules candidates; at a sixth of a
#: microsecond each this is some milliseconds.
_MAX_HITS = 50_000

#: Expressions of groups were checked when rules were loaded.
_NOWHERE = SourcePlace("compiled rules", 1)

Place = tuple[int, int]


class Group:
    """What is compiled for the rules of one group. A rule is its phase and number there.

    ``index`` gives the rules of each expression of ``database``, ``suspicious`` those that may
    match any value that is not of some bytes alone, ``pipelines`` the transformations for each
    variable. ``slow`` are expressions for PCRE, with whether case counts for nothing and their
    rules; one to which an expression of the database leads by :data:`GATE` is searched for only
    where that is found.
    """

    __slots__ = ("database", "index", "pipelines", "slow", "suspicious")

    def __init__(
        self,
        database: hyperscan.Database | None,
        index: tuple[tuple[Place, ...], ...],
        pipelines: Mapping[str, tuple[tuple[str, ...], ...]],
        suspicious: tuple[tuple[bytes, tuple[Place, ...]], ...],
        slow: tuple[tuple[str, bool, tuple[Place, ...]], ...] = (),
    ) -> None:
        self.database, self.index = database, index
        self.pipelines, self.suspicious, self.slow = pipelines, suspicious, slow


class Scanner:
    """Finds the candidates of one group. Not thread-safe: hits gather in one list.

    ``variants`` holds what makes the variants of a variable's values, ``any_variants`` makes those
    of any variable's.
    """

    __slots__ = (
        "_all",
        "_database",
        "_gated",
        "_hits",
        "_index",
        "_on_hit",
        "_slow",
        "_suspicious",
        "any_variants",
        "variants",
    )

    def __init__(self, group: Group) -> None:
        self._database = group.database
        self._index = group.index
        self._suspicious = [(harmless + SEPARATOR, places) for harmless, places in group.suspicious]
        slow = [
            (compile_regex(pattern, _NOWHERE, ignore_case=ignore_case).search, places)
            for pattern, ignore_case, places in group.slow
        ]
        gates = {n: places[0][1] for n, places in enumerate(group.index) if places[0][0] == GATE}
        #: What is searched for where an expression of the database is found, and always.
        self._gated = {number: slow[gated] for number, gated in gates.items()}
        self._slow = [one for n, one in enumerate(slow) if n not in set(gates.values())]
        indexed = [places for n, places in enumerate(group.index) if n not in gates]
        indexed += [places for _, places in group.suspicious]
        indexed += [places for _, _, places in group.slow]
        self._all = frozenset(place for places in indexed for place in places)
        pipelines = group.pipelines
        self.variants = {name: Variants(names) for name, names in pipelines.items()}
        self.any_variants = Variants({p for names in pipelines.values() for p in names})
        self._hits: list[int] = []
        self._on_hit = _collector(self._hits)

    def scan(self, values: Iterable[bytes]) -> set[Place]:
        """Return the rules of which something was found in any of the values."""
        texts = set(values)
        add = self.any_variants.add_to
        for value in tuple(texts):
            add(texts, value)
        return self.find(texts)

    def find(self, texts: set[bytes]) -> set[Place]:
        """Return the rules of which something was found in texts, variants among them."""
        joined = join(texts)
        if joined.count(SEPARATOR) > len(texts):
            return set(self._all)
        found: set[Place] = set()
        for harmless, places in self._suspicious:
            if joined.translate(None, harmless):
                found.update(places)
        for search, places in self._slow:
            if _finds(search, joined):
                found.update(places)
        if self._database is None:
            return found
        hits = self._hits
        try:
            self._database.scan(joined, self._on_hit)
        except hyperscan.ScanTerminated:
            hits.clear()
            return set(self._all)
        if hits:
            gated = self._gated
            for hit in set(hits):
                if hit not in gated:
                    found.update(self._index[hit])
                elif not found.issuperset(gated[hit][1]) and _finds(gated[hit][0], joined):
                    found.update(gated[hit][1])
            hits.clear()
        return found


def _finds(search: Callable[[bytes], object], joined: bytes) -> bool:
    """Whether an expression finds something, or takes too long to say."""
    try:
        return search(joined) is not None
    except LimitReachedError:
        return True


def _collector(hits: list[int]) -> Callable[[int, int, int, int, object], bool | None]:
    """Return a handler that gathers the numbers of expressions, and ends a scan at the cap."""
    append, count = hits.append, hits.__len__

    def on_hit(number: int, _start: int, _end: int, _flags: int, _context: object) -> bool | None:
        append(number)
        return True if count() >= _MAX_HITS else None

    return on_hit
