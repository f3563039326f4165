"""The samples of the built-in rules, run through the engine that runs them on a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.rule_samples import built_in_samples, failed_samples

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
    samples = built_in_samples(engine.rules)
    failed = {(one.rule, one.must_fire, one.sample) for one in failed_samples(engine, samples)}
    for rule, of_rule in samples.items():
        for must, found in ((True, of_rule.must_fire), (False, of_rule.must_not_fire)):
            for sample in found:
                wrong = f"must {'' if must else 'not '}fire"
                problem = wrong if (rule, must, sample) in failed else ""
                yield Vector(f"{rule} {sample.value[:60]!r}", problem)
