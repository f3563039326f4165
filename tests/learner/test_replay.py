"""Sessions recorded from one installation of a real app, replayed to another through HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cnaf.dataplane.config import Address
from cnaf.learner.recording import Recorder, recording, session_address
from cnaf.learner.replay import Outcome, Rehost, replay_session
from cnaf.models.exchange import Exchange, Label, Request, Response

from tests.support.guestbook import Guestbook, guestbook, record_visit

TIMEOUT_S = 2


@pytest.fixture(scope="module")
def recorded() -> list[Exchange]:
    with guestbook("theirs", 40) as app:
        return record_visit(app)


@pytest.fixture(scope="module")
def app() -> Iterator[Guestbook]:
    with guestbook("ours", 700) as app:
        yield app


@pytest.fixture(scope="module")
def plane(app: Guestbook) -> Iterator[tuple[Address, Recorder]]:
    with recording(app.address, TIMEOUT_S) as plane:
        yield plane


def replay(
    plane: tuple[Address, Recorder], exchanges: list[Exchange], rehost: Rehost | None = None
) -> list[Outcome]:
    address, recorder = plane
    client = session_address(7)
    rehost = rehost or Rehost(b"", b"")
    return list(replay_session(exchanges, address, client, recorder, rehost, TIMEOUT_S))


def one(target: str, *headers: tuple[bytes, bytes], status: int = 200) -> Exchange:
    request = Request("GET", target.encode(), ((b"host", b"app"), *headers))
    return Exchange(target, "s", Label.BENIGN, request, Response(status))


def test_what_was_accepted_is_accepted_by_another_installation(
    plane: tuple[Address, Recorder], recorded: list[Exchange]
) -> None:
    outcomes = replay(plane, recorded)
    assert [outcome.status for outcome in outcomes] == [200, 200, 302, 200, 200, 302, 302, 404]
    assert [bool(outcome.carried) for outcome in outcomes] == [
        *(False, False, True, False),
        *(True, True, True, False),
    ]


def test_exchanges_are_what_reached_the_app_under_the_ids_of_the_recording(
    plane: tuple[Address, Recorder], recorded: list[Exchange], app: Guestbook
) -> None:
    seen = [outcome.seen for outcome in replay(plane, recorded)]
    assert [s and (s.id, s.session, s.label) for s in seen] == [
        (e.id, e.session, e.label) for e in recorded
    ]
    login = seen[2]
    assert login is not None
    assert login.response is not None
    assert (b"location", b"/new") in login.response.headers
    before = recorded[2].request
    assert [name for name, _ in login.request.headers] == [name for name, _ in before.headers]
    assert login.request.body != before.body
    assert login.request.body.endswith(b"&password=open+sesame")


def test_ids_follow_the_app_in_path_and_body(
    plane: tuple[Address, Recorder], recorded: list[Exchange], app: Guestbook
) -> None:
    saved = replay(plane, recorded)[4].seen
    assert saved is not None
    assert saved.request.target == b"/api/notes/%d" % app.next_id
    assert b'{"id": %d, "text": "It\'s a joke; SELECT one"}' % app.next_id == saved.request.body


def test_requests_go_out_byte_for_byte(plane: tuple[Address, Recorder]) -> None:
    odd = one("/?q=%7e%7E//..;a&&b=", (b"x-odd", b"a  b\t\xff"), (b"accept", b""), (b"x-odd", b"2"))
    (outcome,) = replay(plane, [odd])
    assert outcome.seen is not None
    assert outcome.seen.request == odd.request


def test_cookies_of_the_app_replace_the_recorded_ones(
    plane: tuple[Address, Recorder], recorded: list[Exchange]
) -> None:
    stale = dict(recorded[3].request.headers)[b"cookie"]
    fresh = replay(plane, recorded)[3].seen
    assert fresh is not None
    cookie = dict(fresh.request.headers)[b"cookie"]
    assert cookie != stale
    assert [pair.split(b"=")[0] for pair in cookie.split(b"; ")] == [b"sid", b"auth"]


def test_a_recording_without_cookies_still_logs_in(
    plane: tuple[Address, Recorder], recorded: list[Exchange]
) -> None:
    def bare(exchange: Exchange) -> Exchange:
        headers = tuple(pair for pair in exchange.request.headers if pair[0] != b"cookie")
        return replace(exchange, request=replace(exchange.request, headers=headers))

    outcomes = replay(plane, [bare(exchange) for exchange in recorded])
    assert sum(outcome.accepted for outcome in outcomes) == 7


def test_what_was_refused_in_the_recording_is_sent_once(
    plane: tuple[Address, Recorder], recorded: list[Exchange], app: Guestbook
) -> None:
    refused = replace(recorded[4], response=Response(403))
    before = app.requests
    assert not replay(plane, [*recorded[:4], refused])[-1].accepted
    assert app.requests == before + 5


def test_the_host_is_rewritten_where_the_app_expects_another(
    plane: tuple[Address, Recorder], app: Guestbook
) -> None:
    link = b"http%3A%2F%2Ftest.local%3A81%2Fa"
    referer = (b"referer", b"http://test.local:81/x")
    before = one("/?to=" + link.decode())
    headers = ((b"host", b"test.local:81"), referer)
    before = replace(before, request=replace(before.request, headers=headers))
    (outcome,) = replay(plane, [before], Rehost(b"test.local:81", b"shop.example"))
    assert outcome.seen is not None
    assert outcome.seen.request.target == b"/?to=http%3A%2F%2Fshop.example%2Fa"
    assert outcome.seen.request.headers == (
        (b"host", b"shop.example"),
        (b"referer", b"http://shop.example/x"),
    )
    assert "shop.example" in app.hosts


def test_a_body_that_the_recording_cut_is_not_sent(plane: tuple[Address, Recorder]) -> None:
    cut = one("/")
    cut = replace(cut, request=replace(cut.request, method="POST", body=b"a=", body_size=900))
    (outcome,) = replay(plane, [cut])
    assert (outcome.sent, outcome.seen) == (False, None)


@pytest.mark.parametrize("path", ["/garbage", "/drop", "/hang"])
def test_no_answer_is_counted_and_the_session_goes_on(
    plane: tuple[Address, Recorder], path: str
) -> None:
    bad, good = replay(plane, [one(path), one("/")])
    assert (bad.sent, bad.status) == (True, None)
    assert good.status == 200


@pytest.mark.parametrize("path", ["/huge", "/bomb"])
def test_hostile_answers_are_survived(plane: tuple[Address, Recorder], path: str) -> None:
    assert [outcome.status for outcome in replay(plane, [one(path), one("/")])] == [200, 200]


def test_nobody_listens(app: Guestbook) -> None:
    with guestbook("gone") as gone:
        address = gone.address
    gone.server_close()
    with recording(address, TIMEOUT_S) as plane:
        assert [outcome.status for outcome in replay(plane, [one("/")])] == [None]
