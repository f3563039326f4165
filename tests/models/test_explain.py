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
        (request(target=f"/search?q=red+hat+{SCRIPT}+for+my+sister"), "query:q", SCRIPT),
        (request(target="/products?page=7%27%20OR%201=1--&sort=name"), "query:page", "' OR 1=1--"),
        (
            request("POST", "/login", b"email=ann.red12@example.org%22%3b%23&password=1a2b3c4d5e"),
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
        (request("GET", "/", b"", b"", (b"cookie", b"session=aa' OR")), "cookie:session", "'"),
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
    sessions = next(p.sessions for p in shop_fit().model.profiles if p.name == "page")
    assert first.expected == f"an integer, 1 to 2 bytes, of digits (seen in {sessions} sessions)"
    # Rarest among integers first.
    assert first.seen.startswith("7 bytes, with ")
    assert set(first.seen.removeprefix("7 bytes, with ").split(", ")) == {
        "'",
        "logical operators",
        "spaces",
    }
    assert first.would_pass.startswith("an integer without ")
    assert first.would_pass.endswith(" and of 1 to 2 bytes and without the marked part")


@pytest.mark.parametrize(
    ("made", "field", "expected"),
    [
        (request(target="/products?page=1&sort=x%27"), "query:sort", "one of a few values, 4 to 6"),
        (
            request("GET", "/", b"", b"", (b"cookie", b"session=%27or")),
            "cookie:session",
            "a token that is new each time, 32 bytes, of letters with digits",
        ),
        (request(target="/search?q=%3Cb%3E"), "query:q", "a list of words, "),
        (
            request("POST", "/reviews", b"rating=1&title=a&text=" + b"%3C?%00" * 9),
            "form:text",
            "text with markup, ",
        ),
    ],
)  # fmt: skip
def test_a_law_is_told_where_the_field_has_one(made: Request, field: str, expected: str) -> None:
    told = {item.field: item.expected for item in evidence(made)}
    assert told[field].startswith(expected)


def test_odd_words_are_marked_where_the_shape_is_ordinary() -> None:
    (first, *_) = evidence(request(target="/search?q=red+hat+xqzjvkwq+my+sister"))
    assert "qzjvkw" in marked(first)
    assert "sister" not in marked(first)


class TestStructure:
    """What is new about the request itself is told in words, one piece of evidence each."""

    def news(self, made: Request) -> dict[str, Evidence]:
        found = {item.rule: item for item in evidence(made) if item.rule.startswith("unseen-")}
        for item in found.values():
            assert item.confidence is Confidence.LOW
            assert item.p_value is not None
            assert 0 < item.p_value <= 1
            assert item.would_pass
            assert item.expected
        return found

    def test_an_endpoint(self) -> None:
        found = self.news(request("POST", "/admin/setup"))
        assert list(found) == ["unseen-endpoint"]
        assert found["unseen-endpoint"].excerpt == "/admin/setup"
        assert found["unseen-endpoint"].seen == "POST /{slug}/{slug}"
        assert found["unseen-endpoint"].field == "path"

    def test_a_method(self) -> None:
        found = self.news(request("DELETE", "/products/7"))
        assert list(found) == ["unseen-method"]
        assert (found["unseen-method"].field, found["unseen-method"].excerpt) == (
            "method",
            "DELETE",
        )
        assert found["unseen-method"].seen == "DELETE /products/{int}"

    @pytest.mark.parametrize(
        ("target", "names"),
        [
            ("/products?page=1", "query:page"),
            ("/products?sort=name&page=1", "query:sort, query:page"),
            ("/products?page=1&sort=name&page=2", "query:page, query:sort"),
            ("/search?q=hat&sort=name", "query:q, query:sort"),
            ("/search", "no field"),
        ],
    )
    def test_a_composition(self, target: str, names: str) -> None:
        found = self.news(request(target=target))
        assert list(found) == ["unseen-composition"]
        told = found["unseen-composition"]
        # Headers and cookies have no part in it.
        assert (told.field, told.excerpt) == ("request", names)
        assert told.seen == f"{names} at GET {target.partition('?')[0]}"

    def test_a_name(self) -> None:
        found = self.news(request(target="/search?q=hat&debug=1"))
        assert set(found) == {"unseen-composition", "unseen-field"}
        assert found["unseen-field"].field == "query:debug"
        assert found["unseen-field"].excerpt == "debug"
        assert found["unseen-field"].would_pass == "the request without this field"

    def test_what_is_known_is_no_news(self) -> None:
        for target in ("/", "/products?page=3&sort=name", "/search?q=hat"):
            assert self.news(request(target=target)) == {}

    def test_many_names_are_counted(self) -> None:
        made = request(target="/search?q=hat&" + "&".join(f"{c}{c}=1" for c in "abcdefghijkl"))
        told = self.news(made)["unseen-composition"]
        assert told.excerpt.count("query:") == 8
        assert told.excerpt.endswith(" and 5 more")


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
                for text in (item.expected, item.would_pass, item.message):
                    assert not any(value in text for value in learned)


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
        assert item.would_pass


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
