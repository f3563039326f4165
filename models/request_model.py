"""What was learned of one image, and how a request is held against it.

A :class:`RequestModel` is immutable and holds no raw value of the traffic that it came from: field
names and endpoint templates, hashed n-grams, and the distribution of scores. :class:`Scorer` runs
it; scorers of several threads may share one model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Location
from cnaf.models.kernels import MEASURES, fuse, score_request
from cnaf.models.ngrams import FOLD, SYMBOLS, NgramTable
from cnaf.models.scoring import MEASURE_FLOORS, MEASURE_WEIGHTS
from cnaf.models.value_types import ValueType, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.models.calibration import Calibration
    from cnaf.models.endpoints import EndpointTree
    from cnaf.models.fields import Field, ParsedRequest
    from cnaf.models.forest import FlatForest

__all__ = [
    "ENOUGH_SESSIONS",
    "ENOUGH_SIGHTINGS",
    "NOTHING_NEW",
    "TYPE_PREFIX",
    "VALUE_CAP",
    "Endpoint",
    "FieldProfile",
    "RequestModel",
    "Score",
    "Scorer",
    "is_learned",
    "is_news",
    "without_host",
]

#: Headers that describe the client and its path to us, not what it wants of the app. They change
#: with every browser release and proxy, so a model of them alarms on news; signatures watch them.
_CLIENT_HEADERS: Final = frozenset(
    """
    accept accept-encoding accept-language access-control-request-headers
    access-control-request-method authorization cache-control content-encoding content-type dnt
    expect forwarded from host if-match if-modified-since if-none-match if-range origin pragma
    priority range referer te traceparent tracestate upgrade upgrade-insecure-requests
    user-agent via x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto
    x-real-ip x-request-id
    """.split()  # noqa: SIM905 - one literal a header would be a page
)
#: Shorter ones could be any part of a word, and the neutral name would make a value longer.
_SHORTEST_HOST: Final = 4
#: The structure of a request that is in no way new.
NOTHING_NEW: Final = np.zeros(3, np.float32)
#: Paths whose template is kept; a path has at most the bytes of a target.
_PATHS: Final = 512
#: Bytes of a value that the kernel walks; an attack that starts later is the signatures' to find.
VALUE_CAP: Final = 16_384
#: Sightings in CI from which on an endpoint counts as known well enough to block on its shape.
ENOUGH_SIGHTINGS: Final = 3
#: Sessions from which on a field has statistics of its own.
ENOUGH_SESSIONS: Final = 3
#: Bytes that tell the type of a value in a field that the image never showed.
TYPE_PREFIX: Final = 256


@dataclass(frozen=True, slots=True)
class FieldProfile:
    """What is known of a field: its place and name, type, evidence and usual length in bytes."""

    location: Location
    name: str
    value_type: ValueType
    sightings: int
    sessions: int
    usual_length: int

    @property
    def thin(self) -> bool:
        """Whether too few sessions showed the field to know what else its values may be.

        A name or a session's token is the same all through one session. Such a field is read by
        the law of its type, and not at all where it is a cookie or header.
        """
        return self.sessions < ENOUGH_SESSIONS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and path template with its evidence and the profiles that it was seen with."""

    method: str
    template: str
    sightings: int
    fields: frozenset[int]

    @property
    def thin(self) -> bool:
        """Whether the endpoint was seen too rarely to block on what is new about it."""
        return self.sightings < ENOUGH_SIGHTINGS


@dataclass(frozen=True, slots=True)
class RequestModel:
    """Everything that scoring needs.

    Scopes are numbered: profile ``i`` is scope ``i``, value type ``t`` is scope
    ``len(profiles) + t``, the image is the last. ``escapes`` (uint8, (scopes, 2)), ``seen``
    (uint64, (scopes,)), ``usual`` (float32, (scopes,)) and ``scales`` (float32,
    (scopes, measures)) are per scope; ``tail_points`` (float32, (measures + 1, STEPS)) and
    ``tail_slopes`` (float32, (measures + 1,)) per measure, the last row for the forest.
    ``structure`` (float32, (3,)) is -log10 of how often held-out benign requests show an unseen
    endpoint, an unseen field name, and a name unseen at its endpoint. ``calibration`` is that of
    scores, ``blocking`` that of what :meth:`Scorer.blockable` makes of them.
    """

    profiles: tuple[FieldProfile, ...]
    endpoints: tuple[Endpoint, ...]
    tree: EndpointTree
    table: NgramTable
    escapes: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.uint64]
    usual: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    tail_points: npt.NDArray[np.float32]
    tail_slopes: npt.NDArray[np.float32]
    structure: npt.NDArray[np.float32]
    forest: FlatForest
    calibration: Calibration
    blocking: Calibration

    @property
    def image_scope(self) -> int:
        """The number of the widest scope."""
        return len(self.profiles) + len(ValueType)


@dataclass(slots=True)
class Score:
    """How odd a request is for the image; made once a request, so not frozen (1 us).

    ``score`` is what calibration turns into a p-value. ``endpoint`` is None where the image never
    showed this method and template. ``unseen`` are the indices of fields with new names;
    ``indices`` those of all scored fields, whose numbers stand in ``out`` as the kernel left them.
    """

    score: float
    forest: float
    method: str
    template: str
    endpoint: Endpoint | None
    unseen: list[int]
    indices: list[int]
    out: npt.NDArray[np.float32]

    @property
    def surprises(self) -> npt.NDArray[np.float32]:
        """-log10 p of each measure of each scored field: float32, shape (n, measures)."""
        n, m = len(self.indices), len(MEASURES)
        return self.out[: n * m].reshape(n, m)

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The score of each scored field: float32, shape (n,)."""
        n, m = len(self.indices), len(MEASURES)
        return self.out[n * m : n * m + n]


def is_learned(field: Field) -> bool:
    """Say whether a model speaks about this field at all."""
    if field.location is Location.HEADER:
        return field.name not in _CLIENT_HEADERS and not field.name.startswith("sec-")
    return field.location is not Location.FILE


def is_news(location: Location) -> bool:
    """Say whether a name that the image never showed there is worth a look.

    Cookies and headers come from others, too: analytics, proxies, other apps of the domain. An app
    ignores those that it does not know, and signatures look at all of them.
    """
    return location is not Location.COOKIE and location is not Location.HEADER


def without_host(value: bytes, host: bytes) -> bytes:
    """Return a value as a model sees it: the site's own name, and its scheme, are neutral.

    A site is learned under one name and protected under others. The value never grows.

    >>> without_host(b"to=https://shop.example/cart", b"shop.example")
    b'to=//host/cart'
    """
    if len(host) < _SHORTEST_HOST or host not in value:
        return value
    for scheme in (b"https:", b"http:"):
        value = value.replace(scheme + b"//" + host, b"//" + host)
    return value.replace(host, b"host")


class Scorer:
    """Holds requests against one model."""

    def __init__(self, model: RequestModel) -> None:
        self.model = model
        groups = [len(model.profiles) + p.value_type for p in model.profiles]
        # Per location, for hashing an enum member costs more than the look-up: a field's profile,
        # scope, group and place, or nothing where the field is not scored.
        self._known: tuple[dict[str, tuple[int, int, int, int] | tuple[()]], ...]
        self._known = tuple({} for _ in Location)
        self._known[Location.HEADER].update(dict.fromkeys(_CLIENT_HEADERS, ()))
        for index, profile in enumerate(model.profiles):
            where, group = int(profile.location), groups[index]
            scored = not profile.thin or is_news(profile.location)
            scope = group if profile.thin else index
            self._known[where][profile.name] = (index, scope, group, where) if scored else ()
        total = sum(e.sightings for e in model.endpoints)
        self._unseen_rarity = log2(total + 1)
        self._endpoints = {
            (e.method, e.template): (e, log2((total + 1) / (e.sightings + 1)))
            for e in model.endpoints
        }
        # Few paths make most of the traffic.
        self._template = lru_cache(_PATHS)(lambda path: model.tree.match(path).template)
        self._costs = tuple(float(cost) for cost in model.structure)
        table, forest = model.table, model.forest
        self._fixed = (
            model.image_scope, table.tags, table.bits, model.escapes, model.seen, model.usual,
            SYMBOLS, FOLD, model.scales, MEASURE_FLOORS, MEASURE_WEIGHTS, model.tail_points,
            model.tail_slopes, forest.step, forest.feature, forest.value, forest.roots,
            forest.normal,
        )  # fmt: skip

    def score(self, request: ParsedRequest) -> Score:
        """Return the request's score; pure, and never raises on a request's content."""
        indices, profiles, unseen, cells, rounds, buffer = self._resolve(request)
        template = self._template(request.path)
        endpoint, rarity = self._endpoints.get(
            (request.method, template), (None, self._unseen_rarity)
        )
        n = len(indices)
        out = np.empty(n * len(MEASURES) + n + len(COLUMNS), np.float32)
        score, forest = score_request(
            np.frombuffer(buffer, np.uint8),
            np.array(cells, np.int64),
            *self._structure(endpoint, profiles, unseen),
            rarity,
            float(len(request.buffer)),
            float(request.body_bytes),
            float(rounds),
            float(len(request.problems)),
            *self._fixed,
            out,
        )
        return Score(score, forest, request.method, template, endpoint, unseen, indices, out)

    def blockable(self, request: ParsedRequest, score: Score) -> float:
        """Return the score without what being new added, where CI knows little of the endpoint.

        That is structure, and the path: one that the tests forgot reads odd by itself.
        """
        if score.endpoint is not None and not score.endpoint.thin:
            return score.score
        fields = request.fields
        elsewhere = [fields[index].location is not Location.PATH for index in score.indices]
        values, model = score.values[np.array(elsewhere, bool)], self.model
        return float(fuse(values, NOTHING_NEW, model.tail_points, model.tail_slopes, score.forest))

    def _resolve(
        self, request: ParsedRequest
    ) -> tuple[list[int], list[int], list[int], list[int], int, bytes]:
        """Return scored fields, their profiles, those with new names, cells, rounds and bytes."""
        indices: list[int] = []
        profiles: list[int] = []
        unseen: list[int] = []
        cells: list[int] = []
        most_rounds = 0
        known, starts, host = self._known, request.starts, request.host
        neutral: list[bytes] = []
        end = len(request.buffer)
        for index, field in enumerate(request.fields):
            location, name, value, rounds = field
            found = known[location].get(name)
            if found:
                profile, scope, group, place = found
                profiles.append(profile)
            elif found is None and is_news(location) and is_learned(field):
                # A new name leans on values of the kind that it carries.
                scope = group = len(self.model.profiles) + kind_of(value[:TYPE_PREFIX])
                place = int(location)
                unseen.append(index)
            else:
                continue
            indices.append(index)
            start = starts[index]
            if host and host in value:
                # Neutral values stand behind the others.
                value, start = without_host(value, host), end
                neutral.append(value)
                end += len(value)
            length = len(value)
            cells += (
                start, length if length < VALUE_CAP else VALUE_CAP, scope, group, place,
            )  # fmt: skip
            most_rounds = max(most_rounds, rounds)
        buffer = b"".join((request.buffer, *neutral)) if neutral else request.buffer
        return indices, profiles, unseen, cells, most_rounds, buffer

    def _structure(
        self, endpoint: Endpoint | None, profiles: Sequence[int], unseen: Sequence[int]
    ) -> tuple[float, float, float]:
        new_endpoint, new_name, new_here = self._costs
        name_cost = new_name if unseen else 0.0
        if endpoint is None:
            return new_endpoint, name_cost, 0.0
        return 0.0, name_cost, 0.0 if endpoint.fields.issuperset(profiles) else new_here
