"""A whole evaluation of small data sets in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.evaluation.runner import Options, evaluate
from cnaf.evaluation.sources import Part

from tests.support.published import write_published, write_shop


def test_everything_quick(tmp_path: Path) -> None:
    stages: dict[str, tuple[int, int]] = {}
    options = Options(
        data=write_published(tmp_path / "data"), wordpress=write_shop(tmp_path / "shop", 30),
        only=frozenset(Part) - {Part.SPEED}, quick=True, folds=3, target_fpr=0.01, processes=1,
    )  # fmt: skip
    made = evaluate(options, lambda stage, done, total: stages.update({stage: (done, total)}))
    assert {done == total for done, total in stages.values()} == {True}
    assert [result.data_set for result in made.results] == [
        "WordPress", "libinjection", "HttpParams", "octokit",
    ]  # fmt: skip
    assert {curve.application for curve in made.curves} == {"WordPress", "HttpParams"}
    assert made.ablation
    assert {point.size for point in made.small} == {200}
    assert {point.share for point in made.poison} == {0.0, 0.01, 0.05}
    assert made.mutations
    assert made.speed is None
    # Even of a few cassettes the model alone is held against its benign requests.
    small = next(result for result in made.results if result.data_set == "octokit")
    assert small.row("model").benign.requests.n > 0
    assert small.row("model").benign.requests.share <= 0.05
    assert made.model_bytes.keys() == {"WordPress", "HttpParams", "octokit"}


@pytest.mark.parametrize(
    ("part", "has"), [(Part.SMALL_CORPORA, "small"), (Part.POISONING, "poison")]
)
def test_an_experiment_alone(tmp_path: Path, part: Part, has: str) -> None:
    options = Options(
        wordpress=write_shop(tmp_path / "shop"), only=frozenset({part}), quick=True, folds=3,
        processes=1,
    )  # fmt: skip
    made = evaluate(options, lambda _stage, _done, _total: None)
    assert made.results == ()
    assert getattr(made, has)


def test_processes_change_nothing(tmp_path: Path) -> None:
    data = write_published(tmp_path / "data")
    found = [
        evaluate(
            Options(data=data, only=frozenset({Part.HTTPPARAMS}), folds=2, processes=count),
            lambda _stage, _done, _total: None,
        )
        for count in (1, 2)
    ]
    assert found[0].results == found[1].results
    assert found[0].model_bytes == found[1].model_bytes
