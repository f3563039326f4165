"""Path templates: learned from paths, and matched against them."""

from __future__ import annotations

from uuid import UUID

import pytest
from cnaf.models.endpoints import EndpointTree, learn_endpoints, segment_shape
from hypothesis import given, settings
from hypothesis import strategies as st

segments = st.sampled_from(
    ["", "api", "orders", "1", "42", "2024", "a-b", "x.js", "y.js", "x.php", "a b", "{int}", "{x}",
     "%7Bint}", str(UUID(int=7)), "0123456789abcdef", "<script>", "caf\u00e9", "..", "l" * 150]
) | st.text(max_size=6).filter(lambda text: "/" not in text)  # fmt: skip
paths = st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts))
corpora = st.lists(st.tuples(paths, st.integers(1, 5)), max_size=60)
bounded = settings(deadline=None, max_examples=200)


def learn(*seen: str) -> EndpointTree:
    return learn_endpoints((path, 1) for path in seen)


@bounded
@given(corpora)
def test_what_was_learned_is_known(corpus: list[tuple[str, int]]) -> None:
    tree = learn_endpoints(corpus)
    templates = set(tree.templates())
    for path, _ in corpus:
        match = tree.match(path)
        assert match.known, path
        assert match.template in templates


@bounded
@given(corpora, st.lists(paths, max_size=10))
def test_templates_give_the_tree_back(corpus: list[tuple[str, int]], others: list[str]) -> None:
    tree = learn_endpoints(corpus)
    again = EndpointTree.of_templates(tree.templates())
    assert again.templates() == tree.templates()
    for path in [path for path, _ in corpus] + others:
        assert again.match(path) == tree.match(path)


@bounded
@given(corpora)
def test_the_order_of_the_corpus_does_not_matter(corpus: list[tuple[str, int]]) -> None:
    assert learn_endpoints(corpus).templates() == learn_endpoints(corpus[::-1]).templates()


@bounded
@given(corpora, paths)
def test_an_unknown_path_never_bears_a_known_template(
    corpus: list[tuple[str, int]], path: str
) -> None:
    tree = learn_endpoints(corpus)
    match = tree.match(path)
    assert match.known == (match.template in tree.templates())


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
        posts = [(f"/{name * 3}", 1) for name in "abcdefghijklm"]
        tree = learn_endpoints([*posts, ("/login", 50)])
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

    def test_nested_explosion_is_bounded(self) -> None:
        tree = learn(*(f"/{i}/s{i % 91}/t{i % 83}" for i in range(3_000)))
        assert tree.templates() == ["/{int}/{slug}/{slug}"]


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
