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
    CHANNELS,
    MEASURES,
    NOVELTIES,
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
from cnaf.models.lexicon import WORD_KEYS, WORD_TOKENS
from cnaf.models.ngrams import FOLD, SYMBOLS, NgramTable, build_table, grams_of
from cnaf.models.scoring import MEASURE_FLOORS, MEASURE_WEIGHTS, RICH
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plain_tokens import (
    as_words,
    plain_bytes,
    plain_spans,
    plain_spelling,
    plain_tokens,
    trigrams,
)

bounded = settings(deadline=None, max_examples=60)
M, NEWS = len(MEASURES), len(NOVELTIES)
#: Scopes: two fields, then three types, then the image; the prior's are its types and all.
FIELDS, TYPES = 2, 3
IMAGE, SCOPES, WIDEST = FIELDS + TYPES, FIELDS + TYPES + 1, TYPES
TAIL_GROUPS = np.array([0, 1, 1], np.int64)
#: The letters of the first type are not read.
SPELLED = np.array([0, 1, 1], np.uint8)
#: Rows of the tails: measures of two groups, novelties, the forest, channels.
FIRST_NEWS, FOREST = 2 * M, 2 * M + NEWS
TAILS = FOREST + 1 + len(CHANNELS)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
pieces = st.sampled_from(
    [b"a", b"7", b"19", b" ", b"\n", b"'", b"<", b"-", b"_", b"\xc3\xa9", b"\x00", b"0x1f", b"b2",
     b"or", b"a1b2c3d4", b"Select", b"script", b"onload", b"union ", b"=", b"table"]
)  # fmt: skip
one_value = st.lists(pieces, max_size=12).map(b"".join) | st.binary(max_size=20)
values = st.lists(one_value, min_size=1, max_size=4)
seeds = st.integers(0, 2**32 - 1)


@dataclass
class World:
    """Random but sound arrays of a model and a prior, and a request's values in them."""

    values: list[bytes]
    scopes: list[int]
    types: list[int]
    table: NgramTable
    known: NgramTable
    escapes: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.uint64]
    longest: npt.NDArray[np.float32]
    shortest: npt.NDArray[np.float32]
    word_bits: npt.NDArray[np.uint8]
    rarity: npt.NDArray[np.float32]
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

    def statistics(self) -> tuple[object, ...]:
        return (
            self.table.tags, self.table.bits, self.escapes, self.seen, self.longest, self.shortest,
            self.known.tags, self.known.bits, self.word_bits, self.rarity, SPELLED, SYMBOLS, FOLD,
            WORD_KEYS, WORD_TOKENS,
        )  # fmt: skip

    def measures(self) -> npt.NDArray[np.float32]:
        out = np.full((len(self.values), M), np.nan, np.float32)
        measure_values(
            self.buffer, *self.cuts, np.array(self.scopes, np.int64),
            np.array(self.types, np.int64), FIELDS, IMAGE, *self.statistics(), out,
        )  # fmt: skip
        return out


def random_table(found: list[bytes], scopes: int, random: np.random.Generator) -> NgramTable:
    hashes = [
        hash_gram(scope, kind, gram)
        for value in found
        for kind, gram in zip(*(part.tolist() for part in grams_of(value)), strict=True)
        for scope in range(scopes)
        if random.random() < 0.3
    ]
    distinct = np.unique(np.array(hashes, np.uint64))
    return build_table(distinct, random.integers(0, 120, len(distinct)).astype(np.uint8))


def world(found: list[bytes], seed: int) -> World:
    random = np.random.default_rng(seed)
    points = np.sort(random.gamma(2.0, size=(TAILS, STEPS)), axis=1).astype(np.float32)
    points[:, random.integers(3, STEPS + 1) :] = np.inf
    types = random.integers(0, TYPES, len(found))
    # Some values belong to a field, others to nothing narrower than their type.
    owned = random.random(len(found)) < 0.7
    scopes = np.where(owned, random.integers(0, FIELDS, len(found)), FIELDS + types)
    longest = random.random(SCOPES) * 4
    return World(
        found,
        scopes.tolist(),
        types.tolist(),
        random_table(found, SCOPES, random),
        random_table(found, WIDEST + 1, random),
        random.integers(2, 57, (SCOPES, 2)).astype(np.uint8),
        random.integers(0, 2**63, SCOPES).astype(np.uint64),
        longest.astype(np.float32),
        (longest * random.random(SCOPES)).astype(np.float32),
        random.integers(0, 49, 64).astype(np.uint8),
        (random.random((TYPES, 64)) * 12).astype(np.float32),
        random.random((SCOPES, M)).astype(np.float32) * 20,
        points,
        random.random(TAILS).astype(np.float32) + np.float32(0.1),
    )


def held(table: NgramTable, scope: int, kind: int, gram: int) -> int:
    return int(lookup(table.tags, table.bits, np.uint64(hash_gram(scope, kind, gram))))


def plain_surprisal(
    made: World, v: int, kind: int, gram: int, plain: int, word: int
) -> tuple[int, int]:
    """How wide a scope knows the trigram, or it with plain words, and its cost there."""
    field, type_ = made.scopes[v], FIELDS + made.types[v]
    places = [
        (0, made.table, field, 0),
        (1, made.table, type_, 0),
        (1, made.known, made.types[v], 4),
        (2, made.table, IMAGE, 0),
        (2, made.known, WIDEST, 4),
    ]
    for width, table, scope, more in places[field == type_ :]:
        for one, cost in ((gram, 0), (plain, word)):
            bits = held(table, scope, kind, one)
            if bits >= 0:
                return width, bits + cost + more
    return 3, 56


def plain_costs(made: World, v: int, kind: int, items: list[int]) -> list[int]:
    """Quarter bits of each item: leaving a law is paid once, coming back takes three items."""
    width = (6, 8)[kind]
    words = [0] * len(items) if kind else [int(made.word_bits[item]) for item in items]
    plain = trigrams(items if kind else as_words(items), width)
    field, type_ = made.scopes[v], FIELDS + made.types[v]
    laws = [field, type_] if field != type_ else [type_]
    outside: int = 0
    back: list[int] = []
    costs = []
    for gram, other, word in zip(trigrams(items, width), plain, words, strict=True):
        found, cost = plain_surprisal(made, v, kind, gram, other, word)
        # How many of the field's laws do not explain this trigram.
        left = min(found, 2) - (2 - len(laws))
        if left > outside:
            cost += sum(int(made.escapes[law, kind]) for law in laws[outside:left])
            outside, back = left, []
        elif left < outside:
            back.append(left)
            if len(back) == 3:
                outside, back = left, []
        else:
            back = []
        costs.append(cost)
    return costs


def plain_peak(costs: list[int], allowance: int) -> int:
    """The greatest sum above the allowance of any stretch."""
    over = [cost - allowance for cost in costs]
    stretches = (sum(over[i:j]) for i in range(len(over)) for j in range(i + 1, len(over) + 1))
    return max(0, *stretches) if over else 0


def plain_measures(made: World) -> npt.NDArray[np.float64]:
    rows = []
    for v, value in enumerate(made.values):
        tokens = plain_tokens(value)
        syntax = plain_costs(made, v, 0, [*tokens, 0])
        spelling = plain_bytes(value) if SPELLED[made.types[v]] else []
        letters = plain_costs(made, v, 1, spelling)
        new = {token for token in tokens if not int(made.seen[made.scopes[v]]) >> token & 1}
        size = math.log2(len(value) + 1)
        longer = size - float(made.longest[made.scopes[v]])
        shorter = float(made.shortest[made.scopes[v]]) - size
        rows.append(
            (
                plain_peak(syntax, 20),
                sum(syntax) / len(syntax),
                plain_peak(letters, 36),
                sum(letters) / max(1, len(letters)),
                sum(float(made.rarity[made.types[v], token]) for token in new),
                longer if longer > 4e-5 else 0.0,
                shorter if shorter > 4e-5 else 0.0,
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


def capped(made: World, tail: int, value: float) -> float:
    """The surprise of a statistic under one of the tails."""
    found = plain_surprise(value, made.points[tail].tolist(), float(made.slopes[tail]))
    return min(SURPRISE_CAP, found)


def plain_scores(made: World) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    z = np.zeros((len(made.values), M))
    for v, row in enumerate(plain_measures(made)):
        group = int(TAIL_GROUPS[made.types[v]])
        for m, measure in enumerate(row):
            usual = float(made.scales[made.scopes[v], m]) + float(MEASURE_FLOORS[m])
            relative = float(np.float32(math.log2(1 + measure / usual)))
            z[v, m] = capped(made, group * M + m, relative)
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
    names = ("new-path", "new-method", "new-composition", "new-name", "rare-endpoint")
    row.update(zip(names, structure, strict=True))
    row["log-fields"] = math.log2(len(lengths) + 1)
    row["log-bytes"], row["log-body"] = math.log2(counts[0] + 1), math.log2(counts[1] + 1)
    row["log-longest"] = math.log2(max(lengths, default=0) + 1)
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


@settings(deadline=None, max_examples=150)
@given(values, seeds)
def test_measures(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    np.testing.assert_allclose(made.measures(), plain_measures(made), **CLOSE)


def test_leaving_a_law_is_paid_once_and_coming_back_takes_three_trigrams() -> None:
    """A field knows a=b; pairs; a stretch of another kind in their middle is one surprise."""
    made = world([b""], 1)
    pairs = b"a=b;a=b;a=b"
    grams = {(k, g) for k, g in zip(*(part.tolist() for part in grams_of(pairs)), strict=True)}
    hashes = np.array([hash_gram(0, k, g) for k, g in grams], np.uint64)
    made.table = build_table(hashes, np.full(len(hashes), 3, np.uint8))
    made.known = build_table(hashes[:0], np.zeros(0, np.uint8))
    made.values, made.scopes, made.types = [pairs + b"<<>>;" + pairs], [0], [1]
    made.escapes[:] = 0
    made.escapes[0, 0], made.escapes[FIELDS + 1, 0] = 40, 16
    out = np.empty(len(made.values[0]), np.float32)
    byte_costs(np.frombuffer(made.values[0], np.uint8), *plain_place(made, 0), out)
    costs = out.tolist()
    left = len(pairs)
    # The first mark pays both escapes, those after it only that nobody knows them.
    assert costs[left] == 56 + 40 + 16 - 20
    assert costs[left + 1 : left + 5] == [56.0 - 20] * 4
    assert max(costs[:left]) == 3 - 20
    # Back under the law; what is new again is news again.
    made.values = [made.values[0] + b"<"]
    again = np.empty(len(made.values[0]), np.float32)
    byte_costs(np.frombuffer(made.values[0], np.uint8), *plain_place(made, 0), again)
    assert again.tolist()[-1] == 56 + 40 + 16 - 20


def plain_place(made: World, v: int) -> tuple[object, ...]:
    return (
        made.scopes[v], FIELDS + made.types[v], IMAGE, made.types[v], made.table.tags,
        made.table.bits, made.escapes, made.known.tags, made.known.bits, made.word_bits,
        SPELLED[made.types[v]], SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS,
    )  # fmt: skip


@bounded
@given(values, seeds)
def test_byte_costs(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    for v, value in enumerate(found):
        out = np.full(len(value), np.nan, np.float32)
        byte_costs(np.frombuffer(value, np.uint8), *plain_place(made, v), out)
        assert out.tolist() == plain_byte_costs(made, v)


def plain_byte_costs(made: World, v: int) -> list[int]:
    """The dearer of a byte's token and of what stands for it in the spelling, above what is due."""
    value = made.values[v]
    found = [[] for _ in value]
    spelling = plain_spelling(value) if SPELLED[made.types[v]] else []
    for kind, pieces, allowance in ((0, plain_spans(value), 20), (1, spelling, 36)):
        costs = plain_costs(made, v, kind, [item for item, _, _ in pieces])
        for cost, (_, start, end) in zip(costs, pieces, strict=True):
            for i in range(start, end):
                found[i].append(cost - allowance)
    return [max(costs) for costs in found]


@bounded
@given(values, seeds)
def test_value_scores(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    z, scores = made.measures(), np.empty(len(found), np.float32)
    groups = TAIL_GROUPS[made.types]
    value_scores(
        z, np.array(made.scopes, np.int64), groups, made.scales, MEASURE_FLOORS, MEASURE_WEIGHTS,
        made.points, made.slopes, scores,
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
@given(seeds, st.lists(st.sampled_from(list(Location)), max_size=6))
def test_dense_features(seed: int, places: list[Location]) -> None:
    random = np.random.default_rng(seed)
    z = random.gamma(1.0, size=(len(places), M)).astype(np.float32)
    scores = random.gamma(1.0, size=len(places)).astype(np.float32)
    lengths = random.integers(0, 9_000, len(places))
    news, counts = random.random((2, 4)).astype(np.float32) * 10
    rarity = float(np.float32(random.random() * 9))
    row = np.full(len(COLUMNS), np.nan, np.float32)
    dense_features(z, scores, lengths, np.array(places, np.int64), news, rarity, counts, row)
    expected = plain_features(
        z.astype(float), scores.astype(float), lengths.tolist(), places,
        [*news.tolist(), rarity], counts.tolist(),
    )  # fmt: skip
    np.testing.assert_allclose(row, list(expected.values()), **CLOSE)


def test_the_registry_of_features_names_each_column_once() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS) == sum(len(group.columns) for group in GROUPS)
    assert [COLUMNS.index(name) for name in COLUMNS] == list(range(len(COLUMNS)))


def plain_fusion(
    made: World, scores: list[float], news: list[float], forest: float
) -> tuple[float, list[float]]:
    """The greatest surprise of worst value, structure, and both with the forest."""
    worst = max([0.0, *scores])
    odd = capped(made, FOREST, float(np.float32(forest)))
    channels = [worst, sum(news), worst + sum(news) + odd]
    told = [
        plain_surprise(float(np.float32(one)), made.points[row].tolist(), float(made.slopes[row]))
        for row, one in enumerate(channels, FOREST + 1)
    ]
    return min(SURPRISE_CAP, max(told)), channels


@bounded
@given(seeds, st.floats(0, 1), st.floats(0, 3))
def test_fusion_is_the_greatest_surprise_of_its_channels(
    seed: int, forest: float, scale: float
) -> None:
    made = world([b""], seed)
    random = np.random.default_rng(seed)
    scores = (random.gamma(scale + 0.1, size=random.integers(0, 5)) * 3).astype(np.float32)
    news = (random.random(NEWS) * scale).astype(np.float32)
    expected, parts = plain_fusion(made, scores.tolist(), news.tolist(), forest)
    channels = np.full(len(CHANNELS), np.nan)
    fused = fuse(scores, news, made.points, made.slopes, forest, channels)
    assert fused == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert float(np.float32(fused)) == fused
    np.testing.assert_allclose(channels, parts, **CLOSE)


@bounded
@given(values, seeds)
def test_a_request_is_the_sum_of_its_parts(found: list[bytes], seed: int) -> None:
    made = world(found, seed)
    random = np.random.default_rng(seed)
    n = len(found)
    places = [Location(int(place)) for place in random.integers(0, len(Location), n)]
    cells = np.stack(
        [*made.cuts, np.array(made.scopes), np.array(made.types), np.array(places)]
    ).astype(np.int64)
    news, counts = (random.random((2, 4)) * 3).tolist()
    rarity = random.random() * 3
    out = np.full(n * M + n + NEWS + len(COLUMNS), np.nan, np.float32)
    # A forest of one tree with one question: is the first column at most 1?
    step = np.array([2, 0, 0], np.uint16)
    feature, threshold = np.zeros(3, np.uint8), np.array([1.0, 1.0, 5.0], np.float32)
    score, forest, rich = score_request(
        made.buffer, np.ascontiguousarray(cells.T).ravel(), *news, rarity, *counts, FIELDS, IMAGE,
        *made.statistics(), TAIL_GROUPS, made.scales, MEASURE_FLOORS, MEASURE_WEIGHTS, made.points,
        made.slopes, step, feature, threshold, np.zeros(1, np.int32), 4.0, out,
    )  # fmt: skip
    z, scores = plain_scores(made)
    told = [capped(made, FIRST_NEWS + k, float(np.float32(bits))) for k, bits in enumerate(news)]
    features = plain_features(z, scores, made.cuts[1].tolist(), places, [*told, rarity], counts)
    parts = np.split(out, np.cumsum([n * M, n, NEWS]))
    for part, expected in zip(
        parts, (z.ravel(), scores, told, list(features.values())), strict=True
    ):
        np.testing.assert_allclose(part, expected, **CLOSE)
    depth = 1.0 if parts[3][0] <= 1.0 else 5.0
    assert forest == pytest.approx(2.0 ** (-depth / 4.0))
    expected_score, _ = plain_fusion(made, scores.tolist(), told, forest)
    assert score == pytest.approx(expected_score, rel=1e-3, abs=1e-3)
    # Of equally odd values the first one says what the request is held against.
    odd = max(range(n), key=lambda v: parts[1][v])
    assert rich == (TAIL_GROUPS[made.types[odd]] == RICH)


def test_a_request_without_a_value_is_not_odd_in_free_text() -> None:
    made = world([b"a"], 1)
    out = np.zeros(NEWS + len(COLUMNS), np.float32)
    _, _, rich = score_request(
        made.buffer, np.zeros(0, np.int64), *[0.0] * 9, FIELDS, IMAGE, *made.statistics(),
        TAIL_GROUPS, made.scales, MEASURE_FLOORS, MEASURE_WEIGHTS, made.points, made.slopes,
        np.zeros(1, np.uint16), np.zeros(1, np.uint8), np.ones(1, np.float32),
        np.zeros(1, np.int32), 4.0, out,
    )  # fmt: skip
    assert rich is False
