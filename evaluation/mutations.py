"""Mutated attacks: a payload, rewritten by operators that keep what it does.

The operators of each language stand in a module of their own; here they are composed. The same
payload, rounds and seed give the same mutation, on every machine.
"""

from __future__ import annotations

from random import Random

from cnaf.evaluation import markup_mutations, path_mutations, shell_mutations, sql_mutations
from cnaf.evaluation.operators import Kind, Operator

__all__ = ["OPERATORS", "Kind", "Operator", "mutate", "operators_of"]

#: All operators, by kind.
OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    Kind.SQL: sql_mutations.OPERATORS,
    Kind.MARKUP: markup_mutations.OPERATORS,
    Kind.PATH: path_mutations.OPERATORS,
    Kind.SHELL: shell_mutations.OPERATORS,
}
#: A payload that has grown to this many characters is not mutated further.
_LONGEST = 4096


def operators_of(kind: Kind, dialect: str = "mysql") -> tuple[Operator, ...]:
    """Return the operators of a kind that hold in a dialect (SQL: mysql, sqlite)."""
    return tuple(o for o in OPERATORS[kind] if not o.dialects or dialect in o.dialects)


def mutate(
    payload: str, kind: Kind, rounds: int = 3, seed: int = 0, *, dialect: str = "mysql"
) -> str:
    """Return the payload after ``rounds`` operators that changed it, drawn at random.

    Fewer where no operator finds a place, or the payload has grown to 4,096 characters. Operators
    that rely on a lenient server rely on all of their leniencies together.
    """
    # A string seeds by its own bytes, the same in every process.
    rng = Random(f"{seed}:{kind}:{payload!a}")  # noqa: S311 - to be repeatable
    operators = operators_of(kind, dialect)
    for _ in range(rounds):
        if len(payload) >= _LONGEST:
            break
        for operator in rng.sample(operators, len(operators)):
            mutated = operator.apply(payload, rng)
            if mutated != payload:
                payload = mutated
                break
    return payload
