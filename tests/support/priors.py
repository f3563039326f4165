"""What a value costs under a general prior alone: in an image that never showed anything."""

from __future__ import annotations

import numpy as np
from cnaf.models.kernels import MEASURES, measure_values
from cnaf.models.lexicon import WORD_KEYS, WORD_TOKENS
from cnaf.models.ngrams import FOLD, SYMBOLS
from cnaf.models.prior import Prior
from cnaf.models.request_model import TYPE_PREFIX
from cnaf.models.scoring import SPELLED
from cnaf.models.value_types import ValueType, kind_of

#: Types are scopes as they are in the prior; the image is the last.
IMAGE = len(ValueType)


def alone(prior: Prior, value: bytes) -> dict[str, float]:
    """The measures of a value in a field of its own kind, by name."""
    kind = np.array([kind_of(value[:TYPE_PREFIX])], np.int64)
    out = np.empty((1, len(MEASURES)), np.float32)
    lengths = np.zeros(IMAGE + 1, np.float32)
    measure_values(
        np.frombuffer(value or b"\0", np.uint8), np.zeros(1, np.int64),
        np.array([len(value)], np.int64), kind, kind, 0, IMAGE, np.zeros(64, np.uint16),
        np.zeros(64, np.uint8), np.zeros((IMAGE + 1, 2), np.uint8),
        np.zeros(IMAGE + 1, np.uint64), lengths, lengths, prior.table.tags, prior.table.bits,
        prior.word_bits, prior.rarity, SPELLED, SYMBOLS, FOLD, WORD_KEYS, WORD_TOKENS, out,
    )  # fmt: skip
    return dict(zip(MEASURES, out[0].tolist(), strict=True))
