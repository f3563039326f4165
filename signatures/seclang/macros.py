"""Texts with macros, ``id=%{tx.id}``, as functions of a transaction."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.reader import parse_variables
from cnaf.signatures.seclang.variables import compile_first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnaf.signatures.seclang.syntax import Place, Variable
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = ["compile_text", "has_macro", "macro_variables"]

_MACRO = re.compile(r"%\{([^{}]+)\}")


def has_macro(text: str) -> bool:
    """Whether a text has to be expanded for each request."""
    return _MACRO.search(text) is not None


def macro_variables(text: str, place: Place) -> list[Variable]:
    """Return the variables that a text reads, those of the rule itself left out."""
    return [
        variable
        for match in _MACRO.finditer(text)
        for variable in parse_variables(match[1].strip(), place)
        if variable.collection != "RULE"
    ]


def compile_text(
    text: str, place: Place, rule: Mapping[str, str]
) -> Callable[[Transaction], bytes]:
    """Return the function that expands a text; ``rule`` holds what ``%{rule.…}`` stands for.

    Raises SecLangError where a macro names no variable.
    """
    parts: list[bytes | Callable[[Transaction], bytes]] = []
    end = 0
    for match in _MACRO.finditer(text):
        parts.append(text[end : match.start()].encode("latin-1"))
        parts.append(_part(match[1].strip(), place, rule))
        end = match.end()
    parts.append(text[end:].encode("latin-1"))
    kept = [part for part in parts if part != b""]
    if not kept:
        return lambda _: b""
    if len(kept) == 1:
        only = kept[0]
        return (lambda _: only) if isinstance(only, bytes) else only
    return lambda t: b"".join([p if isinstance(p, bytes) else p(t) for p in kept])


def _part(
    name: str, place: Place, rule: Mapping[str, str]
) -> bytes | Callable[[Transaction], bytes]:
    variable = parse_variables(name, place)[0]
    if variable.collection == "RULE":
        value = rule.get(variable.selector.lower(), "")
        return _MACRO.sub("", value).encode("latin-1")
    return compile_first(variable, place)
