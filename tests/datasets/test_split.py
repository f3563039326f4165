from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.split import deduplicate, held_out_sessions, kfold, request_key, split_sessions
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Label, Request
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnaf.models.exchange import Exchange

SESSIONS = [f"visit-{number:03d}" for number in range(200)]
sessions = st.lists(st.text(max_size=20), min_size=2, max_size=40, unique=True)
fractions = st.floats(0.01, 0.99)


@given(sessions, fractions, st.integers())
def test_the_held_out_sessions_are_the_asked_share_in_any_order(
    names: list[str], fraction: float, seed: int
) -> None:
    held_out = held_out_sessions(names, fraction, seed)
    assert held_out == held_out_sessions(reversed(names * 2), fraction, seed)
    assert 1 <= len(held_out) <= len(names) - 1
    assert abs(len(held_out) - fraction * len(names)) <= 1


@given(sessions, fractions, st.text(max_size=20))
def test_one_session_more_moves_at_most_one_other(
    names: list[str], fraction: float, new: str
) -> None:
    before = held_out_sessions(names, fraction)
    after = held_out_sessions([*names, new], fraction)
    assert len((before ^ after) - {new}) <= 1


def test_another_seed_is_another_split() -> None:
    assert held_out_sessions(SESSIONS, 0.3, 1) != held_out_sessions(SESSIONS, 0.3, 2)


def test_the_split_is_the_same_in_every_release() -> None:
    assert sorted(held_out_sessions(SESSIONS[:10], 0.3)) == ["visit-002", "visit-007", "visit-009"]
    assert [kfold(session, 5) for session in SESSIONS[:5]] == [1, 4, 1, 1, 4]


def test_no_session_is_on_both_sides_and_order_is_kept(
    make_exchange: Callable[..., Exchange],
) -> None:
    made = [make_exchange(str(i), SESSIONS[i % 7]) for i in range(70)]
    split = split_sessions(iter(made), 0.3)
    assert not {e.session for e in split.train} & {e.session for e in split.held_out}
    assert sorted(split.train + split.held_out, key=made.index) == made
    assert list(split.train) == [e for e in made if e in split.train]
    assert len(split.held_out) == 20


@pytest.mark.parametrize("names", [[], ["only"], ["only", "only"]])
def test_less_than_two_sessions_cannot_be_split(names: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"cannot be split.*at least two sessions"):
        held_out_sessions(names, 0.5)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_a_mistake_of_the_caller(fraction: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        held_out_sessions(["a", "b"], fraction)


def test_folds_are_about_equal_and_every_session_has_one() -> None:
    folds = [kfold(session, 5, 3) for session in SESSIONS]
    assert set(folds) == set(range(5))
    assert max(folds.count(fold) for fold in range(5)) < 60
    with pytest.raises(ValueError, match="at least 2"):
        kfold("a", 1)


def post(
    target: bytes = b"/", body: bytes = b"", cookie: bytes = b"", kind: bytes = b""
) -> Request:
    return Request("POST", target, ((b"cookie", cookie), (b"content-type", kind)), body, len(body))


UUIDS = (b"/o/123e4567-e89b-12d3-a456-426614174000", b"/o/9b2fa1c0-0d3e-4f5a-8b6c-7d8e9f0a1b2c")
SAME = {
    "cookies": (post(cookie=b"a=1"), post(cookie=b"b=2")),
    "nonces": (post(b"/?_wpnonce=af601b16d8"), post(b"/?_wpnonce=646e3b55d5")),
    "times": (post(b"/?t=1700000000123"), post(b"/?t=1700000000999")),
    "uuids": (post(UUIDS[0]), post(UUIDS[1])),
    "boundaries": (
        post(body=b"--XY\r\n\r\na\r\n--XY--", kind=b"multipart/form-data; boundary=XY"),
        post(body=b"--ZZ9\r\n\r\na\r\n--ZZ9--", kind=b"multipart/form-data; boundary=ZZ9"),
    ),
}
DIFFERENT = {
    "small ids": (post(b"/?p=12"), post(b"/?p=13")),
    "words of hexadecimal letters": (post(b"/?q=defaced"), post(b"/?q=effaced")),
    "long words of hexadecimal letters": (post(b"/?q=fabaceae"), post(b"/?q=deadbeef")),
    "percent-encoding": (post(b"/?q=%27%22"), post(b"/?q=%22%27")),
    "methods": (post(), replace(post(), method="PUT")),
    "bodies": (post(body=b"a"), post(body=b"b")),
    "target or body": (post(b"/ab", b"c"), post(b"/a", b"bc")),
}


@pytest.mark.parametrize("case", SAME)
def test_volatile_values_make_no_other_request(case: str) -> None:
    one, other = SAME[case]
    assert request_key(one) == request_key(other)


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_means_something_else_is_another_request(case: str) -> None:
    one, other = DIFFERENT[case]
    assert request_key(one) != request_key(other)


def test_deduplicate_keeps_the_first_of_each_request_and_label(
    make_exchange: Callable[..., Exchange],
) -> None:
    attack = replace(make_exchange("c"), label=Label.ATTACK)
    made = [make_exchange("a"), make_exchange("b"), attack, make_exchange("d", target=b"/x")]
    assert [e.id for e in deduplicate(made)] == ["a", "c", "d"]
