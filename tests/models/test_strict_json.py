from __future__ import annotations

import json
from typing import Any

import pytest
from cnaf.models.strict_json import canonical_json, parse_json
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\é', max_size=3), inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back_and_written_the_same(value: Any) -> None:
    data = canonical_json(value)
    assert parse_json(data) == value
    assert canonical_json(parse_json(data)) == data
    assert json.loads(data) == value


def test_the_order_of_keys_leaves_no_trace() -> None:
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" * 100_000, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"[" + b"0," * 1_000_001 + b"0]", "more than"),
        (b"[" + b"{}," * 600_000 + b"0]", "more than"),
        (b'{"a":1,"a":1}', "twice"),
        (b'[{"b":{"a":1,"\\u0061":2}}]', "twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "too large"),
        (b"[9007199254740993]", "53"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
        (b'["\\ud800"]', "urrogate"),
        (b'["\xff"]', "utf-8"),
        (b"\xef\xbb\xbf[]", "BOM"),
        (b'["\x00"]', "control"),
        (b"[1] x", "Extra data"),
        (b"", "Expecting value"),
        (b'"' + b'\\"' * 500_000, "Unterminated"),
    ],
)
def test_hostile_bytes_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(data)


def test_brackets_inside_of_strings_do_not_nest() -> None:
    assert parse_json(json.dumps(["[" * 100, '\\"[']).encode()) == ["[" * 100, '\\"[']


@given(st.binary(max_size=200) | st.text('[]{}",:0\\ue', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_a_value_error(data: bytes) -> None:
    try:
        parse_json(data)
    except ValueError:
        return
    json.loads(data)


@pytest.mark.parametrize(
    "value", [float("nan"), 2**53, {"a": {1, 2}}, {1: 2}, "\ud800", {"\ud800": 1}, object()]
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library words the reason
        canonical_json(value)
