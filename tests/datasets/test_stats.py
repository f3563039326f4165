from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.stats import summarize, wilson_interval
from cnaf.models.exchange import Label, Response
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnaf.models.exchange import Exchange


@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.999]))
def test_wilson_equals_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(successes, n, confidence)
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)


def test_wilson_at_the_ends() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 50)[0] == 0.0
    assert wilson_interval(50, 50)[1] == 1.0


@pytest.mark.parametrize(("successes", "n", "confidence"), [(2, 1, 0.9), (-1, 1, 0.9), (1, 2, 1.0)])
def test_what_is_no_proportion_is_a_mistake_of_the_caller(
    successes: int, n: int, confidence: float
) -> None:
    with pytest.raises(ValueError, match=r"proportion|confidence"):
        wilson_interval(successes, n, confidence)


def test_a_summary_counts_by_every_name(make_exchange: Callable[..., Exchange]) -> None:
    first = make_exchange("a", "s")
    kind = (b"content-type", b"Application/JSON; charset=utf-8")
    form = replace(first.request, method="POST", headers=(kind,), body=b"{}", body_size=2)
    made = [
        first,
        replace(first, request=form, label=Label.ATTACK, response=None, session="t"),
        replace(first, request=replace(form, headers=()), response=Response(404)),
    ]
    summary = summarize(iter(made))
    assert (summary.exchanges, summary.sessions, summary.body_bytes) == (3, 2, 4)
    assert summary.labels == {"benign": 2, "attack": 1}
    assert summary.methods == {"POST": 2, "GET": 1}
    assert summary.statuses == {"2xx": 1, "none": 1, "4xx": 1}
    assert summary.content_types == {"application/json": 1, "none": 1}


def test_names_that_a_client_makes_up_are_capped(make_exchange: Callable[..., Exchange]) -> None:
    first = make_exchange()
    made = (
        replace(first, request=replace(first.request, method=f"M{number}" + "X" * 200))
        for number in range(500)
    )
    methods = summarize(made).methods
    assert len(methods) == 33
    assert methods["other"] == 468
    assert max(map(len, methods)) == 64
