"""Every rule fires on its samples, in the real engine, and on nothing that it says it must not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.corpus import open_corpus
from cnaf.models.fields import Field, Location
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Confidence
from cnaf.signatures.rule import Syntax
from cnaf.signatures.rule_files import built_in_rules
from cnaf.signatures.rule_samples import built_in_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnaf.models.exchange import Exchange
    from cnaf.models.fields import ParsedRequest
    from cnaf.signatures.engine import SignatureEngine
    from cnaf.signatures.rule import Rule
    from cnaf.signatures.rule_samples import Sample

    MakeRequest = Callable[[Sequence[Field]], ParsedRequest]

CORPUS = Path(__file__).parents[2] / "datasets" / "wordpress"
RULES = built_in_rules()
SAMPLES = built_in_samples(RULES)
FIRE = [(rule, sample) for rule in RULES for sample in SAMPLES[rule.id].must_fire]
HOLD = [(rule, sample) for rule in RULES for sample in SAMPLES[rule.id].must_not_fire]
#: Headers as clients send them that nobody calls attackers.
PLAIN_CLIENTS = [
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    b"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; .NET CLR 2.0.50727; InfoPath.1)",
    b"curl/8.5.0",
    b"Wget/1.21.4",
    b"python-requests/2.31.0",
    b"Go-http-client/2.0",
    b"kube-probe/1.29",
    b"WordPress/6.5; https://example.org",
    b"PHP/8.2.1",
    b"Java/17.0.2",
]


def name(case: tuple[Rule, Sample]) -> str:
    return f"{case[0].id} {case[1].value[:40]!r}"


def fired(engine: SignatureEngine, request: ParsedRequest) -> set[str]:
    return {match.rule.id for match in engine.match(request)}


def loud(engine: SignatureEngine, request: ParsedRequest) -> set[str]:
    return {m.rule.id for m in engine.match(request) if m.rule.confidence is Confidence.HIGH}


@pytest.mark.parametrize("case", FIRE, ids=name)
def test_fires_on_its_sample_wherever_it_stands(
    engine: SignatureEngine, make_request: MakeRequest, case: tuple[Rule, Sample]
) -> None:
    rule, sample = case
    field = Field(sample.location, sample.name, sample.value)
    plain = Field(Location.QUERY, "page", b"2")
    for fields in ([field], [plain, field], [field, plain]):
        request = make_request(fields)
        found = [m for m in engine.match(request) if m.rule.id == rule.id]
        assert len(found) == 1
        assert found[0].field_index == fields.index(field)
        assert 0 <= found[0].start < found[0].end <= len(sample.value)


@pytest.mark.parametrize("case", HOLD, ids=name)
def test_does_not_fire_on_what_only_looks_alike(
    engine: SignatureEngine, make_request: MakeRequest, case: tuple[Rule, Sample]
) -> None:
    rule, sample = case
    request = make_request([Field(sample.location, sample.name, sample.value)])
    assert rule.id not in fired(engine, request)
    assert not loud(engine, request), "no rule of high confidence fires on benign text"


def test_there_are_rules_of_every_class() -> None:
    classes = {rule.id.split("-")[1] for rule in RULES}
    assert {"sqli", "xss", "traversal", "rfi", "cmd", "code", "ssti", "jndi", "xxe"} <= classes
    assert {"ssrf", "scanner", "crlf", "query", "upload"} <= classes
    assert 60 <= len(RULES) <= 90


def test_numbers_are_of_our_range_and_say_the_file() -> None:
    files: dict[str, set[int]] = {}
    for rule in RULES:
        assert 4_300_000 <= rule.number <= 4_399_999
        files.setdefault(rule.place.file, set()).add(rule.number // 1000)
        assert rule.place.file == rule.id.split("-")[1] + ".conf"
        assert rule.number % 1000 == int(rule.id.rsplit("-", 1)[1])
    assert all(len(hundreds) == 1 for hundreds in files.values())
    assert len(set.union(*files.values())) == len(files)


def test_a_parser_of_sql_or_html_alone_never_blocks() -> None:
    for rule in RULES:
        assert rule.syntax is None or rule.confidence is not Confidence.HIGH
    assert {rule.syntax for rule in RULES} == {None, Syntax.SQL, Syntax.HTML}


@pytest.mark.parametrize("agent", PLAIN_CLIENTS)
def test_ordinary_clients_pass(
    engine: SignatureEngine, make_request: MakeRequest, agent: bytes
) -> None:
    fields = [
        Field(Location.PATH, "", b"/"),
        Field(Location.HEADER, "user-agent", agent),
        Field(Location.HEADER, "accept", b"text/html,application/xml;q=0.9,*/*;q=0.8"),
        Field(Location.HEADER, "accept-language", b"en-US,en;q=0.5"),
        Field(Location.HEADER, "sec-ch-ua", b'"Not/A)Brand";v="8", "Chromium";v="126"'),
        Field(Location.HEADER, "referer", b"https://www.google.com/search?q=it's+5+o'clock"),
    ]
    assert not fired(engine, make_request(fields))


@pytest.fixture(scope="module")
def benign() -> list[Exchange]:
    files = sorted((CORPUS / "har").glob("*.har.gz"))
    return [exchange for file in files[:9] for exchange in open_corpus([file])]


def test_no_recorded_benign_request_is_blocked(
    engine: SignatureEngine, benign: list[Exchange]
) -> None:
    parser = RequestParser()
    alerted = 0
    for exchange in benign:
        request = parser.parse(exchange.request)
        assert not loud(engine, request), exchange.id
        alerted += bool(engine.match(request))
    assert len(benign) > 800
    assert alerted <= 0.01 * len(benign)


def test_most_recorded_attacks_are_found(engine: SignatureEngine) -> None:
    parser = RequestParser(Limits())
    attacks = [parser.parse(e.request) for e in open_corpus([CORPUS / "attacks.jsonl"])]
    found = sum(bool(engine.match(request)) for request in attacks)
    blocked = sum(bool(loud(engine, request)) for request in attacks)
    assert found >= 0.75 * len(attacks)
    assert blocked >= 0.6 * len(attacks)
