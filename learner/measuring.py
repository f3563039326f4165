"""The kernel over many values at once: what training and voting measure by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from cnaf.learner.tally import ScopeStatistics
from cnaf.models.kernels import MEASURES, measure_values
from cnaf.models.lexicon import WORD_KEYS, WORD_TOKENS
from cnaf.models.ngrams import FOLD, SYMBOLS
from cnaf.models.prior import general_prior
from cnaf.models.scoring import SPELLED

__all__ = ["measure"]


def measure(
    values: list[bytes],
    scopes: npt.NDArray[np.int64],
    types: npt.NDArray[np.int64],
    first_type: int,
    image: int,
    statistics: ScopeStatistics,
) -> npt.NDArray[np.float32]:
    """Return the measures of values, float32 of shape (values, measures).

    ``scopes`` and ``types`` (int64, one a value), ``first_type`` and ``image`` as
    :func:`cnaf.models.kernels.measure_values` has them.
    """
    lengths = np.array([len(v) for v in values], np.int64)
    starts = np.cumsum(lengths) - lengths
    out = np.empty((len(values), len(MEASURES)), np.float32)
    prior = general_prior()
    measure_values(
        np.frombuffer(b"".join(values) or b"\0", np.uint8), starts, lengths, scopes, types,
        first_type, image, statistics.table.tags, statistics.table.bits, statistics.escapes,
        statistics.seen, statistics.longest, statistics.shortest, prior.table.tags,
        prior.table.bits, prior.word_bits, prior.rarity, SPELLED, SYMBOLS, FOLD, WORD_KEYS,
        WORD_TOKENS, out,
    )  # fmt: skip
    return out
