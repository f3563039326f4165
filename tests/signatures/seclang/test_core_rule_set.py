"""The Core Rule Set, end to end: known attacks, ordinary requests, and the prefilter's promise."""

from __future__ import annotations

import json
import random
import urllib.parse
from typing import TYPE_CHECKING

import pytest
from cnaf.models.exchange import Request
from cnaf.signatures.seclang.engine import Engine

if TYPE_CHECKING:
    from cnaf.signatures.seclang.rule_set import RuleSet

HEADERS = (
    (b"host", b"shop.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0.0.0"),
    (b"accept", b"text/html,application/xml;q=0.9,*/*;q=0.8"),
    (b"cookie", b"sid=3f2a9c77aa10; lang=en"),
)

ATTACKS = [
    (b"/?id=1%27%20union%20select%20password%20from%20users--", 942100),
    (b"/?q=%3Cscript%3Ealert(1)%3C/script%3E", 941100),
    (b"/?f=../../../../etc/passwd", 930120),
    (b"/?c=;cat%20/etc/passwd", 932160),
    (b"/?p=%3C?php%20system(1)", 933100),
    (b"/.git/config", 930130),
    (b"/?u=http://127.0.0.1/a", None),
]


@pytest.mark.core_rules
@pytest.mark.parametrize(("target", "rule"), ATTACKS)
def test_attacks_fire(core_rules: RuleSet, target: bytes, rule: int | None) -> None:
    outcome = Engine(core_rules).evaluate(Request("GET", target, HEADERS))
    fired = [match.rule for match in outcome.matches]
    assert fired if rule is None else rule in fired
    if rule is not None:
        assert outcome.score >= 5
        assert outcome.interruption is not None
        match = next(match for match in outcome.matches if match.rule == rule)
        assert match.message
        assert match.tags
        assert match.severity == 2


FORM = ((b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"25"))
JSON = ((b"content-type", b"application/json"), (b"content-length", b"21"))
ORDINARY = [
    Request("GET", b"/index.html?page=2&sort=title", HEADERS),
    Request("GET", b"/", HEADERS),
    Request("POST", b"/login", (*HEADERS, *FORM), b"user=anna&password=secret", 25),
    Request("POST", b"/api", (*HEADERS, *JSON), b'{"name":"Anna","n":1}', 21),
]


@pytest.mark.core_rules
@pytest.mark.parametrize("number", range(len(ORDINARY)))
def test_ordinary_requests_pass(core_rules: RuleSet, number: int) -> None:
    outcome = Engine(core_rules).evaluate(ORDINARY[number])
    assert (outcome.matches, outcome.score, outcome.interruption) == ((), 0, None)
    assert not outcome.limited


@pytest.mark.core_rules
def test_levels_above_the_chosen_one_are_gone(core_rules: RuleSet) -> None:
    tags = {tag for phase in core_rules.phases for rule in phase.rules for tag in rule.tags}
    assert "paranoia-level/2" in tags
    assert "paranoia-level/3" not in tags


PIECES = [
    b"'", b'"', b" or ", b"1=1", b"union", b" select ", b"--", b"/*", b"#", b";", b"|", b"`", b"$(",
    b"cat ", b"/etc/passwd", b"id", b"<script>", b"alert(1)", b"onerror=", b"javascript:", b"%27",
    b"+", b"&", b"../", b"\\", b"\\x41", b"&#x41;", b"php://", b"eval(", b"${jndi:", b"sleep(5)",
    b"\r\n", b"\n", b"http://1.2.3.4/", b"wget ", b"<?php", b"{{7*7}}", b"__proto__", b"\x00",
    b"\xc3\xa9", b"a", b"B", b"1", b" ", b"=", b"(", b".env", b"char(65)", b"0x41", b"cGhw",
    b"\xff",
]  # fmt: skip


def fuzzed(source: random.Random) -> Request:
    def value() -> bytes:
        return b"".join(source.choice(PIECES) for _ in range(source.randint(0, 5)))

    def quoted() -> bytes:
        return urllib.parse.quote_from_bytes(value()).encode()

    def pairs() -> bytes:
        return b"&".join(quoted() + b"=" + quoted() for _ in range(source.randint(0, 3)))

    headers = [pair for pair in HEADERS if source.random() < 0.9]
    name = source.choice([b"user-agent", b"cookie", b"referer", b"x-foo", b"content-type"])
    if source.random() < 0.3:
        headers.append((name, value().replace(b"\n", b"").replace(b"\r", b"")))
    kinds = [
        (b"", b""),
        (b"application/x-www-form-urlencoded", pairs()),
        (b"application/json", json.dumps({value().decode("latin-1"): [1]}).encode()),
        (b"text/xml", b'<a b="' + value() + b'">' + value() + b"</a>"),
        (
            b"multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + value() + b"\r\n--x--\r\n",
        ),
    ]
    kind, body = source.choice(kinds)
    if kind:
        headers += [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    target = b"/" + quoted() + (b"?" + pairs() if source.random() < 0.7 else b"")
    return Request("POST" if kind else "GET", target, tuple(headers), body, len(body))


@pytest.mark.core_rules
@pytest.mark.parametrize("seed", range(3))
def test_the_prefilter_loses_nothing(core_rules: RuleSet, seed: int) -> None:
    source = random.Random(seed)
    quick, plain = Engine(core_rules), Engine(core_rules, prefilter=False)
    for _ in range(100):
        request = fuzzed(source)
        first, second = quick.evaluate(request), plain.evaluate(request)
        assert first.matches == second.matches, request
        assert (first.score, first.interruption) == (second.score, second.interruption), request
