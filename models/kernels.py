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
    "CHANNELS",
    "MEASURES",
    "NOVELTIES",
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
    "spell",
    "surprise",
    "tokenize",
    "value_grams",
    "value_scores",
]

#: Columns that :func:`measure_values` writes, in order; each is higher where it is more anomalous.
MEASURES: tuple[str, ...] = (
    "token-peak",  # quarter bits above the allowance, the oddest stretch of the value's syntax
    "token-mean",  # quarter bits per token
    "byte-peak",  # as token-peak, over bytes
    "byte-mean",
    "new-tokens",  # bits: kinds of token that the field never showed, by how rare they are
    "longer",  # bits (doublings) above the longest value
    "shorter",  # bits below the shortest value
)
#: What may be new about a request's structure, in order; see :mod:`cnaf.models.structure`.
NOVELTIES: tuple[str, ...] = ("path", "method", "composition", "name")
#: What a request is judged by, each with a tail of its own; see :func:`fuse`.
CHANNELS: tuple[str, ...] = ("value", "structure", "together")
_N = len(MEASURES)
_NEWS = len(NOVELTIES)
_CHANNELS = len(CHANNELS)
#: Step of -log10 p between two points of a tail.
TAIL_STEP = 0.1
#: The tail group of what people write; see cnaf.models.scoring.
_RICH = 1
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
#: Allowance per trigram in quarter bits, above which surprisal accumulates: 5 bits for syntax
#: (a choice of 32), 9 for vocabulary. Set on benign data of the recorded corpus by cross-
#: validation; results are flat between 4 and 6, and between 8 and 11.
_TOKEN_ALLOWANCE = 20
_BYTE_ALLOWANCE = 36
#: What no scope ever showed, in quarter bits; and what the general prior knows but the image does
#: not costs a bit more than what the image knows.
_NOWHERE = 56
_FOREIGN = 4
#: Known trigrams in a row after which a value counts as back in the narrower scope.
_BACK = 3
# Tokens; see cnaf.models.ngrams.
_LETTERS, _DIGITS, _UNDERSCORE = 1, 2, 95
_FIRST_WORD, _HEX, _MIXED = 38, 58, 59
_WORD_SLOTS = 4096
#: Bytes from which on a word of letters and digits counts as drawn at random.
_DRAWN = 8
_FNV, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)


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
def tokenize(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915 - one pass over bytes
    value, symbols, fold, words, word_tokens, out
):
    """Write the tokens of a value (uint8) to ``out`` (uint8, len(value) + 1); return how many.

    A run of letters, digits and underscores is one token: of its class where the lexicon has the
    word, else letters, digits, a hexadecimal literal or a mixture. Every other byte is its symbol;
    runs of spaces, line ends and control characters collapse.
    """
    count, i, length = 0, 0, value.shape[0]
    previous = np.uint8(255)
    while i < length:
        symbol = symbols[value[i]]
        if symbol not in (_LETTERS, _DIGITS) and value[i] != _UNDERSCORE:
            if not (symbol <= 5 and symbol == previous):
                out[count] = symbol
                count += 1
            previous = symbol
            i += 1
            continue
        start, hashed = i, _FNV
        letters, digits = False, False
        hexadecimal = (
            i + 2 < length and value[i] == 48 and (value[i + 1] == 120 or value[i + 1] == 88)
        )
        while i < length:
            byte = value[i]
            kind = symbols[byte]
            if kind == _LETTERS:
                letters = True
                byte = fold[byte]
                if hexadecimal and i > start + 1 and not (97 <= byte <= 102):
                    hexadecimal = False
            elif kind == _DIGITS:
                digits = True
            elif byte == _UNDERSCORE:
                hexadecimal = False
            else:
                break
            # Numba widens a product of 32-bit numbers.
            hashed = np.uint32((hashed ^ np.uint32(byte)) * _FNV_PRIME)
            i += 1
        token = np.uint8(0)
        if letters:
            slot = (hashed ^ (hashed >> np.uint32(15))) % np.uint32(_WORD_SLOTS)
            while words[slot]:
                if words[slot] == hashed:
                    token = word_tokens[slot]
                    break
                slot = (slot + np.uint32(1)) % np.uint32(_WORD_SLOTS)
            if token == 0:
                if not digits:
                    token = np.uint8(_LETTERS)
                else:
                    token = np.uint8(_HEX if hexadecimal else _MIXED)
        elif digits:
            token = np.uint8(_DIGITS)
        else:
            token = symbols[_UNDERSCORE]
        out[count] = token
        count += 1
        previous = np.uint8(255)
    return count


@nb.njit(cache=True, nogil=True, inline="always")
def _plain(token):  # type: ignore[no-untyped-def]
    """A word of the lexicon as any word."""
    return np.int64(_LETTERS) if _FIRST_WORD <= token < _HEX else token


@nb.njit(cache=True, nogil=True)
def spell(value, symbols, fold, out, at):  # type: ignore[no-untyped-def]
    """Write the folded bytes of a value to ``out`` (uint8); return how many.

    A run of digits is one digit, and so is a long word of letters and digits: what a machine drew
    at random has no spelling. ``at`` (int64) gets, for each byte, the index of what stands for it.
    """
    count, i, length = 0, 0, value.shape[0]
    while i < length:
        start = i
        letters, digits = False, False
        while i < length:
            kind = symbols[value[i]]
            if kind == _LETTERS:
                letters = True
            elif kind == _DIGITS:
                digits = True
            elif value[i] != _UNDERSCORE:
                break
            i += 1
        if letters and digits and i - start >= _DRAWN:
            out[count] = 48
            for j in range(start, i):
                at[j] = count
            count += 1
        else:
            for j in range(start, i):
                byte = fold[value[j]]
                if not (byte == 48 and j > start and fold[value[j - 1]] == 48):
                    out[count] = byte
                    count += 1
                at[j] = count - 1
        if i < length:
            out[count] = fold[value[i]]
            at[i] = count
            count += 1
            i += 1
    return count


@nb.njit(cache=True, nogil=True)
def value_grams(value, symbols, fold, words, word_tokens, out_kind, out_gram):  # type: ignore[no-untyped-def]
    """Write the token and byte trigrams of a value; return how many.

    A token trigram that holds words of the lexicon is written twice, the second time with plain
    words. ``out_kind`` (uint8) and ``out_gram`` (uint32) need room for ``3 * len(value) + 8``.
    """
    tokens = np.empty(value.shape[0] + 1, np.uint8)
    n = tokenize(value, symbols, fold, words, word_tokens, tokens)
    count = 0
    a, b, c, d = 0, 0, 0, 0
    for i in range(n + 1):
        token = np.int64(tokens[i]) if i < n else 0
        plain = _plain(token)
        gram = (a << 12) | (b << 6) | token
        out_kind[count], out_gram[count] = 0, gram
        count += 1
        other = (c << 12) | (d << 6) | plain
        if other != gram:
            out_kind[count], out_gram[count] = 0, other
            count += 1
        a, b = b, token
        c, d = d, plain
    at = np.empty(value.shape[0] + 1, np.int64)
    n = spell(value, symbols, fold, tokens, at)
    a, b = 0, 0
    for i in range(n):
        byte = np.int64(tokens[i])
        out_kind[count], out_gram[count] = 1, (a << 16) | (b << 8) | byte
        count += 1
        a, b = b, byte
    return count


@nb.njit(cache=True, nogil=True, inline="always")
def _look(tags, bits, scope, kind, gram, plain, extra):  # type: ignore[no-untyped-def]
    """Quarter bits of a trigram in a scope, or of its plain form and what its word costs; or -1."""
    found = lookup(tags, bits, hash_gram(scope, kind, gram))
    if found >= 0 or plain == gram:
        return found
    found = lookup(tags, bits, hash_gram(scope, kind, plain))
    return found + extra if found >= 0 else found


@nb.njit(cache=True, nogil=True)
def _elsewhere(  # type: ignore[no-untyped-def]
    kind, gram, plain, extra, kin, image, prior, tags, bits, known, known_bits
):
    """Return how wide a scope it takes to know a trigram (1 to 3), and what it costs there.

    ``kin`` is the scope of the field's type, ``prior`` the same type in the general prior, whose
    widest scope follows its types; ``known`` is its table.
    """
    found = _look(tags, bits, kin, kind, gram, plain, extra)
    if found >= 0:
        return 1, found
    found = _look(known, known_bits, prior, kind, gram, plain, extra)
    if found >= 0:
        return 1, found + _FOREIGN
    found = _look(tags, bits, image, kind, gram, plain, extra)
    if found >= 0:
        return 2, found
    # The types are numbered from 0 in the prior as they are from the first type in the image.
    found = _look(known, known_bits, image - (kin - prior), kind, gram, plain, extra)
    if found >= 0:
        return 2, found + _FOREIGN
    return 3, np.int64(_NOWHERE)


@nb.njit(cache=True, nogil=True)
def _walk(  # type: ignore[no-untyped-def]
    items,
    n,
    kind,
    scope,
    kin,
    image,
    prior,
    tags,
    bits,
    escapes,
    known,
    known_bits,
    word_bits,
    costs,
):
    """Fill ``costs`` (int64) with the quarter bits of each of n tokens or bytes.

    Leaving the law of the field, and that of its type, is paid once and not with every trigram: an
    unexpected paragraph of plain words is one surprise, and its words are held against what is
    usual in general. After a few trigrams that the field knows the value is back under its law.
    """
    width = 8 if kind else 6
    a, b, c, d = 0, 0, 0, 0
    level, calm = (1 if scope == kin else 0), 0
    for i in range(n):
        item = np.int64(items[i])
        plain, extra = item, np.int64(0)
        if kind == 0:
            plain, extra = _plain(item), np.int64(word_bits[item])
        gram = (a << (2 * width)) | (b << width) | item
        folded = (c << (2 * width)) | (d << width) | plain
        # Nearly all trigrams are known to their field; a call costs more than the look-up.
        found, cost = 0, np.int64(-1)
        if scope != kin:
            cost = _look(tags, bits, scope, kind, gram, folded, extra)
        if cost < 0:
            found, cost = _elsewhere(
                kind, gram, folded, extra, kin, image, prior, tags, bits, known, known_bits
            )
        if found > level:
            if level == 0:
                cost += np.int64(escapes[scope, kind])
            if level <= 1 and found >= 2:
                cost += np.int64(escapes[kin, kind])
            level, calm = min(found, 2), 0
        elif found < level:
            calm += 1
            if calm >= _BACK:
                level, calm = found, 0
        else:
            calm = 0
        costs[i] = cost
        a, b = b, item
        c, d = d, plain


@nb.njit(cache=True, nogil=True, inline="always")
def _peak_and_mean(costs, n, allowance):  # type: ignore[no-untyped-def]
    """Return the greatest sum of costs above the allowance over any stretch, and the mean cost."""
    total, run, peak = 0, 0, 0
    for i in range(n):
        total += costs[i]
        run = max(0, run + costs[i] - allowance)
        peak = max(peak, run)
    return peak, total / max(1, n)


@nb.njit(cache=True, nogil=True)
def byte_costs(  # type: ignore[no-untyped-def]
    value,
    scope,
    kin,
    image,
    prior,
    tags,
    bits,
    escapes,
    known,
    known_bits,
    word_bits,
    spelled,
    symbols,
    fold,
    words,
    word_tokens,
    out,
):
    """Fill ``out`` (float32) with what each byte of a value (uint8) costs above the allowance.

    In quarter bits. A byte is charged the dearer of the token that it belongs to and, where the
    type's letters are read (``spelled``), the byte trigram that it ends: what adds up to the peaks.
    """
    length = value.shape[0]
    items, costs = np.empty(length + 1, np.uint8), np.empty(length + 1, np.int64)
    n = tokenize(value, symbols, fold, words, word_tokens, items)
    _walk(
        items,
        n,
        0,
        scope,
        kin,
        image,
        prior,
        tags,
        bits,
        escapes,
        known,
        known_bits,
        word_bits,
        costs,
    )
    at, word, previous = -1, False, -1
    for i in range(length):
        symbol = np.int64(symbols[value[i]])
        is_word = symbol in (_LETTERS, _DIGITS) or value[i] == _UNDERSCORE
        if not (is_word and word) and (is_word or symbol > 5 or symbol != previous):
            at += 1
        word, previous = is_word, symbol
        out[i] = costs[at] - _TOKEN_ALLOWANCE
    if not spelled:
        return
    place = np.empty(length + 1, np.int64)
    n = spell(value, symbols, fold, items, place)
    _walk(
        items,
        n,
        1,
        scope,
        kin,
        image,
        prior,
        tags,
        bits,
        escapes,
        known,
        known_bits,
        word_bits,
        costs,
    )
    for i in range(length):
        out[i] = max(out[i], np.float32(costs[place[i]] - _BYTE_ALLOWANCE))


@nb.njit(cache=True, nogil=True)
def measure_values(  # type: ignore[no-untyped-def]
    buffer,
    starts,
    lengths,
    scopes,
    types,
    first_type,
    image,
    tags,
    bits,
    escapes,
    seen,
    longest,
    shortest,
    known,
    known_bits,
    word_bits,
    rarity,
    spelled,
    symbols,
    fold,
    words,
    word_tokens,
    out,
):
    """Fill ``out`` (float32, shape (values, len(MEASURES))) for the values of one request.

    ``buffer`` is uint8; ``starts`` and ``lengths`` (int64) cut the values out of it; ``scopes``
    (int64) are their fields' or, where a field is not known well, ``first_type`` plus their type;
    ``types`` (int64) are the types and ``image`` the widest scope. ``escapes`` is uint8 of shape
    (scopes, 2); ``seen`` is uint64 of shape (scopes,), a bit a token; ``longest`` and
    ``shortest`` are float32 of shape (scopes,), log2 of the length plus one. Of the general prior
    come ``known`` and ``known_bits`` (its table), ``word_bits`` (uint8, (64,)): what it costs
    that a word is one of its class; and ``rarity`` (float32, (types, 64)): bits of how few
    values of a type show a token. ``spelled`` (uint8) says by type
    whether its bytes are read at all.
    """
    most = 0
    for v in range(starts.shape[0]):
        most = max(most, lengths[v])
    items, costs = np.empty(most + 1, np.uint8), np.empty(most + 1, np.int64)
    for v in range(starts.shape[0]):
        value = buffer[starts[v] : starts[v] + lengths[v]]
        scope, kind = scopes[v], types[v]
        kin = first_type + kind
        n = tokenize(value, symbols, fold, words, word_tokens, items)
        shown = np.uint64(0)
        for i in range(n):
            shown |= np.uint64(1) << np.uint64(items[i])
        items[n] = 0
        _walk(
            items,
            n + 1,
            0,
            scope,
            kin,
            image,
            kind,
            tags,
            bits,
            escapes,
            known,
            known_bits,
            word_bits,
            costs,
        )
        out[v, 0], out[v, 1] = _peak_and_mean(costs, n + 1, _TOKEN_ALLOWANCE)
        n = spell(value, symbols, fold, items, costs) if spelled[kind] else 0
        _walk(
            items,
            n,
            1,
            scope,
            kin,
            image,
            kind,
            tags,
            bits,
            escapes,
            known,
            known_bits,
            word_bits,
            costs,
        )
        out[v, 2], out[v, 3] = _peak_and_mean(costs, n, _BYTE_ALLOWANCE)
        new = shown & ~seen[scope]
        total = np.float32(0.0)
        token = 0
        while new:
            if new & np.uint64(1):
                total += rarity[kind, token]
            new >>= np.uint64(1)
            token += 1
        out[v, 4] = total
        size = np.log2(lengths[v] + 1.0)
        longer, shorter = size - longest[scope], shortest[scope] - size
        out[v, 5] = longer if longer > _SAME_LENGTH else 0.0
        out[v, 6] = shorter if shorter > _SAME_LENGTH else 0.0


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
def value_scores(measures, scopes, groups, scales, floors, weights, points, slopes, scores):  # type: ignore[no-untyped-def]
    """Turn measures (float32, (values, measures)) into surprises, and add up scores (float32).

    ``groups`` (int64, (values,)) choose the tails: ``points`` is float32 of shape
    (groups * measures + …, STEPS), group by group; ``slopes`` has one entry a row.
    """
    for v in range(measures.shape[0]):
        total = 0.0
        for m in range(_N):
            relative = relate(measures[v, m], scales[scopes[v], m], floors[m])
            row = groups[v] * _N + m
            z = min(SURPRISE_CAP, surprise(relative, points[row], slopes[row]))
            measures[v, m] = z
            total += weights[m] * z
        scores[v] = total


@nb.njit(cache=True, nogil=True)
def dense_features(z, scores, lengths, places, news, rarity, counts, row):  # type: ignore[no-untyped-def]
    """Fill one row of dense features (float32, (len(COLUMNS),)) in the registry's order.

    ``news`` holds the surprise of each novelty, ``rarity`` is the endpoint's and ``counts`` are
    four numbers: see Scorer.
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
    for i in range(_NEWS):
        row[at + i] = news[i]
    row[at + _NEWS] = rarity
    at += _NEWS + 1
    row[at] = np.log2(z.shape[0] + 1.0)
    row[at + 1] = np.log2(counts[0] + 1.0)
    row[at + 2] = np.log2(counts[1] + 1.0)
    row[at + 3] = np.log2(longest + 1.0)
    row[at + 4] = counts[2]
    row[at + 5] = counts[3]


@nb.njit(cache=True, nogil=True)
def fuse(scores, news, tail_points, tail_slopes, forest, channels):  # type: ignore[no-untyped-def]
    """Return the request's score: the least likely of its worst value, its structure, and both.

    ``channels`` (float64, (len(CHANNELS),)) is filled with the worst value's score, the sum of
    what is new, and the sum of both and the forest's: all -log10 p under held-out traffic, so that
    a sum is a product of p-values (Fisher's method, without its claim of independence). Each has
    its own tail, the last ones, and the greatest surprise counts: one impossible value needs no
    second reason. The score is calibrated again. Rounded to float32, as calibration keeps it, so
    that equal requests stay ties.
    """
    worst = 0.0
    for v in range(scores.shape[0]):
        worst = max(worst, scores[v])
    new = 0.0
    for i in range(_NEWS):
        new += news[i]
    row = tail_points.shape[0] - _CHANNELS - 1
    odd = min(SURPRISE_CAP, surprise(forest, tail_points[row], tail_slopes[row]))
    channels[0], channels[1], channels[2] = worst, new, worst + new + odd
    total = 0.0
    for i in range(_CHANNELS):
        row += 1
        total = max(total, surprise(channels[i], tail_points[row], tail_slopes[row]))
    return np.float32(min(SURPRISE_CAP, total))


@nb.njit(cache=True, nogil=True)
def score_request(  # type: ignore[no-untyped-def]
    buffer,
    cells,
    new_path,
    new_method,
    new_composition,
    new_name,
    rarity,
    size,
    body,
    rounds,
    problems,
    first_type,
    image,
    tags,
    bits,
    escapes,
    seen,
    longest,
    shortest,
    known,
    known_bits,
    word_bits,
    token_rarity,
    spelled,
    symbols,
    fold,
    words,
    word_tokens,
    tail_groups,
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
    """Score one request; returns (score, forest score, whether its worst value is free text).

    ``cells`` (int64, shape (n * 5,)) holds start, length, scope, type and place of each value;
    the nine numbers after it are novelties in bits and those of the dense features, one by one
    because each is unboxed faster than a tuple of them. ``out`` is float32 of shape
    (n * measures + n + novelties + columns,): surprises, value scores, surprises of the
    novelties, dense features.
    """
    n = cells.shape[0] // 5
    values = cells.reshape((n, 5))
    z = out[: n * _N].reshape((n, _N))
    scores = out[n * _N : n * _N + n]
    news = out[n * _N + n : n * _N + n + _NEWS]
    row = out[n * _N + n + _NEWS :]
    measure_values(
        buffer,
        values[:, 0],
        values[:, 1],
        values[:, 2],
        values[:, 3],
        first_type,
        image,
        tags,
        bits,
        escapes,
        seen,
        longest,
        shortest,
        known,
        known_bits,
        word_bits,
        token_rarity,
        spelled,
        symbols,
        fold,
        words,
        word_tokens,
        z,
    )
    groups = np.empty(n, np.int64)
    for v in range(n):
        groups[v] = tail_groups[values[v, 3]]
    value_scores(z, values[:, 2], groups, scales, floors, weights, tail_points, tail_slopes, scores)
    novelties = (new_path, new_method, new_composition, new_name)
    first = tail_points.shape[0] - _CHANNELS - 1 - _NEWS
    for i in range(_NEWS):
        news[i] = min(
            SURPRISE_CAP, surprise(novelties[i], tail_points[first + i], tail_slopes[first + i])
        )
    counts = (size, body, rounds, problems)
    dense_features(z, scores, values[:, 1], values[:, 4], news, rarity, counts, row)
    forest = forest_score(row, step, feature, threshold, roots, normal)
    channels = np.empty(_CHANNELS)
    worst = 0
    for v in range(n):
        if scores[v] > scores[worst]:
            worst = v
    rich = n > 0 and groups[worst] == _RICH
    return fuse(scores, news, tail_points, tail_slopes, forest, channels), forest, rich
