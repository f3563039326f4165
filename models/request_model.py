"""What was learned of one image, and how a request is held against it.

A :class:`RequestModel` is immutable and holds no raw value of the traffic that it came from: field
names and endpoint templates, hashed n-grams, and the distribution of scores. :class:`Scorer` runs
it; scorers of several threads may share one model.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from cnaf.models.calibration import category_of
from cnaf.models.features import COLUMNS
from cnaf.models.fields import Location
from cnaf.models.kernels import (
    CHANNELS,
    MEASURES,
    NOVELTIES,
    fuse,
    measure_values,
    relate_values,
    score_request,
)
from cnaf.models.lexicon import WORD_KEYS, WORD_TOKENS
from cnaf.models.ngrams import FOLD, SYMBOLS, NgramTable
from cnaf.models.prior import general_prior
from cnaf.models.scoring import (
    MEASURE_FLOORS,
    MEASURE_WEIGHTS,
    SPELLED,
    SYNTAX_WEIGHTS,
    TAIL_GROUPS,
)
from cnaf.models.structure import NOTHING_SEEN, UNKNOWN, News, add_name, composition_of, news_of
from cnaf.models.value_types import ValueType, kind_of

if TYPE_CHECKING:
    from cnaf.models.calibration import MondrianCalibration
    from cnaf.models.endpoints import EndpointTree, PathMatch
    from cnaf.models.fields import Field, ParsedRequest
    from cnaf.models.forest import FlatForest

__all__ = [
    "CODE_BY_DESIGN",
    "ENOUGH_SESSIONS",
    "ENOUGH_SIGHTINGS",
    "FIRM_BITS",
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
#: News of structure counts towards a block from so many bits on: where less than one sighting in
#: a thousand was new. A page or a form that the tests forgot must work.
FIRM_BITS: Final = log2(1000.0)
_NO_NEWS: Final = (0.0, 0.0, 0.0, 0.0)
#: Paths whose template is kept; a path has at most the bytes of a target.
_PATHS: Final = 512
#: Bytes of a value that the kernel walks; an attack that starts later is the signatures' to find.
VALUE_CAP: Final = 16_384
#: Sightings in CI from which on an endpoint counts as known well enough to block on its shape.
ENOUGH_SIGHTINGS: Final = 3
#: Sessions from which on a field has statistics of its own.
ENOUGH_SESSIONS: Final = 3
#: An image is known well where fewer than one in 32 sightings of a field name is of a new one.
_MATURE_BITS: Final = 5.0
#: Fields that take markup or code by design: more sessions must stay silent before a match speaks.
_MANY_SESSIONS: Final = 20
CODE_BY_DESIGN: Final = frozenset({ValueType.MARKUP, ValueType.CODE, ValueType.BINARY})
#: Bytes that tell the type of a value in a field that the image never showed.
TYPE_PREFIX: Final = 256


@dataclass(frozen=True, slots=True)
class FieldProfile:
    """What is known of a field: its place and name, type, evidence and usual length in bytes.

    ``kind`` is the type whose statistics stand in where its own are thin; ``value_type`` what
    people are told, which may say more (an enum of words). ``marks`` are the signature rules of
    medium confidence that benign values of this field set off: there they say nothing.
    """

    location: Location
    name: str
    kind: ValueType
    value_type: ValueType
    sightings: int
    sessions: int
    usual_length: int
    marks: frozenset[str] = frozenset()

    @property
    def thin(self) -> bool:
        """Whether too few sessions showed the field to know what else its values may be.

        A name or a session's token is the same all through one session. Such a field is read by
        the law of its type, and not at all where it is a cookie or header.
        """
        return self.sessions < ENOUGH_SESSIONS


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and path template with its evidence and the profiles that it was seen with.

    ``compositions`` are the sets of fields that it was seen with (see
    :func:`cnaf.models.structure.composition_of`), ``news`` how often one was new.
    """

    method: str
    template: str
    sightings: int
    sessions: int
    fields: frozenset[int]
    compositions: frozenset[int]
    news: News

    @property
    def thin(self) -> bool:
        """Whether the endpoint was seen too rarely to block on what is new about it."""
        return self.sightings < ENOUGH_SIGHTINGS


@dataclass(frozen=True, slots=True)
class RequestModel:
    """Everything that scoring needs.

    Scopes are numbered: profile ``i`` is scope ``i``, value type ``t`` is scope
    ``len(profiles) + t``, the image is the last. ``escapes`` (uint8, (scopes, 2)), ``seen``
    (uint64, (scopes,)), ``longest`` and ``shortest`` (float32, (scopes,)) and ``scales`` (float32,
    (scopes, measures)) are per scope. ``tail_points`` (float32, (tails, STEPS)) and
    ``tail_slopes`` (float32, (tails,)) hold a row for each measure of each group of types, for
    each novelty, the forest's, and the channels' of a request. ``names`` is the news of field
    names. ``calibration`` is that of what :meth:`Scorer.blockable` makes of scores. ``prior`` is
    the digest of the general prior that all this was learned with.
    """

    profiles: tuple[FieldProfile, ...]
    endpoints: tuple[Endpoint, ...]
    tree: EndpointTree
    names: News
    table: NgramTable
    escapes: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.uint64]
    longest: npt.NDArray[np.float32]
    shortest: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    tail_points: npt.NDArray[np.float32]
    tail_slopes: npt.NDArray[np.float32]
    forest: FlatForest
    calibration: MondrianCalibration
    prior: str

    @property
    def image_scope(self) -> int:
        """The number of the widest scope."""
        return len(self.profiles) + len(ValueType)


@dataclass(slots=True)
class Score:
    """How odd a request is for the image; made once a request, so not frozen (1 us).

    ``score`` is what calibration turns into a p-value. ``endpoint`` is None where the image never
    showed this method and template. ``news`` is in bits, by novelty. ``unseen`` are the indices of
    fields with new names; ``indices`` those of all scored fields, whose numbers stand in ``out``
    as the kernel left them. ``category`` is what the score is held against, by number (see
    :func:`cnaf.models.calibration.category_of`).
    """

    score: float
    forest: float
    category: int
    method: str
    template: str
    endpoint: Endpoint | None
    news: tuple[float, float, float, float]
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

    @property
    def novelties(self) -> npt.NDArray[np.float32]:
        """-log10 p of each novelty of the structure: float32, shape (novelties,)."""
        start = len(self.indices) * (len(MEASURES) + 1)
        return self.out[start : start + len(NOVELTIES)]


def is_learned(location: Location, name: str) -> bool:
    """Say whether a model holds n-grams of this field at all."""
    if location is Location.HEADER:
        return name not in _CLIENT_HEADERS and not name.startswith("sec-")
    return location is not Location.FILE


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
        first_type = len(model.profiles)
        # Per location, for hashing an enum member costs more than the look-up: a field's profile,
        # scope, type and place, or nothing where the field is not scored.
        self._known: tuple[dict[str, tuple[int, int, int, int] | tuple[()]], ...]
        self._known = tuple({} for _ in Location)
        for index, profile in enumerate(model.profiles):
            where = int(profile.location)
            scored = is_learned(profile.location, profile.name) and (
                not profile.thin or is_news(profile.location)
            )
            scope = first_type + profile.kind if profile.thin else index
            self._known[where][profile.name] = (
                (index, scope, int(profile.kind), where) if scored else ()
            )
        self._known[Location.HEADER].update(dict.fromkeys(_CLIENT_HEADERS, ()))
        total = sum(e.sightings for e in model.endpoints)
        self._unseen_rarity = log2(total + 1)
        self._endpoints = {
            (e.method, e.template): (e, log2((total + 1) / (e.sightings + 1)))
            for e in model.endpoints
        }
        self._methods: dict[str, News] = {}
        for e in model.endpoints:
            old = self._methods.get(e.template, NOTHING_SEEN)
            self._methods[e.template] = News(
                old.sightings + e.sessions, old.once + (e.sessions == 1)
            )
        # A method that the image never answered anywhere is told by all of its endpoints.
        answered: Counter[str] = Counter()
        for e in model.endpoints:
            answered[e.method] += e.sessions
        self._answered = frozenset(answered)
        self._new_method = news_of(answered.values()).bits
        # Few paths make most of the traffic.
        self._match = lru_cache(_PATHS)(model.tree.match)
        self._new_name = model.names.bits
        self._profiles = {(p.location, p.name): p for p in model.profiles}
        table, forest, prior = model.table, model.forest, general_prior()
        # What values are measured by, and what the measures then are held against.
        self._laws = (
            first_type, model.image_scope, table.tags, table.bits, model.escapes, model.seen,
            model.longest, model.shortest, prior.table.tags, prior.table.bits, prior.word_bits,
            prior.rarity, SPELLED, SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS,
        )  # fmt: skip
        self._fixed = (
            *self._laws, TAIL_GROUPS, model.scales,
            MEASURE_FLOORS, MEASURE_WEIGHTS, model.tail_points, model.tail_slopes, forest.step,
            forest.feature, forest.value, forest.roots, forest.normal,
        )  # fmt: skip

    def score(self, request: ParsedRequest) -> Score:
        """Return the request's score; pure, and never raises on a request's content."""
        indices, order, unseen, cells, rounds, buffer = self._resolve(request)
        path = self._match(request.path)
        endpoint, rarity = self._endpoints.get(
            (request.method, path.template), (None, self._unseen_rarity)
        )
        news = self._news(request, path, endpoint, order, bool(unseen))
        n = len(indices)
        out = np.empty(n * (len(MEASURES) + 1) + len(NOVELTIES) + len(COLUMNS), np.float32)
        score, forest, rich = score_request(
            np.frombuffer(buffer, np.uint8),
            np.frombuffer(array("q", cells), np.int64),
            *news,
            rarity,
            float(len(request.buffer)),
            float(request.body_bytes),
            float(rounds),
            float(len(request.problems)),
            *self._fixed,
            out,
        )
        category = category_of(request.body_bytes > 0, rich)
        return Score(
            score, forest, category, request.method, path.template, endpoint, news, unseen, indices,
            out,
        )  # fmt: skip

    def blockable(self, request: ParsedRequest, score: Score) -> float:
        """Return the score without what rests on little evidence.

        That is news where the image shows news all the time, and the words of a path that CI
        never requested: one that the tests forgot reads odd by itself.
        """
        firm = [bits >= FIRM_BITS for bits in score.news]
        if score.endpoint is not None and (firm == [True] * 4 or score.news == _NO_NEWS):
            return score.score
        model, values = self.model, score.values
        if score.endpoint is None and not firm[0]:
            values = values.copy()
            for position, index in enumerate(score.indices):
                if request.fields[index].location is Location.PATH:
                    values[position] = score.surprises[position] @ SYNTAX_WEIGHTS
        novelties = np.where(firm, score.novelties, np.float32(0.0)).astype(np.float32)
        return float(
            fuse(
                values, novelties, model.tail_points, model.tail_slopes, score.forest,
                np.empty(len(CHANNELS)),
            )
        )  # fmt: skip

    def related(
        self, request: ParsedRequest
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the related measures of each scored value (float32, (values, measures)).

        Then its type (int64), and whether its field is known well (bool).
        """
        _, _, _, cells, _, buffer = self._resolve(request)
        starts, lengths, scopes, types, _ = np.array(cells, np.int64).reshape(-1, 5).T.copy()
        measures = np.empty((len(starts), len(MEASURES)), np.float32)
        measure_values(
            np.frombuffer(buffer, np.uint8), starts, lengths, scopes, types, *self._laws, measures
        )
        relative = np.empty_like(measures)
        relate_values(measures, scopes, self.model.scales, MEASURE_FLOORS, relative)
        return relative, types, scopes < len(self.model.profiles)

    def channels(self, score: Score) -> npt.NDArray[np.float64]:
        """Return what a request is judged by, before its tails: float64, (channels,)."""
        model, found = self.model, np.empty(len(CHANNELS))
        fuse(
            score.values, score.novelties, model.tail_points, model.tail_slopes, score.forest, found
        )
        return found

    def speaks_against(self, rule: str, field: Field, score: Score) -> bool | None:
        """Say whether a medium rule's match means an attack in this field; None for too few data.

        It does where the endpoint or the field is new to an image whose names are known well, and
        where enough benign values
        of the field are known and none of them set the rule off; where some did, it does not.
        """
        profile = self._profiles.get((field.location, field.name))
        if profile is None or score.endpoint is None:
            return True if self.model.names.bits >= _MATURE_BITS else None
        if rule in profile.marks:
            return False
        by_design = profile.kind in CODE_BY_DESIGN
        enough = profile.sessions >= (_MANY_SESSIONS if by_design else ENOUGH_SESSIONS)
        return True if enough else None

    def is_marked(self, rule: str, field: Field) -> bool:
        """Say whether benign values of this field set the rule off, at whatever endpoint."""
        profile = self._profiles.get((field.location, field.name))
        return profile is not None and rule in profile.marks

    def _resolve(
        self, request: ParsedRequest
    ) -> tuple[list[int], dict[int, int], list[int], list[int], int, bytes]:
        """Return scored fields, composition, fields with new names, cells, rounds and bytes."""
        indices: list[int] = []
        order: dict[int, int] = {}
        unseen: list[int] = []
        cells: list[int] = []
        most_rounds = 0
        known, starts, host = self._known, request.starts, request.host
        first_type = len(self.model.profiles)
        neutral: list[bytes] = []
        end = len(request.buffer)
        for index, field in enumerate(request.fields):
            location, name, value, rounds = field
            found = known[location].get(name)
            if found:
                profile, scope, kind, place = found
            elif found is None and is_news(location) and is_learned(location, name):
                # A new name leans on values of the kind that it carries.
                profile, kind = UNKNOWN, int(kind_of(value[:TYPE_PREFIX]))
                scope, place = first_type + kind, int(location)
                unseen.append(index)
            else:
                continue
            add_name(order, place, profile)
            indices.append(index)
            start = starts[index]
            if host and host in value:
                # Neutral values stand behind the others.
                value, start = without_host(value, host), end
                neutral.append(value)
                end += len(value)
            length = len(value)
            cells += (
                start, length if length < VALUE_CAP else VALUE_CAP, scope, kind, place,
            )  # fmt: skip
            most_rounds = max(most_rounds, rounds)
        buffer = b"".join((request.buffer, *neutral)) if neutral else request.buffer
        return indices, order, unseen, cells, most_rounds, buffer

    def _news(
        self,
        request: ParsedRequest,
        path: PathMatch,
        endpoint: Endpoint | None,
        order: dict[int, int],
        unseen: bool,
    ) -> tuple[float, float, float, float]:
        """Return the bits of each novelty; a new path has no fields to compare with."""
        new_name = self._new_name if unseen else 0.0
        if endpoint is None:
            new_method = 0.0 if request.method in self._answered else self._new_method
            methods = self._methods.get(path.template) if path.known else None
            if methods is None:
                return path.news, new_method, 0.0, new_name
            return 0.0, max(methods.bits, new_method), 0.0, new_name
        composition = composition_of(order)
        if composition in endpoint.compositions:
            return _NO_NEWS
        return 0.0, 0.0, endpoint.news.bits, new_name
