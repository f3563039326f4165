"""From a score to words: which field, which part of it, what was expected, how rare that is.

Runs only for requests that are alerted on or blocked, so it may be slow (a millisecond) and clear.
What was expected comes from the profile (type, length, characters); it never quotes a value.
"""

from __future__ import annotations

import numpy as np
from cnaf.models.fields import Field, ParsedRequest
from cnaf.models.kernels import MEASURES, byte_costs
from cnaf.models.ngrams import FOLD, QUARTER_BITS, SYMBOLS, symbol_name
from cnaf.models.request_model import TYPE_PREFIX, VALUE_CAP, FieldProfile, RequestModel, Score
from cnaf.models.value_types import kind_of
from cnaf.models.verdict import Confidence, Detector, Evidence

__all__ = ["excerpt_around", "explain"]

#: Values explained, worst first.
_MAX_VALUES = 3
#: A value below this score is not worth a word beside a worse one.
_WORTH = 2.0
#: A byte is odd where its trigram costs so many bits (one in 1,000).
_ODD_BITS = 10.0
_SENTENCES = {
    "class-peak": "characters stand together in a way that this field never showed",
    "class-mean": "characters follow each other unusually",
    "byte-peak": "a piece of it is made of letters that this field never showed together",
    "byte-mean": "it is made of unusual letters",
    "new-symbols": "it holds kinds of character that this field never showed",
    "length": "it is longer than this field's values",
}


def explain(
    model: RequestModel, request: ParsedRequest, score: Score, *, limit: int
) -> tuple[Evidence, ...]:
    """Return evidence for a score, worst first; ``limit`` caps an excerpt in bytes."""
    p_value = model.calibration.p_value(score.score)
    found = _structure(request, score, limit, p_value)
    order = sorted(range(len(score.indices)), key=lambda i: -score.values[i])[:_MAX_VALUES]
    for rank, position in enumerate(order):
        if rank and score.values[position] < max(_WORTH, score.values[order[0]] / 2):
            break
        if score.values[position] > 0:
            found.append(_value(model, request, score, position, limit, p_value))
    return tuple(found)


def _structure(request: ParsedRequest, score: Score, limit: int, p_value: float) -> list[Evidence]:
    found = []
    if score.endpoint is None:
        found.append(
            Evidence(
                Detector.MODEL, "unseen-endpoint", "the image never answered this endpoint in CI",
                "path", _shown(request.path, limit), "an endpoint that the tests exercised",
                _shown(f"{score.method} {score.template}", limit), Confidence.LOW, p_value=p_value,
            )
        )  # fmt: skip
    for index in score.unseen[:_MAX_VALUES]:
        field = request.fields[index]
        found.append(
            Evidence(
                Detector.MODEL, "unseen-field", "the image never showed a field of this name",
                field.label, _shown(field.name, limit), "field names that the tests exercised",
                f"{field.location.label} field {field.name[:64]!r}", Confidence.LOW,
                p_value=p_value,
            )
        )  # fmt: skip
    return found


def _value(
    model: RequestModel,
    request: ParsedRequest,
    score: Score,
    position: int,
    limit: int,
    p_value: float,
) -> Evidence:
    field = request.fields[score.indices[position]]
    surprises = score.surprises[position]
    worst = MEASURES[int(np.argmax(surprises))]
    profile = _profile_of(model, field)
    start, end = _odd_span(model, profile, field)
    text, marks = excerpt_around(field.value, start, end, limit)
    return Evidence(
        Detector.MODEL,
        worst,
        f"unusual value: {_SENTENCES[worst]}",
        field.label,
        text,
        _expected(profile, model, field),
        _seen(field, model, profile),
        Confidence.MEDIUM,
        start,
        end,
        marks,
        p_value,
    )


def _profile_of(model: RequestModel, field: Field) -> int:
    for index, profile in enumerate(model.profiles):
        if profile.location is field.location and profile.name == field.name:
            return index
    return -1


def _expected(index: int, model: RequestModel, field: Field) -> str:
    if index < 0:
        return f"no {field.location.label} field of this name"
    profile: FieldProfile = model.profiles[index]
    symbols = [
        symbol_name(symbol) for symbol in range(1, 64) if int(model.seen[index]) >> symbol & 1
    ]
    kinds = ", ".join(symbols) if len(symbols) <= 10 else f"{len(symbols)} kinds of character"
    longest = round(2.0 ** float(model.usual[index]) - 1)
    return (
        f"{profile.value_type.noun}, up to {longest} bytes"
        + (f", of {kinds}" if kinds else "")
        + f" (seen in {profile.sessions} sessions)"
    )


def _seen(field: Field, model: RequestModel, index: int) -> str:
    known = int(model.seen[index]) if index >= 0 else 0
    shown = sorted({int(SYMBOLS[b]) for b in field.value})
    new = [symbol_name(symbol) for symbol in shown if not known >> symbol & 1]
    text = f"{len(field.value)} bytes"
    if new and index >= 0:
        text += ", with " + ", ".join(new[:8])
    if field.rounds:
        text += f", encoded {field.rounds + 1} times"
    return text


def _odd_span(model: RequestModel, index: int, field: Field) -> tuple[int, int]:
    """Return the stretch of the value with the greatest sum of surprisal above what is odd."""
    value = np.frombuffer(field.value[:VALUE_CAP], np.uint8)
    if not len(value):
        return 0, 0
    group = len(model.profiles) + (
        model.profiles[index].value_type if index >= 0 else kind_of(field.value[:TYPE_PREFIX])
    )
    # A field that is new or thin has no scope of its own: what its kind has shown speaks for it.
    own = index if index >= 0 and not model.profiles[index].thin else group
    costs = np.empty(len(value), np.float32)
    byte_costs(
        value, own, group, model.image_scope, model.table.tags, model.table.bits, model.escapes,
        SYMBOLS, FOLD, costs,
    )  # fmt: skip
    best, run, start, span = 0.0, 0.0, 0, (0, 0)
    for i, cost in enumerate((costs / QUARTER_BITS - _ODD_BITS).tolist()):
        if run <= 0:
            run, start = 0.0, i
        run += cost
        if run > best:
            best, span = run, (start, i + 1)
    # A trigram is charged to its last byte: the two before it belong to the stretch.
    return (max(0, span[0] - 2), span[1]) if best > 0 else (0, len(value))


def _shown(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def excerpt_around(
    value: bytes, start: int, end: int, limit: int
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return at most ``limit`` bytes of a value around a span, as text, with the span marked.

    >>> excerpt_around(b"id=1' OR 1=1", 4, 12, 64)
    ("id=1' OR 1=1", ((4, 12),))
    """
    length = min(end - start, limit)
    # Room that is not needed behind the span is given to what stands before it.
    lead = min(start, max(0, (limit - length) // 2, limit - (len(value) - start)))
    window = value[start - lead : start - lead + limit]
    before = window[:lead].decode("utf-8", "replace")
    marked = window[lead : lead + length].decode("utf-8", "replace")
    after = window[lead + length :].decode("utf-8", "replace")
    return before + marked + after, ((len(before), len(before) + len(marked)),)
