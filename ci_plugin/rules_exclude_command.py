"""``cnaf rules exclude``: take rules off a field, an endpoint, or altogether."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from cnaf.ci_plugin.options import RulesDir
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.models.errors import InputError
from cnaf.signatures.sets.describing import describe_rules
from cnaf.signatures.sets.exclusions import check_exclusion, text_after, text_before
from cnaf.signatures.sets.linting import lint
from cnaf.signatures.sets.registered import Exclusion, set_to_yaml
from cnaf.signatures.sets.store import RuleStore, checked_sources, default_rules_dir

__all__ = ["exclude_rule"]


def exclude_rule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a rule set.")],
    rule: Annotated[str, typer.Option(metavar="ID", help="Rule id, or a range of them.")] = "",
    tag: Annotated[str, typer.Option(help="All rules of this tag.")] = "",
    endpoint: Annotated[
        str, typer.Option(metavar="'METHOD /PATH'", help="Only there; {int} stands for a segment.")
    ] = "",
    field: Annotated[
        str, typer.Option(metavar="LABEL", help="Only this field, as alerts show it: form:comment.")
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the exclusion back.")] = False,
    rules_dir: RulesDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the set as JSON.")] = False,
) -> None:
    """Exclude a rule or a tag from a field, an endpoint, or altogether."""
    store = RuleStore(rules_dir or default_rules_dir())
    known = store.get(name)
    exclusion = Exclusion(rule, tag, endpoint, field)
    check_exclusion(exclusion)
    kept = tuple(one for one in known.exclusions if one != exclusion)
    if remove and len(kept) == len(known.exclusions):
        raise InputError(
            f"{name} has no such exclusion", hint=f"`cnaf rules show {name}` lists them"
        )
    changed = replace(known, exclusions=kept if remove else (*kept, exclusion))
    # What an exclusion may be made of is checked before it becomes SecLang.
    set_to_yaml(changed)
    sources = checked_sources(known)
    linted = lint(changed, sources)
    if linted.errors:
        raise linted.errors[0]
    rules = describe_rules(changed, sources)
    concerned = sum(any("Sec" in told for told in one.excluded_by) for one in rules.values())
    store.put(changed)
    if as_json:
        print_json_line(changed.to_dict())
        return
    for line in (text_before((exclusion,)) + text_after((exclusion,))).splitlines():
        out.print(plain(line), soft_wrap=True)
    done = "taken back" if remove else "excluded"
    err.print(plain(f"{name}: {done}. Exclusions concern {concerned} of its {len(rules)} rules."))
