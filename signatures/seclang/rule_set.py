"""A compiled, immutable rule set: rules of each phase in order, and the index of the prefilter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.actions import check_actions
from cnaf.signatures.seclang.folding import Folded, fold
from cnaf.signatures.seclang.grouping import Index, IndexBuilder
from cnaf.signatures.seclang.limits import EngineLimits
from cnaf.signatures.seclang.loader import Loader, read_file
from cnaf.signatures.seclang.operators import OPERATORS, compile_operator
from cnaf.signatures.seclang.program import Chain, Marker, Program, Settings
from cnaf.signatures.seclang.rules import CompiledRule
from cnaf.signatures.seclang.settling import Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cnaf.signatures.seclang.syntax import Place
    from cnaf.signatures.seclang.transaction import Transaction

    ReadLines = Callable[[str, Place], list[str]]

__all__ = [
    "Phase", "RuleSet", "assemble", "check_program", "compile_program", "compile_rules",
    "read_data",
]  # fmt: skip

_NO_INDEX = Index({}, ((),) * 4, frozenset(), {})


@dataclass(frozen=True, slots=True)
class Phase:
    """The rules of one phase. ``markers`` give the rule that stands behind each marker.

    ``always`` are the rules that no scan makes candidates, with a quick test where there is one.
    """

    rules: tuple[CompiledRule, ...]
    markers: Mapping[str, int]
    always: tuple[tuple[int, Callable[[Transaction], bool] | None], ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules, ready to run: one engine at a time, for rules remember what came of headers.

    ``initial`` are the TX variables as a request finds them; ``tx_fixed`` is how many of them no
    rule ever unsets: all or none. ``folded`` is what the rules were made from.
    """

    phases: tuple[Phase, ...]
    settings: Settings
    initial: Mapping[bytes, bytes]
    index: Index
    limits: EngineLimits
    notes: tuple[str, ...]
    tx_fixed: int
    folded: Folded


def compile_rules(
    files: Iterable[Path | str], variables: Mapping[str, str] | None = None
) -> RuleSet:
    """Read and compile rule files in the order given; raises SecLangError.

    ``variables`` are TX variables that are set in advance, such as ``blocking_paranoia_level``;
    a set-up file that sets one, too, has the last word. Takes seconds for the Core Rule Set, see
    :func:`.cache.load_rules`.
    """
    loader = Loader()
    for file in files:
        loader.read(Path(file))
    return compile_program(loader.program(), variables or {}, read_data)


def read_data(name: str, place: Place) -> list[str]:
    """Return the lines of a data file, which is sought beside the file that names it."""
    return read_file(Path(place.file).parent / name, place).split("\n")


def compile_program(
    program: Program, variables: Mapping[str, str], read_lines: ReadLines
) -> RuleSet:
    """Check, fold and compile a program; raises SecLangError.

    An operator that is not supported is an error where a request can reach it; a rule that the
    configuration switches off may name one.
    """
    folded = _checked(program, variables, read_lines)
    return assemble(folded, program.settings, program.notes, read_lines)


def check_program(program: Program, read_lines: ReadLines) -> None:
    """Do all of :func:`compile_program` that can fail, without the databases, which take seconds.

    Raises SecLangError.
    """
    folded = _checked(program, {}, read_lines)
    assemble(folded, program.settings, program.notes, read_lines, _NO_INDEX)


def _checked(program: Program, variables: Mapping[str, str], read_lines: ReadLines) -> Folded:
    for unit in program.units:
        if isinstance(unit, Chain):
            _check(unit, read_lines)
    return fold(program, variables, read_lines)


def _check(chain: Chain, read_lines: ReadLines) -> None:
    for link in chain.links:
        check_actions(link.actions, link.place)
        if link.operator is not None and link.operator.name in OPERATORS:
            matcher = compile_operator(link.operator, link.place, read_lines)
            if matcher.check is not None:
                matcher.check()


def assemble(
    folded: Folded,
    settings: Settings,
    notes: tuple[str, ...],
    read_lines: ReadLines,
    index: Index | None = None,
) -> RuleSet:
    """Make a rule set of folded rules; ``index`` is theirs where it is known already."""
    readers = Readers(unit for unit in folded.units if isinstance(unit, Chain))
    known = frozenset((*folded.initial, *readers.names()))
    builder = IndexBuilder()
    phases: list[Phase] = []
    for number, units in enumerate(folded.phases):
        rules: list[CompiledRule] = []
        markers: dict[str, int] = {}
        for unit in units:
            if isinstance(unit, Marker):
                markers[unit.name] = len(rules)
                continue
            rule = CompiledRule(unit, settings, read_lines, readers, known)
            if index is None:
                builder.add(number, len(rules), unit, rule)
            rules.append(rule)
        phases.append(Phase(tuple(rules), markers, ()))
    index = builder.finish() if index is None else index
    return RuleSet(
        tuple(_with_always(phase, index.always[n]) for n, phase in enumerate(phases)),
        settings,
        folded.initial,
        index,
        _limits(settings),
        notes,
        0 if _unsets(folded) else len(folded.initial),
        folded,
    )


def _unsets(folded: Folded) -> bool:
    """Whether any rule takes a TX variable away."""
    return any(
        action.name == "setvar" and action.argument.lstrip().startswith("!")
        for unit in folded.units
        if isinstance(unit, Chain)
        for link in unit.links
        for action in link.actions
    )


def _with_always(phase: Phase, numbers: Iterable[int]) -> Phase:
    always = tuple((number, phase.rules[number].guard()) for number in numbers)
    return replace(phase, always=always)


def _limits(settings: Settings) -> EngineLimits:
    base = EngineLimits()
    return replace(
        base,
        arguments=settings.arguments or base.arguments,
        json_depth=settings.json_depth or base.json_depth,
        body_bytes=settings.body_limit or base.body_bytes,
    )
