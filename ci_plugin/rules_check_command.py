"""``cnaf rules lint`` and ``cnaf rules test``: what is wrong with rule files, and with rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from cnaf.ci_plugin.options import RulesDir
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.models.errors import InputError
from cnaf.signatures.sets.compiled import read_program
from cnaf.signatures.sets.linting import count_rules, lint
from cnaf.signatures.sets.registered import Kind, RegisteredSet
from cnaf.signatures.sets.registering import check_rules, register, results_of, tests_of
from cnaf.signatures.sets.request_tests import TestResult, read_tests
from cnaf.signatures.sets.sources import Sources
from cnaf.signatures.sets.store import RuleStore, checked_sources, default_rules_dir
from cnaf.signatures.sets.vectors import built_in_vectors
from rich.table import Table

__all__ = ["lint_rules", "run_rule_tests"]

_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def lint_rules(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Rule file, folder of them, or release folder.")
    ],
    as_json: _Json = False,
) -> None:
    """Show all errors of rule files: where, what is wrong, what is supported."""
    registered, sources = _at(path)
    linted = lint(registered, sources)
    if not linted.errors:
        rules = count_rules(read_program(registered, sources))
        if as_json:
            print_json_line([])
        else:
            err.print(plain(f"{path}: {len(sources.files)} files, {rules} rules, no errors."))
        return
    if as_json:
        print_json_line(
            [{"file": e.file, "line": e.line, "problem": e.problem, "hint": e.hint}
             for e in linted.errors]
        )  # fmt: skip
    else:
        for error in linted.errors:
            out.print(plain(error.message, "bold"), soft_wrap=True)
            out.print(plain(f"    {error.hint}", "dim"), soft_wrap=True)
        if linted.cut:
            err.print("There may be more errors: correct these first.")
    raise typer.Exit(InputError.exit_code)


def run_rule_tests(
    what: Annotated[
        str | None, typer.Argument(metavar="[NAME|PATH]", help="A rule set, or a rule file.")
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Test requests. Default: FILE.tests.yaml beside it."),
    ] = None,
    rules_dir: RulesDir = None,
    as_json: _Json = False,
) -> None:
    """Run what rules must do: samples of the built-in rules, test requests of others.

    Without a name all are run. The exit code is 1 where one fails.
    """
    store = RuleStore(rules_dir or default_rules_dir())
    rows = _built_in() if what is None else []
    if what is None:
        sets = [known for known in store.list() if known.tests]
        rows += [row for known in sets for row in _of_set(known, checked_sources(known), None)]
    else:
        rows += _of_set(*_named(store, what), tests)
    failed = [row for row in rows if row["problem"]]
    if as_json:
        print_json_line({"tests": len(rows), "failed": failed})
    else:
        if failed:
            out.print(_table(failed))
        err.print(f"{len(rows):,} tests, {len(failed):,} failed.", highlight=False)
    if failed:
        raise typer.Exit(1)


def _at(path: Path) -> tuple[RegisteredSet, Sources]:
    kind = Kind.CRS if (path / "rules").is_dir() else Kind.CUSTOM
    return register(kind, [path], name="linted")


def _named(store: RuleStore, what: str) -> tuple[RegisteredSet, Sources]:
    path = Path(what)
    if path.suffix == ".conf" or "/" in what or path.is_dir():
        registered, sources = _at(path)
        check_rules(registered, sources)
        return registered, sources
    known = store.get(what)
    return known, checked_sources(known)


def _of_set(registered: RegisteredSet, sources: Sources, file: Path | None) -> list[dict[str, Any]]:
    tests = read_tests(file) if file is not None else tests_of(registered)
    if not tests:
        raise InputError(
            f"{registered.name} has no test requests",
            hint="write them beside the rules as NAME.tests.yaml, or give --tests",
        )
    return [_row(registered.name, result) for result in results_of(registered, sources, tests)]


def _row(name: str, result: TestResult) -> dict[str, Any]:
    return {"set": name, "test": result.test.name, "problem": result.problem,
            "matched": list(result.matched), "score": result.score}  # fmt: skip


def _built_in() -> list[dict[str, Any]]:
    return [
        {"set": "built-in", "test": vector.name, "problem": vector.problem, "matched": [],
         "score": 0}
        for vector in built_in_vectors()
    ]  # fmt: skip


def _table(failed: list[dict[str, Any]]) -> Table:
    table = Table(box=None)
    for title in ("Set", "Test", "What is wrong"):
        table.add_column(title, overflow="fold")
    for row in failed:
        table.add_row(*(plain(row[key]) for key in ("set", "test", "problem")))
    return table
