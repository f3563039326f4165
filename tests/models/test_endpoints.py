"""Path templates: learned from paths, and matched against them."""

from __future__ import annotations

from uuid import UUID

import pytest
from cnaf.models.endpoints import EndpointTree, Visits, learn_endpoints, segment_shape
from cnaf.models.structure import NOTHING_SEEN, News
from hypothesis import given, settings
from hypothesis import strategies as st

segments = st.sampled_from(
    ["", "api", "orders", "1", "42", "2024", "a-b", "x.js", "y.js", "x.php", "a b", "{int}", "{x}",
     "%7Bint}", str(UUID(int=7)), "0123456789abcdef", "<script>", "caf\u00e9", "..", "l" * 150]
) | st.text(max_size=6).filter(lambda text: "/" not in text)  # fmt: skip
paths = st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts))
visits = st.builds(
    lambda sessions, more: Visits(len(sessions) + more, sessions),
    st.frozensets(st.integers(0, 9), min_size=1, max_size=4),
    st.integers(0, 3),
)
corpora = st.dictionaries(paths, visits, max_size=40)
Corpus = dict[str, Visits]
bounded = settings(deadline=None, max_examples=100)
ONE = Visits(1, frozenset((0,)))


def learn(*seen: str) -> EndpointTree:
    return learn_endpoints(dict.fromkeys(seen, ONE))


def by_sessions(counts: dict[str, int]) -> EndpointTree:
    """Each path requested once by so many sessions."""
    return learn_endpoints({path: Visits(n, frozenset(range(n))) for path, n in counts.items()})


@bounded
@given(corpora)
def test_what_was_learned_is_known(corpus: Corpus) -> None:
    tree = learn_endpoints(corpus)
    templates = set(tree.templates())
    for path in corpus:
        match = tree.match(path)
        assert match.known, path
        assert match.news == 0
        assert match.template in templates


@bounded
@given(corpora, st.lists(paths, max_size=10))
def test_templates_give_the_tree_back(corpus: Corpus, others: list[str]) -> None:
    tree = learn_endpoints(corpus)
    again = EndpointTree.of_templates(tree.templates(), tree.news())
    assert again.templates() == tree.templates()
    assert again.news() == tree.news()
    for path in [*corpus, *others]:
        assert again.match(path) == tree.match(path)


@bounded
@given(corpora)
def test_the_order_of_the_corpus_does_not_matter(corpus: Corpus) -> None:
    one, other = learn_endpoints(corpus), learn_endpoints(dict(reversed(corpus.items())))
    assert one.templates() == other.templates()
    assert one.news() == other.news()


@bounded
@given(corpora, paths)
def test_an_unknown_path_never_bears_a_known_template(corpus: Corpus, path: str) -> None:
    tree = learn_endpoints(corpus)
    match = tree.match(path)
    assert match.known == (match.template in tree.templates())
    assert (match.news == 0) is match.known


@pytest.mark.parametrize(
    ("segment", "shape"),
    [
        ("0", "{int}"),
        ("1" * 19, "{int}"),
        ("1" * 20, "{hex}"),
        (str(UUID(int=1)), "{uuid}"),
        ("deadbeefdeadbeef", "{slug}"),
        ("deadbeefdeadbee0", "{hex}"),
        ("app.min.JS", "{file}.js"),
        (".htaccess", "{slug}"),
        ("caf\u00e9-au-lait", "{slug}"),
        ("a,b;c", ""),
        ("", ""),
        ("<script>", ""),
        ("a" * 201, ""),
        ("\u0661\u0662", "{slug}"),
    ],
)
def test_shapes(segment: str, shape: str) -> None:
    assert segment_shape(segment) == shape


class TestPlaceholders:
    @pytest.mark.parametrize("id_", ["7", str(UUID(int=3)), "00000000000000aa"])
    def test_one_number_is_enough(self, id_: str) -> None:
        tree = learn(f"/orders/{id_}/items")
        other = {"7": "9", "00000000000000aa": "00000000000000bb"}.get(id_, str(UUID(int=4)))
        assert tree.match(f"/orders/{other}/items").known
        assert not tree.match(f"/orders/{other}'/items").known

    def test_few_words_are_literals_and_many_are_slugs(self) -> None:
        few = learn(*(f"/{name * 2}" for name in "abcdefghijkl"))
        assert not few.match("/news").known
        many = learn(*(f"/blog/{name * 3}-post/" for name in "abcdefghijklm"))
        assert many.templates() == ["/blog/{slug}/"]
        assert many.match("/blog/never-seen/").known
        assert not many.match("/blog/never-seen/edit").known

    def test_a_frequent_word_stands_beside_the_placeholder(self) -> None:
        posts = dict.fromkeys((f"/{name * 3}" for name in "abcdefghijklm"), ONE)
        tree = learn_endpoints({**posts, "/login": Visits(50, frozenset((0,)))})
        assert tree.templates() == ["/login", "/{slug}"]
        assert tree.match("/login").template == "/login"

    def test_a_new_file_type_is_unknown(self) -> None:
        tree = learn(*(f"/js/{name * 3}.js" for name in "abcdefghijklm"))
        assert tree.match("/js/zzz.js").known
        assert not tree.match("/js/zzz.php").known

    @pytest.mark.parametrize(
        "make", ["{}", "word-{}x", "file{}.js", "a b{}", "'{}'", "{:032x}", "{}" + "l" * 300]
    )
    def test_explosion_is_bounded(self, make: str) -> None:
        tree = learn(*(f"/p/{make.format(i)}" for i in range(2_000)))
        assert len(tree.templates()) == 1
        assert tree.match("/p/" + make.format(3_000)).known

    @pytest.mark.parametrize("others", [0, 3, 13, 60])
    def test_a_segment_too_long_to_keep_joins_those_of_its_shape(self, others: int) -> None:
        short = [f"/p/{'word' * (1 + i % 7)}-{i}x" for i in range(others)]
        tree = learn(*short, "/p/" + "l" * 150)
        assert all(tree.match(path).known for path in (*short, "/p/" + "l" * 150))
        assert "/p/{slug}" in tree.templates()
        assert not any("{other}" in template for template in tree.templates())

    def test_nested_explosion_is_bounded(self) -> None:
        tree = learn(*(f"/{i}/s{i % 91}/t{i % 83}" for i in range(3_000)))
        assert tree.templates() == ["/{int}/{slug}/{slug}"]


class TestNews:
    """How new an unknown path is: by what the sessions of the place where it leaves showed."""

    def test_it_is_counted_where_the_path_leaves_the_tree(self) -> None:
        settled = {f"/shop/{name * 3}": 40 for name in "abcd"}
        growing = {f"/blog/{name * 3}": 1 + 30 * (name == "a") for name in "abcdefgh"}
        tree = by_sessions(settled | growing)
        assert tree.match("/shop/new").news == News(160, 0).bits
        assert tree.match("/blog/new").news == News(38, 7).bits
        # What follows an unknown segment adds nothing.
        assert tree.match("/shop/new/and/more").news == News(160, 0).bits
        # Both folders were passed often: by forty sessions, and by thirty-one.
        assert tree.match("/other").news == News(71, 0).bits

    def test_a_session_counts_once_however_often_it_asks(self) -> None:
        many = {f"/{name * 3}": Visits(900, frozenset((0,))) for name in "abcdefgh"}
        some = {"/here": Visits(40, frozenset(range(40)))}
        assert learn_endpoints(many | some).match("/c").news == News(48, 8).bits

    def test_shapes_are_told_apart(self) -> None:
        files = {f"/assets/{name * 3}.css": 5 - 4 * (name in "abc") for name in "abcdefghi"}
        pages = {f"/assets/{name * 3}": 30 for name in "abc"}
        tree = by_sessions(files | pages)
        assert tree.match("/assets/new.css").news == News(33, 3).bits
        assert tree.match("/assets/page").news == News(90, 0).bits
        # A shape that never came is as new as shapes are there: two came, each often. Nobody
        # ended at the folder itself.
        assert tree.match("/assets/new.php").news == News(123, 0).bits
        assert tree.match("/assets/<script>").news == News(123, 0).bits

    def test_a_folder_that_was_only_passed_through_is_new(self) -> None:
        tree = by_sessions({"/a/b": 39, "/a/c": 1})
        match = tree.match("/a")
        assert (match.known, match.template) == (False, "/a")
        assert match.news == News(40, 0).bits

    def test_where_a_path_ends_counts_beside_what_goes_on(self) -> None:
        tree = by_sessions({"/a": 50, "/a/7": 1})
        # Fifty sessions wanted nothing behind it, and one showed a number there.
        assert tree.match("/a/new").news == News(51, 1).bits

    def test_few_sightings_say_nothing(self) -> None:
        assert by_sessions({"/a": 31}).match("/b").news == NOTHING_SEEN.bits
        assert by_sessions({"/a": 32}).match("/b").news == News(32, 0).bits
        assert by_sessions({"/a": 31}).news() == {}

    def test_a_merged_place_counts_what_was_merged(self) -> None:
        tree = by_sessions({f"/p/{i}/{leaf}": 20 for i in range(9) for leaf in ("x", "y")})
        assert tree.templates() == ["/p/{int}/x", "/p/{int}/y"]
        # Each leaf by the same twenty sessions, whatever the number before it.
        assert tree.match("/p/77/z").news == News(40, 0).bits

    @bounded
    @given(corpora, paths)
    def test_an_unknown_path_is_news_of_at_least_nothing_seen_or_what_the_place_says(
        self, corpus: Corpus, path: str
    ) -> None:
        tree = learn_endpoints(corpus)
        told = {news.bits for place in tree.news().values() for news in place.values()}
        match = tree.match(path)
        assert match.known or match.news in told | {NOTHING_SEEN.bits}

    @pytest.mark.parametrize("place", ["/nowhere", "/a/b/c"])
    def test_news_of_no_place_are_refused(self, place: str) -> None:
        with pytest.raises(KeyError):
            EndpointTree.of_templates(["/a/b"], {place: {"": News(2, 1)}})


class TestHostilePaths:
    def test_a_path_cannot_name_a_placeholder(self) -> None:
        tree = learn("/orders/1")
        assert tree.match("/orders/2").known
        assert not tree.match("/orders/{int}").known

    def test_a_recorded_brace_is_a_literal(self) -> None:
        tree = learn("/{int}/a", "/5/b")
        assert tree.templates() == ["/%7Bint}/a", "/{int}/b"]
        assert tree.match("/{int}/a").known
        assert not tree.match("/7/a").known

    @pytest.mark.parametrize("path", ["", "/", "//", "/a" * 10_000, "/" + "x" * 100_000, "\x00"])
    def test_any_path_matches_in_bounded_words(self, path: str) -> None:
        tree = learn("/", path)
        assert tree.match(path).known
        # An artifact refuses templates that are longer.
        assert all(len(template) <= 4096 for template in tree.templates())
        assert not learn("/home").match(path).known
