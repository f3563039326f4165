"""Protocol sanity: a table of requests and what is told of each."""

from __future__ import annotations

import pytest
from cnaf.enforcer.protocol import protocol_evidence
from cnaf.models.exchange import Request
from cnaf.models.fields import ParsedRequest, Problem, ProblemKind
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Confidence, Detector, Evidence
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shop import request, shop_traffic

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW


def evidence(made: Request) -> list[Evidence]:
    return protocol_evidence(made, RequestParser().parse(made))


def with_headers(*headers: tuple[bytes, bytes]) -> Request:
    return Request("GET", b"/", headers)


@pytest.mark.parametrize(
    ("made", "rule", "field", "confidence"),
    [
        (Request("TRACE", b"/", ()), "method", "method", HIGH),
        (Request("get", b"/", ()), "method", "method", HIGH),
        (Request("", b"/", ()), "method", "method", HIGH),
        (Request("PROPFIND", b"/", ()), "method", "method", LOW),
        (
            with_headers((b"host", b"a"), (b"host", b"b")),
            "conflicting-header", "header:host", HIGH,
        ),
        (
            with_headers((b"content-type", b"a/b"), (b"x", b""), (b"content-type", b"c/d")),
            "conflicting-header", "header:content-type", HIGH,
        ),
        (
            with_headers((b"x-original-url", b"/admin")),
            "rerouting-header", "header:x-original-url", HIGH,
        ),
        (
            with_headers((b"x-rewrite-url", b"/admin")),
            "rerouting-header", "header:x-rewrite-url", HIGH,
        ),
        (request(target="/?a=%00"), "nul-byte", "query:a", MEDIUM),
        (request(target="/?a=%ff"), "invalid-utf8", "query:a", LOW),
        (request("POST", "/", b"<!DOCTYPE a><a/>", b"text/xml"), "xml-doctype", "body", HIGH),
        (request("POST", "/", b"{", b"application/json"), "body-malformed", "body", LOW),
        (
            request("POST", "/", b"[" * 99 + b"]" * 99, b"application/json"),
            "too-deep", "body", MEDIUM,
        ),
        (
            request("POST", "/", b"?", b"a/b", (b"content-encoding", b"br")),
            "body-coding", "body", MEDIUM,
        ),
        (request(target="/?" + "a=1&" * 3_000), "too-many-fields", "request", MEDIUM),
        (request(target="/?a=" + "x" * 70_000), "value-truncated", "query:a", LOW),
        (Request("POST", b"/", (), b"a=1", 9), "body-truncated", "body", LOW),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    made: Request, rule: str, field: str, confidence: Confidence
) -> None:
    (found,) = evidence(made)
    assert (found.rule, found.field, found.confidence) == (rule, field, confidence)
    assert found.message
    assert found.expected
    assert found.detector in (Detector.PROTOCOL, Detector.LIMIT)


@pytest.mark.parametrize(
    "made",
    [
        *(
            Request(m, b"/", ())
            for m in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        ),
        with_headers((b"host", b"a"), (b"host", b"a")),
        with_headers((b"accept", b"a"), (b"accept", b"b"), (b"cookie", b"a"), (b"cookie", b"b")),
        *(exchange.request for exchange in shop_traffic(1)),
    ],
)
def test_ordinary_requests_leave_no_evidence(made: Request) -> None:
    assert not evidence(made)


@pytest.mark.parametrize("kind", list(ProblemKind))
def test_every_problem_has_its_words(kind: ProblemKind) -> None:
    parsed = ParsedRequest("GET", "/", [], [Problem(kind, "query:a", "the fact")], b"", [], 0)
    (found,) = protocol_evidence(Request("GET", b"/", ()), parsed)
    assert (found.rule, found.field, found.seen) == (kind.value, "query:a", "the fact")


@settings(deadline=None, max_examples=150)
@given(
    st.text(max_size=400),
    st.lists(
        st.tuples(
            st.sampled_from([b"host", b"x-original-url", b"content-length", b"\xff", b"cookie"]),
            st.binary(max_size=600),
        ),
        max_size=6,
    ),
)
def test_evidence_is_short_whatever_the_request(
    method: str, headers: list[tuple[bytes, bytes]]
) -> None:
    for found in evidence(Request(method, b"/", tuple(headers))):
        assert len(found.excerpt) <= 256
        assert len(found.seen) <= 256
        assert all(0 <= start <= end <= len(found.excerpt) for start, end in found.marks)
