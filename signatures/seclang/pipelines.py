"""Chains of transformations: what a rule makes of a value before its operator sees it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.transformations import (
    TRANSFORMATIONS,
    WHOLE_TRAITS,
    is_plain,
    traits_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnaf.signatures.seclang.syntax import Action, Place

__all__ = ["Pipeline", "pipeline_names"]


class Pipeline:
    """Transformations in order; ``acts_on`` are the traits that any of them looks for."""

    __slots__ = ("_functions", "_spares_plain", "_steps", "acts_on", "names", "spares_words")

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._steps = tuple(TRANSFORMATIONS[name] for name in names)
        self._functions = tuple(step.apply for step in self._steps)
        self.acts_on = 0
        for step in self._steps:
            self.acts_on |= step.acts_on
        self._spares_plain = not self.acts_on & WHOLE_TRAITS
        #: Whether letters, digits and underscores come out as they went in, but for their case.
        self.spares_words = self._spares_plain

    def apply(self, value: bytes) -> bytes:
        """Return the value after all transformations."""
        if not self.acts_on or (self._spares_plain and is_plain(value)):
            return value
        for function in self._functions:
            value = function(value)
        return value

    def stages(self, value: bytes) -> list[bytes]:
        """Return the value and what it is after each transformation that says to change it."""
        stages = [value]
        if value.isascii() and not traits_of(value, self.acts_on):
            return stages
        for step in self._steps:
            result = step.apply(value)
            if _reports_change(step.name, value, result):
                stages.append(result)
            value = result
        return stages

    def prefixes(self) -> Iterable[tuple[str, ...]]:
        """Yield the names of all beginnings of this pipeline, the empty one first."""
        return (self.names[:end] for end in range(len(self.names) + 1))


_CSS_ESCAPE = re.compile(rb"\\(?:[0-9a-fA-F\n]|\Z)")
_MULTIBYTE = re.compile(rb"[\xc0-\xf7][\x80-\xbf]")


def _reports_change(name: str, before: bytes, after: bytes) -> bool:
    """Whether libmodsecurity says that a transformation changed a value: it is not always right."""
    if name in {"cmdline", "compresswhitespace"}:
        return len(before) != len(after)
    if name in {"lowercase", "uppercase"}:
        return before != after or not before.isascii()
    if name == "cssdecode":
        return _CSS_ESCAPE.search(before) is not None
    if name == "utf8tounicode":
        return _MULTIBYTE.search(before) is not None
    return before != after


def pipeline_names(
    actions: Sequence[Action], defaults: Sequence[Action], place: Place
) -> tuple[str, ...]:
    """Return the transformations of a rule; raises SecLangError for one that there is not.

    ``t:none`` drops those before it and those of SecDefaultAction.
    """
    own = [action.argument.lower() for action in actions if action.name == "t"]
    names = own if "none" in own else [a.argument.lower() for a in defaults if a.name == "t"] + own
    kept: list[str] = []
    for name in names:
        if name == "none":
            kept.clear()
        elif name not in TRANSFORMATIONS:
            raise SecLangError(
                place.file,
                place.line,
                f"the transformation t:{name} is not supported",
                supported=", ".join(f"t:{known}" for known in TRANSFORMATIONS),
            )
        else:
            kept.append(name)
    return tuple(kept)
