from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from cnaf.datasets.corpus import open_corpus
from cnaf.evaluation.mutations import Kind
from cnaf.evaluation.rewriting import attacking_slot, kind_of, mutate_exchange, rewrite, slots
from cnaf.models.decoding import canonical
from cnaf.models.exchange import Exchange, Request
from cnaf.models.fields import Location
from cnaf.models.parsing import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

ATTACKS = Path(__file__).parents[2] / "datasets" / "wordpress" / "attacks.jsonl"
TAUTOLOGY = "1' OR 1=1"
SQLI = "1' OR 'a'='a' -- -"
FORM = b"application/x-www-form-urlencoded"
PART = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
FILE = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n{}\r\n'


def request(
    target: str = "/", body: str = "", content_type: bytes = b"", *headers: tuple[bytes, bytes]
) -> Request:
    raw = body.encode()
    framing = ((b"content-type", content_type), (b"content-length", str(len(raw)).encode()))
    return Request("POST", target.encode(), (*headers, *(framing if raw else ())), raw, len(raw))


CARRIERS = {
    Location.PATH: request("/tag/%27%20OR%201=1%23/?page=2"),
    Location.QUERY: request("/?page=2&id=1%27+OR+1%3D1&sort=name"),
    Location.FORM: request("/a?b=1", "id=1%27+OR+1%3D1&name=kim", FORM),
    Location.JSON: request(
        "/", '{"a": [1, {"id": "1\' OR 1=1"}], "name": "kim"}', b"application/json"
    ),
    Location.XML: request("/", "<r><a>kim</a><b>1' OR 1&lt;2</b></r>", b"text/xml"),
    Location.MULTIPART: request(
        "/",
        f"{PART.format('id', TAUTOLOGY)}{FILE.format(TAUTOLOGY)}{PART.format('n', 'x')}--b--\r\n",
        b"multipart/form-data; boundary=b",
    ),
    Location.COOKIE: request("/", "", b"", (b"cookie", b"lang=en; id=1'%20OR%201=1; b=2")),
    Location.HEADER: request("/", "", b"", (b"host", b"a'b"), (b"x-forwarded-for", b"1' OR 1=1")),
}


def values(made: Request) -> list[tuple[Location, str, bytes]]:
    fields = RequestParser().parse(made).fields
    return [(f.location, f.name, f.value) for f in fields]


@pytest.mark.parametrize("location", CARRIERS, ids=lambda location: location.name)
def test_the_attacking_value_is_found_and_only_it_changes(location: Location) -> None:
    original = CARRIERS[location]
    slot = attacking_slot(original, Kind.SQL)
    assert slot is not None
    assert slot.location is location
    changed = slot.put(SQLI if location is not Location.PATH else f"/tag/{SQLI}/")
    before, after = Counter(values(original)), Counter(values(changed))
    assert [value for *_, value in (after - before)] in (
        [SQLI.encode()],
        [f"/tag/{SQLI}/".encode()],
    )
    assert sum((before - after).values()) == 1
    if changed.body:
        assert changed.header(b"content-length") == str(len(changed.body)).encode()
        assert changed.body_size == len(changed.body)


# What a carrier cannot hold stays out: line ends in headers, control characters in XML. The text
# must have a sign of its language, or another value would be the one that attacks.
printable = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=30
)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(list(CARRIERS)), printable)
def test_the_parser_sees_what_was_put(location: Location, text: str) -> None:
    slot = attacking_slot(CARRIERS[location], Kind.SQL)
    assert slot is not None
    text = f"/x{text}" if location is Location.PATH else f"x{text}x"
    seen = {value for where, _, value in values(slot.put(text)) if where is location}
    assert canonical(text.encode(), 3)[0] in seen


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([Location.QUERY, Location.FORM, Location.COOKIE, Location.MULTIPART]),
    st.binary(max_size=20),
)
def test_bytes_that_are_no_text_pass_through(location: Location, raw: bytes) -> None:
    slot = attacking_slot(CARRIERS[location], Kind.SQL)
    assert slot is not None
    if location is Location.MULTIPART:
        raw = raw.replace(b"\n", b" ").replace(b"\r", b" ")
    made = slot.put((b"x" + raw + b"x").decode("utf-8", "surrogateescape"))
    seen = {value for where, _, value in values(made) if where is location}
    assert canonical(b"x" + raw + b"x", 3)[0] in seen


def test_each_value_can_be_put_back_unchanged() -> None:
    for original in CARRIERS.values():
        for slot in slots(original):
            assert values(slot.put(slot.text)) == values(original)


def test_layers_of_encoding_are_taken_off_before_the_change() -> None:
    seen: list[str] = []
    double = request("/?id=1%2527%2520OR%25201%253D1")
    made = rewrite(double, Kind.SQL, lambda text: seen.append(text) or text)
    assert seen == ["1' OR 1=1"]
    assert made is not None
    assert made.target == b"/?id=1%27%20OR%201%3D1"


def test_sentences_before_the_attack_are_kept() -> None:
    hidden = request("/", "c=We+sailed+there,+it+was+lovely.+%27+OR+1%3D1%23", FORM)
    made = rewrite(hidden, Kind.SQL, str.lower)
    assert made is not None
    assert (Location.FORM, "c", b"We sailed there, it was lovely. ' or 1=1#") in values(made)


def test_a_value_that_json_cannot_hold_is_written_as_a_character() -> None:
    slot = attacking_slot(CARRIERS[Location.JSON], Kind.SQL)
    assert slot is not None
    assert json.loads(slot.put("1\udca0OR").body)["a"][1]["id"] == "1\xa0OR"


def test_headers_hold_no_line_ends() -> None:
    slot = attacking_slot(CARRIERS[Location.HEADER], Kind.SQL)
    assert slot is not None
    assert slot.put("1'\r\nOR\n1").header(b"x-forwarded-for") == b"1'\tOR\t1"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_request_without_signs_has_no_attacking_value(kind: Kind) -> None:
    plain = request("/shop", "name=kim&age=7", FORM, (b"user-agent", b"Mozilla/5.0 (X11; Linux)"))
    assert attacking_slot(plain, kind) is None
    assert rewrite(plain, kind, str.upper) is None


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"application/json", "{'"),
        (b"application/json", "[" * 100_000),
        (b"text/plain", "' OR 1=1"),
        (b"multipart/form-data", "--"),
        (b"application/xml", "<a>&"),
    ],
    ids=["json", "deep json", "text", "multipart", "xml"],
)
def test_bodies_that_cannot_be_read_have_no_values(content_type: bytes, body: bytes) -> None:
    assert {slot.location for slot in slots(request("/", body, content_type))} == {Location.PATH}


def recorded() -> list[Exchange]:
    return list(open_corpus([ATTACKS]))


#: Fields of the recorded site by the name of the carrier that its makers noted.
NAMED = {
    "comment_author": "author",
    "comment_id": "comment_post_ID",
    "comment_url": "url",
    "contact": "your-subject",
    "contact_mp": "your-message",
    "ajax_id": "id",
    "login_log": "log",
    "login_pwd": "pwd",
    "subscribe": "email",
    "rest_author": "author_name",
    "rest_comment": "content",
    "rest_search": "search",
    "cookie": "comment_author_x",
    "User-Agent": "user-agent",
    "Referer": "referer",
    "X-Forwarded-For": "x-forwarded-for",
    "path": "",
    "rest_route": "categories",
}


def test_the_rule_finds_the_carrier_that_the_recording_names() -> None:
    hits = Counter[bool]()
    for exchange in recorded():
        kind, carrier = kind_of(exchange), str(exchange.meta["carrier"])
        if kind is None or "/" in carrier or carrier in ("cve", "profile", "xmlrpc"):
            continue
        slot = attacking_slot(exchange.request, kind)
        hits[slot is not None and slot.name == NAMED.get(carrier, carrier)] += 1
    assert hits[True] > 120
    assert hits[False] <= 2


def test_recorded_attacks_are_mutated_in_one_value() -> None:
    made = 0
    for exchange in recorded():
        mutated = mutate_exchange(exchange, rounds=3, seed=1)
        if mutated is None:
            continue
        made += 1
        before, after = Counter(values(exchange.request)), Counter(values(mutated.request))
        # None, where the mutation is an encoding that the parser takes off.
        assert mutated.id != exchange.id
        assert mutated.meta["class"] == exchange.meta["class"]
        assert sum((after - before).values()) <= 1, exchange.id
        assert mutated == mutate_exchange(exchange, rounds=3, seed=1)
    assert made > 160
