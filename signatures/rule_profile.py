"""Turn a chain of SecLang rules into one of ours, or say what our profile of SecLang has not.

A chain is the rule itself, ``SecRule TARGETS "@rx …" "actions"``, and at most two conditions on
what it matched: ``@detectSQLi`` or ``@detectXSS``, then a length with ``@le`` and ``t:length``. In
a longer value our engine does not fall silent, a match says one step less there. Everything else
that SecLang can say is for :mod:`cnaf.signatures.seclang`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from cnaf.models.verdict import Confidence
from cnaf.signatures.rule import Rule, Severity, Syntax
from cnaf.signatures.rule_patterns import read_expression
from cnaf.signatures.rule_targets import read_targets
from cnaf.signatures.seclang.errors import SecLangError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnaf.signatures.seclang.syntax import Place, SecRule

__all__ = ["read_chain"]

_NAME: Final = re.compile(r"cnaf-([a-z][a-z0-9]{1,30})-[a-z0-9]+")
_REFERENCE: Final = re.compile(r"CWE-\d{1,5}|CAPEC-\d{1,4}|T\d{4}(?:\.\d{3})?")
_CONFIDENCE: Final = "cnaf/confidence/"
_CLASS: Final = "attack-"
_PROSE: Final = "cnaf/prose"
_TAGS: Final = (
    f"one name (cnaf-sqli-001), its class ({_CLASS}sqli), CWE-n, CAPEC-n and ATT&CK ids, "
    f"{_CONFIDENCE}high, medium or low, and {_PROSE} where texts shall say less"
)
_LOGDATA: Final = re.compile(r"%\{TX\.0\} in %\{MATCHED_VAR_NAME\}; expected (\S.*)")
_SEVERITIES: Final = {
    "CRITICAL": Severity.CRITICAL,
    "ERROR": Severity.HIGH,
    "WARNING": Severity.MEDIUM,
    "NOTICE": Severity.LOW,
}
_SYNTAXES: Final = {"detectsqli": Syntax.SQL, "detectxss": Syntax.HTML}
#: What comes nearest to canonical values where another engine reads the file.
_DECODED: Final = ("none", "urlDecodeUni", "htmlEntityDecode")
_ONCE: Final = ("id", "phase", "msg", "logdata", "severity", "ver")
_SIGNS: Final = ("block", "pass", "capture", "chain")
_ACTIONS: Final = (*_ONCE, "t", "tag", *_SIGNS)
_CONDITIONS: Final = (
    'SecRule MATCHED_VARS "@detectSQLi" "t:none", "@detectXSS" likewise, '
    'then SecRule MATCHED_VARS "@le BYTES" "t:none,t:length"'
)
_MAX_ID: Final = 2**31 - 1

_T = TypeVar("_T")


def read_chain(links: Sequence[SecRule]) -> tuple[Rule, dict[str, str]]:
    """Return the rule of a chain, and the pieces of its expression; raises SecLangError."""
    head = links[0]
    place = head.place
    actions = _head_actions(head)
    tags = _Tags(actions["tag"], place)
    _check_head(actions, tags.confidence, place)
    operator = head.operator
    if operator is None or operator.name != "rx" or operator.negated:
        _refuse(place, "an operator that finds no patterns", "@rx, not negated, and conditions "
                f"on what it found: {_CONDITIONS}")  # fmt: skip
    patterns, pieces = read_expression(operator.argument, place)
    syntax, max_length = _conditions(links[1:])
    rule = Rule(
        id=tags.name,
        message=actions["msg"][0],
        expected=_expected(actions["logdata"][0], place),
        severity=_choice(actions["severity"][0].upper(), _SEVERITIES, "severity", place),
        confidence=tags.confidence,
        tags=tags.references,
        patterns=patterns,
        targets=read_targets(head.variables, place, prose=tags.prose),
        max_length=max_length,
        syntax=syntax,
        number=_number(actions["id"][0], place),
        version=actions["ver"][0],
        place=place,
    )
    return rule, pieces


class _Tags:
    """What the tags of a rule say, each once."""

    def __init__(self, tags: Sequence[str], place: Place) -> None:
        names = [tag for tag in tags if _NAME.fullmatch(tag)]
        levels = [tag for tag in tags if tag.startswith(_CONFIDENCE)]
        if len(names) != 1 or len(levels) != 1:
            _refuse(place, "tags without one name and one confidence", _TAGS)
        self.name = names[0]
        values = {str(level): level for level in Confidence}
        said = levels[0].removeprefix(_CONFIDENCE)
        self.confidence = _choice(said, values, "confidence", place)
        self.references = tuple(tag for tag in tags if _REFERENCE.fullmatch(tag))
        self.prose = _PROSE in tags
        attack = _CLASS + self.name.split("-")[1]
        known = {self.name, levels[0], attack, _PROSE, *self.references}
        for tag in tags:
            if tag not in known:
                _refuse(place, f"an unknown tag {tag!r}", _TAGS)
        if attack not in tags or not self.references:
            _refuse(place, f"tags without {attack} or without a reference", _TAGS)


def _head_actions(rule: SecRule) -> Mapping[str, list[str]]:
    actions: defaultdict[str, list[str]] = defaultdict(list)
    for action in rule.actions:
        if action.name not in _ACTIONS:
            _refuse(rule.place, f"the action {action.name}", ", ".join(_ACTIONS))
        actions[action.name].append(action.argument)
    for name in _ONCE:
        if len(actions[name]) != 1 or not actions[name][0].strip():
            _refuse(rule.place, f"{name} is not said once", f"each of {', '.join(_ONCE)}")
    return actions


def _check_head(actions: Mapping[str, list[str]], confidence: Confidence, place: Place) -> None:
    if actions["phase"][0] != "2":
        _refuse(place, f"phase {actions['phase'][0]}", "phase:2, when the request is whole")
    if tuple(actions["t"]) != _DECODED:
        _refuse(place, f"the transformations {', '.join(actions['t']) or 'none'}",
                f"t:{',t:'.join(_DECODED)}: values are decoded in full before")  # fmt: skip
    if len(actions["block"]) + len(actions["pass"]) != 1:
        _refuse(place, "neither block nor pass, or both", "one of them")
    if bool(actions["block"]) is not (confidence is Confidence.HIGH):
        _refuse(place, f"an action that does not fit the confidence {confidence}",
                "block with high confidence, pass with any other")  # fmt: skip


def _number(text: str, place: Place) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text) or int(text) > _MAX_ID:
        _refuse(place, f"the id {text!r}", f"a number up to {_MAX_ID}")
    return int(text)


def _expected(logdata: str, place: Place) -> str:
    match = _LOGDATA.fullmatch(logdata)
    if match is None:
        _refuse(place, f"the logdata {logdata[:60]!r}",
                "%{TX.0} in %{MATCHED_VAR_NAME}; expected, and what belongs there")  # fmt: skip
    return match[1]


def _conditions(links: Sequence[SecRule]) -> tuple[Syntax | None, int]:
    """Return the tokenizer that has the last word, and the longest value, 0 for any."""
    syntax, max_length = None, 0
    for link in links:
        operator = link.operator
        name = operator.name if operator is not None and not operator.negated else ""
        argument = operator.argument if operator is not None else ""
        matched = [v.label() for v in link.variables] == ["MATCHED_VARS"]
        said = [(a.name, a.argument) for a in link.actions if a.name != "chain"]
        decoded = [("t", "none")]
        if matched and name in _SYNTAXES and said == decoded and not (syntax or max_length):
            syntax = _SYNTAXES[name]
        elif (
            matched and name == "le" and said == [*decoded, ("t", "length")] and not max_length
            and re.fullmatch(r"[1-9][0-9]{0,6}", argument)
        ):  # fmt: skip
            max_length = int(argument)
        else:
            _refuse(link.place, "a condition that is unknown or out of order", _CONDITIONS)
    return syntax, max_length


def _choice(text: str, values: Mapping[str, _T], what: str, place: Place) -> _T:
    if text not in values:
        _refuse(place, f"the {what} {text!r}", ", ".join(values))
    return values[text]


def _refuse(place: Place, problem: str, supported: str) -> NoReturn:
    raise SecLangError(place.file, place.line, problem, supported=supported)
