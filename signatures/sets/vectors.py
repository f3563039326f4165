"""The samples of the built-in rules, run through the engine that runs them on a node."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from cnaf.models.fields import SEPARATOR, Field, ParsedRequest
from cnaf.signatures.engine import SignatureEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Vector", "built_in_vectors"]


@dataclass(frozen=True, slots=True)
class Vector:
    """One sample of a rule; ``problem`` is empty where the rule does what it must."""

    name: str
    problem: str


def built_in_vectors() -> Iterator[Vector]:
    """Yield each sample of each built-in rule, run."""
    engine = SignatureEngine.load()
    for rule in engine.rules:
        for must, samples in ((True, rule.must_fire), (False, rule.must_not_fire)):
            for sample in samples:
                request = _request(Field(sample.location, sample.name, sample.value))
                fires = any(match.rule.id == rule.id for match in engine.match(request))
                wrong = "" if fires is must else f"must {'' if must else 'not '}fire"
                yield Vector(f"{rule.id} {sample.value[:60]!r}", wrong)


def _request(*fields: Field) -> ParsedRequest:
    values = [field.value for field in fields]
    starts = list(accumulate((len(value) + 1 for value in values), initial=0))[:-1]
    return ParsedRequest("GET", "/", list(fields), [], SEPARATOR.join(values), starts, 0)
