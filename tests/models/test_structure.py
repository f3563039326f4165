"""News of structure: Good and Turing's estimate, and the number of a set of fields."""

from __future__ import annotations

import math

import pytest
from cnaf.models.fields import Location
from cnaf.models.structure import (
    NOTHING_SEEN,
    UNKNOWN,
    News,
    add_name,
    composition_of,
    news_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

bounded = settings(deadline=None, max_examples=200)
counts = st.lists(st.integers(1, 50), max_size=40)
NAMED = [Location.QUERY, Location.FORM, Location.JSON, Location.XML, Location.MULTIPART,
         Location.FILENAME, Location.BODY]  # fmt: skip
OTHERS = [Location.PATH, Location.COOKIE, Location.HEADER, Location.FILE]
fields = st.lists(
    st.tuples(st.sampled_from(list(Location)), st.integers(0, 9) | st.just(UNKNOWN)), max_size=12
)


def composition(*given_fields: tuple[Location, int]) -> int:
    order: dict[int, int] = {}
    for location, profile in given_fields:
        add_name(order, int(location), profile)
    return composition_of(order)


class TestNews:
    @bounded
    @given(counts)
    def test_it_is_the_share_of_what_one_session_alone_showed(self, shown: list[int]) -> None:
        news = news_of(shown)
        assert (news.sightings, news.once) == (sum(shown), shown.count(1))
        assert 2.0**-news.bits == pytest.approx((news.once + 1) / (news.sightings + 2))

    @bounded
    @given(counts)
    def test_bits_are_positive_and_those_of_an_empty_place_least(self, shown: list[int]) -> None:
        # A place of which everything was shown once is no surprise, and never a reward.
        assert news_of(shown).bits > 0
        assert NOTHING_SEEN.bits == 1.0

    @bounded
    @given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000))
    def test_more_that_repeats_makes_news_dearer_and_more_that_is_new_cheaper(
        self, once: int, repeated: int, more: int
    ) -> None:
        news = News(once + repeated, once)
        assert News(once + repeated + more, once).bits > news.bits
        assert (
            News(once + repeated + more, once + more).bits < News(once + repeated + more, once).bits
        )

    def test_the_order_of_sessions_does_not_matter(self) -> None:
        assert news_of([1, 7, 1, 3]) == news_of([3, 1, 1, 7]) == News(12, 2)

    @pytest.mark.parametrize(
        ("sightings", "once", "bits"), [(0, 0, 1), (126, 0, 7), (1022, 0, 10), (14, 7, 1)]
    )
    def test_known_values(self, sightings: int, once: int, bits: float) -> None:
        assert News(sightings, once).bits == math.log2((sightings + 2) / (once + 1)) == bits


class TestCompositions:
    @bounded
    @given(fields)
    def test_equal_fields_have_equal_numbers_of_32_bits(
        self, made: list[tuple[Location, int]]
    ) -> None:
        assert composition(*made) == composition(*made)
        assert 0 <= composition(*made) < 2**32

    @bounded
    @given(fields, st.sampled_from(OTHERS), st.integers(0, 99))
    def test_paths_cookies_headers_and_files_do_not_count(
        self, made: list[tuple[Location, int]], location: Location, profile: int
    ) -> None:
        assert composition(*made, (location, profile)) == composition(*made)
        assert composition((location, profile)) == 0

    @bounded
    @given(fields, st.sampled_from(NAMED), st.integers(10, 99))
    def test_another_field_is_another_composition(
        self, made: list[tuple[Location, int]], location: Location, profile: int
    ) -> None:
        assert composition(*made, (location, profile)) != composition(*made)

    @pytest.mark.parametrize("location", NAMED)
    def test_the_order_matters(self, location: Location) -> None:
        assert composition((location, 1), (location, 2)) != composition(
            (location, 2), (location, 1)
        )

    @pytest.mark.parametrize("location", [Location.QUERY, Location.FORM])
    def test_a_parameter_given_twice_is_told(self, location: Location) -> None:
        once, twice = composition((location, 3)), composition((location, 3), (location, 3))
        assert once != twice
        # A third time says no more, and twice is not another field.
        assert composition(*[(location, 3)] * 3) == twice
        assert twice != composition((location, 3), (location, 4))

    @pytest.mark.parametrize("location", [Location.JSON, Location.XML, Location.MULTIPART])
    def test_elements_of_a_list_are_as_many_as_they_are(self, location: Location) -> None:
        assert composition(*[(location, 3)] * 5) == composition((location, 3))

    def test_an_unknown_name_is_like_no_known_one(self) -> None:
        unknown = composition((Location.QUERY, UNKNOWN))
        assert unknown not in {composition((Location.QUERY, i)) for i in range(4096)}
        # An artifact has fewer profiles than that.
        assert UNKNOWN > 4096

    def test_a_known_name_twice_is_not_two_known_names(self) -> None:
        query = [(Location.QUERY, i) for i in range(60)]
        pairs = {composition(a, b) for a in query for b in query}
        assert len(pairs) == 60 * 60

    def test_no_field_at_all(self) -> None:
        assert composition() == 0
