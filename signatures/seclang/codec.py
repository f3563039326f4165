"""Folded rules as plain JSON values, and back: what a compiled rule set is stored as.

Reading checks no more than shapes: what is wrong raises ValueError, KeyError or TypeError, which
callers take for a file to be made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnaf.signatures.seclang.folding import Folded
from cnaf.signatures.seclang.program import Chain, Marker, Settings
from cnaf.signatures.seclang.syntax import Action, Operator, Place, SecRule, Variable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["folded_from_json", "folded_to_json", "settings_from_json", "settings_to_json"]


def folded_to_json(folded: Folded) -> dict[str, Any]:
    """Return what :func:`folded_from_json` takes."""
    return {
        "phases": [[_unit_to_json(unit) for unit in phase] for phase in folded.phases],
        "initial": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in folded.initial.items()],
    }


def folded_from_json(data: dict[str, Any]) -> Folded:
    """Return folded rules."""
    return Folded(
        tuple(tuple(_unit_from_json(unit) for unit in phase) for phase in data["phases"]),
        {k.encode("latin-1"): v.encode("latin-1") for k, v in data["initial"]},
    )


def _unit_to_json(unit: Chain | Marker) -> object:
    if isinstance(unit, Marker):
        return unit.name
    links = [_rule_to_json(link) for link in unit.links]
    return [unit.id, unit.phase, unit.is_shortened, links]


def _unit_from_json(data: Any) -> Chain | Marker:
    if isinstance(data, str):
        return Marker(data)
    number, phase, is_shortened, links = data
    return Chain(number, phase, tuple(_rule_from_json(link) for link in links), is_shortened)


def _rule_to_json(rule: SecRule) -> list[object]:
    operator = rule.operator
    return [
        rule.place.file,
        rule.place.line,
        [
            [v.collection, v.selector, v.is_regex, v.is_count, v.is_exclusion]
            for v in rule.variables
        ],
        None if operator is None else [operator.name, operator.argument, operator.negated],
        _actions_to_json(rule.actions),
    ]


def _rule_from_json(data: Any) -> SecRule:
    file, line, variables, operator, actions = data
    return SecRule(
        Place(file, line),
        tuple(Variable(*variable) for variable in variables),
        None if operator is None else Operator(*operator),
        _actions_from_json(actions),
    )


def _actions_to_json(actions: Sequence[Action]) -> list[list[str]]:
    return [[action.name, action.argument] for action in actions]


def _actions_from_json(data: Any) -> tuple[Action, ...]:
    return tuple(Action(name, argument) for name, argument in data)


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Return what :func:`settings_from_json` takes."""
    values = {name: getattr(settings, name) for name in settings.__slots__}
    values["default_actions"] = [
        [phase, _actions_to_json(actions)] for phase, actions in settings.default_actions
    ]
    values["signatures"] = list(settings.signatures)
    return values


def settings_from_json(data: dict[str, Any]) -> Settings:
    """Return settings."""
    defaults = tuple((p, _actions_from_json(actions)) for p, actions in data["default_actions"])
    return Settings(
        **{**data, "default_actions": defaults, "signatures": tuple(data["signatures"])}
    )
