"""A compiled, immutable rule set: rules of each phase in order, and the index of the prefilter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.actions import check_actions
from cnaf.signatures.seclang.folding import Folded, fold
from cnaf.signatures.seclang.limits import EngineLimits
from cnaf.signatures.seclang.loader import Loader, read_file
from cnaf.signatures.seclang.prefilter import Built, build
from cnaf.signatures.seclang.program import Chain, Marker, Program, Settings
from cnaf.signatures.seclang.rules import CompiledRule
from cnaf.signatures.seclang.scanner import Group
from cnaf.signatures.seclang.settling import Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cnaf.signatures.seclang.operators import Matcher
    from cnaf.signatures.seclang.syntax import Place, Variable
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = ["GROUPS", "Phase", "RuleSet", "compile_program", "compile_rules"]

_ADDRESS = frozenset((
    "QUERY_STRING", "REQUEST_BASENAME", "REQUEST_FILENAME", "REQUEST_LINE", "REQUEST_URI",
    "REQUEST_URI_RAW",
))  # fmt: skip
_HEADERS = frozenset(("REQUEST_HEADERS", "REQUEST_HEADERS_NAMES"))
_ARGUMENTS = frozenset((
    "ARGS", "ARGS_GET", "ARGS_GET_NAMES", "ARGS_NAMES", "ARGS_POST", "ARGS_POST_NAMES", "FILES",
    "FILES_NAMES", "MULTIPART_PART_HEADERS", "REQUEST_BODY", "REQUEST_COOKIES",
    "REQUEST_COOKIES_NAMES", "XML",
))  # fmt: skip
#: The groups by name, with the variables that belong to each.
GROUPS = {"address": _ADDRESS, "arguments": _ARGUMENTS, "headers": _HEADERS}
_SCANNED = _ADDRESS | _ARGUMENTS | _HEADERS


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
    """Rules, ready to run. ``collections`` are the variables that scanned rules look at.

    ``header_rules`` gives, by header name, the rules that look at it alone, under the empty name
    those that look at any header. ``tx_fixed`` is how many TX variables of ``initial`` no rule
    ever unsets: all or none.
    """

    phases: tuple[Phase, ...]
    settings: Settings
    initial: Mapping[bytes, bytes]
    groups: Mapping[str, Group]
    collections: frozenset[str]
    header_rules: Mapping[bytes, frozenset[tuple[int, int]]]
    limits: EngineLimits
    notes: tuple[str, ...]
    tx_fixed: int


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
    builder: Callable[[Sequence[tuple[str, bool]]], Built] = build,
) -> RuleSet:
    """Check, fold and compile a program; raises SecLangError.

    ``builder`` makes the databases of the prefilter: one that keeps them saves most of the time.
    """
    for unit in program.units:
        if isinstance(unit, Chain):
            _check(unit)
    folded = fold(program, variables, read_lines)
    return _compiled(folded, program, read_lines, builder)


def _check(chain: Chain) -> None:
    for link in chain.links:
        check_actions(link.actions, link.place)


def _compiled(
    folded: Folded,
    program: Program,
    read_lines: Callable[[str, Place], list[str]],
    databases: Callable[[Sequence[tuple[str, bool]]], Built],
) -> RuleSet:
    builder = _IndexBuilder(databases)
    readers = Readers(unit for unit in folded.units if isinstance(unit, Chain))
    known = {*folded.initial, *readers.names()}

    def compiled(chain: Chain) -> CompiledRule:
        rule = CompiledRule(chain, program.settings, read_lines, readers, known)
        rule.keeps_matched = chain.id not in folded.forgets
        return rule

    phases = tuple(_phase(number, folded, compiled, builder) for number in (1, 2, 3, 4))
    groups = builder.groups()
    return RuleSet(
        tuple(_with_always(phase, builder.always[n]) for n, phase in enumerate(phases)),
        program.settings,
        folded.initial,
        groups,
        frozenset(builder.collections),
        {name: frozenset(rules) for name, rules in builder.header_rules.items()},
        _limits(program.settings),
        program.notes,
        0 if _unsets(folded) else len(folded.initial),
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


def _with_always(phase: Phase, numbers: set[int]) -> Phase:
    always = tuple((number, phase.rules[number].guard()) for number in sorted(numbers))
    return replace(phase, always=always)


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
    compiled: Callable[[Chain], CompiledRule],
    builder: _IndexBuilder,
) -> Phase:
    rules: list[CompiledRule] = []
    markers: dict[str, int] = {}
    for unit in folded.phases[number - 1]:
        if isinstance(unit, Marker):
            markers[unit.name] = len(rules)
        else:
            rule = compiled(unit)
            builder.add(number - 1, len(rules), unit, rule)
            rules.append(rule)
    return Phase(tuple(rules), markers, ())


class _IndexBuilder:
    """Collects what rules imply, and which of them must be tested always."""

    def __init__(self, databases: Callable[[Sequence[tuple[str, bool]]], Built]) -> None:
        self._databases = databases
        self.collections: set[str] = set()
        self.header_rules: dict[bytes, set[tuple[int, int]]] = {}
        self.always: list[set[int]] = [set(), set(), set(), set()]
        self._wanted: dict[str, dict[tuple[str, bool], list[tuple[int, int]]]] = {
            group: {} for group in GROUPS
        }
        self._pipelines: dict[str, dict[str, set[tuple[str, ...]]]] = {g: {} for g in GROUPS}
        self._suspicious: dict[str, list[tuple[int, int]]] = {group: [] for group in GROUPS}

    def add(self, phase: int, number: int, chain: Chain, rule: CompiledRule) -> None:
        """Enter one rule."""
        matcher = rule.link.matcher
        targets = [v for v in chain.head.variables if not v.is_exclusion]
        if (
            matcher is None
            or matcher.negated
            or not (matcher.implied or matcher.needs_sign)
            or phase > 1
            or any(v.collection not in _SCANNED or v.is_count for v in targets)
        ):
            self.always[phase].add(number)
            return
        collections = {v.collection for v in targets}
        self.collections |= collections
        for variable in targets:
            if variable.collection in _HEADERS:
                self._header(variable, (phase, number))
        for group, members in GROUPS.items():
            if collections & members:
                self._enter(group, (phase, number), matcher, chain, rule)

    def _header(self, variable: Variable, place: tuple[int, int]) -> None:
        whole = variable.is_regex or variable.collection == "REQUEST_HEADERS_NAMES"
        name = b"" if whole else variable.selector.lower().encode("latin-1")
        self.header_rules.setdefault(name, set()).add(place)

    def _enter(
        self, group: str, place: tuple[int, int], matcher: Matcher, chain: Chain, rule: CompiledRule
    ) -> None:
        pipeline = rule.link.pipeline
        multi = any(action.name == "multimatch" for action in chain.head.actions)
        names = tuple(pipeline.prefixes()) if multi else (pipeline.names,)
        for variable in chain.head.variables:
            if variable.collection in GROUPS[group] and not variable.is_exclusion:
                self._pipelines[group].setdefault(variable.collection, set()).update(names)
        if matcher.needs_sign:
            self._suspicious[group].append(place)
        for implied in matcher.implied or ():
            key = (implied.pattern, implied.ignore_case)
            self._wanted[group].setdefault(key, []).append(place)

    def groups(self) -> dict[str, Group]:
        """Compile each group; a rule that Hyperscan cannot stand for is tested always."""
        return {name: self._group(name) for name in GROUPS}

    def _group(self, name: str) -> Group:
        wanted = self._wanted[name]
        built = self._databases(list(wanted))
        index: list[tuple[tuple[int, int], ...]] = []
        for key, is_usable in zip(wanted, built.usable, strict=True):
            if is_usable:
                index.append(tuple(dict.fromkeys(wanted[key])))
                continue
            for phase, number in wanted[key]:
                self.always[phase].add(number)
        pipelines = {v: tuple(sorted(p)) for v, p in sorted(self._pipelines[name].items())}
        return Group(built.database, tuple(index), pipelines, tuple(self._suspicious[name]))
