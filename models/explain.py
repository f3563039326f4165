"""From a score to words: which field, which part of it, what was expected, how rare that is.

Runs only for requests that are alerted on or blocked, so it may be slow (a millisecond) and clear.
What was expected comes from the profile (type, length, characters); it never quotes a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cnaf.models.calibration import RAREST
from cnaf.models.fields import Field, ParsedRequest
from cnaf.models.kernels import MEASURES, byte_costs, tokenize
from cnaf.models.lexicon import WORD_KEYS, WORD_TOKENS
from cnaf.models.ngrams import FOLD, SYMBOLS, token_name
from cnaf.models.prior import general_prior
from cnaf.models.request_model import TYPE_PREFIX, VALUE_CAP, RequestModel, Score, without_host
from cnaf.models.scoring import SPELLED
from cnaf.models.structure import NAMED
from cnaf.models.value_types import kind_of
from cnaf.models.verdict import Confidence, Detector, Evidence

__all__ = ["excerpt_around", "explain"]

#: Values explained, worst first.
_MAX_VALUES = 3
#: A value below this score is not worth a word beside a worse one.
_WORTH = 2.0
#: A measure that speaks: rarer than one benign value in ten.
_SPEAKS = 1.0
_SHOWN_NAMES = 8
_SENTENCES = {
    "token-peak": "words and signs stand together in a way that this field never showed",
    "token-mean": "words and signs follow each other unusually",
    "byte-peak": "a piece of it is made of letters that this field never showed together",
    "byte-mean": "it is made of unusual letters",
    "new-tokens": "it holds {new}, which this field never showed",
    "longer": "it is longer than this field's values",
    "shorter": "it is shorter than this field's values",
}


def explain(
    model: RequestModel, request: ParsedRequest, score: Score, *, limit: int
) -> tuple[Evidence, ...]:
    """Return evidence for a score, worst first; ``limit`` caps an excerpt in bytes."""
    found = _structure(model, request, score, limit)
    order = sorted(range(len(score.indices)), key=lambda i: -score.values[i])[:_MAX_VALUES]
    for rank, position in enumerate(order):
        if rank and score.values[position] < max(_WORTH, score.values[order[0]] / 2):
            break
        if score.values[position] > 0:
            found.append(_Value(model, request, score, position).evidence(limit))
    return tuple(found)


def _structure(
    model: RequestModel, request: ParsedRequest, score: Score, limit: int
) -> list[Evidence]:
    path, method, composition, name = score.news
    p_values = [_p_value(z) for z in score.novelties]
    found = []

    def add(rule: str, message: str, field: str, excerpt: str, texts: tuple[str, str, str],
            p_value: float) -> None:  # fmt: skip
        expected, seen, would_pass = texts
        found.append(
            Evidence(
                Detector.MODEL, rule, message, field, _shown(excerpt, limit), expected,
                _shown(seen, limit), Confidence.LOW, p_value=p_value, would_pass=would_pass,
            )
        )  # fmt: skip

    route = f"{score.method} {score.template}"
    if method:
        add("unseen-method", "the image never answered this method there", "method", score.method,
            ("a method that the tests used on this path", route, "the same path by such a method"),
            p_values[1])  # fmt: skip
    if path or (score.endpoint is None and not method):
        add("unseen-endpoint", "the image never answered this endpoint in CI", "path",
            request.path, ("an endpoint that the tests exercised", route,
            "the page, once tests request it and the image is learned again"),
            p_values[0])  # fmt: skip
    if composition and score.endpoint is not None:
        add("unseen-composition", "these fields never came together at this endpoint", "request",
            _names(request.fields), ("fields in a set and order that the tests sent",
            f"{_names(request.fields)} at {route}", "the fields of a form or call of the app"),
            p_values[2])  # fmt: skip
    for index in score.unseen[:_MAX_VALUES] if name else ():
        field = request.fields[index]
        add("unseen-field", "the image never showed a field of this name", field.label, field.name,
            ("field names that the tests exercised",
            f"{field.location.label} field {field.name[:64]!r}", "the request without this field"),
            p_values[3])  # fmt: skip
    return found


def _names(fields: list[Field]) -> str:
    labels = list(dict.fromkeys(f.label for f in fields if f.name and NAMED[f.location]))
    more = f" and {len(labels) - _SHOWN_NAMES} more" if len(labels) > _SHOWN_NAMES else ""
    return (", ".join(labels[:_SHOWN_NAMES]) + more) or "no field"


class _Value:
    """One odd value: what it shows, and what the model knows of its field."""

    def __init__(
        self, model: RequestModel, request: ParsedRequest, score: Score, position: int
    ) -> None:
        self.model = model
        self.field = request.fields[score.indices[position]]
        self.surprises = score.surprises[position]
        self.index = next(
            (
                i for i, p in enumerate(model.profiles)
                if p.location is self.field.location and p.name == self.field.name
            ),
            -1,
        )  # fmt: skip
        self.profile = model.profiles[self.index] if self.index >= 0 else None
        kind = kind_of(self.field.value[:TYPE_PREFIX])
        self.kind = self.profile.kind if self.profile is not None else kind
        # A field that is new or thin has no scope of its own: what its kind has shown speaks.
        known = self.profile is not None and not self.profile.thin
        self.scope = self.index if known else len(model.profiles) + self.kind
        neutral = without_host(self.field.value, request.host) if request.host else self.field.value
        value = np.frombuffer(neutral[:VALUE_CAP], np.uint8)
        tokens = np.empty(len(value) + 1, np.uint8)
        count = tokenize(value, SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS, tokens)
        seen = int(model.seen[self.scope])
        rarity = general_prior().rarity[self.kind]
        new = {int(token) for token in tokens[:count] if not seen >> int(token) & 1}
        #: Names of the kinds of token that the field never showed, rarest first.
        self.new = [token_name(token) for token in sorted(new, key=lambda t: -rarity[t])]

    def evidence(self, limit: int) -> Evidence:
        worst = int(np.argmax(self.surprises))
        measure = MEASURES[worst]
        start, end = self._odd_span()
        text, marks = excerpt_around(self.field.value, start, end, limit)
        sentence = _SENTENCES[measure].format(new=_listed(self.new) or "signs")
        return Evidence(
            Detector.MODEL, measure, f"unusual value: {sentence}", self.field.label, text,
            self._expected(), self._seen(), Confidence.MEDIUM, start, end, marks,
            _p_value(self.surprises[worst]), would_pass=self._would_pass(),
        )  # fmt: skip

    def _expected(self) -> str:
        if self.profile is None:
            return f"no {self.field.location.label} field of this name"
        seen = int(self.model.seen[self.index])
        known = [token_name(token) for token in range(1, 64) if seen >> token & 1]
        kinds = ", ".join(known) if len(known) <= 10 else f"{len(known)} kinds of words and signs"
        return (
            f"{self.profile.value_type.noun}, {self._lengths()}"
            + (f", of {kinds}" if kinds else "")
            + f" (seen in {self.profile.sessions} sessions)"
        )

    def _lengths(self) -> str:
        least = round(2.0 ** float(self.model.shortest[self.scope]) - 1)
        most = round(2.0 ** float(self.model.longest[self.scope]) - 1)
        return f"{most} bytes" if least == most else f"{least} to {most} bytes"

    def _seen(self) -> str:
        text = f"{len(self.field.value)} bytes"
        if self.new and self.profile is not None:
            text += f", with {_listed(self.new)}"
        if self.field.rounds:
            text += f", encoded {self.field.rounds + 1} times"
        return text

    def _would_pass(self) -> str:
        """Return what the value lacks to be normal, by the measures that speak against it."""
        speaks = {m for m, z in zip(MEASURES, self.surprises.tolist(), strict=True) if z >= _SPEAKS}
        parts = []
        if self.new and "new-tokens" in speaks:
            parts.append(f"without {_listed(self.new)}")
        if speaks & {"longer", "shorter"}:
            parts.append(f"of {self._lengths()}")
        if not parts or speaks & {"token-peak", "byte-peak"}:
            parts.append("without the marked part")
        noun = self.profile.value_type.noun if self.profile is not None else self.kind.noun
        return f"{noun} " + " and ".join(parts)

    def _odd_span(self) -> tuple[int, int]:
        """Return the stretch of the value with the greatest sum of surprisal above what is odd."""
        value = np.frombuffer(self.field.value[:VALUE_CAP], np.uint8)
        if not len(value):
            return 0, 0
        model, prior = self.model, general_prior()
        costs = np.empty(len(value), np.float32)
        byte_costs(
            value, self.scope, len(model.profiles) + self.kind, model.image_scope, int(self.kind),
            model.table.tags, model.table.bits, model.escapes, prior.table.tags, prior.table.bits,
            prior.word_bits, SPELLED[self.kind], SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS, costs,
        )  # fmt: skip
        best, run, start, span = 0.0, 0.0, 0, (0, 0)
        for i, cost in enumerate(costs.tolist()):
            if run <= 0:
                run, start = 0.0, i
            run += cost
            if run > best:
                best, span = run, (start, i + 1)
        # A trigram is charged to its last byte: the two before it belong to the stretch.
        return (max(0, span[0] - 2), span[1]) if best > 0 else (0, len(value))


def _p_value(surprise: np.floating[Any]) -> float:
    """Return the p-value that people are told: none that no data backs."""
    return float(max(RAREST, 10.0 ** -float(surprise)))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES])


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
