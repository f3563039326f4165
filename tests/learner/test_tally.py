"""Counted statistics against dictionaries and plain arithmetic."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from cnaf.learner.tally import ScopeStatistics, Tally
from cnaf.models.kernels import hash_gram, lookup
from cnaf.models.ngrams import CLASSES, SYMBOLS, grams_of
from hypothesis import given, settings
from hypothesis import strategies as st

#: Two fields, of one group, in one image.
FIELDS, GROUP, IMAGE, SCOPES = 2, 2, 3, 4
corpora = st.lists(
    st.tuples(st.text("ab1' <", max_size=8).map(str.encode), st.integers(0, FIELDS - 1)),
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


def count(values: list[tuple[bytes, int]], weights: list[int]) -> ScopeStatistics:
    scopes = np.array([(field, GROUP, IMAGE) for _, field in values], np.int64)
    tally = Tally([value for value, _ in values], scopes, SCOPES)
    return tally.statistics(np.array(weights, np.float64))


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
            least = 1 if scope == IMAGE else 2
            kept = kind == CLASSES or n > least
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
        shown = {int(SYMBOLS[byte]) for value in alive for byte in value}
        assert {s for s in range(1, 64) if int(statistics.seen[scope]) >> s & 1} == shown
        longest = max((len(value) for value in alive), default=0)
        assert statistics.usual[scope] == np.float32(np.log2(longest + 1.0))


@settings(deadline=None, max_examples=50)
@given(corpora)
def test_a_weight_of_nothing_is_absence(corpus: Corpus) -> None:
    values, weights = corpus
    kept = [(v, w) for v, w in zip(values, weights, strict=True) if w]
    one, other = count(values, weights), count([v for v, _ in kept], [w for _, w in kept])
    assert one.table.tags.tobytes() == other.table.tags.tobytes()
    assert one.table.bits.tobytes() == other.table.bits.tobytes()
    for name in ("escapes", "seen", "usual"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_what_many_sessions_show_is_cheap_and_news_is_dear() -> None:
    values = [(b"%d" % i, 0) for i in range(100)]
    often = count(values, [5] * 100)
    seldom = count(values, [1] * 100)
    gram = int(grams_of(b"7")[1][0])
    assert stored(often, 0, CLASSES, gram) == 0
    # Five sessions showed each of few trigrams: a new one is no longer expected.
    assert often.escapes[0, 0] > seldom.escapes[0, 0] >= 2


@pytest.mark.parametrize("value", [b"", b"\x00", b"a" * 8192, bytes(range(256))])
def test_odd_values_are_counted(value: bytes) -> None:
    statistics = count([(value, 0)], [1])
    assert statistics.usual[0] == np.float32(np.log2(len(value) + 1.0))
