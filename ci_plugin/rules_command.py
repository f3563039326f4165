"""``cnaf rules``: register rule sets, change how they are used, and list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from cnaf.ci_plugin.options import RulesDir
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.ci_plugin.rules_check_command import lint_rules, run_rule_tests
from cnaf.ci_plugin.rules_exclude_command import exclude_rule
from cnaf.ci_plugin.rules_patch_command import app as patch_app
from cnaf.ci_plugin.rules_rehearse_command import rehearse_rules
from cnaf.ci_plugin.rules_show_command import show_rules
from cnaf.models.errors import CnafError, InputError
from cnaf.signatures.kept_databases import default_cache_dir
from cnaf.signatures.sets.compiled import load_set
from cnaf.signatures.sets.registered import Kind, Mode, RegisteredSet, set_to_yaml
from cnaf.signatures.sets.registering import (
    check_rules,
    check_tests,
    register,
    results_of,
    tests_of,
)
from cnaf.signatures.sets.sources import Sources
from cnaf.signatures.sets.store import RuleStore, checked_sources, default_rules_dir, refreshed
from rich.table import Table

__all__ = ["app"]

app = typer.Typer(help="Register rule sets: the Core Rule Set, custom rules, virtual patches.")
_add_app = typer.Typer(help="Register a rule set; its files stay where they are.")
app.add_typer(_add_app, name="add")
app.add_typer(patch_app, name="patch")
app.command("show")(show_rules)
app.command("lint")(lint_rules)
app.command("test")(run_rule_tests)
app.command("exclude")(exclude_rule)
app.command("rehearse")(rehearse_rules)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a rule set.")]
_Paranoia = Annotated[
    int | None, typer.Option(min=1, max=4, help="Paranoia level of a Core Rule Set.")
]
_Threshold = Annotated[
    int | None, typer.Option(min=1, help="Inbound anomaly score from which a request counts.")
]
_Mode = Annotated[Mode | None, typer.Option(help="What becomes of a request that counts.")]
_Images = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="GLOB", help="Images that it is for; repeatable."),
]
_Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--setting", metavar="NAME=VALUE", help="A tx variable set in advance; repeatable."
    ),
]
_NewName = Annotated[str, typer.Option("--name", help="Name to register it under.")]


@_add_app.command("crs")
def add_crs(
    path: Annotated[Path, typer.Option(metavar="DIR", help="Folder of a released Core Rule Set.")],
    name: _NewName = "crs",
    paranoia: _Paranoia = None,
    threshold: _Threshold = None,
    mode: _Mode = None,
    images: _Images = None,
    settings: _Settings = None,
    rules_dir: RulesDir = None,
    as_json: _Json = False,
) -> None:
    """Register a release of the OWASP Core Rule Set where it lies."""
    made, sources = register(Kind.CRS, [path], name=name)
    _add(_changed(made, paranoia, threshold, mode, images, settings), sources, rules_dir, as_json)


@_add_app.command("custom")
def add_custom(
    path: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help="Rule file, or folder of them; repeat in load order."),
    ],
    name: _NewName = "",
    threshold: _Threshold = None,
    mode: _Mode = None,
    images: _Images = None,
    settings: _Settings = None,
    rules_dir: RulesDir = None,
    as_json: _Json = False,
) -> None:
    """Register SecLang files of your own where they lie."""
    made, sources = register(Kind.CUSTOM, path, name=name)
    _add(_changed(made, None, threshold, mode, images, settings), sources, rules_dir, as_json)


@app.command("rm")
def remove_rules(name: _Name, rules_dir: RulesDir = None, as_json: _Json = False) -> None:
    """Forget a rule set; its files stay where they are."""
    removed = RuleStore(rules_dir or default_rules_dir()).remove(name)
    if as_json:
        print_json_line(removed.to_dict())
    else:
        out.print(plain(f"Forgot the rule set {name}."))


@app.command("set")
def set_rules(
    name: _Name,
    paranoia: _Paranoia = None,
    threshold: _Threshold = None,
    mode: _Mode = None,
    images: _Images = None,
    settings: _Settings = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Accept the rule files as they are now.")
    ] = False,
    rules_dir: RulesDir = None,
    as_json: _Json = False,
) -> None:
    """Change how a rule set is used."""
    store = RuleStore(rules_dir or default_rules_dir())
    known = store.get(name)
    known, sources = refreshed(known) if refresh else (known, checked_sources(known))
    changed = _changed(known, paranoia, threshold, mode, images, settings)
    _check(changed, sources)
    if refresh and changed.kind is Kind.PATCH:
        # What a patch is accepted for it must still do.
        check_tests(results_of(changed, sources, tests_of(changed)), changed.tests)
    store.put(changed)
    _tell(changed, "Changed", as_json)


@app.command("ls")
def list_rules(rules_dir: RulesDir = None, as_json: _Json = False) -> None:
    """List the rule sets, and whether their files are what was added."""
    folder = rules_dir or default_rules_dir()
    sets = RuleStore(folder).list()
    states = [_state(one) for one in sets]
    if as_json:
        print_json_line(
            [{**one.to_dict(), "state": state} for one, state in zip(sets, states, strict=True)]
        )
    elif sets:
        out.print(_table(sets, states))
    else:
        err.print(plain(f"No rule sets in {folder}: the built-in rules run alone. "
                        "Add one with `cnaf rules add`."))  # fmt: skip


def _add(registered: RegisteredSet, sources: Sources, folder: Path | None, as_json: bool) -> None:
    # Checked before anything that takes time.
    set_to_yaml(registered)
    _check(registered, sources)
    RuleStore(folder or default_rules_dir()).add(registered)
    _tell(registered, "Added", as_json)


def _check(registered: RegisteredSet, sources: Sources) -> None:
    check_rules(registered, sources)
    with err.status("Compiling rules: once, then kept …"):
        load_set(registered, sources, default_cache_dir())


def _changed(
    known: RegisteredSet,
    paranoia: int | None,
    threshold: int | None,
    mode: Mode | None,
    images: Sequence[str] | None,
    settings: Sequence[str] | None,
) -> RegisteredSet:
    return replace(
        known,
        paranoia=paranoia or known.paranoia,
        threshold=threshold or known.threshold,
        mode=mode or known.mode,
        images=tuple(images or known.images),
        settings={**known.settings, **dict(map(_pair, settings or ()))},
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"--setting {text[:40]!r} has no value", hint="write NAME=VALUE")
    return name.strip().lower().removeprefix("tx."), value.strip()


def _state(registered: RegisteredSet) -> str:
    try:
        checked_sources(registered)
    except CnafError as error:
        return error.message
    return "ok"


def _tell(registered: RegisteredSet, done: str, as_json: bool) -> None:
    if as_json:
        print_json_line(registered.to_dict())
        return
    out.print(
        plain(
            f"{done} {registered.name}: version {registered.version}, "
            f"sha256:{registered.sha256[:12]}, mode {registered.mode.value}, "
            f"threshold {registered.threshold}, images {', '.join(registered.images)}."
        ),
        soft_wrap=True,
    )


def _table(sets: Sequence[RegisteredSet], states: Sequence[str]) -> Table:
    table = Table(box=None)
    for title in ("Name", "Kind", "Version", "Mode", "Level", "Threshold", "Images", "Excl.",
                  "Files"):  # fmt: skip
        table.add_column(title, overflow="fold")
    for one, state in zip(sets, states, strict=True):
        row: list[Any] = [one.name, one.kind.value, one.version, one.mode.value]
        is_core = one.kind is Kind.CRS
        row += [one.paranoia if is_core else "", one.threshold, ", ".join(one.images)]
        row += [len(one.exclusions) or "", state if state == "ok" else "changed or missing"]
        table.add_row(*map(plain, row))
    return table
