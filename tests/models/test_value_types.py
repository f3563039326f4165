"""Types of values: vectors, and what holds of every inference."""

from __future__ import annotations

import pytest
from cnaf.models.value_types import ValueType, infer_type, kind_of, law_of
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
        (b"hello-world", "SLUG"),
        (b"ten-2024-news", "SLUG"),
        (b"a1-b2c3-x-7-q", "TOKEN"),
        (b"Hello-World", "WORD"),
        (b"hello-", "WORD"),
        (b"hello_world", "WORD"),
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
    found, kind = infer_type([value, value, b""]), kind_of(value)
    # Statements are told of fields only: one line of code is no law of what people write.
    assert found is kind or (found is ValueType.CODE and kind in (ValueType.TEXT, ValueType.BINARY))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=20), max_size=30))
def test_order_and_repetition_do_not_matter(values: list[bytes]) -> None:
    assert infer_type(values) is infer_type(values[::-1] + values)


def test_one_stray_value_in_a_hundred_widens_nothing() -> None:
    integers = [b"%d" % i for i in range(99)]
    assert infer_type([*integers, b"x' --"]) is ValueType.INTEGER
    assert infer_type([*integers[:40], b"1' or <>"]) is ValueType.TEXT


def test_some_markup_makes_a_field_of_markup() -> None:
    prose = [b"(Word) [1]. " * i for i in range(20, 29)]
    assert infer_type([*prose, b"<p>x</p>"]) is ValueType.MARKUP
    assert infer_type(prose * 2) is ValueType.TEXT


class TestCode:
    @pytest.mark.parametrize(
        "line",
        [b"body { color: red; }\n", b"$a = 1", b"x => y*2", b"if (a) {", b"print(a + b);",
         b"return *p;\r\nx"],
    )  # fmt: skip
    def test_statements_make_a_field_of_code(self, line: bytes) -> None:
        # What fits a narrower type by itself stays that; numbers keep the values distinct.
        lines = [b"/* %d */ " % i + line for i in range(10)]
        assert infer_type(lines) is ValueType.CODE

    def test_some_lines_of_code_make_none(self) -> None:
        prose = [b'She said "%d", twice/thrice' % i for i in range(10)]
        assert infer_type([*prose, b"$a = 1;*"]) is ValueType.TEXT
        assert infer_type(prose + [b"$a%d = *1;" % i for i in range(10)]) is ValueType.CODE

    def test_markup_comes_before_code(self) -> None:
        assert infer_type([b"<p>$a = %d;</p>" % i for i in range(10)]) is ValueType.MARKUP


class TestLaws:
    """What a field's values have in common beyond their kind."""

    @pytest.mark.parametrize(
        ("sessions", "law"),
        [
            ([9, 7, 12], "ENUM"),
            ([5], "ENUM"),
            ([4], "WORD"),  # shown too rarely to be called closed
            ([5] * 24, "ENUM"),
            ([5] * 25, "WORD"),
            ([50, 1], "ENUM"),
            ([20, 1], "WORD"),  # the last of 21 sightings was of something new
            ([], "WORD"),
        ],
    )
    def test_a_closed_set_of_values(self, sessions: list[float], law: str) -> None:
        assert law_of(ValueType.WORD, [3] * len(sessions), sessions).name == law

    @pytest.mark.parametrize("kind", ["NAME", "TEXT", "MARKUP", "BINARY"])
    def test_what_people_write_is_no_closed_set(self, kind: str) -> None:
        assert law_of(ValueType[kind], [9, 8], [40, 40]) is ValueType[kind]

    @pytest.mark.parametrize(
        ("kind", "lengths", "sessions", "law"),
        [
            ("TOKEN", [32] * 9, [1] * 9, "NONCE"),
            ("TOKEN", [31, 32] * 5, [1] * 10, "NONCE"),
            ("TOKEN", [30, 31, 32] * 3, [1] * 9, "TOKEN"),
            ("TOKEN", [32] * 4, [1] * 4, "TOKEN"),
            ("TOKEN", [32] * 9, [3] * 9, "TOKEN"),
            ("TOKEN", [32] * 6, [1, 1, 1, 1, 2, 2], "NONCE"),
            ("WORD", [8] * 9, [1] * 9, "WORD"),
            ("INTEGER", [8] * 9, [1] * 9, "INTEGER"),
        ],
    )
    def test_a_token_that_is_new_each_time(
        self, kind: str, lengths: list[int], sessions: list[float], law: str
    ) -> None:
        assert law_of(ValueType[kind], lengths, sessions).name == law

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from(list(ValueType)),
        st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), max_size=40),
    )
    def test_a_law_is_the_kind_or_says_more(
        self, kind: ValueType, shown: list[tuple[int, int]]
    ) -> None:
        lengths, sessions = [n for n, _ in shown], [float(count) for _, count in shown]
        law = law_of(kind, lengths, sessions)
        assert law in (kind, ValueType.ENUM, ValueType.NONCE)
        assert law is law_of(kind, lengths[::-1], sessions[::-1])


def test_every_type_has_its_word() -> None:
    assert len({kind.noun for kind in ValueType}) == len(ValueType)


@pytest.mark.parametrize("piece", [b"a,", b"a ", b"1.", b"a@", b"/", b"a-", b"://", b"\xff", b"<"])
def test_long_values_do_not_backtrack(piece: bytes) -> None:
    # Quadratic matching of a megabyte would not end within the life of a test run.
    assert kind_of(piece * 500_000 + b"\x01") in ValueType
