"""From observations to figures, tables and plots, by hand-made observations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import orjson
import pytest
from cnaf.evaluation.ablation import VARIANTS
from cnaf.evaluation.experiments import PoisonPoint, SmallPoint
from cnaf.evaluation.figures import evaluation_to_dict, summary
from cnaf.evaluation.observations import LOOSE, Observation, Rate
from cnaf.evaluation.report import write_evaluation
from cnaf.evaluation.results import ablation_rows, curves, set_results
from cnaf.evaluation.runner import Evaluation, MutationRow
from cnaf.evaluation.speed import Speed
from cnaf.evaluation.tables import brief, evaluation_markdown, shown
from cnaf.models.errors import InputError
from cnaf.models.verdict import Action

from tests.support.observed import observed

CRS = {"CRS PL1": 5.0}


def scene() -> list[Observation]:
    benign = [
        observed(name=f"b{i}", key=b"%d" % i, margin=i / 100 - 1.5, body=i % 4 == 0,
                 action=Action.BLOCK if i == 199 else Action.PASS,
                 yardsticks={"regex": float(i > 190), "CRS PL1": 0.0})
        for i in range(200)
    ]  # fmt: skip
    attacks = [
        observed("app", name=f"a{i}", key=b"a%d" % i, attack_class="sqli" if i % 2 else "x|<b>ss",
                 margin=float(i - 3), action=Action.BLOCK if i >= 3 else Action.ALERT,
                 yardsticks={"regex": 2.0, **CRS})
        for i in range(10)
    ]  # fmt: skip
    unclear = observed("app", name="u", key=b"u", ambiguous=True, yardsticks=CRS)
    other = observed("payloads", name="p", key=b"p", action=Action.BLOCK, yardsticks=CRS)
    alone = observed(application="other", name="o", yardsticks=CRS)
    return [*benign, *attacks, unclear, other, alone]


def evaluation(*, empty: bool = False) -> Evaluation:
    seen = [] if empty else scene()
    here = [o for o in seen if o.application == "app"]
    rate = Rate.of(9, 10)
    rows = ablation_rows(
        [o for o in here if not o.data_set], [o for o in here if o.data_set == "app"]
    ) if seen else ()  # fmt: skip
    return Evaluation(
        target_fpr=0.001, folds=5, quick=False, missing=("octokit: not found",),
        left_out={"app": {"repeats": 3, "nothing": 0}},
        results=set_results(seen, 0.01), curves=curves(seen), ablation=rows,
        small=() if empty else tuple(
            SmallPoint("app", size, draw, target, pipeline, rate, Rate.of(draw, 100))
            for size in (50, 100) for draw in (0, 1) for target in (0.01, 0.001)
            for pipeline in ("model", "product")
        ),
        poison=() if empty else (PoisonPoint(0.01, 4, 0, "product", rate, rate, rate),),
        mutations=() if empty else (MutationRow("sql", "model", rate, Rate.of(8, 10)),),
        speed=None if empty else Speed(20.0, 12.0, 3.0, 50_000, 1234),
        model_bytes={"app": 1000}, observations=tuple(seen),
    )  # fmt: skip


def test_each_set_is_held_against_its_application() -> None:
    app, payloads, other = set_results(scene(), 0.01)
    assert [(r.application, r.data_set) for r in (app, payloads, other)] == [
        ("app", "app"), ("app", "payloads"), ("other", "other"),
    ]  # fmt: skip
    model = app.row("model")
    assert (model.attacks.requests.hits, model.attacks.requests.n) == (7, 10)
    assert (model.benign.requests.hits, model.benign.requests.n) == (1, 200)
    assert model.bodies.requests.n == 50
    assert model.alerted is not None
    assert model.alerted.requests.hits == 10
    assert app.ambiguous == 1
    assert payloads.row("product").benign == app.row("product").benign
    assert math.isnan(other.row("model").attacks.requests.share)
    with pytest.raises(KeyError):
        app.row("nobody")


def test_baselines_keep_the_target_and_crs_its_own_threshold() -> None:
    app = set_results(scene(), 0.01)[0]
    assert app.row("regex").benign.requests.hits <= 2
    assert app.row("regex").attacks.requests.hits == 10
    assert app.row("CRS PL1").attacks.requests.hits == 10
    assert app.row("CRS PL1").benign.requests.hits == 0
    assert app.row(LOOSE).attacks.requests.hits == 7


def test_failures_are_named() -> None:
    failed = set_results(scene(), 0.01)[0].failures["product"]
    assert failed.missed == {"sqli": (1, 5), "x|<b>ss": (2, 5)}
    assert failed.examples == ("x|<b>ss: a0", "sqli: a1", "x|<b>ss: a2")
    assert failed.blocked == {"GET / query:a": 1}


def test_a_curve_ascends_from_the_strictest_threshold() -> None:
    found = {curve.detector: curve for curve in curves(scene())}
    assert set(found) == {"model", "regex", "allow-list", "CRS PL1"}
    for curve in found.values():
        assert (np.diff(curve.fpr) >= 0).all()
        assert (np.diff(curve.tpr) >= 0).all()
        assert (curve.fpr[-1], curve.tpr[-1]) == (1.0, 1.0)
    at = np.searchsorted(found["model"].fpr, 0.001)
    assert found["model"].tpr[at - 1] == 0.6  # margins 1 to 6, no benign one is there


def test_ablations_are_compared_at_equal_false_positives() -> None:
    seen = scene()
    rows = ablation_rows(
        [o for o in seen if not o.data_set], [o for o in seen if o.data_set == "app"]
    )
    assert [row.part for row in rows][: len(VARIANTS)] == list(VARIANTS)
    assert [row.part for row in rows[-2:]] == ["instead: regex", "instead: allow-list"]
    assert all(row.found[1].n == 10 for row in rows)
    assert rows[0].found[1].hits >= rows[0].found[0].hits


def test_the_summary_has_what_a_build_compares() -> None:
    found = summary(evaluation())
    assert found["data_sets"]["app"]["model"]["tpr"] == 0.7
    assert found["data_sets"]["app"]["product"]["n_benign"] == 200
    assert found["data_sets"]["other"]["model"]["tpr"] is None
    assert found["learn_100k_s"] == 6.0
    assert (found["us_per_request"], found["model_bytes"]) == (20.0, 1234)
    assert summary(evaluation(empty=True))["us_per_request"] is None


def test_json_holds_every_figure_with_its_interval() -> None:
    made = orjson.loads(orjson.dumps(evaluation_to_dict(evaluation())))
    rate = made["data_sets"][0]["detectors"]["model"]["attacks"]["distinct"]
    assert rate.keys() == {"hits", "n", "rate", "low", "high"}
    assert made["mutations"][0]["loss"] == pytest.approx(0.1)
    assert len(made["small_corpora"]) == 16
    assert made["small_corpora"][0].keys() == {
        "application", "size", "draw", "target", "pipeline", "attacks", "benign",
    }  # fmt: skip


def test_markdown_says_what_fails_first_and_lets_no_name_break_a_table() -> None:
    text = evaluation_markdown(evaluation())
    assert text.index("## What fails") < text.index("## Detection and false positives")
    for title in ("Ablation", "Small corpora", "Attacks in what", "Mutated attacks", "Speed"):
        assert f"## {title}" in text
    assert "Not measured: octokit: not found" in text
    assert "3 repeats" in text
    assert "0 nothing" not in text
    # The pooled draws: two of each size, of ten attacks each.
    row = next(line for line in text.splitlines() if "| 1.0% | 50 |" in line)
    assert [cell.strip() for cell in row.split("|")[4:6]] == ["model alone", "2"]
    assert "<b>" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables if "alone" in line} <= {6, 8, 9}
    assert "## Ablation" not in evaluation_markdown(evaluation(empty=True))


def test_rates_in_words() -> None:
    assert shown(Rate.of(7, 1000)) == "7 of 1,000, 0.70 % (0.34 to 1.44)"
    assert shown(Rate.of(0, 0)) == brief(Rate.of(0, 0)) == "none"
    assert brief(Rate.of(7, 1000)) == "0.70 (0.3-1.4)"


def test_files_are_written_as_far_as_there_are_figures(tmp_path: Path) -> None:
    full = write_evaluation(evaluation(), tmp_path / "deep" / "out")
    assert [path.name for path in full] == [
        "evaluation.md", "evaluation.json", "roc.png", "scores.png", "small-corpora.png",
        "ablation.png",
    ]  # fmt: skip
    assert all(path.stat().st_size > 300 for path in full)
    none = write_evaluation(evaluation(empty=True), tmp_path / "none")
    assert [path.suffix for path in none] == [".md", ".json"]


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_evaluation(evaluation(empty=True), tmp_path / "file")
