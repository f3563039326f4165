"""Actions of a rule, compiled to functions of a transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.macros import compile_text
from cnaf.signatures.seclang.operators import number
from cnaf.signatures.seclang.reader import parse_variables
from cnaf.signatures.seclang.regexes import compile_regex
from cnaf.signatures.seclang.variables import PERSISTENT, is_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cnaf.signatures.seclang.syntax import Action, Place
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = [
    "SEVERITIES",
    "Assignment",
    "Exclusions",
    "check_actions",
    "compile_control",
    "compile_setvar",
    "id_ranges",
    "parse_setvar",
    "severity_of",
]

SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")

#: Metadata, and what concerns ModSecurity's own logs or its stores.
_INERT = frozenset((
    "accuracy", "auditlog", "capture", "chain", "expirevar", "id", "initcol", "log", "logdata",
    "maturity", "msg", "multimatch", "noauditlog", "nolog", "pass", "phase", "rev", "severity",
    "status", "t", "tag", "ver",
))  # fmt: skip
_ACTING = frozenset((
    "allow", "block", "ctl", "deny", "drop", "redirect", "setvar", "skipafter", "skip",
))  # fmt: skip

_SETVAR = re.compile(r"(!?)([A-Za-z]+)[.:]([^=]*)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Assignment:
    """``setvar``: ``operation`` is ``=``, ``+``, ``-`` or ``!`` (unset)."""

    collection: str
    name: str
    operation: str
    value: str


def check_actions(actions: Sequence[Action], place: Place) -> None:
    """Refuse by name what is not supported; raises SecLangError."""
    for action in actions:
        if action.name not in _INERT and action.name not in _ACTING:
            raise SecLangError(
                place.file,
                place.line,
                f"the action {action.name} is not supported",
                supported=", ".join(sorted(_INERT | _ACTING)),
            )
        if action.name == "setvar":
            parse_setvar(action.argument, place)
        elif action.name == "severity":
            severity_of(action.argument, place)
        elif action.name == "ctl":
            compile_control(action.argument, place)


def severity_of(text: str, place: Place) -> int:
    """Return a severity from 0 (emergency) to 7 (debug); raises SecLangError."""
    lower = text.lower()
    if lower in SEVERITIES:
        return SEVERITIES.index(lower)
    if lower.isdigit() and int(lower) < len(SEVERITIES):
        return int(lower)
    raise SecLangError(
        place.file, place.line, f"no severity: {text!r}", supported=", ".join(SEVERITIES)
    )


# setvar -------------------------------------------------------------------------------------


def parse_setvar(text: str, place: Place) -> Assignment:
    """Read ``tx.name=+1``; raises SecLangError."""
    match = _SETVAR.fullmatch(text.strip())
    if match is None or not match[3].strip():
        raise SecLangError(place.file, place.line, f"no assignment: setvar:{text!r}")
    collection = match[2].upper()
    if collection != "TX" and collection not in PERSISTENT:
        raise SecLangError(
            place.file,
            place.line,
            f"setvar cannot set {collection}",
            supported=", ".join(sorted((*PERSISTENT, "TX"))),
        )
    if match[1]:
        return Assignment(collection, match[3].strip(), "!", "")
    value = match[4]
    if value is None:
        return Assignment(collection, match[3].strip(), "=", "1")
    if len(value) > 1 and value[0] == value[-1] == "'":
        value = value[1:-1]
    if value[:1] in {"+", "-"} and value[:1]:
        return Assignment(collection, match[3].strip(), value[0], value[1:])
    return Assignment(collection, match[3].strip(), "=", value)


def compile_setvar(
    assignment: Assignment, place: Place, rule: Mapping[str, str]
) -> Callable[[Transaction], None]:
    """Return the function that carries an assignment out."""
    name = compile_text(assignment.name, place, rule)
    value = compile_text(assignment.value, place, rule)
    operation = assignment.operation
    if assignment.collection == "TX":
        return _tx_setter(name, value, operation)
    collection = assignment.collection

    def assign(t: Transaction) -> None:
        key = (collection, name(t).lower())
        if operation == "!":
            t.collections.pop(key, None)
        else:
            t.collections[key] = _result(t.collections.get(key, b""), value(t), operation)

    return assign


def _tx_setter(
    name: Callable[[Transaction], bytes], value: Callable[[Transaction], bytes], operation: str
) -> Callable[[Transaction], None]:
    if operation == "=":

        def store(t: Transaction) -> None:
            t.tx[name(t).lower()] = value(t)

        return store

    def assign(t: Transaction) -> None:
        key = name(t).lower()
        if operation == "!":
            t.tx.pop(key, None)
        else:
            t.tx[key] = _result(t.tx.get(key, b""), value(t), operation)

    return assign


def _result(before: bytes, value: bytes, operation: str) -> bytes:
    if operation == "=":
        return value
    sign = 1 if operation == "+" else -1
    return b"%d" % (number(before) + sign * number(value))


# ctl ----------------------------------------------------------------------------------------


class Exclusions:
    """What rules have taken away from other rules, for the rest of one request."""

    __slots__ = ("_by_id", "_by_tag", "_ranges", "_tags")

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._tags: set[str] = set()
        self._by_id: list[tuple[int, int, Callable[[str, bytes | None], bool]]] = []
        self._by_tag: dict[str, list[Callable[[str, bytes | None], bool]]] = {}

    def remove_ids(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Take rules away by id."""
        self._ranges += ranges

    def remove_tag(self, tag: str) -> None:
        """Take rules away by tag."""
        self._tags.add(tag)

    def hide_by_id(
        self, ranges: Iterable[tuple[int, int]], test: Callable[[str, bytes | None], bool]
    ) -> None:
        """Hide targets, for which the test of collection and name says yes, from rules by id."""
        self._by_id += [(low, high, test) for low, high in ranges]

    def hide_by_tag(self, tag: str, test: Callable[[str, bytes | None], bool]) -> None:
        """Hide targets from rules by tag."""
        self._by_tag.setdefault(tag, []).append(test)

    def removes(self, rule: int, tags: frozenset[str]) -> bool:
        """Whether a rule is gone altogether."""
        if self._tags and not self._tags.isdisjoint(tags):
            return True
        return bool(self._ranges) and any(low <= rule <= high for low, high in self._ranges)

    def hidden(
        self, rule: int, tags: frozenset[str]
    ) -> Sequence[Callable[[str, bytes | None], bool]]:
        """Return tests of collection and name: what they say yes to, a rule does not see."""
        found: list[Callable[[str, bytes | None], bool]] = []
        if self._by_id:
            found += [test for low, high, test in self._by_id if low <= rule <= high]
        if not tags.isdisjoint(self._by_tag):
            found += [test for tag in tags for test in self._by_tag.get(tag, ())]
        return found


_PROCESSORS = ("JSON", "MULTIPART", "URLENCODED", "XML")
_CONTROLS = (
    "auditEngine", "auditLogParts", "forceRequestBodyVariable", "requestBodyAccess",
    "requestBodyProcessor", "ruleEngine", "ruleRemoveById", "ruleRemoveByTag",
    "ruleRemoveTargetById", "ruleRemoveTargetByTag",
)  # fmt: skip


def compile_control(text: str, place: Place) -> Callable[[Transaction], None] | None:
    """Return the function of a ``ctl`` action, None where it has no effect here.

    Raises SecLangError for a control that is not supported.
    """
    name, _, value = text.partition("=")
    name, value = name.strip().lower(), value.strip()
    if name in {"auditengine", "auditlogparts"}:
        return None
    make = _MAKERS.get(name)
    if make is None or not value:
        raise SecLangError(
            place.file, place.line, f"ctl:{text} is not supported", supported=", ".join(_CONTROLS)
        )
    return make(value, place)


def _exclusions(t: Transaction) -> Exclusions:
    if t.exclusions is None:
        t.exclusions = Exclusions()
    return t.exclusions


def _choice(value: str, place: Place, *allowed: str) -> str:
    for known in allowed:
        if known.lower() == value.lower():
            return known
    raise SecLangError(
        place.file, place.line, f"ctl: {value!r} is not supported", supported=", ".join(allowed)
    )


def _set(field: str, stored: object) -> Callable[[Transaction], None]:
    return lambda t: setattr(t, field, stored)


def _rule_engine(value: str, place: Place) -> Callable[[Transaction], None]:
    return _set("engine_mode", _choice(value, place, "On", "Off", "DetectionOnly"))


def _processor(value: str, place: Place) -> Callable[[Transaction], None]:
    return _set("processor", _choice(value, place, *_PROCESSORS).encode("ascii"))


def _switch(field: str) -> Callable[[str, Place], Callable[[Transaction], None]]:
    return lambda value, place: _set(field, _choice(value, place, "On", "Off") == "On")


def id_ranges(value: str, place: Place) -> list[tuple[int, int]]:
    """Read ids and ranges; raises SecLangError."""
    ranges = []
    for word in value.replace(",", " ").split():
        low, _, high = word.partition("-")
        if not low.isdigit() or not (high or low).isdigit():
            raise SecLangError(place.file, place.line, f"no rule id or range: {word!r}")
        ranges.append((int(low), int(high or low)))
    return ranges


def _remove_by_id(value: str, place: Place) -> Callable[[Transaction], None]:
    ranges = id_ranges(value, place)
    return lambda t: _exclusions(t).remove_ids(ranges)


def _remove_by_tag(value: str, _place: Place) -> Callable[[Transaction], None]:
    return lambda t: _exclusions(t).remove_tag(value)


def _remove_target_by_id(value: str, place: Place) -> Callable[[Transaction], None]:
    rules, test = _rule_and_target(value, place)
    ranges = id_ranges(rules, place)
    return lambda t: _exclusions(t).hide_by_id(ranges, test)


def _remove_target_by_tag(value: str, place: Place) -> Callable[[Transaction], None]:
    tag, test = _rule_and_target(value, place)
    return lambda t: _exclusions(t).hide_by_tag(tag, test)


def _rule_and_target(value: str, place: Place) -> tuple[str, Callable[[str, bytes | None], bool]]:
    rule, semicolon, target = value.partition(";")
    if not semicolon or not target:
        raise SecLangError(place.file, place.line, f"ctl: {value!r} is not rule;target")
    return rule.strip(), _target_test(target.strip(), place)


def _target_test(target: str, place: Place) -> Callable[[str, bytes | None], bool]:
    variable = parse_variables(target, place)[0]
    collection, selector = variable.collection, variable.selector
    if not is_known(collection):
        raise SecLangError(place.file, place.line, f"ctl: there is no variable {collection}")
    if not selector or collection == "XML":
        return lambda c, _: c == collection
    if variable.is_regex:
        search = compile_regex(selector, place, ignore_case=True).search
        return lambda c, n: c == collection and n is not None and search(n) is not None
    name = selector.encode("latin-1").lower()
    return lambda c, n: c == collection and n is not None and n.lower() == name


_MAKERS: dict[str, Callable[[str, Place], Callable[[Transaction], None]]] = {
    "forcerequestbodyvariable": _switch("force_body_variable"),
    "requestbodyaccess": _switch("body_access"),
    "requestbodyprocessor": _processor,
    "ruleengine": _rule_engine,
    "ruleremovebyid": _remove_by_id,
    "ruleremovebytag": _remove_by_tag,
    "ruleremovetargetbyid": _remove_target_by_id,
    "ruleremovetargetbytag": _remove_target_by_tag,
}
