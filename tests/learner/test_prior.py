"""Making a general prior of a small set of values."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from cnaf.learner.prior import make_prior, ordinary_corpus
from cnaf.models.kernels import hash_gram, lookup
from cnaf.models.ngrams import BYTES, TOKENS, grams_of
from cnaf.models.prior import WIDEST, Prior, unpack_prior
from cnaf.models.scoring import SPELLED
from cnaf.models.value_types import ValueType, kind_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plain_tokens import LEXICON, as_words, plain_tokens
from tests.support.priors import alone

WORDS = (
    b"red green large small wool hat shirt scarf sister quick really nice price from and".split()
)


def ordinary(count: int = 2_000, seed: int = 0) -> list[bytes]:
    """Searches, names, sentences, numbers and slugs."""
    draw = np.random.default_rng(seed)

    def words(least: int, most: int) -> list[bytes]:
        return [WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(least, most))]

    makers = (
        lambda: b" ".join(words(1, 5)),
        lambda: b" ".join(words(4, 12)).capitalize() + b".",
        lambda: b"%d" % draw.integers(0, 9_999),
        lambda: b"-".join(words(2, 4)),
        lambda: b", ".join(words(2, 4)) + b"?",
        lambda: b"it's " + b" ".join(words(1, 3)),
    )
    return [makers[i]() for i in draw.integers(0, len(makers), count)]


@pytest.fixture(scope="module")
def prior() -> Prior:
    return unpack_prior(make_prior(ordinary(), {"seed": 0}))


ATTACKS = [
    b"red' or 'a'='a", b"7 union select price from hat", b"<script>hat(1)</script>",
    b"hat;cat /etc/x", b"$(price)", b"{{7*7}}", b"../../hat", b"hat'--", b"red\" onload=\"hat()",
]  # fmt: skip


def test_equal_values_give_equal_bytes() -> None:
    values = ordinary(600)
    one = make_prior(values, {"seed": 0})
    assert make_prior(iter(values), {"seed": 0}) == one
    # Nor does it matter in what order they come.
    assert make_prior(values[::-1], {"seed": 0}).tensors == one.tensors
    assert make_prior(values[:500], {"seed": 0}) != one
    assert make_prior(values, {"seed": 1}).config != one.config


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_it_was_made_of_is_cheaper_than_the_syntax_of_attacks(
    prior: Prior, attack: bytes
) -> None:
    # Values that it never saw, of the same kinds.
    known = [alone(prior, value)["token-peak"] for value in ordinary(300, seed=1)]
    assert alone(prior, attack)["token-peak"] > max(known) + 20


def test_words_that_it_was_made_of_are_cheaper_than_others(prior: Prior) -> None:
    known = [alone(prior, value)["byte-mean"] for value in ordinary(300, seed=1)]
    assert np.median(known) + 8 < alone(prior, b"zqxj vkwqz xqjzv")["byte-mean"]


def test_what_few_values_show_is_chance() -> None:
    """Three values must show a trigram of tokens, five one of bytes; a value counts once."""
    for kind, least in ((TOKENS, 3), (BYTES, 5)):
        grams = grams_of(b"hat<>hat<>hat<>")
        gram = int(grams[1][grams[0] == kind][3])
        for count in (least - 1, least):
            values = [b"hat<>" * (3 + i) for i in range(count)] + [b"%d" % i for i in range(50)]
            made = unpack_prior(make_prior(values, {}))
            for scope in (int(kind_of(values[0])), WIDEST):
                hashed = np.uint64(hash_gram(scope, kind, gram))
                found = lookup(made.table.tags, made.table.bits, hashed)
                assert (found >= 0) is (count == least)


def test_letters_of_what_machines_draw_are_not_read() -> None:
    tokens = [b"abc%d" % i + b"defgh" for i in range(100)]
    assert not SPELLED[ValueType.TOKEN]
    assert {kind_of(value) for value in tokens} == {ValueType.TOKEN}
    made = unpack_prior(make_prior(tokens, {}))
    kinds, grams = grams_of(b"word")
    read = [
        int(lookup(made.table.tags, made.table.bits, np.uint64(hash_gram(scope, k, int(g)))))
        for scope in (ValueType.TOKEN, WIDEST)
        for k, g in zip(kinds, grams, strict=True)
        if k == BYTES
    ]
    assert set(read) == {-1}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*WORDS, b"select", b"script", b"7", b"<", b"o'k"]), min_size=9))
def test_words_cost_what_their_class_is_worth(values: list[bytes]) -> None:
    made = unpack_prior(make_prior(values, {}))
    counts: Counter[int] = Counter()
    for value in values:
        # Each trigram counts once a value, exact and with plain words.
        tokens = [*plain_tokens(value), 0]
        exact = {(0, 0, *tokens)[i : i + 3] for i in range(len(tokens))}
        plain = {(0, 0, *as_words(tokens))[i : i + 3] for i in range(len(tokens))}
        counts.update(gram[2] for gram in exact | plain)
    words = sum(count for token, count in counts.items() if token in (1, 59) or token in CLASSES)
    for token in CLASSES:
        bits = np.clip(np.log2((words + 1) / (counts[token] + 1)), 0, 12)
        assert made.word_bits[token] == round(4 * bits)


CLASSES = set(LEXICON.values())


def test_rarity_is_the_share_of_values_that_show_a_token(prior: Prior) -> None:
    values = ordinary()
    for kind in (ValueType.INTEGER, ValueType.SLUG, ValueType.NAME):
        own = [value for value in values if kind_of(value) is kind]
        assert len(own) > 100
        for token in (1, 2, 3):

            def share(of: list[bytes], token: int = token) -> float:
                return sum(token in (*plain_tokens(v), *as_words(plain_tokens(v))) for v in of)

            overall = (share(values) + 0.05) / (len(values) + 0.1)
            expected = (share(own) + 20 * overall) / (len(own) + 20)
            assert prior.rarity[kind, token] == pytest.approx(-np.log2(expected), abs=1e-4)


def test_the_corpus_that_ships_is_drawn_alike_for_equal_seeds() -> None:
    one, sources = ordinary_corpus(4, 300)
    same, again = ordinary_corpus(4, 300)
    other, _ = ordinary_corpus(5, 300)
    drawn = list(one)
    assert drawn == list(same)
    assert drawn != list(other)
    assert sources == again
    assert sources["seed"] == 4
    assert len(drawn) >= 300 + 18
    # The paths come last.
    assert all(value.startswith(b"/") for value in drawn[-18:])
    assert {kind_of(v) for v in drawn} > {ValueType.URL, ValueType.NAME, ValueType.INTEGER}
