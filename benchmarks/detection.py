"""What is blocked and what is missed: recorded sessions, split by session, and labelled attacks.

Each fold is learned from the sessions of the other folds, as `cnaf learn --recorded` would, and
then inspects its own sessions and all attacks with the pipeline of the node, three times: model
alone, signatures alone, both. The last line is one JSON object.

    python benchmarks/detection.py
    python benchmarks/detection.py --benign FOLDER --attacks FILE --target-fpr 0.005
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cnaf.ci_plugin.progress import progress_bars
from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.split import kfold, request_key
from cnaf.datasets.stats import wilson_interval
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.learner.learn import learn
from cnaf.learner.report import Source
from cnaf.models.exchange import Exchange, Label
from cnaf.models.request_model import RequestModel
from cnaf.models.stored_model import unpack_model
from cnaf.models.verdict import Action
from cnaf.signatures.engine import SignatureEngine
from rich.console import Console
from rich.table import Table

WORDPRESS = Path(__file__).parents[1] / "datasets" / "wordpress"
console = Console()


@dataclass(slots=True)
class Count:
    """Blocked and all, over requests and over distinct requests of each fold."""

    blocked: int = 0
    total: int = 0
    keys: dict[bytes, bool] = field(default_factory=dict)

    def add(self, fold: int, exchange: Exchange, blocked: bool) -> None:
        self.blocked += blocked
        self.total += 1
        key = bytes((fold,)) + request_key(exchange.request)
        self.keys[key] = self.keys.get(key, False) or blocked

    def row(self) -> tuple[str, str, str, str]:
        distinct = sum(self.keys.values())
        return (*_rate(self.blocked, self.total), *_rate(distinct, len(self.keys)))

    def summary(self) -> dict[str, float | int]:
        low, high = wilson_interval(self.blocked, self.total)
        return {
            "blocked": self.blocked,
            "total": self.total,
            "low": low,
            "high": high,
            "distinct_blocked": sum(self.keys.values()),
            "distinct": len(self.keys),
        }


@dataclass(slots=True)
class Result:
    """One configuration of the pipeline over all folds."""

    benign: Count = field(default_factory=Count)
    with_body: Count = field(default_factory=Count)
    attacks: Count = field(default_factory=Count)
    ambiguous: Count = field(default_factory=Count)
    missed: Counter[str] = field(default_factory=Counter)
    by_class: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)


def _rate(k: int, n: int) -> tuple[str, str]:
    if not n:
        return "none", ""
    low, high = wilson_interval(k, n)
    return f"{k:,} of {n:,}", f"{k / n:.2%} ({low:.2%} to {high:.2%})"


def learn_from(exchanges: Iterable[Exchange]) -> RequestModel:
    source = Source("bench", "sha256:" + "0" * 64, "given", "0" * 64, 0, 0)
    learned = learn(exchanges, source, target_fpr=0.001, created=datetime.now(UTC),
                    progress=lambda _stage, _done, _all: None)  # fmt: skip
    return unpack_model(learned.files).model


def inspect(
    result: Result,
    fold: int,
    inspector: Inspector,
    benign: list[Exchange],
    attacks: list[Exchange],
) -> None:
    for exchange in benign:
        verdict = inspector.inspect(exchange.request)
        blocked = verdict.action is Action.BLOCK
        result.benign.add(fold, exchange, blocked)
        if exchange.request.body:
            result.with_body.add(fold, exchange, blocked)
        if blocked:
            why = ", ".join(f"{e.field} {e.rule}" for e in verdict.evidence[:2])
            result.alarms.append(f"{verdict.endpoint}: {why}")
    for exchange in attacks:
        blocked = inspector.inspect(exchange.request).action is Action.BLOCK
        if exchange.meta.get("ambiguous"):
            result.ambiguous.add(fold, exchange, blocked)
            continue
        result.attacks.add(fold, exchange, blocked)
        kind = str(exchange.meta.get("class", "?"))
        result.by_class[kind] += 1
        if not blocked:
            result.missed[kind] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--benign", type=Path, default=WORDPRESS / "har")
    parser.add_argument("--attacks", type=Path, default=WORDPRESS / "attacks.jsonl")
    parser.add_argument("--target-fpr", type=float, default=0.001)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--failures", action="store_true", help="list false positives")
    options = parser.parse_args()

    benign = [e for e in open_corpus([options.benign]) if e.label is Label.BENIGN]
    attacks = [e for e in open_corpus([options.attacks]) if e.label is Label.ATTACK]
    policy = Policy(target_fpr=options.target_fpr)
    policies = {
        "model alone": replace(policy, signatures=False),
        "signatures alone": replace(policy, model=False),
        "both": policy,
    }
    results = {name: Result() for name in policies}
    engine = SignatureEngine.load()
    with progress_bars(console) as progress:
        for fold in range(options.folds):
            progress("Folds", fold, options.folds)
            held_out = [e for e in benign if kfold(e.session, options.folds) == fold]
            rest = (e for e in benign if kfold(e.session, options.folds) != fold)
            model = learn_from(rest)
            for name, chosen in policies.items():
                inspector = Inspector(chosen, engine, model)
                inspect(results[name], fold, inspector, held_out, attacks)
        progress("Folds", options.folds, options.folds)
    show(results, options.failures)
    print(json.dumps({
        name: {
            part: getattr(result, part).summary()
            for part in ("benign", "with_body", "attacks", "ambiguous")
            if getattr(result, part).total
        }
        for name, result in results.items()
    }))  # fmt: skip


def show(results: dict[str, Result], failures: bool) -> None:
    table = Table("blocked", "", "requests", "share (95 %)", "distinct", "share (95 %)")
    for name, result in results.items():
        for row, part in enumerate(("benign", "with_body", "attacks", "ambiguous")):
            shown = "" if row else name
            table.add_row(shown, part.replace("_", " "), *getattr(result, part).row())
    console.print(table)
    classes = Table("missed attacks, all folds", *results)
    for kind in sorted(results["both"].by_class):
        total = results["both"].by_class[kind]
        classes.add_row(kind, *(f"{r.missed[kind]} of {total}" for r in results.values()))
    console.print(classes)
    if failures:
        for name, result in results.items():
            console.print(f"\n{name}: false positives", style="bold")
            for text, count in Counter(result.alarms).most_common(30):
                console.print(f"{count:5} {text}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
