"""Which value is sent in the place of a recorded one, and in which order others are tried."""

from __future__ import annotations

from cnaf.learner.carry import Carrier
from cnaf.learner.offers import Offers, Target
from cnaf.learner.values import Offer
from cnaf.models.exchange import Request
from hypothesis import given, settings
from hypothesis import strategies as st

OLD, NEW, OTHER, THIRD = b"0aaaaaaaa0", b"1bbbbbbbb1", b"2cccccccc2", b"3dddddddd3"
FORM = (b"content-type", b"application/x-www-form-urlencoded")
JSON = (b"content-type", b"application/json")
HTML = b"text/html; charset=utf-8"


def carrier(*pages: bytes, path: bytes = b"/page") -> Carrier:
    made = Carrier()
    for page in pages:
        made.learn(page, HTML, path)
    return made


def get(target: bytes, *headers: tuple[bytes, bytes]) -> Request:
    return Request("GET", target, headers)


def first(made: Carrier, request: Request) -> Request:
    return next(made.drafts(request)).request


def targets(made: Carrier, request: Request) -> list[bytes]:
    return [draft.request.target for draft in made.drafts(request)]


def test_without_offers_a_request_stays_as_it_is() -> None:
    request = get(b"/a?nonce=" + OLD + b"&id=7", (b"x-token", OLD))
    (draft,) = Carrier().drafts(request)
    assert draft.request is request
    assert draft.carried == {}


def test_a_token_is_replaced_by_the_newest_of_its_name() -> None:
    made = carrier(b'{"nonce":"' + OTHER + b'"}', b'{"nonce":"' + NEW + b'"}')
    assert first(made, get(b"/a?nonce=" + OLD)).target == b"/a?nonce=" + NEW


def test_a_link_to_the_same_path_wins_over_newer_values() -> None:
    made = carrier(
        b'<a href="/a?do=drop&nonce=' + NEW + b'"> <a href="/b?nonce=' + OTHER + b'">',
        b'{"nonce":"' + THIRD + b'"}',
    )
    assert first(made, get(b"/a?do=drop&nonce=" + OLD)).target == b"/a?do=drop&nonce=" + NEW


def test_the_link_with_most_values_in_common_wins() -> None:
    made = carrier(
        b'<a href="/a?do=drop&nonce=' + NEW + b'"> <a href="/a?do=keep&nonce=' + OTHER + b'">'
    )
    assert first(made, get(b"/a?do=drop&nonce=" + OLD)).target == b"/a?do=drop&nonce=" + NEW


def test_a_header_takes_a_name_that_ends_like_it() -> None:
    made = carrier(b'{"nonce":"' + NEW + b'"}')
    assert first(made, get(b"/", (b"x-wp-nonce", OLD))).headers == ((b"x-wp-nonce", NEW),)


def test_a_bearer_token_keeps_its_scheme() -> None:
    made = Carrier()
    made.learn(b'{"authorization":"Zm9vYmFyMTIzNDU2Nzg5"}', b"application/json", b"/login")
    sent = first(made, get(b"/", (b"authorization", b"Bearer YmF6YmFyMTIzNDU2Nzg5")))
    assert sent.headers == ((b"authorization", b"Bearer Zm9vYmFyMTIzNDU2Nzg5"),)


def test_a_token_that_the_app_itself_sends_stays() -> None:
    made = carrier(b"<script src='/a.js?ver=" + OLD + b"'>", b'{"ver":"' + NEW + b'"}')
    assert first(made, get(b"/a.js?ver=" + OLD)).target == b"/a.js?ver=" + OLD


def test_tokens_of_another_shape_stay() -> None:
    made = carrier(b'{"nonce":"1bbbbbbbb1bbbb"}')
    assert targets(made, get(b"/a?nonce=" + OLD)) == [b"/a?nonce=" + OLD]


def test_scripts_and_pictures_offer_nothing() -> None:
    made = Carrier()
    for kind in (b"text/javascript", b"application/javascript; x", b"image/png", b"text/css"):
        made.learn(b'nonce="' + NEW + b'"', kind, b"/")
    assert targets(made, get(b"/a?nonce=" + OLD)) == [b"/a?nonce=" + OLD]


def test_refused_tokens_give_way_to_the_next_whatever_its_name() -> None:
    made = carrier(b'{"nonce":"' + OTHER + b'"} setUp( "' + NEW + b'" )')
    assert targets(made, get(b"/a?nonce=" + OLD)) == [b"/a?nonce=" + OTHER, b"/a?nonce=" + NEW]


def test_what_was_accepted_stands_for_the_recorded_value_everywhere() -> None:
    made = carrier(b'{"nonce":"' + OTHER + b'"} setUp( "' + NEW + b'" )')
    _, second = made.drafts(get(b"/a?nonce=" + OLD))
    made.accepted(second)
    request = Request("POST", b"/b", (FORM,), b"data%5Bkey%5D=" + OLD, 24)
    sent = first(made, request)
    assert sent.body == b"data%5Bkey%5D=" + NEW
    assert sent.body_size == len(sent.body)


def test_ids_stay_until_the_app_refuses_them() -> None:
    made = carrier(rb'"self":"\/notes\/99"', path=b"/new")
    assert targets(made, get(b"/notes/41")) == [b"/notes/41", b"/notes/99"]


def test_an_id_of_the_path_is_replaced_in_the_body_too() -> None:
    made = carrier(rb'"self":"\/notes\/99"', path=b"/new")
    request = Request("PUT", b"/notes/41", (JSON,), b'{"id": 41, "size": 4, "text": "41st"}', 37)
    _, second = made.drafts(request)
    assert second.request.body == b'{"id": 99, "size": 4, "text": "41st"}'
    assert second.carried == {b"41": b"99"}


def test_small_numbers_are_replaced_only_by_their_name() -> None:
    made = carrier(rb'"self":"\/notes\/99"', path=b"/new")
    request = Request("PUT", b"/notes/4", (JSON,), b'{"size": 4}', 11)
    _, second = made.drafts(request)
    assert (second.request.target, second.request.body) == (b"/notes/99", b'{"size": 4}')


def test_a_refused_link_is_tried_as_another_link_of_the_page() -> None:
    made = carrier(b'<a href="/drop?note=99&nonce=' + NEW + b'">')
    assert targets(made, get(b"/drop?note=41&nonce=" + OLD)) == [
        b"/drop?note=41&nonce=" + NEW,
        b"/drop?note=99&nonce=" + NEW,
    ]


def test_tries_are_bounded() -> None:
    made = carrier(b"".join(b'"nonce":"%010x" ' % (i << 20) for i in range(1, 100)))
    assert len(targets(made, get(b"/a?nonce=" + OLD))) == 12


def test_memory_is_bounded() -> None:
    offers = Offers()
    for number in range(10_000):
        offers.add(Offer(b"name%d" % number, b"%d" % (number % 1000)))
        offers.add(Offer(b"id", b"%d" % number))
    target = Target(b"/", frozenset())
    assert not offers.has_named(b"name5", b"5")
    assert offers.has_named(b"id", b"9999")
    assert not offers.has_named(b"id", b"100")
    assert len(offers.ranked(b"id", b"x1", target, (), any_name=False)) == 0
    assert len(offers.ranked(b"id", b"1", target, (), any_name=False)) <= 256 * 2


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.binary(max_size=60), st.binary(max_size=200))
def test_any_page_and_any_request_give_drafts(page: bytes, query: bytes, body: bytes) -> None:
    made = carrier(page, b'<a href="/a?id=5&nonce=' + NEW + b'">')
    request = Request("POST", b"/a?" + query, (FORM, (b"x-token", query)), body, len(body))
    drafts = list(made.drafts(request))
    assert 1 <= len(drafts) <= 12
    for draft in drafts:
        assert draft.request.body_size == len(draft.request.body)
        made.accepted(draft)
