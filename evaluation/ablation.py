"""A learned model with one part left out: what does the whole rely on?

Nothing is learned again. A measure or a novelty is left out by a tail that no value exceeds, the
forest likewise; a group of the forest's features by holding its columns at the median of ordinary
requests, so that a split on one always goes the same way. Tails and trees that were fitted beside
them stay. So this does not tell how good a model without the part could have become.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import numpy as np
import numpy.typing as npt
from cnaf.models.exchange import Exchange
from cnaf.models.features import COLUMNS, GROUPS
from cnaf.models.fields import ParsedRequest
from cnaf.models.kernels import MEASURES, NOVELTIES
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer
from cnaf.models.scoring import TAIL_GROUP_COUNT

__all__ = ["VARIANTS", "Variants"]

#: Requests whose median stands for the ordinary one.
_ORDINARY = 2_000
_M = len(MEASURES)
#: Rows of a model's tails by the part that they belong to, see RequestModel.
_TAILS: dict[str, tuple[int, ...]] = {
    **{f"measure {name}": tuple(range(m, TAIL_GROUP_COUNT * _M, _M))
       for m, name in enumerate(MEASURES)},
    **{f"novelty {name}": (TAIL_GROUP_COUNT * _M + n,) for n, name in enumerate(NOVELTIES)},
    "the whole forest": (TAIL_GROUP_COUNT * _M + len(NOVELTIES),),
}  # fmt: skip
_FOREST = {f"forest's {group.name}": group.columns for group in GROUPS}

#: What is left out, in the order of :meth:`Variants.scores`.
VARIANTS: tuple[str, ...] = ("nothing", *_TAILS, *_FOREST)


class Variants:
    """Scores requests by a model and by its ablations; ``benign`` shows what is ordinary."""

    def __init__(self, model: RequestModel, benign: Iterable[Exchange]) -> None:
        scorer, parser = Scorer(model), RequestParser()
        rows = [
            scorer.score(parser.parse(exchange.request)).out[-len(COLUMNS) :]
            for exchange in islice(benign, _ORDINARY)
        ]
        median = np.median(np.array(rows), axis=0)
        self._scorers = (
            scorer,
            *(Scorer(_without_tails(model, tails)) for tails in _TAILS.values()),
            *(Scorer(_without_columns(model, columns, median)) for columns in _FOREST.values()),
        )

    def scores(self, request: ParsedRequest) -> npt.NDArray[np.float32]:
        """Return the blockable score of each variant: float32, shape (len(VARIANTS),)."""
        return np.array(
            [scorer.blockable(request, scorer.score(request)) for scorer in self._scorers],
            np.float32,
        )


def _without_tails(model: RequestModel, rows: tuple[int, ...]) -> RequestModel:
    points = model.tail_points.copy()
    points[list(rows)] = np.inf
    return replace(model, tail_points=points)


def _without_columns(
    model: RequestModel, columns: tuple[str, ...], median: npt.NDArray[np.float32]
) -> RequestModel:
    forest = model.forest
    value = forest.value.copy()
    for column in map(COLUMNS.index, columns):
        nodes = (forest.step > 0) & (forest.feature == column)
        # An inner node goes left where the feature is at most its value.
        value[nodes] = np.where(median[column] <= value[nodes], np.inf, -np.inf)
    return replace(model, forest=replace(forest, value=value))
