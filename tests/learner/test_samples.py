"""Traffic laid out for training: folds by session, distinct values, refusals."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from cnaf.learner.samples import Samples, collect
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange
from cnaf.models.fields import Location
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import VALUE_CAP, is_learned
from cnaf.models.structure import News, add_name, composition_of
from cnaf.models.value_types import ValueType

from tests.support.shop import OPTIONS, exchanges_of, request, shop_samples, shop_traffic


def session(name: str, *targets: str) -> list[Exchange]:
    return exchanges_of([request(target=target) for target in targets], name)


def sessions(count: int, per: int = 2) -> list[Exchange]:
    return [
        exchange
        for i in range(count)
        for exchange in session(f"s{i}", *(f"/p/{i}?n={i * per + j}" for j in range(per)))
    ]


def test_requests_and_their_values_are_all_there() -> None:
    samples = shop_samples()
    parser = RequestParser()
    assert len(samples.requests) == len(shop_traffic()) == len(samples.folds)
    for sample, exchange in zip(samples.requests, shop_traffic(), strict=True):
        fields = [
            f for f in parser.parse(exchange.request).fields if is_learned(f.location, f.name)
        ]
        found = [samples.values[i] for i in sample.values]
        assert found == [field.value for field in fields]
        assert sample.places.tolist() == [field.location for field in fields]
        owners = [samples.keys[samples.owner[i]] for i in sample.values]
        assert owners == [(field.location, field.name) for field in fields]
        order: dict[int, int] = {}
        for field in fields:
            add_name(order, field.location, samples.keys.index((field.location, field.name)))
        assert sample.composition == composition_of(order)
        assert sample.counts[1] == len(exchange.request.body)


def test_sessions_are_numbered_and_what_each_showed_is_kept() -> None:
    samples = shop_samples()
    names = sorted({exchange.session for exchange in shop_traffic()})
    assert samples.sessions == len(names)
    showed = set()
    parser = RequestParser()
    for sample, fold, exchange in zip(
        samples.requests, samples.folds.tolist(), shop_traffic(), strict=True
    ):
        assert names[sample.session] == exchange.session
        for field in parser.parse(exchange.request).fields:
            key = samples.keys.index((field.location, field.name))
            showed.add((key, fold, sample.session))
    assert {tuple(row) for row in samples.shown.tolist()} == showed
    everyone = samples.sessions_of()
    for key in range(len(samples.keys)):
        assert everyone[key] == len({s for k, _, s in showed if k == key})
        for fold in range(OPTIONS.folds):
            without, only = samples.sessions_of(without=fold), samples.sessions_of(only=fold)
            assert without[key] + only[key] == everyone[key]
            assert only[key] == len({s for k, f, s in showed if (k, f) == (key, fold)})


def test_equal_requests_are_distinct_once() -> None:
    made = session("a", "/?x=1&y=2", "/?x=2&y=2", "/?x=1&y=2", "/?y=2&x=1") + session(
        "b", "/?x=1&y=2", "/a?x=1&y=2"
    )
    posted = Exchange("p", "b", made[0].label, request("POST", "/?x=1&y=2"), made[0].response)
    samples = collect([*made, posted], folds=2, seed=0)
    assert samples.distinct().tolist() == [0, 1, 3, 5, 6]


def test_marks_are_passed_on() -> None:
    marks = {(Location.QUERY, "q"): {"cnaf-a"}}
    assert collect(sessions(5), folds=2, seed=0, marks=marks).marks == marks
    assert collect(sessions(5), folds=2, seed=0).marks == {}


def test_sessions_never_span_folds() -> None:
    samples = shop_samples()
    folds = defaultdict(set)
    for fold, exchange in zip(samples.folds.tolist(), shop_traffic(), strict=True):
        folds[exchange.session].add(fold)
    assert all(len(found) == 1 for found in folds.values())
    sizes = Counter(samples.folds.tolist())
    assert set(sizes) == set(range(OPTIONS.folds))
    assert max(sizes.values()) < 1.2 * min(sizes.values())


def test_weights_count_the_sessions_of_each_fold() -> None:
    samples = shop_samples()
    showed = defaultdict(set)
    for sample, fold, exchange in zip(
        samples.requests, samples.folds.tolist(), shop_traffic(), strict=True
    ):
        for value in sample.values.tolist():
            showed[value, fold].add(exchange.session)
    expected = np.zeros((len(samples.values), OPTIONS.folds))
    for (value, fold), found in showed.items():
        expected[value, fold] = len(found)
    assert np.array_equal(samples.fold_weights, expected)


def test_values_are_distinct_by_field() -> None:
    samples = collect(session("a", "/?x=1&y=1&x=1", "/?x=1") + sessions(8), folds=2, seed=0)
    pairs = list(zip(samples.owner.tolist(), samples.values, strict=True))
    assert len(set(pairs)) == len(pairs)
    assert samples.requests[0].values.tolist()[1] == samples.requests[0].values.tolist()[3]


def test_types_are_inferred_by_field() -> None:
    samples = shop_samples()
    types = dict(zip([f"{k.label}:{n}" for k, n in samples.keys], samples.types, strict=True))
    assert types["query:page"] is ValueType.INTEGER
    assert types["form:email"] is ValueType.EMAIL
    assert types["form:text"] is ValueType.MARKUP
    assert types["multipart:born"] is ValueType.DATE
    assert types["cookie:session"] is ValueType.TOKEN


def test_long_values_are_kept_up_to_the_cap() -> None:
    samples = collect(session("a", "/?x=" + "a" * (VALUE_CAP + 9), *"/" * 9), folds=2, seed=0)
    assert max(map(len, samples.values)) == VALUE_CAP


class TestFolds:
    @pytest.mark.parametrize("count", [2, 5, 20, 50, 333])
    def test_one_session_is_cut_into_stretches(self, count: int) -> None:
        samples = collect(session("a", *(f"/?n={i}" for i in range(count))), folds=2, seed=0)
        assert set(samples.folds.tolist()) == {0, 1}
        assert samples.sessions == 1
        # Neighbours mostly share a fold: that is what a stretch is for.
        changes = np.count_nonzero(np.diff(samples.folds))
        assert changes <= 8 or count < 20

    def test_the_seed_decides_and_nothing_else(self) -> None:
        made = sessions(30)
        one, same, other = (collect(made, folds=5, seed=seed).folds for seed in (1, 1, 2))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_large_sessions_are_spread(self) -> None:
        made = [e for i in range(4) for e in session(f"big{i}", *(f"/?n={j}" for j in range(50)))]
        samples = collect(made + sessions(20), folds=4, seed=3)
        big = {samples.folds[i * 50] for i in range(4)}
        assert len(big) == 4


class TestRefusals:
    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_too_few_requests(self, count: int) -> None:
        with pytest.raises(CorpusError, match=f"{count} accepted requests are too few"):
            collect(session("a", *"/" * count), folds=5, seed=0)

    def test_random_names(self) -> None:
        made = session("a", *(f"/?k{'abcdefghij'[i % 10]}x{i}y=1" for i in range(5_000)))
        with pytest.raises(CorpusError, match="different field names"):
            collect(made, folds=5, seed=0)

    @pytest.mark.parametrize("folds", [0, 1])
    def test_a_number_of_folds_that_holds_nothing_out(self, folds: int) -> None:
        with pytest.raises(ValueError, match="folds"):
            collect(sessions(5), folds=folds, seed=0)


def test_the_tree_covers_the_requests_that_are_kept() -> None:
    samples: Samples = collect(
        session("a", "/a/1", "/b/2") + session("b", "/c/3", "/c/4"), folds=2, seed=0
    )
    keep = np.array([True, False, True, False])
    assert samples.tree(keep).templates() == ["/a/{int}", "/c/{int}"]


def test_the_tree_counts_sessions_and_not_requests() -> None:
    made = [e for i in range(40) for e in session(f"s{i}", "/shop/a", "/shop/a", "/shop/a")]
    samples = collect([*made, *session("x", "/shop/b", "/shop/b")], folds=2, seed=0)
    every = np.ones(len(samples.requests), bool)
    assert samples.tree(every).match("/shop/c").news == News(41, 1).bits


def test_the_path_has_a_profile() -> None:
    samples = collect(sessions(3), folds=2, seed=0)
    assert (Location.PATH, "") in samples.keys
