"""Exclusions become SecLang, and the engine heeds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.models.errors import InputError
from cnaf.models.exchange import Request
from cnaf.signatures.sets.exclusions import check_exclusion, targets, text_after, text_before
from cnaf.signatures.sets.registered import Exclusion

from tests.support.rule_sets import SCORED, engine, find, form, get

COMMENT = form("/blog/7/comments", "comment=%3Cb%3Ebold%3C%2Fb%3E")
SEARCH = get("/search?q=%3Cb%3E")
JSON = Request(
    "POST", b"/api", ((b"content-type", b"application/json"), (b"content-length", b"28")),
    b'{"notes": [{"text": "<b>x"}]}', 28,
)  # fmt: skip


@pytest.mark.parametrize(
    ("exclusion", "silent", "loud"),
    [
        (Exclusion(rule="9101"), [COMMENT, SEARCH, JSON], []),
        (Exclusion(rule="9100-9110"), [COMMENT, SEARCH, JSON], []),
        (Exclusion(tag="attack-xss"), [COMMENT, SEARCH, JSON], []),
        (Exclusion(tag="attack-sqli"), [], [COMMENT, SEARCH, JSON]),
        (Exclusion(rule="9101", field="form:comment"), [COMMENT], [SEARCH, JSON]),
        (Exclusion(tag="attack-xss", field="query:q"), [SEARCH], [COMMENT, JSON]),
        (Exclusion(rule="9101", field="json:notes[].text"), [JSON], [COMMENT, SEARCH]),
        (Exclusion(rule="9101", endpoint="/search"), [SEARCH], [COMMENT, JSON]),
        (Exclusion(rule="9101", endpoint="POST /search"), [], [COMMENT, SEARCH, JSON]),
        (
            Exclusion(rule="9101", endpoint="POST /blog/{int}/comments", field="form:comment"),
            [COMMENT],
            [SEARCH, JSON, form("/blog/7/comments", "title=%3Cb%3E")],
        ),
        (Exclusion(tag="attack-xss", endpoint="GET /search", field="query:other"), [], [SEARCH]),
    ],
)
def test_a_rule_is_silent_where_it_is_excluded_and_nowhere_else(
    exclusion: Exclusion, silent: list[Request], loud: list[Request], tmp_path: Path
) -> None:
    rules = engine(tmp_path, SCORED, exclusions=(exclusion,))
    for request in silent:
        assert find(rules, request) == ()
    for request in loud:
        assert [match.rule for match in find(rules, request)[0].matches] == ["9101"]


def test_names_that_stand_for_many_become_expressions() -> None:
    assert targets("form:meta[#][key]")[0] == r"ARGS:/^meta\[[0-9]+\]\[key\]$/"
    assert targets("json:a[].b")[0] == r"ARGS:/^json\.a\.array_[0-9]+\.b$/"


def test_where_it_stands() -> None:
    everywhere, here = Exclusion(rule="1"), Exclusion(rule="1", endpoint="/a")
    assert text_before((everywhere,)) == text_after((here,)) == ""
    assert text_after((everywhere,)) == "SecRuleRemoveById 1\n"
    assert "ctl:ruleRemoveById=1" in text_before((here,))


@pytest.mark.parametrize(
    "exclusion",
    [
        Exclusion(), Exclusion(rule="1", tag="x"), Exclusion(rule="1", field="nowhere:x"),
        Exclusion(rule="1", field="form:a,deny"), Exclusion(rule="1", field='form:a"b'),
        Exclusion(rule="1", field="form:"), Exclusion(rule="1", field="comment"),
    ],
)  # fmt: skip
def test_what_is_no_exclusion_is_refused(exclusion: Exclusion) -> None:
    with pytest.raises(InputError):
        check_exclusion(exclusion)
