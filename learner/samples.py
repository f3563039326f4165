"""Parsed traffic laid out for training: distinct values per field, requests that use them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from cnaf.models.endpoints import EndpointTree, Visits, learn_endpoints
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange
from cnaf.models.fields import Location, ParsedRequest
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import (
    TYPE_PREFIX,
    VALUE_CAP,
    is_learned,
    without_host,
)
from cnaf.models.structure import add_name, composition_of
from cnaf.models.value_types import ValueType, infer_type

__all__ = ["Sample", "Samples", "collect"]

#: Field names of one image, as many as an artifact holds; applications have hundreds.
_MAX_PROFILES = 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: its route, the distinct values that it holds, and what else is scored.

    ``session`` is its session's number, ``composition`` that of its fields.
    """

    method: str
    path: str
    session: int
    composition: int
    values: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    counts: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Samples:
    """A corpus for training.

    ``owner[i]`` is the profile of distinct value ``i``; ``fold_weights`` (float64,
    (values, folds)) counts the sessions of each fold that showed the value; ``folds[r]`` is the
    fold of request ``r``. Sessions never span folds. ``shown`` (int64, (n, 3)) holds each profile,
    fold and session (by number) that go together. Profiles that :func:`is_learned` says no to
    have no values. ``marks`` are the rules that benign values of a field set off.
    """

    requests: list[Sample]
    folds: npt.NDArray[np.int64]
    values: list[bytes]
    owner: npt.NDArray[np.int64]
    fold_weights: npt.NDArray[np.float64]
    keys: list[tuple[Location, str]]
    types: list[ValueType]
    sessions: int
    shown: npt.NDArray[np.int64]
    marks: Mapping[tuple[Location, str], Collection[str]]

    def sessions_of(
        self, *, without: int | None = None, only: int | None = None
    ) -> npt.NDArray[np.int64]:
        """Return how many sessions show each profile (int64): without a fold, or of one alone."""
        rows = self.shown
        if without is not None:
            rows = rows[rows[:, 1] != without]
        if only is not None:
            rows = rows[rows[:, 1] == only]
        pairs = np.unique(rows[:, [0, 2]], axis=0)
        return np.bincount(pairs[:, 0], minlength=len(self.keys))

    def distinct(self) -> npt.NDArray[np.int64]:
        """Return the first request (index) of each kind: method, path and all values alike.

        What a page polls or every visitor loads is one request to whoever counts surprises.
        """
        first: dict[tuple[str, str, bytes], int] = {}
        for index, request in enumerate(self.requests):
            key = request.method, request.path, request.values.tobytes()
            first.setdefault(key, index)
        return np.array(sorted(first.values()), np.int64)

    def tree(self, keep: npt.NDArray[np.bool_]) -> EndpointTree:
        """Return the endpoint tree of the requests that ``keep`` selects."""
        count: Counter[str] = Counter()
        sessions: dict[str, set[int]] = {}
        for index in np.flatnonzero(keep):
            request = self.requests[index]
            count[request.path] += 1
            sessions.setdefault(request.path, set()).add(request.session)
        return learn_endpoints(
            {path: Visits(n, frozenset(sessions[path])) for path, n in count.items()}
        )


def collect(
    exchanges: Iterable[Exchange],
    *,
    folds: int,
    seed: int,
    marks: Mapping[tuple[Location, str], Collection[str]] = MappingProxyType({}),
) -> Samples:
    """Parse exchanges and lay them out; raises CorpusError where there are fewer than folds.

    Folds are by session. With fewer than twice as many sessions as folds, a session is cut into
    stretches of consecutive requests instead: leaks a little, and still beats no held-out data.
    """
    if folds < 2:
        raise ValueError(f"{folds} folds leave nothing to learn from or nothing to hold out")
    parser = RequestParser()
    parsed: list[ParsedRequest] = []
    sessions: list[str] = []
    for exchange in exchanges:
        parsed.append(parser.parse(exchange.request))
        sessions.append(exchange.session)
    if len(parsed) < folds:
        raise CorpusError(
            f"{len(parsed)} accepted requests are too few to learn from",
            hint=f"record at least {folds}, better a few hundred, over several sessions",
        )
    groups = _groups(sessions, folds)
    fold_of = _assign(groups, folds, seed)
    values: dict[tuple[int, bytes], int] = {}
    keys: dict[tuple[Location, str], int] = {}
    showed: list[set[str]] = []
    numbers = {session: number for number, session in enumerate(sorted(set(sessions)))}
    shown: set[tuple[int, int, int]] = set()
    requests = []
    for request, group, session in zip(parsed, groups, sessions, strict=True):
        where = fold_of[group], numbers[session]
        indices, places = [], []
        order: dict[int, int] = {}
        for field in request.fields:
            key = keys.setdefault((field.location, field.name), len(keys))
            shown.add((key, *where))
            if not is_learned(field.location, field.name):
                continue
            add_name(order, field.location, key)
            value = without_host(field.value, request.host)[:VALUE_CAP]
            index = values.setdefault((key, value), len(values))
            if index == len(showed):
                showed.append(set())
            showed[index].add(group)
            indices.append(index)
            places.append(field.location)
        rounds = max(f.rounds for f in request.fields if is_learned(f.location, f.name))
        requests.append(
            Sample(
                request.method, request.path, numbers[session], composition_of(order),
                np.array(indices, np.int64), np.array(places, np.int64),
                (len(request.buffer), request.body_bytes, rounds, len(request.problems)),
            )
        )  # fmt: skip
    owner = np.array([key for key, _ in values], np.int64)
    weights = np.zeros((len(values), folds))
    for index, seen_by in enumerate(showed):
        for group in seen_by:
            weights[index, fold_of[group]] += 1.0
    _check_profiles(len(keys))
    by_key: list[list[bytes]] = [[] for _ in keys]
    for key, value in values:
        by_key[key].append(value[:TYPE_PREFIX])
    return Samples(
        requests,
        np.array([fold_of[group] for group in groups], np.int64),
        [value for _, value in values],
        owner,
        weights,
        list(keys),
        [infer_type(found) for found in by_key],
        len(numbers),
        np.array(sorted(shown), np.int64).reshape(-1, 3),
        marks,
    )


def _check_profiles(count: int) -> None:
    if count > _MAX_PROFILES:
        raise CorpusError(
            f"the corpus shows {count} different field names, more than {_MAX_PROFILES}",
            hint="random field names cannot be learned; leave those requests out",
        )


def _groups(sessions: Sequence[str], folds: int) -> list[str]:
    if len(set(sessions)) >= 2 * folds:
        return list(sessions)
    stretch = max(1, len(sessions) // (4 * folds))
    return [f"{session}/{i // stretch}" for i, session in enumerate(sessions)]


def _assign(groups: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """Deal groups to folds, largest first to the fold with least, so that folds are alike."""
    sizes = Counter(groups)
    ordered = sorted(sizes)
    names = [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]
    load = [0] * folds
    result = {}
    for name in sorted(names, key=lambda n: -sizes[n]):
        fold = load.index(min(load))
        result[name] = fold
        load[fold] += sizes[name]
    return result
