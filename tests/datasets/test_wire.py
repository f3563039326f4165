from __future__ import annotations

import pytest
from cnaf.datasets.wire import BrokenError, header, headers, method, status, target
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_an_accepted_header_fits_on_one_line(name: bytes, value: bytes) -> None:
    try:
        made = header(name, value)
    except BrokenError:
        return
    assert made == (name.lower(), value)
    assert name
    assert not set(name) & set(b" \t\r\n:\0")
    assert not set(value) & set(b"\r\n\0")


@given(st.binary(max_size=30))
def test_an_accepted_target_is_one_word_of_a_request_line(raw: bytes) -> None:
    try:
        assert target(raw) == raw
    except BrokenError:
        return
    assert raw.split() == [raw]


def test_hostile_but_possible_values_stay() -> None:
    assert header(b"X-A", b"${jndi:ldap://x}\xff\x01") == (b"x-a", b"${jndi:ldap://x}\xff\x01")
    assert target(b"//../..%00<script>\xc0\xae") == b"//../..%00<script>\xc0\xae"
    assert method("DEBUG") == "DEBUG"
    assert method("get") == "get"


def test_repeated_headers_share_one_object_and_long_ones_are_not_kept() -> None:
    first, second = headers([("Accept", "*/*")]), headers([("Accept", "*/*")])
    assert first[0] is second[0]
    long = "x" * 10_000
    assert headers([("A", long)])[0] is not headers([("A", long)])[0]


@pytest.mark.parametrize("value", [0, 99, 600, True, 200.0, "200", None, 10**30])
def test_what_is_no_status(value: object) -> None:
    with pytest.raises(BrokenError, match="is not a number from 100 to 599"):
        status(value)
