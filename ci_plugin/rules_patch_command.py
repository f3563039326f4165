"""``cnaf rules patch``: virtual patches, which must prove themselves before they are accepted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from cnaf.ci_plugin.options import RulesDir
from cnaf.ci_plugin.output import out, plain, print_json_line
from cnaf.signatures.sets.registered import Kind, Mode, set_to_yaml
from cnaf.signatures.sets.registering import check_rules, check_tests, register, results_of
from cnaf.signatures.sets.request_tests import read_tests
from cnaf.signatures.sets.store import RuleStore, default_rules_dir

__all__ = ["app"]

app = typer.Typer(help="Virtual patches: a few rules for one image, with their own tests.")


@app.callback()
def _patches() -> None:
    """Keep `add` a command of its own while it is the only one."""


@app.command("add")
def add_patch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A SecLang file.")],
    images: Annotated[
        list[str], typer.Option("--image", metavar="GLOB", help="Images to patch; repeatable.")
    ],
    tests: Annotated[
        Path, typer.Option(metavar="FILE", help="Requests that it must block, and must let pass.")
    ],
    name: Annotated[str, typer.Option(help="Default: the file's name.")] = "",
    mode: Annotated[Mode, typer.Option(help="What becomes of what it finds.")] = Mode.BLOCK,
    rules_dir: RulesDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Accept a virtual patch whose tests pass; the failing one is named otherwise."""
    made, sources = register(Kind.PATCH, [file], name=name, mode=mode)
    made = replace(made, images=tuple(images), tests=str(tests.absolute()))
    set_to_yaml(made)
    check_rules(made, sources)
    results = results_of(made, sources, read_tests(tests))
    check_tests(results, str(tests))
    RuleStore(rules_dir or default_rules_dir()).add(made)
    if as_json:
        print_json_line({**made.to_dict(), "tests_passed": len(results)})
        return
    out.print(
        plain(
            f"Added {made.name} for {', '.join(made.images)}: {len(results)} tests passed, "
            f"sha256:{made.sha256[:12]}, mode {made.mode.value}."
        ),
        soft_wrap=True,
    )
