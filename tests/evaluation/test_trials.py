"""Plans keep sessions apart, and trials observe what detectors say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cnaf.evaluation.ablation import VARIANTS, Variants
from cnaf.evaluation.data_set import DataSet
from cnaf.evaluation.observations import blocked_by, rates
from cnaf.evaluation.payloads import Payload, PayloadSet
from cnaf.evaluation.plan import MUTATED, REWRITTEN, Plan, make_plan
from cnaf.evaluation.sources import Part, Sources, find_sources
from cnaf.evaluation.trials import Trial, TrialResult, learn_model, run_trial, split
from cnaf.models.kernels import NOVELTIES
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer

from tests.support.published import PAYLOADS, shop_attacks, write_published
from tests.support.shop import request, shop_traffic

SHOP = DataSet("shop", shop_traffic(36), shop_attacks())
LONG = Payload(b"A" * 100_000, "overlong", "f")


@cache
def plan() -> Plan:
    payloads = tuple(Payload(p.encode(), "any", "f") for p in PAYLOADS)
    made = PayloadSet("strings", (*payloads, LONG))
    sources = Sources({Part.WORDPRESS: SHOP}, {Part.GOTESTWAF: made}, ())
    return make_plan(sources, frozenset(Part), folds=3, quick=False)


@cache
def model() -> RequestModel:
    return learn_model(SHOP.benign, 0.01)[0]


@cache
def result() -> TrialResult:
    trial = plan().trials[0]
    return run_trial(trial, 0.01)


def test_no_session_is_on_both_sides() -> None:
    held_out = []
    for trial in plan().trials:
        learned = {e.session for e in trial.train}
        assert not learned & {e.session for e in trial.benign}
        assert not learned & {e.session for _, e in trial.attacks}
        held_out += [e.id for e in trial.benign]
    assert sorted(held_out) == sorted(e.id for e in SHOP.benign)


def test_each_attack_and_payload_is_tried_once() -> None:
    tried = [(name, e.id) for trial in plan().trials for name, e in trial.attacks]
    assert len(tried) == len(set(tried))
    names = [name for name, _ in tried]
    assert names.count("shop") == len(SHOP.attacks)
    assert names.count("strings") == len(PAYLOADS) + 1
    # Each of the six plain attacks, and three mutations of it.
    assert names.count(REWRITTEN) == 6
    assert 12 <= names.count(MUTATED) <= 18


def test_a_publishers_split_is_kept() -> None:
    data_set = DataSet("split", SHOP.benign[:5], SHOP.attacks, SHOP.benign[5:])
    assert split(data_set, 5) == ((data_set.train, data_set.benign, data_set.attacks),)


def test_a_quick_plan_has_one_fold() -> None:
    sources = Sources({Part.WORDPRESS: SHOP}, {}, ())
    quick = make_plan(sources, frozenset({Part.WORDPRESS}), folds=3, quick=True)
    assert len(quick.trials) == 1
    assert not quick.trials[0].ablated


def test_parts_that_need_no_trial_make_none(tmp_path: Path) -> None:
    sources = find_sources(write_published(tmp_path / "d"), None, None, {Part.SPEED})
    assert make_plan(sources, frozenset({Part.SPEED}), folds=3, quick=True).trials == ()


def test_attacks_are_found_and_benign_requests_pass() -> None:
    observations = result().observations
    benign = [o for o in observations if not o.data_set]
    strings = [o for o in observations if o.data_set == "strings"]
    assert rates(benign, blocked_by("product")).requests.share < 0.05
    assert rates(strings, blocked_by("product")).requests.share > 0.5
    assert result().model_bytes > 10_000
    assert all(o.application == "shop" for o in observations)


def test_blocking_by_the_model_is_a_margin_of_at_least_zero() -> None:
    for seen in result().observations:
        if seen.margin >= 0:
            assert blocked_by("model")(seen)
        assert bool(seen.why[0]) is blocked_by("model")(seen)


@pytest.mark.parametrize("target", [0.01, 1e-6])
def test_of_few_requests_scores_still_have_an_order(target: float) -> None:
    trial = Trial("shop", SHOP.benign[:60], SHOP.benign[-40:], (("shop", SHOP.attacks[0]),))
    small = run_trial(trial, target)
    benign = [o.margin for o in small.observations if not o.data_set]
    attack = small.observations[-1]
    assert attack.margin > max(benign)
    # So few requests cannot show one in a hundred; the tails of others can.
    assert (attack.margin >= 0) == blocked_by("model")(attack) == (target == 0.01)


def test_variants_begin_with_the_whole_model() -> None:
    variants, scorer, parser = Variants(model(), SHOP.benign), Scorer(model()), RequestParser()
    differs = np.zeros(len(VARIANTS), bool)
    for exchange in (*SHOP.benign[:200], *SHOP.attacks):
        parsed = parser.parse(exchange.request)
        scores = variants.scores(parsed)
        assert scores[0] == np.float32(scorer.blockable(parsed, scorer.score(parsed)))
        differs |= scores != scores[0]
    assert not differs[0]
    assert differs[VARIANTS.index("measure token-peak")]
    assert differs[VARIANTS.index("the whole forest")]


@pytest.mark.parametrize("novelty", NOVELTIES)
def test_a_novelty_that_is_left_out_adds_nothing(novelty: str) -> None:
    variants = Variants(model(), SHOP.benign)
    parsed = RequestParser().parse(request("PURGE", "/never/seen/<x>?unknown=1"))
    scores = variants.scores(parsed)
    assert scores[VARIANTS.index(f"novelty {novelty}")] <= scores[0]
