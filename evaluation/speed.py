"""How fast a model learns and scores, and how large it is."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from statistics import median

from cnaf.evaluation.trials import learn_model
from cnaf.models.exchange import Exchange
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer

__all__ = ["Speed", "measure_speed", "replicated"]

#: Fields of a typical request, and how often one is scored.
_FIELDS = 12
_ROUNDS = 200
_REQUESTS = 50
_LOOKED_AT = 5_000
#: What changes from visit to visit; escapes and parts of words are none.
_IDENTIFIER = re.compile(rb"(?<![0-9A-Za-z%])(?:[0-9a-f]{8,}|[0-9]{5,})(?![0-9A-Za-z])")
_FIXED = frozenset((b"host", b"content-length", b"content-type", b"user-agent"))


@dataclass(frozen=True, slots=True)
class Speed:
    """``us_per_request`` is the median time to score a parsed request of about 12 fields.

    ``learn_s`` is what learning ``learned`` requests took, ``model_bytes`` the artifact of the
    corpus as it is.
    """

    us_per_request: float
    fields: float
    learn_s: float
    learned: int
    model_bytes: int


def measure_speed(benign: Sequence[Exchange], learned: int, target_fpr: float) -> Speed:
    """Measure on one core as far as the learner lets one be enough."""
    model, size = learn_model(benign, target_fpr)
    us, fields = _scoring(model, benign)
    many = replicated(benign, learned)
    start = time.perf_counter()
    learn_model(many, target_fpr)
    return Speed(us, fields, time.perf_counter() - start, len(many), size)


def replicated(benign: Sequence[Exchange], count: int) -> list[Exchange]:
    """Return ``count`` exchanges: the sessions over and over, under new names, values varied.

    Nonces, times, session cookies and other runs of eight hexadecimal or five decimal digits are
    replaced in each copy, by digits that follow from the run and the copy's number. Texts stay.
    """
    made: list[Exchange] = []
    while benign and len(made) < count:
        copy = len(made) // len(benign)
        made += [_varied(e, copy) for e in benign[: count - len(made)]]
    return made


def _varied(exchange: Exchange, copy: int) -> Exchange:
    if not copy:
        return exchange

    def vary(found: re.Match[bytes]) -> bytes:
        digest = sha256(found[0] + str(copy).encode())
        decimal = found[0].isdigit()
        digits = str(int(digest.hexdigest(), 16)) if decimal else digest.hexdigest()
        # A leading zero would be another kind of number.
        fresh = digits.lstrip("0").encode() * (1 + len(found[0]) // 32)
        return fresh[: len(found[0])]

    request = exchange.request
    headers = tuple(
        (name, value if name in _FIXED else _IDENTIFIER.sub(vary, value))
        for name, value in request.headers
    )
    varied = replace(
        request,
        target=_IDENTIFIER.sub(vary, request.target),
        headers=headers,
        body=_IDENTIFIER.sub(vary, request.body),
    )
    names = f"{exchange.id}~{copy}", f"{exchange.session}~{copy}"
    return replace(exchange, id=names[0], session=names[1], request=varied)


def _scoring(model: RequestModel, benign: Sequence[Exchange]) -> tuple[float, float]:
    """Return the median time (us) over the requests of most nearly 12 scored fields, and theirs."""
    parser, scorer = RequestParser(), Scorer(model)
    parsed = [parser.parse(exchange.request) for exchange in benign[:_LOOKED_AT]]
    parsed.sort(key=lambda p: abs(len(scorer.score(p).indices) - _FIELDS))
    chosen = parsed[:_REQUESTS]
    times = []
    # The first round warms what is cached by path, as traffic does.
    for _ in range(_ROUNDS):
        for request in chosen:
            start = time.perf_counter_ns()
            scorer.score(request)
            times.append(time.perf_counter_ns() - start)
    fields = median(len(scorer.score(request).indices) for request in chosen)
    return median(times) / 1000.0, fields
