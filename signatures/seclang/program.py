"""A loaded rule set before it is compiled: chains and markers in order, and the settings.

Everything that names rules from outside (``SecRuleRemoveById``, ``SecRuleUpdateTargetById`` and
their like) has been applied. Nothing here knows how rules are run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.syntax import Action, SecRule, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Chain", "Exceptions", "Marker", "Program", "Settings"]


@dataclass(frozen=True, slots=True)
class Marker:
    """The place that ``skipAfter`` names; it stands in every phase."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A rule with the rules chained to it: all links must match.

    ``is_shortened`` says that its first link was settled at load and is gone: exclusions of
    targets, which concern the first link, have nothing to act on.
    """

    id: int
    phase: int
    links: tuple[SecRule, ...]
    is_shortened: bool = False

    @property
    def head(self) -> SecRule:
        """The first link, which carries the metadata."""
        return self.links[0]

    def argument(self, name: str) -> str | None:
        """Return the argument of the last action of this name on the first link, or None."""
        found = [action.argument for action in self.head.actions if action.name == name]
        return found[-1] if found else None

    def has(self, name: str) -> bool:
        """Whether the first link has an action of this name."""
        return any(action.name == name for action in self.head.actions)

    def tags(self) -> tuple[str, ...]:
        """Return the tags."""
        return tuple(a.argument for a in self.head.actions if a.name == "tag")


@dataclass(frozen=True, slots=True)
class Settings:
    """What directives of the engine say. Sizes are bytes, None where nothing was said."""

    engine: str = "On"
    request_body_access: bool = True
    response_body_access: bool = False
    body_limit: int | None = None
    no_files_limit: int | None = None
    json_depth: int | None = None
    arguments: int | None = None
    default_actions: tuple[tuple[int, tuple[Action, ...]], ...] = ()
    signatures: tuple[str, ...] = ()

    def defaults(self, phase: int) -> tuple[Action, ...]:
        """Return the actions that SecDefaultAction gives the rules of a phase."""
        return next((actions for number, actions in self.default_actions if number == phase), ())


@dataclass(frozen=True, slots=True)
class Program:
    """Rules and markers in file order. ``notes`` say what was read and has no effect here."""

    units: tuple[Chain | Marker, ...]
    settings: Settings
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Exceptions:
    """What directives say about rules by id, tag or message, collected while files are read."""

    removed: list[Callable[[Chain], bool]] = field(default_factory=list)
    targets: list[tuple[Callable[[Chain], bool], tuple[Variable, ...]]] = field(
        default_factory=list
    )
    actions: list[tuple[int, tuple[Action, ...]]] = field(default_factory=list)

    def apply(self, units: Iterable[Chain | Marker]) -> tuple[Chain | Marker, ...]:
        """Return the units without those removed, the others updated."""
        return tuple(
            self._updated(unit) if isinstance(unit, Chain) else unit
            for unit in units
            if isinstance(unit, Marker) or not any(matches(unit) for matches in self.removed)
        )

    def _updated(self, chain: Chain) -> Chain:
        head = chain.head
        for matches, variables in self.targets:
            if matches(chain):
                head = replace(head, variables=_with_targets(head.variables, variables))
        for number, actions in self.actions:
            if number == chain.id:
                head = replace(head, actions=_with_actions(head.actions, actions))
        return chain if head is chain.head else replace(chain, links=(head, *chain.links[1:]))


def _with_targets(
    present: tuple[Variable, ...], update: tuple[Variable, ...]
) -> tuple[Variable, ...]:
    """Add targets and exclusions; a target that is excluded as it stands goes away."""
    excluded = {replace(v, is_exclusion=False) for v in update if v.is_exclusion}
    kept = tuple(v for v in present if v not in excluded)
    return kept + tuple(v for v in update if v not in kept)


#: Of these a rule has one; another one takes its place.
_DISRUPTIVE = frozenset(("allow", "block", "deny", "drop", "pass", "redirect"))
_SINGLE = _DISRUPTIVE | {"log", "nolog", "auditlog", "noauditlog", "msg", "severity", "status"}


def _with_actions(present: tuple[Action, ...], update: tuple[Action, ...]) -> tuple[Action, ...]:
    names = {action.name for action in update} & _SINGLE
    if names & _DISRUPTIVE:
        names |= _DISRUPTIVE
    if any(action.name == "t" and action.argument.lower() == "none" for action in update):
        names |= {"t"}
    return tuple(a for a in present if a.name not in names) + update
