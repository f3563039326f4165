"""Protocol sanity: what is wrong with a request before anyone looks at its values.

HAProxy has refused malformed HTTP and settled framing already. What is left are requests that are
well-formed and still mean something else to the app than to a filter, and limits that were passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cnaf.models.exchange import Request
from cnaf.models.fields import ParsedRequest, Problem, ProblemKind
from cnaf.models.verdict import Confidence, Detector, Evidence

__all__ = ["protocol_evidence"]

#: Methods of RFC 9110 and 5789 that applications answer.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
#: WebDAV and the like: real, but news for most images.
_RARE_METHODS = frozenset(
    ("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH")
)
#: Headers that must not come twice: two readers would pick different ones.
_SINGLE = frozenset((b"host", b"content-type", b"content-length", b"authorization"))
#: Headers by which some servers and frameworks let a client overrule the routed URL.
_REROUTING = frozenset((b"x-original-url", b"x-rewrite-url"))

_PROBLEMS: dict[ProblemKind, tuple[Detector, Confidence, str, str]] = {
    ProblemKind.XML_DOCTYPE: (
        Detector.PROTOCOL, Confidence.HIGH,
        "the XML body declares a document type, as entity attacks do", "XML without a DOCTYPE",
    ),
    ProblemKind.BODY_MALFORMED: (
        Detector.PROTOCOL, Confidence.LOW,
        "the body is not what its content type says", "a body that its content type can parse",
    ),
    ProblemKind.BODY_CODING: (
        Detector.PROTOCOL, Confidence.MEDIUM,
        "the body is compressed in a way that cannot be undone, so it was not seen",
        "a plain body, or one in gzip",
    ),
    ProblemKind.TOO_DEEP: (
        Detector.LIMIT, Confidence.MEDIUM,
        "the body is nested deeper than the limit", "a document of ordinary depth",
    ),
    ProblemKind.TOO_MANY_FIELDS: (
        Detector.LIMIT, Confidence.MEDIUM,
        "the request has more fields than are inspected", "fewer fields",
    ),
    ProblemKind.BODY_TRUNCATED: (
        Detector.LIMIT, Confidence.LOW,
        "the body is longer than the inspection limit; the rest was not seen",
        "a body within the inspection limit",
    ),
    ProblemKind.VALUE_TRUNCATED: (
        Detector.LIMIT, Confidence.LOW,
        "a value is longer than the inspection limit; the rest was not seen",
        "a value within the inspection limit",
    ),
    ProblemKind.INVALID_UTF8: (
        Detector.PROTOCOL, Confidence.LOW, "a value is not UTF-8", "text in UTF-8",
    ),
    ProblemKind.NUL_BYTE: (
        Detector.PROTOCOL, Confidence.MEDIUM,
        "a value holds a NUL byte, which cuts strings short in C", "text without NUL bytes",
    ),
}  # fmt: skip


def protocol_evidence(request: Request, parsed: ParsedRequest) -> list[Evidence]:
    """Return what is wrong with the request as a message; empty for ordinary traffic."""
    evidence = [_of_problem(problem) for problem in parsed.problems]
    if request.method not in _METHODS:
        evidence.append(_of_method(request.method))
    if len({name for name, _ in request.headers}) != len(request.headers):
        evidence.extend(_duplicates(request))
    for name, value in request.headers:
        if name in _REROUTING:
            evidence.append(
                _evidence(
                    "rerouting-header", Confidence.HIGH, f"header:{name.decode()}", value,
                    "the client asks to be routed to another URL than the one it sent",
                    "no such header from a client",
                )
            )  # fmt: skip
    return evidence


def _of_problem(problem: Problem) -> Evidence:
    detector, confidence, message, expected = _PROBLEMS[problem.kind]
    return Evidence(
        detector, problem.kind.value, message, problem.field, "", expected, problem.detail,
        confidence,
    )  # fmt: skip


def _of_method(method: str) -> Evidence:
    confidence = Confidence.LOW if method in _RARE_METHODS else Confidence.HIGH
    return _evidence(
        "method", confidence, "method", method.encode("latin-1", "replace"),
        "a method that applications do not answer", f"one of {', '.join(sorted(_METHODS))}",
    )  # fmt: skip


def _duplicates(request: Request) -> Iterator[Evidence]:
    counts = Counter(name for name, _ in request.headers)
    for name in _SINGLE:
        if counts[name] > 1:
            values = [value for key, value in request.headers if key == name]
            if len(set(values)) > 1:
                yield _evidence(
                    "conflicting-header", Confidence.HIGH, f"header:{name.decode()}",
                    b", ".join(values), "a header that may come once comes twice and differs",
                    "one value",
                )  # fmt: skip


def _evidence(
    rule: str, confidence: Confidence, field: str, value: bytes, message: str, expected: str
) -> Evidence:
    text = value[:256].decode("utf-8", "replace")
    return Evidence(
        Detector.PROTOCOL, rule, message, field, text, expected, text, confidence,
        0, len(value), ((0, len(text)),),
    )  # fmt: skip
