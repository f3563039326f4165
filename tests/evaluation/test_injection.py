from __future__ import annotations

from collections import Counter

import pytest
from cnaf.evaluation.injection import Injector
from cnaf.evaluation.payloads import Payload
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Request
from cnaf.models.fields import Field, Location
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

FORM = ((b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"0"))
JSON = ((b"content-type", b"application/json"), (b"content-length", b"0"))
POST = "POST /articles/# json:blocks[].html"


def benign(number: int, target: bytes, headers: object = (), body: bytes = b"") -> Exchange:
    request = Request("POST" if body else "GET", target, tuple(headers), body, len(body))  # type: ignore[arg-type]
    return Exchange(f"e{number}", f"s{number}", Label.BENIGN, request)


SHOP = [
    *(benign(n, b"/poll?tick=%d" % n) for n in range(200)),
    benign(200, b"/search?q=red+shoes&sort=price"),
    benign(201, b"/static/a.js?ver=1"),
    benign(202, b"/static/b.js?ver=1"),
    benign(203, b"/login", FORM, b"user=ann&password=x%2By"),
    benign(
        204, b"/articles/17", JSON, b'{"title":"t","blocks":[{"html":"<p>"},{"html":""}],"n":1}'
    ),
]


def payload(value: bytes) -> Payload:
    return Payload(value, "sqli", "list.txt")


def fields(request: Request) -> Counter[Field]:
    return Counter(RequestParser(Limits(decode_rounds=0)).parse(request).fields)


@settings(deadline=None, max_examples=150)
@given(st.binary(min_size=1, max_size=60))
def test_the_payload_stands_in_the_named_field_and_all_others_are_unchanged(value: bytes) -> None:
    injected = Injector(SHOP).inject(payload(value))
    assert injected is not None
    assert injected.label is Label.ATTACK
    [before] = [e for e in SHOP if e.session == injected.session]
    lost = fields(before.request) - fields(injected.request)
    found = fields(injected.request) - fields(before.request)
    where, variant = str(injected.meta["field"]).split(" ")[-1], injected.meta["variant"]
    if not lost:
        assert not found  # the payload is the value
        return
    [old], [new] = lost, [f for f in found if ">" not in f.name]
    assert old.label == new.label
    assert where in (new.label, "path")
    assert value in new.value
    if new.location is not Location.PATH:
        assert new.value == (old.value if variant == "append" else b"") + value


def test_the_labels_fold_numbers_and_static_files() -> None:
    assert Injector(SHOP).fields == (
        "GET *.js path", "GET *.js query:ver", "GET / path", "GET /poll query:tick",
        "GET /search query:q", "GET /search query:sort", "POST / path",
        "POST /articles/ path", POST, "POST /articles/# json:title",
        "POST /login form:password", "POST /login form:user",
    )  # fmt: skip


def test_payloads_spread_over_fields_and_not_over_requests() -> None:
    injector = Injector(SHOP)
    made = [injector.inject(payload(b"' or %d" % n)) for n in range(1200)]
    uses = Counter(str(e.meta["field"]) for e in made if e)
    variants = Counter(e.meta["variant"] for e in made if e)
    assert set(uses) == set(injector.fields)
    assert min(uses.values()) > 60
    assert max(uses.values()) < 150
    assert abs(variants["append"] - 600) < 100
    assert len({e.id for e in made if e}) == 1200


def test_a_payloads_place_depends_on_itself_and_the_seed_alone() -> None:
    values = [payload(b"' or %d" % n) for n in range(40)]
    first, again, other = Injector(SHOP), Injector(SHOP), Injector(SHOP, seed=1)
    made = [first.inject(p) for p in values]
    assert made == [again.inject(p) for p in values]
    assert again.inject(values[7]) == made[7]
    assert made != [other.inject(p) for p in values]


def test_fields_of_rich_text_are_marked_as_ambiguous() -> None:
    injector = Injector(SHOP, ambiguous=["* json:blocks[].html", "POST /login form:p*"])
    for number in range(200):
        injected = injector.inject(payload(b"<b>%d" % number))
        assert injected is not None
        rich = injected.meta["field"] in (POST, "POST /login form:password")
        assert injected.meta.get("ambiguous", False) is rich


def test_long_payloads_go_into_bodies_and_what_is_no_text_not_into_json() -> None:
    injector = Injector(SHOP)
    for number in range(100):
        long = injector.inject(payload(b"A" * 5000 + b"%d" % number))
        raw = injector.inject(payload(b"\xbf'%d" % number))
        assert long is not None
        assert raw is not None
        assert long.request.method == "POST"
        assert len(long.request.target) < 100
        assert "json:" not in str(raw.meta["field"])


def test_a_corpus_that_cannot_carry_a_payload_says_so() -> None:
    assert Injector(SHOP[:1]).inject(payload(b"A" * 5000)) is None
    with pytest.raises(CorpusError, match="no field to inject into"):
        Injector([benign(0, b"/")])
