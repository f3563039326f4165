"""Corpus cards: what a corpus is, in a file next to it that code can check against the traffic.

``card.json`` holds what can be checked; the ``CARD.md`` beside it holds what must be read: how the
corpus was made, its artefacts, and what it must not be used for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from cnaf.datasets.files import read_whole
from cnaf.datasets.stats import summarize
from cnaf.datasets.wire import BrokenError, as_dict, as_str
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnaf.datasets.corpus import Corpus

__all__ = ["CorpusCard", "read_card", "verify_card"]

_CARD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CorpusCard:
    """The facts of a corpus: ``exchanges`` by label, ``sha256`` as in :class:`CorpusFacts`.

    ``sessions_by_role`` and ``attacks_by_class`` are counts, empty where a corpus has neither.
    """

    name: str
    title: str
    licence: str
    recorded: str
    sessions: int
    exchanges: Mapping[str, int]
    sessions_by_role: Mapping[str, int]
    attacks_by_class: Mapping[str, int]
    sha256: str


def read_card(path: Path) -> CorpusCard:
    """Return the card in a JSON file, or raise CorpusError that says what is wrong with it."""
    try:
        card = as_dict(orjson.loads(read_whole(path, _CARD_BYTES)), "card")
        return CorpusCard(
            name=as_str(card.get("name"), "name"),
            title=as_str(card.get("title"), "title"),
            licence=as_str(card.get("licence"), "licence"),
            recorded=as_str(card.get("recorded"), "recorded"),
            sessions=_count(card.get("sessions"), "sessions"),
            exchanges=_counts(card.get("exchanges"), "exchanges"),
            sessions_by_role=_counts(card.get("sessions_by_role", {}), "sessions_by_role"),
            attacks_by_class=_counts(card.get("attacks_by_class", {}), "attacks_by_class"),
            sha256=as_str(card.get("sha256"), "sha256"),
        )
    except (BrokenError, orjson.JSONDecodeError) as error:
        raise CorpusError(
            f"{path} is no corpus card: {error}", hint="restore it from the project"
        ) from None


def verify_card(card: CorpusCard, corpus: Corpus) -> None:
    """Raise CorpusError where the corpus is not the one that the card describes."""
    summary = summarize(corpus)
    facts = (
        ("sessions", card.sessions, summary.sessions),
        ("exchanges", dict(card.exchanges), dict(summary.labels)),
        ("sha256", card.sha256, corpus.sha256()),
    )
    for what, expected, found in facts:
        if expected != found:
            raise CorpusError(
                f"corpus {card.name} differs from its card: {what} is {found}, not {expected}",
                hint="restore the files, or measure again and correct card.json",
            )


def _count(value: object, what: str) -> int:
    if type(value) is not int or value < 0:
        raise BrokenError(f"{what} is not a count")
    return value


def _counts(value: object, what: str) -> dict[str, int]:
    return {key: _count(count, f"{what}.{key}") for key, count in as_dict(value, what).items()}
