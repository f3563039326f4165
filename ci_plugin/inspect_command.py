"""``cnaf inspect``: recorded requests through the pipeline of the node, without a network."""

from __future__ import annotations

from typing import Annotated

import typer
from cnaf.ci_plugin.options import (
    CorpusPaths,
    MorePaths,
    Reaction,
    RegistryUrl,
    RulesDir,
    TargetFpr,
)
from cnaf.ci_plugin.output import err, print_json_line
from cnaf.datasets.corpus import open_corpus
from cnaf.enforcer.inspection import LabelRates, Tally, inspect_exchanges
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.models.registry_url import open_registry
from cnaf.models.stored_model import load_model
from cnaf.models.verdict import Action
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.sets.matching import load_rules
from cnaf.signatures.sets.store import sets_for
from rich.table import Table

__all__ = ["inspect_corpus"]


def inspect_corpus(
    image: Annotated[
        str, typer.Option(metavar="IMAGE|DIGEST", help="Whose model, by image name or digest.")
    ],
    more: MorePaths = None,
    corpus: CorpusPaths = None,
    registry: RegistryUrl = None,
    rules_dir: RulesDir = None,
    action: Annotated[
        Reaction, typer.Option(help="What the policy does with an attack.")
    ] = Reaction.BLOCK,
    target_fpr: TargetFpr = 0.001,
    signatures: Annotated[bool, typer.Option(help="Match signature rules.")] = True,
    model: Annotated[bool, typer.Option(help="Score with the learned model.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as a last JSON line, too.")
    ] = False,
) -> None:
    """Print one JSON object a request, and a summary of rates by label.

    Verdicts go to standard output, the summary to standard error or, with --json, to the last
    line of standard output as {"summary": {label: rates}}.
    """
    policy = Policy(
        action=Action(action), signatures=signatures, model=model, target_fpr=target_fpr
    )
    stored = load_model(open_registry(registry), image)
    files = open_corpus([*(corpus or []), *(more or [])])
    rules = load_rules(sets_for(stored.image, rules_dir))
    inspector = Inspector(policy, SignatureEngine.load(), stored.model, rules)
    tally = Tally()
    for inspected in inspect_exchanges(inspector, files):
        tally.add(inspected)
        print_json_line(inspected.to_dict())
    rates = tally.rates()
    if as_json:
        print_json_line({"summary": {label: found.to_dict() for label, found in rates.items()}})
    else:
        err.print(_summary(rates))
    if files.facts.broken:
        err.print(f"{files.facts.broken:,} corpus entries were broken: {files.problems[0]}",
                  markup=False)  # fmt: skip


def _summary(rates: dict[str, LabelRates]) -> Table:
    table = Table(title="Verdicts by label", title_justify="left")
    table.add_column("label")
    for name in ("requests", "passed", "alerted", "blocked", "95 % interval", "distinct"):
        table.add_column(name, justify="right")
    for label, found in rates.items():
        table.add_row(
            label,
            f"{found.requests:,}",
            f"{found.passed:,}",
            f"{found.alerted:,}",
            f"{found.blocked:,} ({found.blocked / found.requests:.2%})",
            f"{found.low:.2%} to {found.high:.2%}",
            f"{found.distinct_blocked:,} of {found.distinct:,} "
            f"({found.distinct_blocked / found.distinct:.2%})",
        )
    return table
