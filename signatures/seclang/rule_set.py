"""A compiled, immutable rule set: rules of each phase in order, and the index of the prefilter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import hyperscan
from cnaf.signatures.seclang.actions import check_actions
from cnaf.signatures.seclang.folding import Folded, fold
from cnaf.signatures.seclang.limits import EngineLimits
from cnaf.signatures.seclang.loader import Loader, read_file
from cnaf.signatures.seclang.prefilter import Expression, compile_database, usable_all
from cnaf.signatures.seclang.program import Chain, Marker, Program, Settings
from cnaf.signatures.seclang.rules import CompiledRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cnaf.signatures.seclang.syntax import Place

__all__ = ["Phase", "RuleSet", "compile_program", "compile_rules"]

#: Variables whose values are scanned before the first phase, and those that a body adds.
_EARLY = frozenset((
    "ARGS", "ARGS_GET", "ARGS_GET_NAMES", "ARGS_NAMES", "QUERY_STRING", "REQUEST_BASENAME",
    "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES", "REQUEST_FILENAME", "REQUEST_HEADERS",
    "REQUEST_HEADERS_NAMES", "REQUEST_LINE", "REQUEST_URI", "REQUEST_URI_RAW",
))  # fmt: skip
_LATE = frozenset((
    "ARGS", "ARGS_NAMES", "ARGS_POST", "ARGS_POST_NAMES", "FILES", "FILES_NAMES",
    "MULTIPART_PART_HEADERS", "REQUEST_BODY", "XML",
))  # fmt: skip
_SCANNED = _EARLY | _LATE


@dataclass(frozen=True, slots=True)
class Phase:
    """The rules of one phase. ``markers`` give the rule that stands behind each marker."""

    rules: tuple[CompiledRule, ...]
    markers: Mapping[str, int]
    always: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules, ready to run. ``sources`` is the SHA-256 of each file that was read.

    ``expressions`` is the content of ``database``; ``index`` says for each of them which rules it
    makes candidates: phase, number in the phase, and the pipeline of the value that was scanned.
    """

    phases: tuple[Phase, ...]
    settings: Settings
    initial: Mapping[bytes, bytes]
    database: hyperscan.Database
    pipelines: tuple[tuple[str, ...], ...]
    index: tuple[tuple[tuple[int, int, int], ...], ...]
    slots: frozenset[tuple[str, str]]
    limits: EngineLimits
    notes: tuple[str, ...]


def compile_rules(
    files: Iterable[Path | str], variables: Mapping[str, str] | None = None
) -> RuleSet:
    """Read and compile rule files in the order given; raises SecLangError.

    ``variables`` are TX variables that are set in advance, such as ``blocking_paranoia_level``;
    a set-up file that sets one, too, has the last word.
    """
    loader = Loader()
    for file in files:
        loader.read(Path(file))
    return compile_program(loader.program(), variables or {}, read_data)


def read_data(name: str, place: Place) -> list[str]:
    """Return the lines of a data file, which is sought beside the file that names it."""
    return read_file(Path(place.file).parent / name, place).split("\n")


def compile_program(
    program: Program,
    variables: Mapping[str, str],
    read_lines: Callable[[str, Place], list[str]],
) -> RuleSet:
    """Check, fold and compile a program; raises SecLangError."""
    for unit in program.units:
        if isinstance(unit, Chain):
            _check(unit)
    folded = fold(program, variables, read_lines)
    return _compiled(folded, program, read_lines)


def _check(chain: Chain) -> None:
    for link in chain.links:
        check_actions(link.actions, link.place)


def _compiled(
    folded: Folded, program: Program, read_lines: Callable[[str, Place], list[str]]
) -> RuleSet:
    builder = _IndexBuilder()
    phases = tuple(
        _phase(number, folded, program.settings, read_lines, builder) for number in (1, 2, 3, 4)
    )
    expressions, index = builder.finish()
    always = builder.always()
    phases = tuple(replace(p, always=tuple(sorted(always[n]))) for n, p in enumerate(phases))
    return RuleSet(
        phases,
        program.settings,
        folded.initial,
        compile_database(expressions),
        tuple(builder.pipelines),
        index,
        frozenset(builder.slots),
        _limits(program.settings),
        program.notes,
    )


def _limits(settings: Settings) -> EngineLimits:
    base = EngineLimits()
    return replace(
        base,
        arguments=settings.arguments or base.arguments,
        json_depth=settings.json_depth or base.json_depth,
        body_bytes=settings.body_limit or base.body_bytes,
    )


def _phase(
    number: int,
    folded: Folded,
    settings: Settings,
    read_lines: Callable[[str, Place], list[str]],
    builder: _IndexBuilder,
) -> Phase:
    rules: list[CompiledRule] = []
    markers: dict[str, int] = {}
    for unit in folded.units:
        if isinstance(unit, Marker):
            markers[unit.name] = len(rules)
        elif unit.phase == number:
            rule = CompiledRule(unit, settings, read_lines)
            rule.keeps_matched = unit.id not in folded.forgets
            builder.add(number - 1, len(rules), unit, rule)
            rules.append(rule)
    return Phase(tuple(rules), markers, ())


class _IndexBuilder:
    """Collects what rules imply, and which of them must be tested always."""

    def __init__(self) -> None:
        self.pipelines: list[tuple[str, ...]] = []
        self.slots: set[tuple[str, str]] = set()
        self._wanted: dict[tuple[str, bool], list[tuple[int, int, int]]] = {}
        self._always: list[set[int]] = [set(), set(), set(), set()]

    def add(self, phase: int, number: int, chain: Chain, rule: CompiledRule) -> None:
        """Enter one rule."""
        matcher = rule.link.matcher
        head = chain.head
        scanned = phase < 2 and all(
            v.is_exclusion or (v.collection in _SCANNED and not v.is_count) for v in head.variables
        )
        if matcher is None or matcher.negated or not matcher.implied or not scanned:
            self._always[phase].add(number)
            return
        for variable in head.variables:
            if not variable.is_exclusion:
                name = variable.selector.lower() if variable.collection == "REQUEST_HEADERS" else ""
                self.slots.add((variable.collection, "" if variable.is_regex else name))
        pipeline = rule.link.pipeline
        multi = any(action.name == "multimatch" for action in head.actions)
        names = list(pipeline.prefixes()) if multi else [pipeline.names]
        entries = [(phase, number, self._pipeline(n)) for n in dict.fromkeys(names)]
        for implied in matcher.implied:
            self._wanted.setdefault((implied.pattern, implied.ignore_case), []).extend(entries)

    def _pipeline(self, names: tuple[str, ...]) -> int:
        if names not in self.pipelines:
            self.pipelines.append(names)
        return self.pipelines.index(names)

    def finish(self) -> tuple[list[Expression], tuple[tuple[tuple[int, int, int], ...], ...]]:
        """Return the expressions that Hyperscan takes, and their entries."""
        wanted = list(self._wanted)
        expressions: list[Expression] = []
        index: list[tuple[tuple[int, int, int], ...]] = []
        for key, expression in zip(wanted, usable_all(wanted), strict=True):
            entries = self._wanted[key]
            if expression is None:
                for phase, number, _ in entries:
                    self._always[phase].add(number)
                continue
            expressions.append(expression)
            index.append(tuple(dict.fromkeys(entries)))
        return expressions, tuple(index)

    def always(self) -> list[set[int]]:
        """Return the rules of each phase that no expression stands for."""
        return self._always
