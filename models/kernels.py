"""The compiled kernels: everything that touches each byte of a request, in one module.

They stand together because a compiled function is cached by its own file's stamp alone: spread
over files, a changed callee would leave its callers' stale machine code in the cache. The modules
:mod:`cnaf.models.ngrams`, :mod:`~cnaf.models.calibration`, :mod:`~cnaf.models.forest` and
:mod:`~cnaf.models.scoring` own the concepts and their constants; each kernel has a plain Python
reference in the tests that it must equal. Arguments are documented there, shapes here.
"""

from __future__ import annotations

import numba as nb
import numpy as np

__all__ = [
    "MEASURES",
    "SURPRISE_CAP",
    "TAIL_STEP",
    "byte_costs",
    "dense_features",
    "forest_score",
    "forest_scores",
    "fuse",
    "hash_gram",
    "hash_grams",
    "insert",
    "lookup",
    "measure_values",
    "relate",
    "relate_values",
    "score_request",
    "surprise",
    "value_grams",
    "value_scores",
]

#: Columns that :func:`measure_values` writes, in order; each is higher where it is more anomalous.
MEASURES: tuple[str, ...] = (
    "class-peak",  # quarter bits above the allowance, the oddest stretch of the value's shape
    "class-mean",  # quarter bits per class trigram
    "byte-peak",  # as class-peak, over bytes
    "byte-mean",
    "new-symbols",  # kinds of character that the field never showed
    "length",  # bits (doublings) above the longest usual length
)
_N = len(MEASURES)
#: Step of -log10 p between two points of a tail.
TAIL_STEP = 0.1
#: One byte more than the longest usual value is at least twice this (VALUE_CAP); less is rounding.
_SAME_LENGTH = 4e-5
#: -log10 p of one measure counts up to this: past it, data backs no number.
SURPRISE_CAP = 6.0
#: Slots looked at before a trigram counts as absent; a table that needs more is made larger.
_PROBES = 255
_LOW = np.uint64(0xFFFFFFFF)
# Places of the dense features (path, query, body, cookie, header), by Location number.
_PLACE = np.array([0, 1, 2, 2, 2, 2, 2, 2, 3, 4, 2], np.int64)
_PLACES = 5
#: Allowance per trigram in quarter bits, above which surprisal accumulates: 5 bits for shape
#: (a choice of 32), 9 for vocabulary. Set on benign data of the recorded corpus by cross-
#: validation; results are flat between 4 and 6, and between 8 and 11.
_CLASS_ALLOWANCE = 20
_BYTE_ALLOWANCE = 36


@nb.njit(cache=True, nogil=True, inline="always")
def hash_gram(scope: int, kind: int, gram: int) -> np.uint64:
    """Return the 64-bit hash of a trigram in its scope (splitmix64's finaliser)."""
    x = (np.uint64(scope) << np.uint64(26)) | (np.uint64(kind) << np.uint64(25)) | np.uint64(gram)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@nb.njit(cache=True, nogil=True, inline="always")
def lookup(tags, bits, hashed):  # type: ignore[no-untyped-def]
    """Return the surprisal of a hash in quarter bits, or -1 where the table does not hold it."""
    # Multiply and shift maps 32 bits to any table size without a division (Lemire, 2016).
    slot = ((hashed & _LOW) * np.uint64(tags.shape[0])) >> np.uint64(32)
    tag = np.uint16((hashed >> np.uint64(48)) | np.uint64(1))
    for _ in range(_PROBES):
        found = tags[slot]
        if found == tag:
            return np.int64(bits[slot])
        if found == 0:
            return np.int64(-1)
        slot += np.uint64(1)
        if slot == np.uint64(tags.shape[0]):
            slot = np.uint64(0)
    return np.int64(-1)


@nb.njit(cache=True, nogil=True)
def hash_grams(scopes, kinds, grams, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (uint64) with the hash of each trigram."""
    for i in range(len(grams)):
        out[i] = hash_gram(scopes[i], kinds[i], grams[i])


@nb.njit(cache=True, nogil=True)
def insert(tags, bits, hashes, values):  # type: ignore[no-untyped-def]
    """Place hashes in an empty table; returns how many found no slot within the probes."""
    dropped = 0
    for i in range(hashes.shape[0]):
        tag = np.uint16((hashes[i] >> np.uint64(48)) | np.uint64(1))
        slot = ((hashes[i] & _LOW) * np.uint64(tags.shape[0])) >> np.uint64(32)
        placed = False
        for _ in range(_PROBES):
            if tags[slot] == 0 or tags[slot] == tag:
                # Two trigrams with one tag in one run share the slot: the likelier one wins.
                if tags[slot] == 0 or values[i] < bits[slot]:
                    bits[slot] = values[i]
                tags[slot] = tag
                placed = True
                break
            slot += np.uint64(1)
            if slot == np.uint64(tags.shape[0]):
                slot = np.uint64(0)
        if not placed:
            dropped += 1
    return dropped


@nb.njit(cache=True, nogil=True)
def value_grams(value, symbols, fold, out_kind, out_gram):  # type: ignore[no-untyped-def]
    """Write the class and byte trigrams of a value; return how many.

    ``out_kind`` (uint8) and ``out_gram`` (uint32) need room for ``2 * len(value) + 4`` entries.
    """
    count = 0
    a, b = 0, 0
    previous = -1
    for i in range(value.shape[0]):
        symbol = np.int64(symbols[value[i]])
        if symbol <= 5 and symbol == previous:
            continue
        previous = symbol
        out_kind[count], out_gram[count] = 0, (a << 12) | (b << 6) | symbol
        count += 1
        a, b = b, symbol
    out_kind[count], out_gram[count] = 0, (a << 12) | (b << 6)
    count += 1
    a, b = 0, 0
    for i in range(value.shape[0]):
        byte = np.int64(fold[value[i]])
        if byte == 48 and b == 48:
            continue
        out_kind[count], out_gram[count] = 1, (a << 16) | (b << 8) | byte
        count += 1
        a, b = b, byte
    return count


@nb.njit(cache=True, nogil=True, inline="always")
def _surprisal(tags, bits, escapes, field, group, image, kind, gram):  # type: ignore[no-untyped-def]
    """Quarter bits of a trigram: the field's word, or its escape plus the next wider scope's."""
    found = lookup(tags, bits, hash_gram(field, kind, gram))
    if found >= 0:
        return found
    cost = np.int64(escapes[field, kind])
    found = lookup(tags, bits, hash_gram(group, kind, gram))
    if found >= 0:
        return cost + found
    cost += np.int64(escapes[group, kind])
    found = lookup(tags, bits, hash_gram(image, kind, gram))
    if found >= 0:
        return cost + found
    return cost + np.int64(escapes[image, kind])


@nb.njit(cache=True, nogil=True)
def byte_costs(  # type: ignore[no-untyped-def]
    value, field, group, image, tags, bits, escapes, symbols, fold, out
):
    """Fill ``out`` (float32) with what each byte of a value (uint8) costs, in quarter bits.

    A byte is charged the dearer of the class and the byte trigram that it ends; what
    :func:`measure_values` walks over costs nothing.
    """
    a, b, previous = 0, 0, -1
    for i in range(value.shape[0]):
        out[i] = 0.0
        symbol = np.int64(symbols[value[i]])
        if symbol <= 5 and symbol == previous:
            continue
        previous = symbol
        out[i] = _surprisal(
            tags, bits, escapes, field, group, image, 0, (a << 12) | (b << 6) | symbol
        )
        a, b = b, symbol
    a, b = 0, 0
    for i in range(value.shape[0]):
        byte = np.int64(fold[value[i]])
        if byte == 48 and b == 48:
            continue
        s = _surprisal(tags, bits, escapes, field, group, image, 1, (a << 16) | (b << 8) | byte)
        out[i] = max(out[i], np.float32(s))
        a, b = b, byte


@nb.njit(cache=True, nogil=True)
def measure_values(  # type: ignore[no-untyped-def]
    buffer,
    starts,
    lengths,
    fields,
    groups,
    image,
    tags,
    bits,
    escapes,
    seen,
    usual,
    symbols,
    fold,
    out,
):
    """Fill ``out`` (float32, shape (values, len(MEASURES))) for the values of one request.

    ``buffer`` is uint8; ``starts`` and ``lengths`` (int64) cut the values out of it; ``fields``
    and ``groups`` (int64) are their scopes and ``image`` the widest; ``escapes`` is uint8 of shape
    (scopes, 2); ``seen`` is uint64 of shape (scopes,), a bit a symbol; ``usual`` is float32 of
    shape (scopes,), log2 of the usual greatest length plus one.
    """
    for v in range(starts.shape[0]):
        start, length = starts[v], lengths[v]
        field, group = fields[v], groups[v]
        a, b, previous = 0, 0, -1
        total, count, run, peak = 0, 0, 0, 0
        shown = np.uint64(0)
        for i in range(start, start + length + 1):
            symbol = np.int64(symbols[buffer[i]]) if i < start + length else 0
            if 0 < symbol <= 5 and symbol == previous:
                continue
            shown |= np.uint64(1) << np.uint64(symbol)
            previous = symbol
            s = _surprisal(
                tags, bits, escapes, field, group, image, 0, (a << 12) | (b << 6) | symbol
            )
            total += s
            count += 1
            run = max(0, run + s - _CLASS_ALLOWANCE)
            peak = max(peak, run)
            a, b = b, symbol
        out[v, 0] = peak
        out[v, 1] = total / count
        a, b = 0, 0
        total, count, run, peak = 0, 0, 0, 0
        for i in range(start, start + length):
            byte = np.int64(fold[buffer[i]])
            if byte == 48 and b == 48:
                continue
            s = _surprisal(tags, bits, escapes, field, group, image, 1, (a << 16) | (b << 8) | byte)
            total += s
            count += 1
            run = max(0, run + s - _BYTE_ALLOWANCE)
            peak = max(peak, run)
            a, b = b, byte
        out[v, 2] = peak
        out[v, 3] = total / max(1, count)
        new = shown & ~(seen[field] | np.uint64(1))
        distinct = 0
        while new:
            new &= new - np.uint64(1)
            distinct += 1
        out[v, 4] = distinct
        longer = np.log2(length + 1.0) - usual[field]
        out[v, 5] = longer if longer > _SAME_LENGTH else 0.0


@nb.njit(cache=True, nogil=True, inline="always")
def relate(measure, scale, floor):  # type: ignore[no-untyped-def]
    """Return a measure in doublings of what is usual in its field, as float32."""
    return np.float32(np.log2(1.0 + measure / (scale + floor)))


@nb.njit(cache=True, nogil=True)
def relate_values(measures, fields, scales, floors, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (float32, (values, measures)) with the related measures of values."""
    for v in range(measures.shape[0]):
        for m in range(_N):
            out[v, m] = relate(measures[v, m], scales[fields[v], m], floors[m])


@nb.njit(cache=True, nogil=True, inline="always")
def surprise(value, points, slope):  # type: ignore[no-untyped-def]
    """Return -log10 p of a statistic under its tail; 0 where it is not above the usual.

    Compares as float32, like the tail: else rounding would decide on which side of a tie it falls.
    """
    value = np.float32(value)
    if value <= points[0] or value <= 0.0:
        return 0.0
    low, high = 0, points.shape[0]
    while low < high:
        middle = (low + high) // 2
        if points[middle] < value:
            low = middle + 1
        else:
            high = middle
    # points[low - 1] < value <= points[low]
    below = points[low - 1]
    if low < points.shape[0] and np.isfinite(points[low]):
        return TAIL_STEP * (low - 1 + (value - below) / (points[low] - below))
    return TAIL_STEP * (low - 1) + slope * (value - below)


@nb.njit(cache=True, nogil=True)
def forest_score(row, step, feature, value, roots, normal):  # type: ignore[no-untyped-def]
    """Return the anomaly score of one float32 row."""
    total = 0.0
    for root in roots:
        node = np.int64(root)
        while step[node] != 0:
            node += 1 if row[feature[node]] <= value[node] else np.int64(step[node])
        total += value[node]
    return 2.0 ** (-total / (len(roots) * normal))


@nb.njit(cache=True, nogil=True)
def forest_scores(rows, step, feature, value, roots, normal):  # type: ignore[no-untyped-def]
    """Return the anomaly scores of float32 rows (n, features)."""
    scores = np.empty(rows.shape[0])
    for i in range(rows.shape[0]):
        scores[i] = forest_score(rows[i], step, feature, value, roots, normal)
    return scores


@nb.njit(cache=True, nogil=True)
def value_scores(  # type: ignore[no-untyped-def]
    buffer,
    starts,
    lengths,
    fields,
    groups,
    image,
    tags,
    bits,
    escapes,
    seen,
    usual,
    symbols,
    fold,
    scales,
    floors,
    tail_points,
    tail_slopes,
    out_z,
    out_score,
    weights,
):
    """Fill surprises (float32, (values, measures)) and scores (float32, (values,))."""
    measure_values(
        buffer,
        starts,
        lengths,
        fields,
        groups,
        image,
        tags,
        bits,
        escapes,
        seen,
        usual,
        symbols,
        fold,
        out_z,
    )
    for v in range(starts.shape[0]):
        total = 0.0
        for m in range(_N):
            relative = relate(out_z[v, m], scales[fields[v], m], floors[m])
            z = min(SURPRISE_CAP, surprise(relative, tail_points[m], tail_slopes[m]))
            out_z[v, m] = z
            total += weights[m] * z
        out_score[v] = total


@nb.njit(cache=True, nogil=True)
def dense_features(z, scores, lengths, places, structure, counts, row):  # type: ignore[no-untyped-def]
    """Fill one row of dense features (float32, (len(COLUMNS),)) in the registry's order.

    ``structure`` and ``counts`` hold four numbers each: see Scorer.
    """
    row[:] = 0.0
    longest = 0
    for v in range(z.shape[0]):
        longest = max(longest, lengths[v])
        for m in range(_N):
            if z[v, m] > row[m]:
                row[_N + m] = row[m]
                row[m] = z[v, m]
            elif z[v, m] > row[_N + m]:
                row[_N + m] = z[v, m]
        at = 2 * _N + _PLACE[places[v]]
        row[at] = max(row[at], scores[v])
    at = 2 * _N + _PLACES
    for i in range(4):
        row[at + i] = structure[i]
    row[at + 4] = np.log2(z.shape[0] + 1.0)
    row[at + 5] = np.log2(counts[0] + 1.0)
    row[at + 6] = np.log2(counts[1] + 1.0)
    row[at + 7] = np.log2(longest + 1.0)
    row[at + 8] = counts[2]
    row[at + 9] = counts[3]


@nb.njit(cache=True, nogil=True)
def fuse(scores, structure, tail_points, tail_slopes, forest):  # type: ignore[no-untyped-def]
    """Return the request's score: worst value, plus structure, plus what the forest adds.

    All three are -log10 p under held-out traffic, so that a sum is a product of p-values
    (Fisher's method, without its claim of independence: the sum is calibrated again). Rounded to
    float32, as calibration keeps it, so that equal requests stay ties.
    """
    worst = 0.0
    for v in range(scores.shape[0]):
        worst = max(worst, scores[v])
    z = min(SURPRISE_CAP, surprise(forest, tail_points[_N], tail_slopes[_N]))
    return np.float32(worst + structure[0] + structure[1] + structure[2] + z)


@nb.njit(cache=True, nogil=True)
def score_request(  # type: ignore[no-untyped-def]
    buffer,
    cells,
    new_endpoint,
    new_name,
    new_here,
    rarity,
    size,
    body,
    rounds,
    problems,
    image,
    tags,
    bits,
    escapes,
    seen,
    usual,
    symbols,
    fold,
    scales,
    floors,
    weights,
    tail_points,
    tail_slopes,
    step,
    feature,
    threshold,
    roots,
    normal,
    out,
):
    """Score one request; returns (score, forest score).

    ``cells`` (int64, shape (n * 5,)) holds start, length, scope, group and place of each value;
    the eight numbers after it are those of the dense features, one by one because each is
    unboxed faster than a tuple of them. ``out`` is float32 of shape (n * measures + n + columns,):
    surprises, value scores, dense features.
    """
    n = cells.shape[0] // 5
    values = cells.reshape((n, 5))
    z = out[: n * _N].reshape((n, _N))
    scores = out[n * _N : n * _N + n]
    row = out[n * _N + n :]
    value_scores(
        buffer,
        values[:, 0],
        values[:, 1],
        values[:, 2],
        values[:, 3],
        image,
        tags,
        bits,
        escapes,
        seen,
        usual,
        symbols,
        fold,
        scales,
        floors,
        tail_points,
        tail_slopes,
        z,
        scores,
        weights,
    )
    structure = (new_endpoint, new_name, new_here, rarity)
    counts = (size, body, rounds, problems)
    dense_features(z, scores, values[:, 1], values[:, 4], structure, counts, row)
    forest = forest_score(row, step, feature, threshold, roots, normal)
    return fuse(scores, structure, tail_points, tail_slopes, forest), forest
