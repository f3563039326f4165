"""Each kernel against a plain reference that shares no code with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.models.calibration import STEPS
from cnaf.models.features import COLUMNS, GROUPS
from cnaf.models.fields import Location
from cnaf.models.kernels import (
    MEASURES,
    SURPRISE_CAP,
    TAIL_STEP,
    byte_costs,
    dense_features,
    fuse,
    hash_gram,
    hash_grams,
    lookup,
    measure_values,
    relate,
    relate_values,
    score_request,
    surprise,
    value_scores,
)
from cnaf.models.ngrams import FOLD, SYMBOLS, NgramTable, build_table, grams_of
from cnaf.models.scoring import MEASURE_FLOORS, MEASURE_WEIGHTS
from hypothesis import given, settings
from hypothesis import strategies as st

bounded = settings(deadline=None, max_examples=80)
M = len(MEASURES)
SCOPES = 4
IMAGE = SCOPES - 1
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
values = st.lists(
    st.text("ab01 '<>;-\n\u00e9", max_size=20).map(str.encode) | st.binary(max_size=20),
    min_size=1,
    max_size=5,
)
seeds = st.integers(0, 2**32 - 1)


@dataclass
class World:
    """Random but sound arrays of a model, and a request's values in them."""

    values: list[bytes]
    fields: list[int]
    groups: list[int]
    table: NgramTable
    escapes: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.uint64]
    usual: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    points: npt.NDArray[np.float32]
    slopes: npt.NDArray[np.float32]

    @property
    def buffer(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(b"\0".join(self.values) + b"\0", np.uint8)

    @property
    def cuts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        lengths = np.array([len(value) for value in self.values], np.int64)
        return np.cumsum(lengths + 1) - lengths - 1, lengths

    def arguments(self) -> tuple[object, ...]:
        return (
            self.buffer, *self.cuts, np.array(self.fields), np.array(self.groups), IMAGE,
            self.table.tags, self.table.bits, self.escapes, self.seen, self.usual, SYMBOLS, FOLD,
        )  # fmt: skip


def world(found: list[bytes], seed: int) -> World:
    random = np.random.default_rng(seed)
    hashes = [
        hash_gram(scope, kind, gram)
        for scope in range(SCOPES)
        for value in found
        for kind, gram in zip(*(part.tolist() for part in grams_of(value)), strict=True)
        if random.random() < 0.3
    ]
    distinct = np.unique(np.array(hashes, np.uint64))
    points = np.sort(random.gamma(2.0, size=(M + 1, STEPS)), axis=1).astype(np.float32)
    points[:, random.integers(3, STEPS + 1) :] = np.inf
    return World(
        found,
        random.integers(0, SCOPES - 1, len(found)).tolist(),
        random.integers(0, SCOPES, len(found)).tolist(),
        build_table(distinct, random.integers(0, 120, len(distinct)).astype(np.uint8)),
        random.integers(2, 57, (SCOPES, 2)).astype(np.uint8),
        random.integers(0, 2**63, SCOPES).astype(np.uint64),
        random.random(SCOPES).astype(np.float32) * 5,
        random.random((SCOPES, M)).astype(np.float32) * 20,
        points,
        random.random(M + 1).astype(np.float32) + np.float32(0.1),
    )


def plain_surprisal(made: World, v: int, kind: int, gram: int) -> int:
    cost = 0
    for scope in (made.fields[v], made.groups[v], IMAGE):
        bits = int(
            lookup(made.table.tags, made.table.bits, np.uint64(hash_gram(scope, kind, gram)))
        )
        if bits >= 0:
            return cost + bits
        cost += int(made.escapes[scope, kind])
    return cost


def plain_peak(costs: list[int], allowance: int) -> int:
    """The greatest sum above the allowance of any stretch."""
    over = [cost - allowance for cost in costs]
    stretches = (sum(over[i:j]) for i in range(len(over)) for j in range(i + 1, len(over) + 1))
    return max(0, *stretches) if over else 0


def plain_measures(made: World) -> npt.NDArray[np.float64]:
    rows = []
    for v, value in enumerate(made.values):
        kinds, grams = (part.tolist() for part in grams_of(value))
        costs = [
            [plain_surprisal(made, v, k, g) for k, g in zip(kinds, grams, strict=True) if k == kind]
            for kind in (0, 1)
        ]
        shown = {int(SYMBOLS[byte]) for byte in value}
        known = int(made.seen[made.fields[v]])
        rows.append(
            (
                plain_peak(costs[0], 20),
                sum(costs[0]) / len(costs[0]),
                plain_peak(costs[1], 36),
                sum(costs[1]) / max(1, len(costs[1])),
                sum(not known >> symbol & 1 for symbol in shown),
                max(0.0, math.log2(len(value) + 1) - float(made.usual[made.fields[v]])),
            )
        )
    return np.array(rows, np.float64)


def plain_surprise(value: float, points: list[float], slope: float) -> float:
    if value <= points[0] or value <= 0:
        return 0.0
    below = max(i for i, point in enumerate(points) if point < value)
    if below + 1 < len(points) and math.isfinite(points[below + 1]):
        share = (value - points[below]) / (points[below + 1] - points[below])
        return TAIL_STEP * (below + share)
    return TAIL_STEP * below + slope * (value - points[below])


def plain_scores(made: World) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    z = np.zeros((len(made.values), M))
    for v, row in enumerate(plain_measures(made)):
        for m, measure in enumerate(row):
            usual = float(made.scales[made.fields[v], m]) + float(MEASURE_FLOORS[m])
            relative = float(np.float32(math.log2(1 + measure / usual)))
            found = plain_surprise(relative, made.points[m].tolist(), float(made.slopes[m]))
            z[v, m] = min(SURPRISE_CAP, found)
    return z, z @ MEASURE_WEIGHTS.astype(np.float64)


PLACE = {
    Location.PATH: "worst-path", Location.QUERY: "worst-query", Location.COOKIE: "worst-cookie",
    Location.HEADER: "worst-header",
}  # fmt: skip


def plain_features(
    z: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    lengths: list[int],
    places: list[Location],
    structure: list[float],
    counts: list[float],
) -> dict[str, float]:
    row = dict.fromkeys(COLUMNS, 0.0)
    for m, name in enumerate(MEASURES):
        ordered = sorted([0.0, 0.0, *z[:, m].tolist()])
        row[f"worst-{name}"], row[f"second-{name}"] = ordered[-1], ordered[-2]
    for place, score in zip(places, scores.tolist(), strict=True):
        name = PLACE.get(place, "worst-body")
        row[name] = max(row[name], score)
    names = ("unseen-endpoint", "unseen-names", "unseen-names-here", "rare-endpoint")
    row.update(zip(names, structure, strict=True))
    row["log-fields"] = math.log2(len(lengths) + 1)
    row["log-bytes"], row["log-body"] = math.log2(counts[0] + 1), math.log2(counts[1] + 1)
    row["log-longest"] = math.log2(max(lengths) + 1)
    row["extra-rounds"], row["problems"] = counts[2], counts[3]
    return row


@bounded
@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 1), st.integers(0, 2**24 - 1))))
def test_hashes_of_arrays_are_those_of_single_trigrams(grams: list[tuple[int, int, int]]) -> None:
    out = np.empty(len(grams), np.uint64)
    columns = np.array(grams, np.int64).reshape(-1, 3).T
    hash_grams(columns[0].copy(), columns[1].copy(), columns[2].copy(), out)
    assert out.tolist() == [int(hash_gram(*gram)) for gram in grams]
    assert out.tolist() == [plain_hash(*gram) for gram in grams]


def plain_hash(scope: int, kind: int, gram: int) -> int:
    mask = 2**64 - 1
    x = scope << 26 | kind << 25 | gram
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
    return x ^ x >> 31


@bounded
@given(values, seeds)
def test_measures(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    out = np.empty((len(found), M), np.float32)
    measure_values(*made.arguments(), out)
    np.testing.assert_allclose(out, plain_measures(made), **CLOSE)


@bounded
@given(values, seeds)
def test_byte_costs(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    for v, value in enumerate(found):
        out = np.full(len(value), np.nan, np.float32)
        byte_costs(
            np.frombuffer(value, np.uint8), made.fields[v], made.groups[v], *made.arguments()[5:9],
            SYMBOLS, FOLD, out,
        )  # fmt: skip
        assert out.tolist() == plain_byte_costs(made, v)


def plain_byte_costs(made: World, v: int) -> list[int]:
    """The dearer of the two trigrams that end at a byte, where runs do not walk over it."""
    costs = []
    shape: list[int] = [0, 0]
    words: list[int] = [0, 0]
    for byte in made.values[v]:
        symbol, folded, cost = int(SYMBOLS[byte]), int(FOLD[byte]), 0
        if symbol > 5 or symbol != shape[-1]:
            gram = shape[-2] << 12 | shape[-1] << 6 | symbol
            cost = plain_surprisal(made, v, 0, gram)
            shape.append(symbol)
        if folded != ord("0") or words[-1] != ord("0"):
            gram = words[-2] << 16 | words[-1] << 8 | folded
            cost = max(cost, plain_surprisal(made, v, 1, gram))
            words.append(folded)
        costs.append(cost)
    return costs


@bounded
@given(values, seeds)
def test_value_scores(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    z, scores = np.empty((len(found), M), np.float32), np.empty(len(found), np.float32)
    value_scores(
        *made.arguments(), made.scales, MEASURE_FLOORS, made.points, made.slopes, z, scores,
        MEASURE_WEIGHTS,
    )  # fmt: skip
    expected_z, expected = plain_scores(made)
    np.testing.assert_allclose(z, expected_z, **CLOSE)
    np.testing.assert_allclose(scores, expected, **CLOSE)


@bounded
@given(seeds, st.floats(-1, 20, width=32))
def test_surprise(seed: int, value: float) -> None:
    made = world([b""], seed)
    for points, slope in zip(made.points, made.slopes, strict=True):
        expected = plain_surprise(value, points.tolist(), float(slope))
        assert surprise(value, points, slope) == pytest.approx(expected, rel=1e-5, abs=1e-5)
        # On a point of the tail, too, where a comparison could go either way.
        assert surprise(float(points[2]), points, slope) == pytest.approx(
            plain_surprise(float(points[2]), points.tolist(), float(slope)), abs=1e-5
        )


@bounded
@given(seeds)
def test_relating_an_array_is_relating_each(seed: int) -> None:
    random = np.random.default_rng(seed)
    measures = random.gamma(1.0, 20.0, (6, M)).astype(np.float32)
    fields = random.integers(0, SCOPES, 6)
    scales = random.random((SCOPES, M)).astype(np.float32)
    out = np.empty_like(measures)
    relate_values(measures, fields, scales, MEASURE_FLOORS, out)
    for v in range(6):
        for m in range(M):
            # Exactly: training and scoring must fall on the same side of a tie.
            assert out[v, m] == relate(measures[v, m], scales[fields[v], m], MEASURE_FLOORS[m])
    expected = np.log2(1 + measures.astype(float) / (scales[fields] + MEASURE_FLOORS))
    np.testing.assert_allclose(out, expected, **CLOSE)


@bounded
@given(seeds, st.lists(st.sampled_from(list(Location)), min_size=1, max_size=6))
def test_dense_features(seed: int, places: list[Location]) -> None:
    random = np.random.default_rng(seed)
    z = random.gamma(1.0, size=(len(places), M)).astype(np.float32)
    scores = random.gamma(1.0, size=len(places)).astype(np.float32)
    lengths = random.integers(0, 9_000, len(places))
    structure, counts = random.random((2, 4)).astype(np.float32) * 10
    row = np.full(len(COLUMNS), np.nan, np.float32)
    dense_features(z, scores, lengths, np.array(places, np.int64), structure, counts, row)
    expected = plain_features(
        z.astype(float), scores.astype(float), lengths.tolist(), places, structure.tolist(),
        counts.tolist(),
    )  # fmt: skip
    np.testing.assert_allclose(row, list(expected.values()), **CLOSE)


def test_the_registry_of_features_names_each_column_once() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS) == sum(len(group.columns) for group in GROUPS)
    assert [COLUMNS.index(name) for name in COLUMNS] == list(range(len(COLUMNS)))


@bounded
@given(seeds, st.floats(0, 1))
def test_fusion_is_worst_value_plus_structure_plus_forest(seed: int, forest: float) -> None:
    made = world([b""], seed)
    random = np.random.default_rng(seed)
    scores = random.gamma(1.0, size=random.integers(0, 5)).astype(np.float32)
    structure = random.random(4).astype(np.float32)
    added = plain_surprise(float(np.float32(forest)), made.points[M].tolist(), made.slopes[M])
    expected = max([0.0, *scores.tolist()]) + sum(structure[:3].tolist())
    expected += min(SURPRISE_CAP, float(added))
    fused = fuse(scores, structure, made.points, made.slopes, forest)
    assert fused == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert float(np.float32(fused)) == fused


@bounded
@given(values, seeds)
def test_a_request_is_the_sum_of_its_parts(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    random = np.random.default_rng(seed)
    n = len(found)
    places = [Location(int(place)) for place in random.integers(0, len(Location), n)]
    columns = np.stack(
        [*made.cuts, np.array(made.fields), np.array(made.groups), np.array(places)]
    ).astype(np.int64)
    structure, counts = random.random((2, 4)).astype(np.float32) * 3
    out = np.full(n * M + n + len(COLUMNS), np.nan, np.float32)
    # A forest of one tree with one question: is the first column at most 1?
    step = np.array([2, 0, 0], np.uint16)
    feature, threshold = np.zeros(3, np.uint8), np.array([1.0, 1.0, 5.0], np.float32)
    score, forest = score_request(
        made.buffer, np.ascontiguousarray(columns.T).ravel(), *structure.tolist(),
        *counts.tolist(), IMAGE, made.table.tags, made.table.bits,
        made.escapes, made.seen, made.usual, SYMBOLS, FOLD, made.scales, MEASURE_FLOORS,
        MEASURE_WEIGHTS, made.points, made.slopes, step, feature, threshold,
        np.zeros(1, np.int32), 4.0, out,
    )  # fmt: skip
    z, scores = plain_scores(made)
    features = plain_features(
        z, scores, made.cuts[1].tolist(), places, structure.tolist(), counts.tolist()
    )
    np.testing.assert_allclose(out[: n * M].reshape(n, M), z, **CLOSE)
    np.testing.assert_allclose(out[n * M : n * M + n], scores, **CLOSE)
    np.testing.assert_allclose(out[n * M + n :], list(features.values()), **CLOSE)
    depth = 1.0 if out[n * M + n] <= 1.0 else 5.0
    assert forest == pytest.approx(2.0 ** (-depth / 4.0))
    added = plain_surprise(float(np.float32(forest)), made.points[M].tolist(), made.slopes[M])
    expected = scores.max() + sum(structure[:3].tolist()) + min(SURPRISE_CAP, float(added))
    assert score == pytest.approx(max(0.0, expected), rel=1e-4, abs=1e-4)
