"""What a mutation operator is, and the small tools that all families of them share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

__all__ = ["Kind", "Operator", "random_case", "some", "substitute"]


class Kind(StrEnum):
    """The language that a payload is written in."""

    SQL = "sql"
    MARKUP = "markup"
    PATH = "path"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class Operator:
    """A rewriting of a payload that keeps what it does.

    ``apply`` is pure: it returns the payload, changed at places that the random source picks, or
    as it is where the operator finds no place. A payload is text; a lone surrogate U+DC80 to
    U+DCFF in it stands for a raw byte (the error handler ``surrogateescape``). ``reason`` says in
    a line why the meaning stays. ``dialects`` names the interpreters for which it does; empty, it
    holds for all of the kind.
    """

    name: str
    kind: Kind
    apply: Callable[[str, Random], str]
    reason: str
    dialects: tuple[str, ...] = ()


def some(count: int, rng: Random) -> list[int]:
    """Return sorted numbers below ``count``: one to all of them, none where there is none."""
    return sorted(rng.sample(range(count), rng.randint(1, count))) if count else []


def substitute(
    pattern: re.Pattern[str], make: Callable[[re.Match[str]], str], text: str, rng: Random
) -> str:
    """Replace some of the matches, at least one; ``make`` gives the new text of a match."""
    matches = list(pattern.finditer(text))
    for index in reversed(some(len(matches), rng)):
        match = matches[index]
        text = text[: match.start()] + make(match) + text[match.end() :]
    return text


def random_case(text: str, rng: Random) -> str:
    """Return the text with each ASCII letter in a random case."""
    return "".join(
        rng.choice((c.lower(), c.upper())) if c.isascii() and c.isalpha() else c for c in text
    )
