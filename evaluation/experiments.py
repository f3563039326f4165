"""What becomes of detection with little traffic, and with attacks in what is learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random

from cnaf.enforcer.pipeline import Inspector
from cnaf.evaluation.observations import PIPELINES, Rate
from cnaf.evaluation.trials import inspectors, learn_model
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Response
from cnaf.models.request_model import RequestModel
from cnaf.models.verdict import Action

__all__ = ["POISONED", "SIZES", "PoisonPoint", "SmallPoint", "poisoned", "small_corpus"]

#: Requests to learn from, and how often they are drawn: few requests depend on luck more.
SIZES = {50: 6, 100: 6, 200: 6, 500: 4, 1_000: 3, 5_000: 2}
_TARGETS = (0.01, 0.001)
#: Requests that are inspected at most, of each label, so that many draws can be made.
_INSPECTED = 3_000
#: Shares of attacks in what is learned from.
POISONED = (0.0, 0.01, 0.05)


@dataclass(frozen=True, slots=True)
class SmallPoint:
    """A model of ``size`` requests, one of several draws, on sessions that were not drawn."""

    application: str
    size: int
    draw: int
    target: float
    pipeline: str
    attacks: Rate
    benign: Rate


@dataclass(frozen=True, slots=True)
class PoisonPoint:
    """A model of traffic of which a share is attacks, on held-out sessions.

    ``known`` are the attacks that were mixed in, ``others`` those that were not.
    """

    share: float
    mixed_in: int
    fold: int
    pipeline: str
    known: Rate
    others: Rate
    benign: Rate


def small_corpus(
    application: str,
    benign: Sequence[Exchange],
    attacks: Sequence[Exchange],
    size: int,
    draw: int,
    *,
    held_out: Sequence[Exchange] = (),
) -> tuple[SmallPoint, ...]:
    """Learn from ``size`` benign requests and inspect other sessions and the attacks.

    Sessions are drawn at random by the seed ``draw`` and taken whole, the last one up to the size.
    ``held_out`` are inspected where the publisher split; else the sessions not drawn are. A corpus
    too small to learn from, or without anything left, gives no point.
    """
    by_session: dict[str, list[Exchange]] = {}
    for exchange in benign:
        by_session.setdefault(exchange.session, []).append(exchange)
    sessions = sorted(by_session)
    Random(f"{application}:{size}:{draw}").shuffle(sessions)  # noqa: S311 - to be repeatable
    train: list[Exchange] = []
    drawn = 0
    while len(train) < size and drawn < len(sessions):
        train += by_session[sessions[drawn]]
        drawn += 1
    rest = held_out or [e for session in sessions[drawn:] for e in by_session[session]]
    if len(train) < size or not rest:
        return ()
    try:
        model, _ = learn_model(train[:size], _TARGETS[0])
    except CorpusError:
        return ()
    good, bad = _sample(rest), _sample(attacks)
    points = []
    for target in _TARGETS:
        for pipeline, inspector in _inspectors(model, target):
            found, alarms = _blocked(inspector, bad), _blocked(inspector, good)
            points.append(SmallPoint(application, size, draw, target, pipeline, found, alarms))
    return tuple(points)


def poisoned(
    train: Sequence[Exchange],
    benign: Sequence[Exchange],
    attacks: Sequence[Exchange],
    share: float,
    fold: int,
    target_fpr: float,
) -> tuple[PoisonPoint, ...]:
    """Learn from traffic into which attacks were mixed as if an app had accepted them.

    Half of the attacks, chosen by hash, are mixed into the sessions at random places, repeated
    until they are ``share`` of all. Both halves are inspected then.
    """
    known = [e for e in attacks if sha256(e.id.encode()).digest()[0] % 2]
    others = [e for e in attacks if not sha256(e.id.encode()).digest()[0] % 2]
    random = Random(f"{fold}:{share}")  # noqa: S311 - to be repeatable
    count = round(len(train) * share / (1 - share)) if known else 0
    mixed = list(train)
    for number in range(count):
        at = random.randrange(len(mixed))
        attack = known[number % len(known)]
        mixed.insert(at, replace(attack, id=f"poison-{number}", session=mixed[at].session,
                                 label=Label.BENIGN, response=Response(200)))  # fmt: skip
    model, _ = learn_model(mixed, target_fpr)
    return tuple(
        PoisonPoint(
            share, count, fold, pipeline, *(_blocked(i, g) for g in (known, others, benign))
        )
        for pipeline, i in _inspectors(model, target_fpr)
    )


def _inspectors(model: RequestModel, target_fpr: float) -> Iterator[tuple[str, Inspector]]:
    """Signatures alone depend on no corpus."""
    for pipeline, inspector in zip(PIPELINES, inspectors(model, target_fpr), strict=True):
        if pipeline != "signatures":
            yield pipeline, inspector


def _sample(exchanges: Sequence[Exchange]) -> list[Exchange]:
    ranked = sorted(exchanges, key=lambda e: sha256(e.id.encode()).digest())
    return ranked[:_INSPECTED]


def _blocked(inspector: Inspector, exchanges: Iterable[Exchange]) -> Rate:
    actions = [inspector.inspect(e.request).action for e in exchanges]
    return Rate.of(actions.count(Action.BLOCK), len(actions))
