"""The Core Rule Set on the recorded WordPress: blocking as it is, and weighed by the model.

Two thirds of the sessions are learned while the set is registered; the benign requests of the
others and the recorded attacks are then inspected under each mode.

    python benchmarks/rule_modes.py [--path FOLDER] [--paranoia 1]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.split import kfold
from cnaf.enforcer.inspection import Tally, inspect_exchanges
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.learner.learn import learn
from cnaf.learner.report import Source
from cnaf.models.digest import Digest
from cnaf.models.exchange import Exchange, Label
from cnaf.models.request_model import RequestModel
from cnaf.models.stored_model import unpack_model
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.sets.matching import RuleSets, load_rules
from cnaf.signatures.sets.registered import Kind, Mode
from cnaf.signatures.sets.registering import register
from cnaf.signatures.sets.sources import DEBIAN_CRS

WORDPRESS = Path(__file__).parents[1] / "datasets" / "wordpress"
SUBJECT = "sha256:" + "5" * 64
FOLDS = 3
#: A rate at which the model blocks nothing by itself: what is counted then is the set.
NEVER = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--path", type=Path, default=DEBIAN_CRS)
    parser.add_argument("--paranoia", type=int, default=1)
    options = parser.parse_args()
    registered, sources = register(Kind.CRS, [options.path])
    registered = replace(registered, paranoia=options.paranoia)

    def rules(mode: Mode) -> RuleSets:
        loaded = load_rules([(replace(registered, mode=mode), sources)])
        assert loaded is not None
        return loaded

    accepted = [
        exchange
        for exchange in open_corpus([WORDPRESS / "har"])
        if exchange.label is Label.BENIGN
        and (exchange.response is None or exchange.response.status < 400)
    ]
    train = [exchange for exchange in accepted if kfold(exchange.session, FOLDS)]
    held_out = [exchange for exchange in accepted if not kfold(exchange.session, FOLDS)]
    shown = [*held_out, *open_corpus([WORDPRESS / "attacks.jsonl"])]
    plain, marked = learned(train, None), learned(train, rules(Mode.WEIGH))
    own, quiet = SignatureEngine.load(), Policy(target_fpr=NEVER, alert_fpr=NEVER)
    inspectors = {
        "set, block": Inspector(Policy(model=False), None, None, rules(Mode.BLOCK)),
        "set, weigh": Inspector(quiet, None, marked, rules(Mode.WEIGH)),
        "product without": Inspector(Policy(), own, plain),
        "product, block": Inspector(Policy(), own, marked, rules(Mode.BLOCK)),
        "product, weigh": Inspector(Policy(), own, marked, rules(Mode.WEIGH)),
    }
    found = {name: rates(inspector, shown) for name, inspector in inspectors.items()}
    for name, by_label in found.items():
        counts = ", ".join(
            f"{label} {r['blocked']} of {r['requests']} blocked ({r['block_rate']:.2%}, "
            f"{r['low']:.2%} to {r['high']:.2%}), {r['alerted']} alerted"
            for label, r in by_label.items()
        )
        print(f"{name}: {counts}")
    print(json.dumps({"crs_version": registered.version, "paranoia": options.paranoia, **found}))


def learned(train: Sequence[Exchange], rules: RuleSets | None) -> RequestModel:
    source = Source(
        image="wordpress:6.1", subject=SUBJECT, subject_source="given", corpus_sha256="c" * 64,
        exchanges=len(train), sessions=len({exchange.session for exchange in train}),
    )  # fmt: skip
    result = learn(
        train, source, target_fpr=0.001, created=datetime(2026, 1, 1, tzinfo=UTC),
        progress=lambda _stage, _done, _all: None, rules=rules,
    )  # fmt: skip
    return unpack_model(result.files, expect=Digest.parse(SUBJECT)).model


def rates(inspector: Inspector, exchanges: Sequence[Exchange]) -> dict[str, dict[str, Any]]:
    tally = Tally()
    for inspected in inspect_exchanges(inspector, exchanges):
        tally.add(inspected)
    return {label: found.to_dict() for label, found in tally.rates().items()}


if __name__ == "__main__":
    main()
