"""Types of values: vectors, and what holds of every inference."""

from __future__ import annotations

import pytest
from cnaf.models.value_types import ValueType, infer_type, kind_of
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", "EMPTY"),
        (b"42", "INTEGER"),
        (b"-1", "INTEGER"),
        (b"3.14", "NUMBER"),
        (b"6.4.3", "NUMBER"),
        (b"12:30:00", "NUMBER"),
        (b"2024-05-01", "DATE"),
        (b"2024-05", "DATE"),
        (b"2024-05-01T12:30:00Z", "DATE"),
        (b"2024-05-01 12:30:00.123+02:00", "DATE"),
        (b"123e4567-e89b-12d3-a456-426614174000", "UUID"),
        (b"deadbeef42", "TOKEN"),
        (b"eyJhbGciOiJIUzI1NiJ9", "TOKEN"),
        (b"hello-world", "WORD"),
        (b"ann@example.org", "EMAIL"),
        (b"https://example.org/a?b=1", "URL"),
        (b"/wp-admin/", "URL"),
        (b"red,green,blue", "LIST"),
        (b"What's new?", "NAME"),
        ("Zo\u00eb M\u00fcller".encode(), "NAME"),
        (b"<b>", "MARKUP"),
        (b"1' OR '1'='1", "TEXT"),
        (b"a < b", "TEXT"),
        (b"a\x00;", "BINARY"),
        (b"1\n", "TEXT"),
    ],
)
def test_the_narrowest_kind(value: bytes, kind: str) -> None:
    assert kind_of(value).name == kind


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_one_value_has_the_type_of_itself(value: bytes) -> None:
    if kind_of(value) is not ValueType.BINARY or b"<" not in value:
        assert infer_type([value, value, b""]) is kind_of(value)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=20), max_size=30))
def test_order_and_repetition_do_not_matter(values: list[bytes]) -> None:
    assert infer_type(values) is infer_type(values[::-1] + values)


def test_one_stray_value_in_a_hundred_widens_nothing() -> None:
    integers = [b"%d" % i for i in range(99)]
    assert infer_type([*integers, b"x' --"]) is ValueType.INTEGER
    assert infer_type([*integers[:40], b"1' or <>"]) is ValueType.TEXT


def test_some_markup_makes_a_field_of_markup() -> None:
    prose = [b"(Word); " * i for i in range(20, 29)]
    assert infer_type([*prose, b"<p>x</p>"]) is ValueType.MARKUP
    assert infer_type(prose * 2) is ValueType.TEXT


def test_every_type_has_its_word() -> None:
    assert len({kind.noun for kind in ValueType}) == len(ValueType)


@pytest.mark.parametrize("piece", [b"a,", b"a ", b"1.", b"a@", b"/", b"a-", b"://", b"\xff", b"<"])
def test_long_values_do_not_backtrack(piece: bytes) -> None:
    # Quadratic matching of a megabyte would not end within the life of a test run.
    assert kind_of(piece * 500_000 + b"\x01") in ValueType
