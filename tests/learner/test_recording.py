"""The recorder tells sessions apart by their address; the rest is seen in test_replay."""

from __future__ import annotations

from ipaddress import IPv4Address

from cnaf.learner.recording import Recorder, session_address
from cnaf.models.exchange import Request, Response
from hypothesis import given, settings
from hypothesis import strategies as st

FIRST, SECOND = Request("GET", b"/1", ()), Request("GET", b"/2", ())


def test_requests_and_answers_are_paired_by_client() -> None:
    recorder = Recorder()
    assert recorder.on_request(FIRST, "127.1.0.2", "a").watch
    assert recorder.on_request(SECOND, "127.1.0.3", "b").watch
    recorder.on_response("b", Response(201))
    recorder.on_response("a", Response(404))
    assert recorder.take("127.1.0.2") == (FIRST, Response(404))
    assert recorder.take("127.1.0.3") == (SECOND, Response(201))
    assert recorder.take("127.1.0.2") is None


def test_a_request_without_an_answer_leaves_nothing_behind() -> None:
    recorder = Recorder()
    recorder.on_request(FIRST, "127.1.0.2", "a")
    assert recorder.take("127.1.0.2") is None
    recorder.on_response("a", Response(200))
    recorder.on_request(SECOND, "127.1.0.2", "b")
    assert recorder.take("127.1.0.2") is None


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_sessions_have_loopback_addresses_of_their_own(one: int, other: int) -> None:
    first, second = IPv4Address(session_address(one)), IPv4Address(session_address(other))
    assert first.is_loopback
    assert first != IPv4Address("127.0.0.1")
    assert (first == second) == (one == other)
