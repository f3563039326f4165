from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.split import kfold
from cnaf.evaluation.baselines import AllowList, Detector, MetacharacterRegex
from cnaf.models.exchange import Exchange, Label, Request
from hypothesis import given, settings
from hypothesis import strategies as st

WORDPRESS = Path(__file__).parents[2] / "datasets" / "wordpress"
FORM = ((b"content-type", b"application/x-www-form-urlencoded"),)


def get(target: str) -> Request:
    return Request("GET", target.encode(), ())


def post(body: str, target: str = "/form") -> Request:
    return Request("POST", target.encode(), FORM, body.encode(), len(body))


def benign(*requests: Request) -> list[Exchange]:
    return [Exchange(str(n), "one", Label.BENIGN, r) for n, r in enumerate(requests)]


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("plain words, and 12.50 - or so!", 0),
        ("it's", 1),
        ('\' or "" ``', 1),
        ("' or 1=1 -- ", 2),
        ("<script>alert(1)</script>", 2),
        ("../../etc/passwd", 1),
        ("http://example.org/", 1),
        ("; cat ${IFS} | sh", 3),
        ("'><script>alert(1);//../$x--http://", 8),
    ],
)
def test_the_regex_counts_distinct_kinds_in_the_worst_value(value: str, kinds: int) -> None:
    detector = MetacharacterRegex.learn([])
    form = "&".join(f"{name}={_quote(text)}" for name, text in (("a", "it's"), ("b", value)))
    assert detector.score(post(f"b={_quote(value)}")) == kinds
    assert detector.score(post(form)) == max(1, kinds)


def test_the_regex_looks_through_encodings_but_not_at_the_client() -> None:
    detector = MetacharacterRegex.learn([])
    assert detector.score(get("/?q=%2527%253Cb%253E")) == 2
    client = ((b"user-agent", b"Mozilla/5.0 (X11; <x>) '"), (b"x-name", b"plain"))
    assert detector.score(replace(get("/"), headers=client)) == 0


@pytest.mark.parametrize(
    ("request_", "violations"),
    [
        (get("/page/12?id=7"), 0),
        (get("/page/31?id=9"), 0),
        (get("/othr/12?id=7"), 1),
        (get("/page/12?id=7&name=x"), 1),
        (get("/page/12?id=x"), 1),
        (get("/page/12?id=123"), 1),
        (get("/page/12?id=7'+OR+7"), 4),
        (post("id=7", "/page/12"), 3),
    ],
    ids=str,
)
def test_the_allow_list_counts_what_it_never_saw(request_: Request, violations: int) -> None:
    detector = AllowList.learn(benign(get("/page/12?id=7"), get("/page/3?id=12")))
    assert detector.score(request_) == violations


texts = st.text(max_size=20)


@settings(deadline=None, max_examples=50)
@given(st.lists(texts, min_size=1, max_size=5))
def test_what_was_learned_is_no_violation(values: list[str]) -> None:
    corpus = benign(*(post(f"a={_quote(value)}") for value in values))
    detector = AllowList.learn(corpus)
    assert [detector.score(exchange.request) for exchange in corpus] == [0] * len(values)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_request_has_a_score(target: bytes, body: bytes) -> None:
    for kind in (MetacharacterRegex, AllowList):
        assert kind.learn([]).score(Request("POST", target, FORM, body, len(body))) >= 0


@pytest.mark.parametrize("kind", [MetacharacterRegex, AllowList])
def test_attacks_are_odder_than_held_out_traffic(kind: type[Detector]) -> None:
    everything = list(open_corpus([WORDPRESS / "har"]))
    detector = kind.learn(e for e in everything if kfold(e.session, 5))
    held_out = [detector.score(e.request) for e in everything if not kfold(e.session, 5)]
    attacks = [detector.score(e.request) for e in open_corpus([WORDPRESS / "attacks.jsonl"])]
    assert sum(held_out) / len(held_out) < 0.5 * sum(attacks) / len(attacks)


def _quote(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())
