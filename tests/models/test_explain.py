"""Evidence names the field, marks the odd part, and gives no learned value away."""

from __future__ import annotations

import pytest
from cnaf.models.exchange import Request
from cnaf.models.explain import excerpt_around, explain
from cnaf.models.fields import ParsedRequest
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import Scorer
from cnaf.models.verdict import Confidence, Detector, Evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shop import request, shop_fit, shop_traffic

SCRIPT = "<script>alert(document.cookie)</script>"


def evidence(made: Request, limit: int = 256) -> tuple[Evidence, ...]:
    model = shop_fit().model
    parsed: ParsedRequest = RequestParser().parse(made)
    return explain(model, parsed, Scorer(model).score(parsed), limit=limit)


def marked(found: Evidence) -> str:
    return "".join(found.excerpt[start:end] for start, end in found.marks)


@pytest.mark.parametrize(
    ("made", "field", "odd"),
    [
        (request(target=f"/search?q=red+hat+{SCRIPT}+for+my+sister"), "query:q", SCRIPT[:8]),
        (request(target="/products?page=7%27%20OR%201=1--&sort=name"), "query:page", "' OR"),
        (
            request("POST", "/login", b"email=ann.red12@example.org%22%3b%23&password=0123456789"),
            "form:email",
            '";#',
        ),
        (
            request(
                "POST", "/api/cart", b'{"items":[{"sku":"hat-123${x}","count":1}],"gift":true}',
                b"application/json",
            ),
            "json:items[].sku",
            "${x}",
        ),
        (request("GET", "/", b"", b"", (b"cookie", b"session=aa' OR")), "cookie:session", "' OR"),
    ],
)  # fmt: skip
def test_the_field_and_its_odd_part_are_named(made: Request, field: str, odd: str) -> None:
    first = next(item for item in evidence(made) if item.confidence is Confidence.MEDIUM)
    assert first.detector is Detector.MODEL
    assert first.field == field
    assert odd in marked(first)
    assert "for my sister" not in marked(first)
    assert first.message.startswith("unusual value")
    assert first.p_value is not None
    assert first.p_value < 0.05
    value = next(f.value for f in RequestParser().parse(made).fields if f.label == field)
    assert value[first.start : first.end].decode() == marked(first)


def test_what_was_expected_is_told_by_kind() -> None:
    (first, *_) = evidence(request(target="/products?page=7%27%20OR%201&sort=name"))
    assert first.expected.startswith("an integer, up to 2 bytes, of digits (seen in ")
    assert first.seen == "7 bytes, with letters, spaces, '"


def test_double_encoding_is_told() -> None:
    (first, *_) = evidence(request(target="/products?page=%2527%2520OR&sort=name"))
    assert first.seen.endswith("encoded 2 times")


def test_odd_words_are_marked_where_the_shape_is_ordinary() -> None:
    (first, *_) = evidence(request(target="/search?q=red+hat+xqzjvkwq+my+sister"))
    assert "qzjvkw" in marked(first)
    assert "sister" not in marked(first)


def test_an_unseen_endpoint_and_field_are_told_as_such() -> None:
    found = evidence(request("PUT", "/admin/setup?debug=1"))
    rules = {item.rule: item for item in found}
    assert rules["unseen-endpoint"].excerpt == "/admin/setup"
    assert rules["unseen-endpoint"].seen == "PUT /{slug}/{slug}"
    assert rules["unseen-field"].field == "query:debug"
    assert {rules[rule].confidence for rule in ("unseen-endpoint", "unseen-field")} == {
        Confidence.LOW
    }


def test_no_learned_value_is_given_away() -> None:
    parser = RequestParser()
    learned = {
        field.value.decode()
        for exchange in shop_traffic()
        for field in parser.parse(exchange.request).fields[1:]
        if len(field.value) > 7 and field.value not in (b"shop.test", b"test/1.0")
    }
    for target in (f"/search?q={SCRIPT}", "/products?page=%27", "/orders/x'", "/nope?a=1"):
        for made in (request(target=target), request("POST", "/reviews", b"text=%3Cb%00&title=;")):
            for item in evidence(made):
                assert not any(value in item.expected for value in learned)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=120), st.binary(max_size=120), st.integers(8, 64))
def test_any_request_is_explained_within_the_limit(target: bytes, body: bytes, limit: int) -> None:
    for item in evidence(Request("POST", target, (), body, len(body)), limit):
        # A byte that is no text shows as one character.
        assert len(item.excerpt) <= limit
        assert all(0 <= start <= end <= len(item.excerpt) for start, end in item.marks)
        assert item.field
        assert item.expected
        assert item.seen


class TestExcerpt:
    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=100), st.integers(0, 100), st.integers(0, 100), st.integers(1, 50))
    def test_it_shows_the_span_within_the_limit(
        self, value: bytes, a: int, b: int, limit: int
    ) -> None:
        start, end = sorted((min(a, len(value)), min(b, len(value))))
        text, ((first, last),) = excerpt_around(value, start, end, limit)
        shown = value[start : min(end, start + limit)]
        assert text[first:last] == shown.decode("utf-8", "replace")
        assert len(text) <= limit
        if len(value) <= limit:
            assert len(text.encode("utf-8", "replace")) >= len(value)

    def test_a_long_value_is_shown_around_its_middle(self) -> None:
        value = b"a" * 500 + b"<odd>" + b"b" * 500
        text, marks = excerpt_around(value, 500, 505, 21)
        assert (text, marks) == ("a" * 8 + "<odd>" + "b" * 8, ((8, 13),))
