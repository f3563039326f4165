"""Test requests beside rules: how they are read, and how they fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.models.errors import InputError
from cnaf.signatures.sets import request_tests
from cnaf.signatures.sets.request_tests import read_tests, run_tests

from tests.support.rule_sets import PATCH, PATCH_TESTS, engine, write


def results(folder: Path, tests: str) -> dict[str, str]:
    rules = engine(folder, PATCH)
    read = read_tests(write(folder, tests, "t.yaml"))
    return {result.test.name: result.problem for result in run_tests(rules, read)}


def test_what_must_block_and_pass(tmp_path: Path) -> None:
    assert results(tmp_path, PATCH_TESTS) == {"the exploit": "", "a plain upload": ""}


def test_failures_say_what_happened(tmp_path: Path) -> None:
    swapped = PATCH_TESTS.replace("must: block", "must: X").replace("must: pass", "must: block")
    found = results(tmp_path, swapped.replace("must: X", "must: pass"))
    assert found == {
        "the exploit": "must pass, and is blocked by 9201",
        "a plain upload": "must block, and is let through",
    }
    found = results(tmp_path, PATCH_TESTS.replace("[9201]", "[9202]"))
    assert found["the exploit"] == "must match 9202, matched 9201"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "tests: no list"), ("tests: []", "tests: no list"), ("tests: [7]", "no test"),
        ("tests: [{must: block}]", "target"), ("tests: [{must: stop, target: /}]", "must"),
        ("tests: [{must: block, target: 'http://x/'}]", "target"),
        ("tests: [{must: block, target: '/ä'}]", "target"),
        ("tests: [{must: block, target: /, headers: [a]}]", "headers"),
        ("tests: [{must: block, target: /, body: 7}]", "body"),
        ("tests: [{must: block, target: /, rules: [x]}]", "rules"),
        ("tests: [{must: block, target: /, more: 1}]", "more: unknown key"),
        ("tests: [", "no YAML"), ("!!python/object/apply:os.system [id]", "no YAML"),
    ],
)  # fmt: skip
def test_what_is_no_test_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        read_tests(write(tmp_path, text, "t.yaml"))


def test_where_they_are_looked_for() -> None:
    assert request_tests.tests_beside(Path("/a/fix.conf")) == Path("/a/fix.tests.yaml")
