"""Names and values, in the spellings that applications use."""

from __future__ import annotations

import pytest
from cnaf.learner.values import (
    Kind,
    Offer,
    find_offers,
    find_path_places,
    find_places,
    kind_of,
    parse_pairs,
    same_shape,
)
from hypothesis import given, settings
from hypothesis import strategies as st

TOKEN = b"3ab9982fe1"

SENT = {
    "query": b"?action=trash&_wpnonce=" + TOKEN,
    "form with a nested name": b"data%5Bnonce%5D=" + TOKEN + b"&x=y",
    "name in brackets": b"data[nonce]=" + TOKEN,
    "link inside of a value": b"back=%2Fusers%3Fa%3Db%26nonce%3D" + TOKEN,
    "json": b'{"a": {"nonce": "' + TOKEN + b'"}}',
    "json inside of a form": b"all=%7B%22nonce%22%3A%22" + TOKEN + b"%22%7D",
    "multipart": b'--b\r\nContent-Disposition: form-data; name="nonce"\r\n\r\n' + TOKEN + b"\r\n",
}


@pytest.mark.parametrize("text", SENT.values(), ids=SENT)
def test_sent_values_are_found_by_name_and_place(text: bytes) -> None:
    (place,) = [place for place in find_places(text) if place.value == TOKEN]
    assert place.name.endswith(b"nonce")
    assert text[place.start : place.end] == TOKEN


OFFERED = {
    "form, value first": (
        b'<form action="/save?step=2"><input value="3ab9982fe1" type=hidden name=csrf></form>',
        Offer(b"csrf", TOKEN, b"/save", frozenset({(b"csrf", TOKEN), (b"step", b"2")})),
    ),
    "form without action": (
        b"<form><input name='csrf' value='3ab9982fe1'></form>",
        Offer(b"csrf", TOKEN, b"/admin/page", frozenset({(b"csrf", TOKEN)})),
    ),
    "link with entities": (
        b'<a href="http://h:80/a/b?id=x&#038;csrf=3ab9982fe1&amp;y=">',
        Offer(b"csrf", TOKEN, b"/a/b", frozenset({(b"csrf", TOKEN), (b"id", b"x"), (b"y", b"")})),
    ),
    "relative link": (
        b'<a href="edit?csrf=3ab9982fe1">',
        Offer(b"csrf", TOKEN, b"/admin/edit", frozenset({(b"csrf", TOKEN)})),
    ),
    "link in json": (
        rb'{"next": "http:\/\/h\/a?csrf=3ab9982fe1\u0026z=1"}',
        Offer(b"csrf", TOKEN, b"/a", frozenset({(b"csrf", TOKEN), (b"z", b"1")})),
    ),
    "json": (b'{"csrf":"3ab9982fe1"}', Offer(b"csrf", TOKEN)),
    "call": (b'fetch.setCsrf( "3ab9982fe1" )', Offer(b"setCsrf", TOKEN)),
    "attribute": (b"<div data-csrf='3ab9982fe1'>", Offer(b"data-csrf", TOKEN)),
    "id in a path": (rb'"self":"http:\/\/h\/api\/notes\/456"', Offer(b"/api/notes/{}", b"456")),
    "id in a path of a link": (b'<a href="/n/7/edit">', Offer(b"/n/{}/edit", b"7")),
}


@pytest.mark.parametrize(("text", "offer"), OFFERED.values(), ids=OFFERED)
def test_offered_values_are_found_with_where_they_belong(text: bytes, offer: Offer) -> None:
    assert offer in list(find_offers(text, b"/admin/page"))


def test_a_meta_element_offers_its_content() -> None:
    value = b"Zm9vYmFyMTIzNDU2Nzg5"
    offers = find_offers(b'<meta name="csrf-token" content="' + value + b'">', b"/")
    assert (b"csrf-token", value) in [(offer.name, offer.value) for offer in offers]


KINDS = {
    b"7": Kind.ID,
    b"1234567": Kind.ID,
    b"12345678": Kind.TOKEN,
    TOKEN: Kind.TOKEN,
    b"50508f9c-3c2b-41c3-84fd-5d989d58aeb2": Kind.TOKEN,
    b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln": Kind.TOKEN,
    b"feedface": Kind.WORD,
    b"lamp-2": Kind.WORD,
    b"2026-11-24T04:54:39.310Z": Kind.WORD,
    b"window.wp.i18n": Kind.WORD,
    b"": Kind.WORD,
}


@pytest.mark.parametrize(("value", "kind"), KINDS.items(), ids=[k.decode() for k in KINDS])
def test_kinds(value: bytes, kind: Kind) -> None:
    assert kind_of(value) is kind


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"1", b"456", True),
        (b"1", TOKEN, False),
        (TOKEN, b"af601b16d8", True),
        (TOKEN, b"af601b16d8af", False),
        (TOKEN, b"Zm9vYmFyMTIzNDU2Nzg5", False),
        (b"Zm9vYmFyMTIzNDU2Nzg5", b"YmF6YmFyMTIzNDU2Nzg5MA", True),
        (b"Zm9vYmFyMTIzNDU2Nzg5", b"Zm9vYmFyMTIzNDU2Nzg5" * 2, False),
        (b"50508f9c-3c2b-41c3-84fd-5d989d58aeb2", b"50508f9c3c2b41c384fd5d989d58aeb20000", False),
    ],
)
def test_shapes(one: bytes, other: bytes, same: bool) -> None:
    assert same_shape(one, other) is same
    assert same_shape(other, one) is same


def test_ids_of_a_path_are_named_by_the_rest_of_it() -> None:
    places = list(find_path_places(b"/2026/11/lamp-7/42"))
    assert [(place.name, place.value) for place in places] == [
        (b"/{}/11/lamp-7/42", b"2026"),
        (b"/2026/{}/lamp-7/42", b"11"),
        (b"/2026/11/lamp-7/{}", b"42"),
    ]


def test_pairs_are_capped() -> None:
    assert len(parse_pairs(b"a=1&" * 5_000)) == 1_024


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400), st.binary(max_size=20))
def test_nothing_makes_the_finders_fail(text: bytes, page: bytes) -> None:
    for offer in find_offers(text, page):
        assert kind_of(offer.value)
    for place in find_places(text):
        assert text[place.start : place.end] == place.value
    parse_pairs(text)


@pytest.mark.parametrize(
    "unit", [b"a", b"/1", rb"\/a", b"<form ", b"&a;", b"a?b=1&", b"%41", b"a=", b'a":', b"a ", b"<"]
)
def test_hostile_pages_take_linear_time(unit: bytes) -> None:
    # What is quadratic in any of these would run for hours.
    for _ in find_offers(unit * ((1 << 20) // len(unit)), b"/"):
        pass
