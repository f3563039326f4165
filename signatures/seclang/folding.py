"""Run at load what depends on the configuration alone.

Set-up files and the first rules of the Core Rule Set give TX variables their values, and rules
above the chosen paranoia level are skipped by rules that read them. None of that depends on a
request, so it is worked out once: rules that always come to the same end vanish, with those they
skip, and macros of settings become texts.

The walk goes through the phases in order and knows of every TX variable either its value or that
requests decide it. A rule that stays may or may not match, so what it sets is unknown from there
on; what it may skip is conditional up to the marker. A variable that a rule which stays has read
is not assigned at load any more, for the rule must see what was there before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnaf.models.exchange import Request
from cnaf.signatures.seclang.actions import Assignment, id_ranges, parse_setvar
from cnaf.signatures.seclang.limits import EngineLimits
from cnaf.signatures.seclang.macros import macro_variables
from cnaf.signatures.seclang.operators import compile_operator, number
from cnaf.signatures.seclang.pipelines import Pipeline, pipeline_names
from cnaf.signatures.seclang.program import Chain, Marker
from cnaf.signatures.seclang.transaction import Transaction
from cnaf.signatures.seclang.variables import PERSISTENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnaf.signatures.seclang.program import Program, Settings
    from cnaf.signatures.seclang.syntax import Action, Place, SecRule, Variable

__all__ = ["Folded", "fold"]

_MACRO = re.compile(r"%\{\s*[tT][xX][.:]([^{}]+?)\s*\}")
#: Actions that a rule may have and still be done at load.
_QUIET = frozenset((
    "auditlog", "block", "chain", "ctl", "id", "log", "logdata", "maturity", "msg", "noauditlog",
    "nolog", "pass", "phase", "rev", "setvar", "severity", "skipafter", "status", "t", "tag", "ver",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folded:
    """What is left for requests: units of each phase in order, and TX as they find it.

    Every phase has all markers, between the rules that it has.
    """

    phases: tuple[tuple[Chain | Marker, ...], ...]
    initial: Mapping[bytes, bytes]

    @property
    def units(self) -> tuple[Chain | Marker, ...]:
        """The units of all phases, one after the other."""
        return tuple(unit for phase in self.phases for unit in phase)


def fold(
    program: Program,
    variables: Mapping[str, str],
    read_lines: Callable[[str, Place], list[str]],
) -> Folded:
    """Work out what no request decides; ``variables`` are TX variables set in advance."""
    walker = _Walker(program.settings, variables, read_lines)
    phases: list[tuple[Chain | Marker, ...]] = []
    for phase in (1, 2, 3, 4):
        units = [u for u in program.units if isinstance(u, Marker) or u.phase == phase]
        for index, unit in enumerate(units):
            if isinstance(unit, Marker):
                walker.marker(unit)
            else:
                walker.chain(unit, units[index + 1 :])
        phases.append(tuple(walker.kept))
        walker.kept.clear()
    return Folded(tuple(phases), walker.known)


class _Own:
    """Which TX variables a chain may set itself."""

    def __init__(self, chain: Chain) -> None:
        actions = [(a, link.place) for link in chain.links for a in link.actions]
        names = [parse_setvar(a.argument, p).name.lower() for a, p in actions if a.name == "setvar"]
        self._names = {name.encode("latin-1") for name in names if "%{" not in name}
        made_up = [name.partition("%{")[0] for name in names if "%{" in name]
        self._prefixes = tuple(prefix.encode("latin-1") for prefix in made_up)
        self._captures = any(a.name == "capture" for a, _ in actions)

    def sets(self, name: bytes) -> bool:
        """Whether the chain may set a variable."""
        return (
            name in self._names
            or name.startswith(self._prefixes)
            or (self._captures and name.isdigit())
        )


class _Walker:
    def __init__(
        self,
        settings: Settings,
        variables: Mapping[str, str],
        read_lines: Callable[[str, Place], list[str]],
    ) -> None:
        self.settings, self.read_lines = settings, read_lines
        self.known: dict[bytes, bytes] = {
            name.lower().encode("latin-1"): value.encode("latin-1")
            for name, value in variables.items()
        }
        self.kept: list[Chain | Marker] = []
        self._unknown: set[bytes] = set()
        self._unknown_prefixes: list[bytes] = []
        self._read: set[bytes] = set()
        self._read_expressions: list[str] = []
        self._written: set[str] = set()
        self._skipping: str | None = None
        self._conditional: set[str] = set()
        self._removals: list[tuple[int, int] | str] = []
        self._blank = Transaction(Request("GET", b"/", ()), (), "127.0.0.1", EngineLimits())
        self._blank.tx = self.known

    # Structure ------------------------------------------------------------------------------

    def marker(self, marker: Marker) -> None:
        """Go past a marker: what skipped to it ends there."""
        if self._skipping == marker.name:
            self._skipping = None
        self._conditional.discard(marker.name)
        self.kept.append(marker)

    def chain(self, chain: Chain, following: Sequence[Chain | Marker]) -> None:
        """Decide about one chain; ``following`` are the units behind it in its phase."""
        if self._skipping is not None:
            return
        own = _Own(chain)
        chain = replace(chain, links=tuple(self._substituted(link, own) for link in chain.links))
        verdict = self._verdict(chain)
        if verdict is None and _is_inert(chain):
            return
        if verdict is True and not self._goes_alone(chain, following):
            verdict = None
        if verdict is False:
            return
        if verdict is True and self._done_at_load(chain):
            return
        self._keep(self._shortened(chain))

    def _shortened(self, chain: Chain) -> Chain:
        """Take away first links that match for every request, for what follows to come first."""
        while True:
            head = chain.head
            if head.operator is None or self._link_verdict(head, chain.phase) is not True:
                return chain
            if any(a.name in {"capture", "multimatch"} for a in head.actions):
                return chain
            if len(chain.links) == 1:
                return replace(chain, links=(_unconditional(head),), is_shortened=True)
            if any(a.name == "setvar" for a in head.actions) or _reads_matched(chain.links[1]):
                return chain
            merged = replace(chain.links[1], actions=_merged(head, chain.links[1]))
            chain = replace(chain, links=(merged, *chain.links[2:]), is_shortened=True)

    def _keep(self, chain: Chain) -> None:
        self.kept.append(chain)
        for link in chain.links:
            self._note_reads(link)
            for action in link.actions:
                if action.name == "setvar":
                    self._forget(parse_setvar(action.argument, link.place))
                elif action.name == "skipafter":
                    self._conditional.add(action.argument)
                elif action.name == "ctl":
                    self._note_removal(action, link.place)
                elif action.name == "capture":
                    self._unknown.update(b"%d" % n for n in range(100))

    # Verdicts -------------------------------------------------------------------------------

    def _verdict(self, chain: Chain) -> bool | None:
        """True and False where all requests agree, else None."""
        verdict: bool | None = True
        for link in chain.links:
            known = self._link_verdict(link, chain.phase)
            if known is False:
                return False
            if known is None:
                verdict = None
                if _acts(link):
                    return None
        return verdict

    def _link_verdict(self, link: SecRule, phase: int) -> bool | None:
        if link.operator is None:
            return True
        values = self._values(link.variables)
        if values is None or self._reads_requests(link.operator.argument, link.place):
            return None
        matcher = compile_operator(link.operator, link.place, self.read_lines)
        names = pipeline_names(link.actions, self.settings.defaults(phase), link.place)
        pipeline = Pipeline(names)
        found = [
            (matcher.test(pipeline.apply(value), self._blank) is None) == matcher.negated
            for value in values
        ]
        return any(found)

    def _values(self, variables: Sequence[Variable]) -> list[bytes] | None:
        """Return the values of targets that are all known TX variables, else None."""
        values: list[bytes] = []
        for variable in variables:
            if variable.collection in PERSISTENT - self._written:
                values += [b"0"] if variable.is_count else []
                continue
            if variable.collection != "TX" or variable.is_regex or variable.is_exclusion:
                return None
            name = variable.selector.lower().encode("latin-1")
            if not name or self._is_unknown(name):
                return None
            if variable.is_count:
                values.append(b"1" if name in self.known else b"0")
            elif name in self.known:
                values.append(self.known[name])
        return values

    def _is_unknown(self, name: bytes) -> bool:
        return name in self._unknown or any(map(name.startswith, self._unknown_prefixes))

    def _reads_requests(self, text: str, place: Place) -> bool:
        return bool(macro_variables(text, place))

    def _goes_alone(self, chain: Chain, following: Sequence[Chain | Marker]) -> bool:
        """Whether what a rule does holds for all requests, also where a rule removes it.

        A rule that skips may go at load where all that it skips is removed with it.
        """
        removals = [r for r in self._removals if _covers(r, chain)]
        if not removals:
            return True
        marker = chain.argument("skipafter")
        if marker is None or any(_acts(link) for link in chain.links):
            return False
        for unit in following:
            if isinstance(unit, Marker):
                if unit.name == marker:
                    return True
            elif not all(_covers(removal, unit) for removal in removals):
                return False
        return False

    # Doing ----------------------------------------------------------------------------------

    def _done_at_load(self, chain: Chain) -> bool:
        """Carry out a chain that matches for every request; False where that must wait."""
        actions = [(a, link.place) for link in chain.links for a in link.actions]
        if not chain.has("nolog") or any(a.name not in _QUIET for a, _ in actions):
            return False
        if any(a.name == "ctl" and not _is_audit(a) for a, _ in actions):
            return False
        if chain.has("block") and _disruptive_default(self.settings, chain.phase):
            return False
        assignments = [parse_setvar(a.argument, p) for a, p in actions if a.name == "setvar"]
        marker = next((a.argument for a, _ in actions if a.name == "skipafter"), None)
        if self._conditional and (assignments or marker is not None):
            return False
        if not all(self._can_assign(a, chain.head.place) for a in assignments):
            return False
        for assignment in assignments:
            self._assign(assignment)
        self._skipping = marker
        return True

    def _can_assign(self, assignment: Assignment, place: Place) -> bool:
        name = assignment.name.lower().encode("latin-1")
        return (
            assignment.collection == "TX"
            and not self._reads_requests(assignment.name, place)
            and not self._reads_requests(assignment.value, place)
            and not self._is_unknown(name)
            and name not in self._read
            and not any(_finds(e, name) for e in self._read_expressions)
        )

    def _assign(self, assignment: Assignment) -> None:
        name = assignment.name.lower().encode("latin-1")
        value = assignment.value.encode("latin-1")
        if assignment.operation == "!":
            self.known.pop(name, None)
        elif assignment.operation == "=":
            self.known[name] = value
        else:
            sign = 1 if assignment.operation == "+" else -1
            self.known[name] = b"%d" % (number(self.known.get(name, b"")) + sign * number(value))

    def _forget(self, assignment: Assignment) -> None:
        if assignment.collection != "TX":
            self._written.add(assignment.collection)
            return
        prefix, macro, _ = assignment.name.lower().partition("%{")
        if macro:
            self._unknown_prefixes.append(prefix.encode("latin-1"))
        else:
            self._unknown.add(prefix.encode("latin-1"))

    # Macros and reads -----------------------------------------------------------------------

    def _substituted(self, link: SecRule, own: _Own) -> SecRule:
        """Write known values in the place of macros, but what the chain itself may set."""

        def expand(text: str) -> str:
            return _MACRO.sub(lambda m: self._value(m, own), text) if "%{" in text else text

        operator = link.operator
        if operator is not None:
            operator = replace(operator, argument=expand(operator.argument))
        actions = tuple(replace(a, argument=expand(a.argument)) for a in link.actions)
        return replace(link, operator=operator, actions=actions)

    def _value(self, match: re.Match[str], own: _Own) -> str:
        name = match[1].lower().encode("latin-1")
        if self._is_unknown(name) or own.sets(name):
            return match[0]
        value = self.known.get(name, b"").decode("latin-1")
        return match[0] if "%{" in value else value

    def _note_reads(self, link: SecRule) -> None:
        texts = [a.argument for a in link.actions]
        if link.operator is not None:
            texts.append(link.operator.argument)
        read = [v for text in texts for v in macro_variables(text, link.place)]
        for variable in (*link.variables, *read):
            if variable.collection != "TX":
                continue
            if variable.is_regex or not variable.selector:
                self._read_expressions.append(variable.selector if variable.is_regex else "")
            else:
                self._read.add(variable.selector.lower().encode("latin-1"))
        for action in link.actions:
            if action.name == "setvar":
                assignment = parse_setvar(action.argument, link.place)
                if assignment.operation in {"+", "-"}:
                    self._read.add(assignment.name.lower().encode("latin-1"))

    def _note_removal(self, action: Action, place: Place) -> None:
        name, _, value = action.argument.partition("=")
        if name.strip().lower() == "ruleremovebyid":
            self._removals += id_ranges(value.strip(), place)
        elif name.strip().lower() == "ruleremovebytag":
            self._removals.append(value.strip())


def _unconditional(head: SecRule) -> SecRule:
    """Return a rule that matches always, as one without an operator."""
    if any("matched_var" in action.argument.lower() for action in head.actions):
        return head
    return replace(head, variables=(), operator=None)


def _reads_matched(link: SecRule) -> bool:
    """Whether a link looks at what matched in the link before."""
    return any(v.collection.startswith("MATCHED_") for v in link.variables)


def _merged(head: SecRule, link: SecRule) -> tuple[Action, ...]:
    """Return the actions of two links in one: of the first all but how it looked at its values."""
    kept = tuple(a for a in head.actions if a.name not in {"chain", "t"})
    return kept + link.actions


def _is_inert(chain: Chain) -> bool:
    """Whether a rule changes and reports nothing, whatever it finds."""
    return (
        chain.has("nolog")
        and chain.has("pass")
        and not any(
            action.name in {"setvar", "skipafter", "capture"}
            or (action.name == "ctl" and not action.argument.lower().startswith(_INERT_CONTROLS))
            for link in chain.links
            for action in link.actions
        )
    )


#: Controls of ModSecurity's logs; and a body is always there to be read here.
_INERT_CONTROLS = ("auditengine", "auditlogparts", "forcerequestbodyvariable")


def _covers(removal: tuple[int, int] | str, chain: Chain) -> bool:
    if isinstance(removal, str):
        return removal in chain.tags()
    return removal[0] <= chain.id <= removal[1]


def _acts(link: SecRule) -> bool:
    """Whether a link does something when it matches, although its chain may not."""
    return any(action.name in {"setvar", "capture"} for action in link.actions)


def _is_audit(action: Action) -> bool:
    return action.argument.lower().startswith(("auditengine", "auditlogparts"))


def _disruptive_default(settings: Settings, phase: int) -> bool:
    return any(a.name in {"allow", "deny", "drop", "redirect"} for a in settings.defaults(phase))


def _finds(expression: str, name: bytes) -> bool:
    """Whether an expression finds a name; one that Python reads otherwise counts as a yes."""
    try:
        return re.search(expression, name.decode("latin-1"), re.IGNORECASE) is not None
    except (re.error, RecursionError):
        return True
