"""Requests that the rest of the corpus speaks against: attacks in the test traffic, by vote.

A model learns what it is shown, and what a scanner or an attacker sent during the tests would be
normal ever after. Signatures set aside what they know. For the rest the sessions are dealt to
slices, and each slice is a small model of its own. Where any rule finds anything in a request,
however little that says by itself, and most other slices that know the field well find the syntax
of its value impossible, the request is set aside. One poisoned session teaches one slice; the
others outvote it (Cretu et al., "Casting out Demons: Sanitizing Training Data for Anomaly Sensors",
IEEE S&P 2008, with syntax in place of whole packets). What is merely unusual stays, or thresholds
would promise rates for a world without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from cnaf.learner.measuring import measure
from cnaf.learner.samples import Samples
from cnaf.learner.selection import Selection, SetAside
from cnaf.learner.tally import Tally
from cnaf.models.fields import Field
from cnaf.models.kernels import MEASURES
from cnaf.models.request_model import ENOUGH_SESSIONS
from cnaf.models.scoring import SPELLED
from cnaf.models.value_types import ValueType

__all__ = ["Outvoted", "outvoted", "without_outvoted"]

#: Quarter bits above the allowance from which on a slice calls a stretch of syntax impossible: 10
#: bits, less than one in a thousand.
_IMPOSSIBLE = 40
#: Votes that it takes: at least so many slices that know the field, and such a share of them.
_LEAST_VOTES, _MAJORITY = 2, 0.75
#: Requests set aside at most: where more are odd, the corpus is varied and not poisoned.
_MOST = 0.1


@dataclass(frozen=True, slots=True)
class Outvoted:
    """A request (by index) and the value (by index) that most slices find impossible."""

    request: int
    value: int


def outvoted(
    samples: Samples,
    suspects: Collection[int],
    progress: Callable[[str, int, int], None] = lambda _s, _d, _a: None,
) -> tuple[Outvoted, ...]:
    """Return those of the suspects (requests by index) that most slices speak against.

    The folds of the samples are the slices.

    Nothing is returned where that would be more than a tenth of all.
    """
    if not suspects:
        return ()
    odd = _impossible(samples, progress)
    found = []
    for index in sorted(suspects):
        request = samples.requests[index]
        guilty = request.values[odd[request.values]]
        if len(guilty):
            found.append(Outvoted(index, int(guilty[0])))
    return tuple(found) if len(found) <= _MOST * len(samples.requests) else ()


def _impossible(
    samples: Samples, progress: Callable[[str, int, int], None]
) -> npt.NDArray[np.bool_]:
    """Return which distinct values (bool) are outvoted."""
    slices = samples.fold_weights.shape[1]
    profiles, count = len(samples.keys), len(samples.values)
    types = np.array(samples.types, np.int64)[samples.owner]
    image = profiles + len(ValueType)
    scopes = np.stack([samples.owner, profiles + types, np.full(count, image)], axis=1)
    tally = Tally(samples.values, scopes, image + 1, SPELLED[types])
    asked, against = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for number in range(slices):
        progress("Voting on odd requests", number, slices)
        knows = samples.sessions_of(only=number) >= ENOUGH_SESSIONS
        weights = samples.fold_weights[:, number]
        statistics = tally.statistics(weights, knows)
        # A slice has no vote on what it was itself taught.
        judged = np.flatnonzero(knows[samples.owner] & (weights == 0))
        measures = measure(
            [samples.values[i] for i in judged], samples.owner[judged], types[judged], profiles,
            image, statistics,
        )  # fmt: skip
        asked[judged] += 1
        against[judged] += measures[:, MEASURES.index("token-peak")] >= _IMPOSSIBLE
    progress("Voting on odd requests", slices, slices)
    return (against >= _LEAST_VOTES) & (against >= _MAJORITY * asked)


def without_outvoted(
    selection: Selection, samples: Samples, voted: tuple[Outvoted, ...]
) -> Selection:
    """Return the selection without the outvoted requests, which it lists as set aside.

    ``samples`` are those of the selection's kept exchanges, in their order.
    """
    aside = {item.request: item.value for item in voted}
    attacks = []
    for request, value in aside.items():
        location, name = samples.keys[samples.owner[value]]
        attacks.append(
            SetAside(
                selection.kept[request].id,
                "vote",
                "most other sessions speak against the syntax of this value",
                Field(location, name, b"").label,
            )
        )
    kept = tuple(e for index, e in enumerate(selection.kept) if index not in aside)
    attacks = [*selection.attacks, *attacks]
    return replace(selection, kept=kept, attacks=tuple(attacks), suspects=frozenset())
