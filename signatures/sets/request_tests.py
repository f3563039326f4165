"""Test requests beside rules: what a set must block, and what it must let through.

    tests:
      - name: the exploit's request
        must: block                     # or pass
        method: POST                    # default GET
        target: /wp-admin/admin-ajax.php?action=upload
        headers: {Content-Type: application/x-www-form-urlencoded}
        body: "path=../../wp-config.php"
        rules: [9000101]                # optional: that these match

Blocked is a request that reaches the set's threshold, or that one of its rules ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cnaf.models.errors import InputError
from cnaf.models.exchange import Request
from cnaf.models.parsing import RequestParser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnaf.signatures.sets.matching import RuleSets

__all__ = ["RequestTest", "TestResult", "read_tests", "run_tests", "tests_beside"]

_MAX_BYTES = 4 * 1024 * 1024
_MAX_TESTS = 2000
_KEYS = frozenset(("name", "must", "method", "target", "headers", "body", "rules"))
#: What a browser sends at least, so that a test need not say it.
_HEADERS = {"host": "localhost", "user-agent": "cnaf-rules-test", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class RequestTest:
    """One request with what must become of it; ``rules`` must match, whatever else does."""

    name: str
    must_block: bool
    request: Request
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TestResult:
    """A test that was run. ``problem`` is empty where it passed."""

    test: RequestTest
    matched: tuple[str, ...]
    score: int
    problem: str

    #: pytest must not take this for a class of tests.
    __test__ = False


def tests_beside(path: Path) -> Path:
    """Return where the tests of a rule file are looked for: ``fix.conf``, ``fix.tests.yaml``."""
    return path.with_suffix(".tests.yaml")


def read_tests(path: Path) -> tuple[RequestTest, ...]:
    """Read test requests; raises InputError that names the file and the test."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InputError(f"{path} has more than {_MAX_BYTES} bytes")
        described = yaml.safe_load(data)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no YAML: {error}", hint=_HINT) from None
    entries = described.get("tests") if isinstance(described, dict) else None
    if not isinstance(entries, list) or not entries or len(entries) > _MAX_TESTS:
        raise InputError(f"{path}: tests: no list of 1 to {_MAX_TESTS} tests", hint=_HINT)
    return tuple(_test(entry, f"{path}: tests.{n}") for n, entry in enumerate(entries))


def run_tests(rules: RuleSets, tests: Sequence[RequestTest]) -> Iterator[TestResult]:
    """Yield the result of each test, in order."""
    parser = RequestParser()
    for test in tests:
        found = rules.match(test.request, parser.parse(test.request))
        matched = tuple(match.rule for finding in found for match in finding.matches)
        is_blocked = any(finding.reached for finding in found)
        missing = [rule for rule in test.rules if rule not in matched]
        problem = ""
        if is_blocked != test.must_block:
            wanted = "block" if test.must_block else "pass"
            by = f" by {', '.join(matched[:8])}" if matched and is_blocked else ""
            problem = f"must {wanted}, and is {'blocked' if is_blocked else 'let through'}{by}"
        elif missing:
            problem = f"must match {', '.join(missing)}, matched {', '.join(matched) or 'none'}"
        yield TestResult(test, matched, max((f.score for f in found), default=0), problem)


def _test(entry: object, where: str) -> RequestTest:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: no test", hint=_HINT)
    if unknown := sorted(map(str, entry.keys() - _KEYS)):
        raise InputError(f"{where}: {unknown[0]}: unknown key", hint=_HINT)
    must = entry.get("must")
    if must not in ("block", "pass"):
        raise InputError(f"{where}: must: {str(must)[:40]!r} is neither block nor pass", hint=_HINT)
    target = _text(entry, "target", "", where)
    if not target.startswith("/") or not target.isascii() or not target.isprintable():
        raise InputError(f"{where}: target: no path with its query, percent-encoded", hint=_HINT)
    rules = entry.get("rules", [])
    if not isinstance(rules, list) or not all(type(rule) is int for rule in rules):
        raise InputError(f"{where}: rules: no list of rule ids", hint=_HINT)
    body = _text(entry, "body", "", where).encode()
    request = Request(
        _text(entry, "method", "GET", where),
        target.encode(),
        _headers(entry, body, where),
        body,
        len(body),
    )
    name = _text(entry, "name", f"{request.method} {target}", where)
    return RequestTest(name, must == "block", request, tuple(map(str, rules)))


def _headers(entry: dict[str, Any], body: bytes, where: str) -> tuple[tuple[bytes, bytes], ...]:
    given = entry.get("headers", {})
    if not isinstance(given, dict) or not all(
        isinstance(name, str) and isinstance(value, str | int) for name, value in given.items()
    ):
        raise InputError(f"{where}: headers: no table of names and values", hint=_HINT)
    headers = _HEADERS | {name.lower(): str(value) for name, value in given.items()}
    if body:
        headers.setdefault("content-length", str(len(body)))
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


def _text(entry: dict[str, Any], key: str, default: str, where: str) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise InputError(f"{where}: {key}: no text", hint=_HINT)
    return value


_HINT = "docs/rules.md shows a file of test requests"
