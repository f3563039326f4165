"""``cnaf rules show``: a rule set, or one rule with what keeps it quiet."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from cnaf.ci_plugin.options import RulesDir
from cnaf.ci_plugin.output import out, plain, print_json_line
from cnaf.models.errors import InputError
from cnaf.signatures.rule import Rule
from cnaf.signatures.rule_files import built_in_rules
from cnaf.signatures.sets.compiled import set_texts
from cnaf.signatures.sets.describing import DescribedRule, describe_rules
from cnaf.signatures.sets.registered import RegisteredSet
from cnaf.signatures.sets.sources import Sources
from cnaf.signatures.sets.store import RuleStore, checked_sources, default_rules_dir

__all__ = ["show_rules"]


def show_rules(
    what: Annotated[
        str, typer.Argument(metavar="NAME|RULE_ID", help="A rule set, or the id of a rule.")
    ],
    rules_dir: RulesDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a rule set, or a rule: file, line, targets, tags, and what excludes it."""
    store = RuleStore(rules_dir or default_rules_dir())
    built_in = {rule.id: rule for rule in built_in_rules()}
    if what in built_in:
        rules = [_built_in(built_in[what])]
    elif what.isdigit():
        rules = [rule.to_dict() for rule in _find(store, int(what))]
    else:
        known = store.get(what)
        _show_set(known, checked_sources(known), as_json)
        return
    if as_json:
        print_json_line(rules)
        return
    for rule in rules:
        _print_rows(rule)


def _find(store: RuleStore, number: int) -> list[DescribedRule]:
    found = []
    for known in store.list():
        rules = describe_rules(known, checked_sources(known))
        if number in rules:
            found.append(rules[number])
    if not found:
        raise InputError(
            f"no registered rule set has a rule {number}", hint="`cnaf rules ls` shows the sets"
        )
    return found


def _built_in(rule: Rule) -> dict[str, Any]:
    targets = rule.targets
    names = sorted(f"{location.label}:{name}" for location, name in targets.names)
    return {
        "set": "built-in",
        "rule": rule.id,
        "message": rule.message,
        "expected": rule.expected,
        "severity": rule.severity.value,
        "confidence": rule.confidence.value,
        "targets": [*(location.label for location in sorted(targets.locations)), *names],
        "tags": list(rule.tags),
        "excluded_by": sorted(f"not in {loc.label}:{name}" for loc, name in targets.exceptions),
    }


def _show_set(known: RegisteredSet, sources: Sources, as_json: bool) -> None:
    texts = set_texts(known)
    rules = describe_rules(known, sources)
    described = {
        **known.to_dict(),
        "files": len(sources.files),
        "rules": len(rules),
        "seclang": (texts.between + texts.after).strip(),
    }
    if as_json:
        print_json_line(described)
    else:
        _print_rows(described)


def _print_rows(described: dict[str, Any]) -> None:
    for name, value in described.items():
        shown = value
        if isinstance(value, list | tuple):
            shown = ", ".join(map(_short, value)) or "none"
        elif isinstance(value, dict):
            shown = ", ".join(f"{key}={entry}" for key, entry in value.items()) or "none"
        lines = str(shown).split("\n")
        out.print(plain(f"{name:<16} {lines[0]}"), soft_wrap=True)
        for line in lines[1:]:
            out.print(plain(f"{'':<16} {line}"), soft_wrap=True)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {entry}" for key, entry in value.items() if entry)
    return str(value)
