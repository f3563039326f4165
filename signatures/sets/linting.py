"""All errors of rule files at once: what is wrong is set aside, and the rest read again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.program import Chain
from cnaf.signatures.seclang.rule_set import check_program
from cnaf.signatures.sets.compiled import read_program

if TYPE_CHECKING:
    from cnaf.signatures.seclang.program import Program
    from cnaf.signatures.sets.registered import RegisteredSet
    from cnaf.signatures.sets.sources import Sources

__all__ = ["Linted", "count_rules", "lint"]

#: Errors after which nobody reads on; each costs one more reading of all files.
_MAX_ERRORS = 50
_CHAINED = re.compile(r"[\"',\s]chain\s*(?:[,\"']|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Linted:
    """The errors found, in the order of files and lines; ``cut`` says that there may be more."""

    errors: tuple[SecLangError, ...]
    cut: bool


def lint(registered: RegisteredSet, sources: Sources) -> Linted:
    """Return every error of a set's files."""
    errors: list[SecLangError] = []
    while len(errors) < _MAX_ERRORS:
        try:
            check_program(read_program(registered, sources), sources.lines)
        except SecLangError as error:
            errors.append(error)
            without = _without(sources, error)
            if without is None:
                break
            sources = without
        else:
            return Linted(_sorted(errors, sources), False)
    return Linted(_sorted(errors, sources), True)


def count_rules(program: Program) -> int:
    """Return how many rules a program has."""
    return sum(isinstance(unit, Chain) for unit in program.units)


def _sorted(errors: list[SecLangError], sources: Sources) -> tuple[SecLangError, ...]:
    order = {path: number for number, (path, _) in enumerate(sources.files)}
    return tuple(sorted(errors, key=lambda e: (order.get(e.file, len(order)), e.line)))


def _without(sources: Sources, error: SecLangError) -> Sources | None:
    """Return the files without the rule that the error is in; None where that cannot be found."""
    files = list(sources.files)
    for number, (path, text) in enumerate(files):
        if path != error.file:
            continue
        lines = text.split("\n")
        for start, end in _blocks(lines):
            if start < error.line <= end:
                lines[start:end] = ["#"] * (end - start)
                files[number] = (path, "\n".join(lines))
                return replace(sources, files=tuple(files))
    return None


def _blocks(lines: list[str]) -> list[tuple[int, int]]:
    """Return the lines, from and up to, of each directive, or chain of rules."""
    blocks: list[tuple[int, int]] = []
    start, text, is_open = 0, "", False
    for number, line in enumerate(lines):
        stripped = line.strip()
        if not text and (not stripped or stripped.startswith("#")):
            continue
        if not text and not is_open:
            start = number
        text += stripped.removesuffix("\\") + " "
        if stripped.endswith("\\") and number + 1 < len(lines):
            continue
        is_open = text.lower().startswith("secrule") and _CHAINED.search(text) is not None
        if not is_open:
            blocks.append((start, number + 1))
        text = ""
    if is_open:
        blocks.append((start, len(lines)))
    return blocks
