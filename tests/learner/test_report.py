"""One set of facts, told the same way everywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import orjson
from cnaf.learner.learn import Learned
from cnaf.learner.plots import write_plots
from cnaf.learner.report import (
    Coverage,
    EndpointCoverage,
    report_markdown,
    report_to_dict,
    shown_thresholds,
)
from cnaf.learner.selection import SetAside

PNG = b"\x89PNG\r\n\x1a\n"


def test_json_holds_every_fact(learned: Learned) -> None:
    report = learned.report
    data = orjson.loads(orjson.dumps(report_to_dict(report)))
    assert data["source"]["exchanges"] == report.source.exchanges
    assert data["refused"] == {str(k): v for k, v in report.refused.items()}
    assert sum(data["refused"].values()) + data["kept"] == data["source"]["exchanges"]
    assert len(data["coverage"]["endpoints"]) == len(report.coverage.endpoints)
    assert [rate["rate"] for rate in data["rates"]] == [rate.rate for rate in report.rates]


def test_markdown_tells_the_promise_and_its_interval(learned: Learned) -> None:
    text = report_markdown(learned.report)
    promised = learned.report.promised
    assert promised.target == 0.01
    assert f"**{promised.rate:.2%}**" in text
    assert f"{promised.low:.2%} to {promised.high:.2%}" in text


def test_names_from_traffic_cannot_break_out_of_a_table(learned: Learned) -> None:
    evil = "`|<script>\n| x |\\"
    hostile = replace(
        learned.report,
        set_aside=(SetAside(evil, "cnaf-x-1", "found", evil),),
        coverage=Coverage((EndpointCoverage("GET", evil, 1, 0, True),), {}),
    )
    rows = [line for line in report_markdown(hostile).splitlines() if "script" in line]
    assert len(rows) == 2
    for row in rows:
        assert "<" not in row
        assert row.count("|") == 4


def test_plots_are_pictures(learned: Learned, tmp_path: Path) -> None:
    hostile = replace(
        learned.report,
        coverage=Coverage((EndpointCoverage("GET", "/$x^{$\x00字" * 20, 1, 0, True),), {}),
    )
    for report in (learned.report, hostile):
        for path in write_plots(report, learned.held_out, tmp_path):
            assert path.read_bytes().startswith(PNG)


def test_a_thin_corpus_is_said_to_be_thin(learned: Learned) -> None:
    assert learned.report.warnings == ()
    rates = tuple(replace(rate, requests=99) for rate in learned.report.rates)
    source = replace(learned.report.source, sessions=1)
    thin = replace(learned.report, rates=rates, source=source)
    few, narrow = thin.warnings
    assert "99 distinct requests" in few
    assert "record 100 or more" in few
    assert "1 session(s)" in narrow
    assert report_to_dict(thin)["warnings"] == [few, narrow]
    assert few in report_markdown(thin)


def test_thresholds_are_told_by_category_and_where_there_is_none(learned: Learned) -> None:
    promised = replace(learned.report.promised, thresholds=(1.0, 2.345, math.inf, 4.0))
    assert shown_thresholds(promised) == "1.00, 2.35, none, 4.00"
    data = report_to_dict(replace(learned.report, rates=(promised,)))
    told = orjson.loads(orjson.dumps(data))["rates"][0]["thresholds"]
    assert told == [1.0, 2.345, None, 4.0]


def test_plots_are_drawn_where_nothing_can_be_promised(learned: Learned, tmp_path: Path) -> None:
    rates = tuple(replace(rate, thresholds=(math.inf,) * 4) for rate in learned.report.rates)
    for path in write_plots(replace(learned.report, rates=rates), learned.held_out, tmp_path):
        assert path.read_bytes().startswith(PNG)
