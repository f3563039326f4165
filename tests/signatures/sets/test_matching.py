"""What sets say: fields, excerpts, scores, caps, and what may be remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.models.exchange import Request
from cnaf.models.parsing import RequestParser
from cnaf.signatures.sets.compiled import load_set
from cnaf.signatures.sets.fields import fields_of, label_of
from cnaf.signatures.sets.matching import RuleSets
from cnaf.signatures.sets.registered import Kind
from cnaf.signatures.sets.registering import register
from cnaf.signatures.sets.sources import DEBIAN_CRS

from tests.support.rule_sets import CUSTOM, SCORED, engine, find, form, get, made

BROWSER = (
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"),
    (b"accept", b"text/html"),
)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> RuleSets:
    registered, sources = register(Kind.CRS, [DEBIAN_CRS])
    cache = tmp_path_factory.mktemp("compiled")
    load_set(registered, sources, cache)
    return RuleSets([load_set(registered, sources, cache)])


def test_a_rule_that_denies(tmp_path: Path) -> None:
    (finding,) = find(engine(tmp_path, CUSTOM), form("/cart", "coupon=free-100&n=1"))
    (match,) = finding.matches
    assert (match.rule, match.label, match.text) == ("9001", "form:coupon", b"free-")
    assert match.message == "A coupon that nobody issued"
    assert match.tags == ("shop", "CWE-840")
    assert (finding.reached, finding.limited) == (True, False)
    assert finding.source.startswith("shop Shop rules/2.1 (sha256:")


def test_block_denies_in_a_custom_set(tmp_path: Path) -> None:
    (finding,) = find(engine(tmp_path, CUSTOM), get("/internal/health"))
    assert (finding.reached, finding.matches[0].label) == (True, "path")


def test_what_is_only_logged_reaches_nothing(tmp_path: Path) -> None:
    (finding,) = find(engine(tmp_path, CUSTOM), get("/?note=tell+me+more"))
    assert (finding.reached, finding.score, finding.matches[0].rule) == (False, 0, "9003")


def test_nothing_found_is_nothing_said(tmp_path: Path) -> None:
    assert find(engine(tmp_path, CUSTOM), get("/?q=hat")) == ()


def test_the_score_decides_at_the_threshold(tmp_path: Path) -> None:
    for threshold, reached in ((3, True), (4, False)):
        rules = engine(tmp_path, SCORED, threshold=threshold)
        (finding,) = find(rules, get("/?q=union"))
        assert (finding.score, finding.reached) == (3, reached)


def test_all_fields_that_matched_are_told_not_only_the_last(tmp_path: Path) -> None:
    request = get("/?a=%3Cb%3E&b=%3Cb%3E&c=1")
    (finding,) = find(engine(tmp_path, SCORED), request)
    (match,) = finding.matches
    parsed = RequestParser().parse(request)
    assert {parsed.fields[index].label for index in match.fields} == {"query:a", "query:b"}
    value = parsed.fields[match.fields[0]].value
    assert value[match.start : match.end] == b"<b>"


@pytest.mark.core_rules
def test_the_core_rule_set(core: RuleSets) -> None:
    attack = get("/item?id=1%27%20UNION%20SELECT%20pass%20FROM%20users--%20&page=2", *BROWSER)
    (finding,) = find(core, attack)
    assert finding.reached
    assert finding.score >= 10
    assert {match.label for match in finding.matches} == {"query:id"}
    rules = {match.rule for match in finding.matches}
    assert "942100" in rules
    assert not any(rule.startswith("949") for rule in rules)
    assert all("attack-sqli" in match.tags for match in finding.matches)
    assert find(core, get("/item?id=12&page=2", *BROWSER)) == ()


@pytest.mark.core_rules
def test_cookies_headers_and_json_have_their_labels(core: RuleSets) -> None:
    attack = b"<script>alert(1)</script>"
    body = b'{"a": [{"b": "%s"}]}' % attack
    json = Request(
        "POST", b"/api", (*BROWSER, (b"host", b"shop.example"), (b"content-length", b"40"),
                          (b"content-type", b"application/json")), body, len(body),
    )  # fmt: skip
    for request, label in (
        (get("/", *BROWSER, (b"cookie", b"seen=%s" % attack)), "cookie:seen"),
        (get("/", *BROWSER, (b"referer", b"http://x/%s" % attack)), "header:referer"),
        (json, "json:a[].b"),
    ):
        (finding,) = find(core, request)
        assert label in {match.label for match in finding.matches}


def test_a_part_of_a_body_that_is_no_field_is_not_quoted(tmp_path: Path) -> None:
    rule = r"""SecRule REQUEST_BODY "@rx pwd=\w+&x=" "id:1,phase:2,deny,t:none,msg:'m'" """
    (finding,) = find(engine(tmp_path, rule), form("/", "pwd=secret&x=1"))
    (match,) = finding.matches
    assert (match.fields, match.text, match.label) == ((), b"", "body")


def test_work_at_its_cap_is_told(tmp_path: Path) -> None:
    many = "&".join(f"a{number}=x" for number in range(2500))
    (finding,) = find(engine(tmp_path, SCORED), form("/", many))
    assert finding.limited
    assert not finding.reached


def test_client_and_clock(tmp_path: Path) -> None:
    deny = 'SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:1,phase:1,deny,t:none,msg:\'m\'"'
    rules = engine(tmp_path, deny)
    assert (rules.by_client, rules.by_clock) == (True, False)
    assert find(rules, get("/"), "192.0.2.7")
    assert find(rules, get("/"), "198.51.100.7") == find(rules, get("/")) == ()
    night = 'SecRule TIME_HOUR "@lt 6" "id:1,phase:1,pass,nolog"'
    assert engine(tmp_path, night).by_clock
    plain = engine(tmp_path, "# REMOTE_ADDR and TIME_HOUR\n" + CUSTOM)
    assert (plain.by_client, plain.by_clock) == (False, False)


def test_sets_run_side_by_side(tmp_path: Path) -> None:
    loaded = [load_set(*made(tmp_path / "a", CUSTOM)), load_set(*made(tmp_path / "b", SCORED))]
    found = find(RuleSets(loaded), get("/?coupon=free-1&q=%3Cb%3E"))
    assert [match.rule for finding in found for match in finding.matches] == ["9001", "9101"]


@pytest.mark.parametrize(
    ("variable", "text", "label"),
    [
        ("ARGS:q", b"", "query:q"), ("ARGS_NAMES:q", b"", "query:q"),
        ("ARGS:meta[7]", b"", "form:meta[#]"), ("REQUEST_COOKIES:sid", b"", "cookie:sid"),
        ("REQUEST_HEADERS:X-Api", b"", "header:x-api"), ("REQUEST_FILENAME", b"/a", "path"),
        ("REQUEST_URI", b"HAT", "query:q"), ("REQUEST_URI_RAW", b"%68at", "query:q"),
        ("REQUEST_BODY", b"five", "form:meta[#]"),
        ("REQUEST_BODY", b"six", None), ("TX:0", b"hat", None), ("ARGS:other", b"", None),
        ("REQUEST_METHOD", b"POST", None),
    ],
)  # fmt: skip
def test_fields_of_variables(variable: str, text: bytes, label: str | None) -> None:
    request = form("/a?q=hat", "meta%5B7%5D=five&b=2")
    request = Request(
        request.method, request.target,
        (*request.headers, (b"cookie", b"sid=9"), (b"x-api", b"1")), request.body, 20,
    )  # fmt: skip
    parsed = RequestParser().parse(request)
    found = [parsed.fields[index].label for index in fields_of(variable, text, parsed)]
    assert found == ([label] if label else [])


def test_labels_of_what_is_no_field() -> None:
    assert label_of("REQUEST_HEADERS:Host") == "header:host"
    assert label_of("ARGS:x") == "query:x"
    assert label_of("TX:score") == "TX:score"
