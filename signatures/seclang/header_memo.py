"""What headers say to rules, remembered by name and value: browsers send the same ones again.

A field that comes for the first time is scanned with the rest of its request. When it comes again
the rules that match it are found out once, exactly: scanned for candidates, then each confirmed on
the field alone; from then on a rule that no field and no other value makes a candidate need not
run. The memory is bounded, and what is too long is scanned each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.signatures.seclang.transaction import HeaderField, read_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["HeaderMemo"]

_MAX_FIELDS = 8192
_MAX_BYTES = 2048


class HeaderMemo:
    """Fields by name and value as they came. ``judge`` gives the candidates of a new one."""

    __slots__ = ("_fields", "_judge")

    def __init__(self, judge: Callable[[HeaderField], tuple[tuple[int, int], ...]]) -> None:
        self._judge = judge
        self._fields: dict[tuple[bytes, bytes], HeaderField] = {}

    def fields(self, pairs: Iterable[tuple[bytes, bytes]]) -> list[HeaderField]:
        """Return the fields of a request; those that came never before have no candidates yet."""
        known = self._fields
        fields = []
        for pair in pairs:
            field = known.get(pair)
            if field is None:
                field = self._first(pair)
            elif field.candidates is None:
                field.candidates = self._judge(field)
            fields.append(field)
        return fields

    def _first(self, pair: tuple[bytes, bytes]) -> HeaderField:
        field = read_field(pair)
        if len(pair[0]) + len(pair[1]) <= _MAX_BYTES:
            if len(self._fields) >= _MAX_FIELDS:
                self._fields.clear()
            self._fields[pair] = field
        return field
