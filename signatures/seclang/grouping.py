"""Group rules by where their targets stand, and compile what each group's rules imply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.prefilter import compile_group, for_pcre
from cnaf.signatures.seclang.scanner import GATE, Group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnaf.signatures.seclang.operators import Matcher
    from cnaf.signatures.seclang.program import Chain
    from cnaf.signatures.seclang.rules import CompiledRule
    from cnaf.signatures.seclang.syntax import Variable

__all__ = ["GROUPS", "Index", "IndexBuilder"]

_ADDRESS = frozenset((
    "QUERY_STRING", "REQUEST_BASENAME", "REQUEST_FILENAME", "REQUEST_LINE", "REQUEST_URI",
    "REQUEST_URI_RAW",
))  # fmt: skip
_HEADERS = frozenset(("REQUEST_HEADERS", "REQUEST_HEADERS_NAMES"))
_ARGUMENTS = frozenset((
    "ARGS", "ARGS_GET", "ARGS_GET_NAMES", "ARGS_NAMES", "ARGS_POST", "ARGS_POST_NAMES", "FILES",
    "FILES_NAMES", "MULTIPART_PART_HEADERS", "REQUEST_COOKIES",
    "REQUEST_COOKIES_NAMES", "XML",
))  # fmt: skip
_BODY = frozenset(("REQUEST_BODY",))
#: The groups by name, with the variables that belong to each. A body as a whole is long and few
#: rules look at it, so it is no argument.
GROUPS = {"address": _ADDRESS, "arguments": _ARGUMENTS, "body": _BODY, "headers": _HEADERS}
_SCANNED = _ADDRESS | _ARGUMENTS | _BODY | _HEADERS


@dataclass(frozen=True, slots=True)
class Index:
    """Which rules, by phase and number, a scan makes candidates, and which must be run always.

    ``collections`` are the variables that scanned rules look at; ``header_rules`` gives, by header
    name, the rules that look at it alone, under the empty name those that look at any header, and
    under a name behind ``!`` those of the latter that leave it out.
    """

    groups: Mapping[str, Group]
    always: tuple[tuple[int, ...], ...]
    collections: frozenset[str]
    header_rules: Mapping[bytes, frozenset[tuple[int, int]]]


def _slot(variable: Variable) -> str:
    """Return where a target's values stand: its variable, of headers the name, empty for any."""
    if variable.collection not in _HEADERS:
        return variable.collection
    if variable.is_regex or variable.collection == "REQUEST_HEADERS_NAMES":
        return ""
    return variable.selector.lower()


class IndexBuilder:
    """Collects what rules imply, and which of them must be tested always."""

    def __init__(self) -> None:
        self._collections: set[str] = set()
        self._header_rules: dict[bytes, set[tuple[int, int]]] = {}
        self._always: list[set[int]] = [set(), set(), set(), set()]
        self._wanted: dict[str, dict[tuple[str, bool], list[tuple[int, int]]]] = {
            group: {} for group in GROUPS
        }
        self._pipelines: dict[str, dict[str, set[tuple[str, ...]]]] = {g: {} for g in GROUPS}
        self._suspicious: dict[str, dict[bytes, list[tuple[int, int]]]] = {g: {} for g in GROUPS}

    def add(self, phase: int, number: int, chain: Chain, rule: CompiledRule) -> None:
        """Enter one rule."""
        matcher = rule.link.matcher
        targets = [v for v in chain.head.variables if not v.is_exclusion]
        if (
            matcher is None
            or matcher.negated
            or not (matcher.implied or matcher.harmless)
            or phase > 1
            or any(v.collection not in _SCANNED or v.is_count for v in targets)
        ):
            self._always[phase].add(number)
            return
        collections = {v.collection for v in targets}
        self._collections |= collections
        for variable in chain.head.variables:
            if variable.collection in _HEADERS:
                self._header(variable, (phase, number))
        for group, members in GROUPS.items():
            if collections & members:
                self._enter(group, (phase, number), matcher, chain, rule)

    def _header(self, variable: Variable, place: tuple[int, int]) -> None:
        name = _slot(variable).encode("latin-1")
        if variable.is_exclusion:
            if not name:
                return
            name = b"!" + name
        self._header_rules.setdefault(name, set()).add(place)

    def _enter(
        self, group: str, place: tuple[int, int], matcher: Matcher, chain: Chain, rule: CompiledRule
    ) -> None:
        pipeline = rule.link.pipeline
        multi = any(action.name == "multimatch" for action in chain.head.actions)
        names = tuple(pipeline.prefixes()) if multi else (pipeline.names,)
        for variable in chain.head.variables:
            if variable.collection in GROUPS[group] and not variable.is_exclusion:
                self._pipelines[group].setdefault(_slot(variable), set()).update(names)
        if matcher.harmless:
            self._suspicious[group].setdefault(matcher.harmless, []).append(place)
        for implied in matcher.implied() if matcher.implied else ():
            key = (implied.pattern, implied.ignore_case)
            self._wanted[group].setdefault(key, []).append(place)

    def finish(self) -> Index:
        """Compile each group."""
        groups = {name: self._group(name) for name in GROUPS}
        return Index(
            groups,
            tuple(tuple(sorted(numbers)) for numbers in self._always),
            frozenset(self._collections),
            {name: frozenset(rules) for name, rules in self._header_rules.items()},
        )

    def _group(self, name: str) -> Group:
        wanted = self._wanted[name]
        keys = list(wanted)
        numbers, database = compile_group(keys)
        places = [tuple(dict.fromkeys(wanted[key])) for key in keys]
        left = sorted(set(range(len(keys))) - set(numbers))
        slow = tuple((for_pcre(keys[n][0]), keys[n][1], places[n]) for n in left)
        index = tuple(places[n] if n >= 0 else ((GATE, left.index(~n)),) for n in numbers)
        pipelines = {v: tuple(sorted(p)) for v, p in sorted(self._pipelines[name].items())}
        suspicious = tuple((h, tuple(places)) for h, places in self._suspicious[name].items())
        return Group(database, index, pipelines, suspicious, slow)
