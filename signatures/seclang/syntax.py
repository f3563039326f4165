"""What a SecLang file says, as frozen values: nothing here knows what a rule means.

Texts are Latin-1: one character is one byte of the file, so patterns keep the bytes they were
written with.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Action", "Directive", "Operator", "Place", "SecRule", "Variable"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the file as it was named, and its line, from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Directive:
    """One logical line: continuation lines joined, quotes taken off the arguments."""

    place: Place
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """One target: ``REQUEST_HEADERS:Host``, ``&ARGS``, ``!ARGS:/^x/``.

    ``collection`` is upper-case. ``selector`` is the name of an element or, where ``is_regex``,
    an expression that names are searched with; empty means the whole collection.
    """

    collection: str
    selector: str = ""
    is_regex: bool = False
    is_count: bool = False
    is_exclusion: bool = False

    def label(self) -> str:
        """Return the target as SecLang writes it, without its sign."""
        if not self.selector:
            return self.collection
        selector = f"/{self.selector}/" if self.is_regex else self.selector
        return f"{self.collection}:{selector}"


@dataclass(frozen=True, slots=True)
class Operator:
    """``!@name argument``; the name is lower-case."""

    name: str
    argument: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """``name:argument``; the name is lower-case, quotes are taken off the argument."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class SecRule:
    """One rule, or link of a chain. A SecAction has neither variables nor operator."""

    place: Place
    variables: tuple[Variable, ...]
    operator: Operator | None
    actions: tuple[Action, ...]
