"""What an evaluation runs on: labelled exchanges of one origin, and the tags that they carry.

Tags stand in ``meta``: ``class`` (what kind of attack: ``sqli``), ``kind`` (see :class:`Kind`),
``source`` (the file or list it is from), ``field`` (where it was put) and ``ambiguous`` (true
where the value might as well be an honest one there; rates are told without these).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnaf.models.exchange import Exchange

__all__ = ["DataSet", "Kind"]

_NONE: Mapping[str, int] = MappingProxyType({})


class Kind(StrEnum):
    """What an exchange that its publisher calls anomalous is, seen from an application."""

    ATTACK = "attack"
    #: A slip of the hand: only known names, only characters that people type.
    TYPO = "typo"
    #: An ordinary value under a name that the application does not know.
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class DataSet:
    """Exchanges of one origin, in the order that they came in.

    Where the publisher split the benign ones, ``train`` is to be learned from and ``benign`` held
    out; where ``train`` is empty, folds of ``benign`` by session serve. ``left_out`` counts
    records that gave no exchange, by the reason.
    """

    name: str
    benign: tuple[Exchange, ...]
    attacks: tuple[Exchange, ...] = ()
    train: tuple[Exchange, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=lambda: _NONE)

    def attacks_of(self, kind: Kind) -> tuple[Exchange, ...]:
        """Return the attacks of one kind; those without the tag are attacks proper."""
        return tuple(e for e in self.attacks if e.meta.get("kind", Kind.ATTACK) == kind)
