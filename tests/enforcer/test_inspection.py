"""Rates count what happened, once and by distinct request."""

from __future__ import annotations

import orjson
import pytest
from cnaf.enforcer.inspection import Inspected, Tally, inspect_exchanges
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.models.exchange import Exchange, Label, Request
from cnaf.models.verdict import Action, Verdict
from cnaf.signatures.engine import SignatureEngine


def inspected(action: Action, target: bytes = b"/", label: Label = Label.BENIGN) -> Inspected:
    exchange = Exchange("id", "s", label, Request("GET", target, ()))
    return Inspected(exchange, Verdict(action), None)


def test_rates_by_label_and_by_distinct_request() -> None:
    tally = Tally()
    for nonce in range(10):
        # The same request but for a token: blocked once, so blocked as a distinct request.
        target = b"/?_wpnonce=%010x" % (nonce + (1 << 39))
        tally.add(inspected(Action.BLOCK if nonce == 3 else Action.PASS, target))
    tally.add(inspected(Action.ALERT, b"/other"))
    tally.add(inspected(Action.BLOCK, b"/a", Label.ATTACK))
    rates = tally.rates()
    benign = rates["benign"]
    assert (benign.requests, benign.passed, benign.alerted, benign.blocked) == (11, 9, 1, 1)
    assert (benign.distinct, benign.distinct_blocked) == (2, 1)
    assert benign.low < 1 / 11 < benign.high
    assert benign.to_dict()["block_rate"] == pytest.approx(1 / 11)
    assert rates["attack"].to_dict()["distinct_block_rate"] == 1.0


def test_labels_that_do_not_occur_have_no_rate() -> None:
    assert Tally().rates() == {}


def test_lines_are_plain_json() -> None:
    inspector = Inspector(Policy(), SignatureEngine.load(), None)
    attack = Request("GET", b"/?f=../../../../etc/passwd\xff\x1b", ())
    (line,) = inspect_exchanges(inspector, [Exchange("1", "s", Label.ATTACK, attack)])
    told = orjson.loads(orjson.dumps(line.to_dict()))
    assert (told["id"], told["action"], told["score"], told["p_value"]) == (
        "1",
        "block",
        None,
        None,
    )
    assert told["evidence"][0]["field"] == "query:f"
