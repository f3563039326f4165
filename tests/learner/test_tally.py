"""Counted statistics against dictionaries and plain arithmetic."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.learner.tally import ScopeStatistics, Tally
from cnaf.models.kernels import hash_gram, lookup
from cnaf.models.ngrams import TOKENS, grams_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plain_tokens import as_words, plain_tokens

#: Two fields, of one group, in one image.
FIELDS, GROUP, IMAGE, SCOPES = 2, 2, 3, 4
ALL_FIELDS = np.ones(FIELDS, np.bool_)
texts = st.text("ab1' <", max_size=8) | st.lists(st.sampled_from(["or", "'", " ", "x"])).map(
    "".join
)
corpora = st.lists(
    st.tuples(texts.map(str.encode), st.integers(0, FIELDS - 1)),
    min_size=1,
    max_size=15,
    unique=True,
).flatmap(
    lambda values: st.tuples(
        st.just(values),
        st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values)).filter(any),
    )
)
Corpus = tuple[list[tuple[bytes, int]], list[int]]


def count(
    values: list[tuple[bytes, int]],
    weights: list[int],
    fields: npt.NDArray[np.bool_] = ALL_FIELDS,
    *,
    spelled: bool = True,
) -> ScopeStatistics:
    scopes = np.array([(field, GROUP, IMAGE) for _, field in values], np.int64).reshape(-1, 3)
    read = np.full(len(values), spelled, np.uint8)
    tally = Tally([value for value, _ in values], scopes, SCOPES, read)
    return tally.statistics(np.array(weights, np.float64), fields)


def plain_counts(corpus: Corpus) -> dict[int, Counter[tuple[int, int]]]:
    counts: dict[int, Counter[tuple[int, int]]] = defaultdict(Counter)
    for (value, field), weight in zip(*corpus, strict=True):
        for kind, gram in zip(*(part.tolist() for part in grams_of(value)), strict=True):
            for scope in (field, GROUP, IMAGE):
                counts[scope][kind, gram] += weight
    return {scope: +found for scope, found in counts.items()}


def stored(statistics: ScopeStatistics, scope: int, kind: int, gram: int) -> int:
    hashed = np.uint64(hash_gram(scope, kind, gram))
    return int(lookup(statistics.table.tags, statistics.table.bits, hashed))


@settings(deadline=None, max_examples=100)
@given(corpora)
def test_surprisals_are_those_of_conditional_counts(corpus: Corpus) -> None:
    statistics = count(*corpus)
    wrong = 0
    for scope, grams in plain_counts(corpus).items():
        context: Counter[tuple[int, int]] = Counter()
        for (kind, gram), n in grams.items():
            context[kind, gram >> (6, 8)[kind]] += n
        for (kind, gram), n in grams.items():
            total = context[kind, gram >> (6, 8)[kind]]
            least = {GROUP: 2, IMAGE: 1}.get(scope, 3)
            kept = kind == TOKENS or n > least
            # What is rarer is left to the wider scopes.
            expected = min(255, round(4 * math.log2((total + 1) / n))) if kept else -1
            wrong += stored(statistics, scope, kind, gram) != expected
    # A slot holds 16 bits of a hash: one look-up in 32,768 matches another trigram's.
    assert wrong <= 1


@settings(deadline=None, max_examples=100)
@given(corpora)
def test_escapes_symbols_and_lengths(corpus: Corpus) -> None:
    statistics = count(*corpus)
    counts = plain_counts(corpus)
    for scope in range(SCOPES):
        grams = counts.get(scope, Counter())
        for kind in (0, 1):
            here = [n for (k, _), n in grams.items() if k == kind]
            once = sum(n == 1 for n in here)
            bits = min(14.0, max(0.5, math.log2((sum(here) + 2) / (once + 1))))
            assert statistics.escapes[scope, kind] == (round(4 * bits) if grams else 0)
        alive = [
            value
            for (value, field), weight in zip(*corpus, strict=True)
            if weight and scope in (field, GROUP, IMAGE)
        ]
        exact = [token for value in alive for token in plain_tokens(value)]
        # A word of the lexicon is a word, too: of a field that shows it none is news.
        shown = {*exact, *as_words(exact)}
        assert {s for s in range(1, 64) if int(statistics.seen[scope]) >> s & 1} == shown
        lengths = [len(value) for value in alive] or [0]
        assert statistics.longest[scope] == np.float32(np.log2(max(lengths) + 1.0))
        assert statistics.shortest[scope] == np.float32(np.log2(min(lengths) + 1.0))


@settings(deadline=None, max_examples=50)
@given(corpora)
def test_a_weight_of_nothing_is_absence(corpus: Corpus) -> None:
    values, weights = corpus
    kept = [(v, w) for v, w in zip(values, weights, strict=True) if w]
    one, other = count(values, weights), count([v for v, _ in kept], [w for _, w in kept])
    assert one.table.tags.tobytes() == other.table.tags.tobytes()
    assert one.table.bits.tobytes() == other.table.bits.tobytes()
    for name in ("escapes", "seen", "longest", "shortest"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_what_many_sessions_show_is_cheap_and_news_is_dear() -> None:
    values = [(b"%d" % i, 0) for i in range(100)]
    often = count(values, [5] * 100)
    seldom = count(values, [1] * 100)
    gram = int(grams_of(b"7")[1][0])
    assert stored(often, 0, TOKENS, gram) == 0
    # Five sessions showed each of few trigrams: a new one is no longer expected.
    assert often.escapes[0, 0] > seldom.escapes[0, 0] >= 2


@settings(deadline=None, max_examples=50)
@given(corpora)
def test_letters_that_are_not_read_leave_no_byte_trigram(corpus: Corpus) -> None:
    read, unread = count(*corpus), count(*corpus, spelled=False)
    wrong = 0
    for scope, grams in plain_counts(corpus).items():
        for kind, gram in grams:
            expected = stored(read, scope, kind, gram) if kind == TOKENS else -1
            wrong += stored(unread, scope, kind, gram) != expected
    # One look-up in 32,768 matches another trigram's tag.
    assert wrong <= 1
    assert unread.escapes[:, TOKENS].tolist() == read.escapes[:, TOKENS].tolist()
    assert unread.seen.tolist() == read.seen.tolist()


@settings(deadline=None, max_examples=50)
@given(corpora)
def test_a_thin_field_leans_on_its_group(corpus: Corpus) -> None:
    whole, thin = count(*corpus), count(*corpus, np.array([False, True]))
    absent = 0
    for scope, grams in plain_counts(corpus).items():
        for kind, gram in grams:
            if scope:
                # Tables of another size may differ in a chance match alone.
                absent += stored(thin, scope, kind, gram) != stored(whole, scope, kind, gram)
            else:
                absent += stored(thin, scope, kind, gram) != -1
    assert absent <= 1
    # What it has shown and how long it was is known all the same.
    for name in ("escapes", "seen", "longest", "shortest"):
        assert getattr(whole, name).tobytes() == getattr(thin, name).tobytes()


@pytest.mark.parametrize("value", [b"", b"\x00", b"a" * 8192, bytes(range(256))])
def test_odd_values_are_counted(value: bytes) -> None:
    statistics = count([(value, 0)], [1])
    assert statistics.longest[0] == np.float32(np.log2(len(value) + 1.0))


def test_nothing_is_counted_as_nothing() -> None:
    statistics = count([], [])
    assert not statistics.table.tags.any()
    assert statistics.escapes.shape == (SCOPES, 2)
    assert statistics.seen.tolist() == [0] * SCOPES
