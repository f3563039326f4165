"""Make the general prior from ordinary values; see :mod:`cnaf.models.prior`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
from cnaf.learner.tally import Counted, take_apart
from cnaf.models.errors import InputError
from cnaf.models.ngrams import QUARTER_BITS, build_table
from cnaf.models.prior import WIDEST, PriorFiles, pack_prior
from cnaf.models.request_model import TYPE_PREFIX
from cnaf.models.scoring import SPELLED
from cnaf.models.strict_json import JSON
from cnaf.models.value_types import ValueType, kind_of

__all__ = ["make_prior", "ordinary_corpus"]

#: Values that must show a trigram before it counts as ordinary: of tokens, of bytes. What fewer
#: show is chance, and two thirds of the table.
_LEAST = (3.0, 5.0)
_TOKENS = 64
_LETTERS, _FIRST_WORD, _HEXADECIMAL, _MIXED = 1, 38, 58, 59
#: A type's rarities count against those of all values as if it had shown so many.
_PRIOR_VALUES = 20.0
#: Paths for each ordinary value, and segments that they have at most.
_PATHS, _PATH_SEGMENTS = 0.06, 4
#: Values taken apart at once; all at once take gigabytes.
_BATCH = 20_000


def ordinary_corpus(seed: int, size: int) -> tuple[Iterator[bytes], dict[str, JSON]]:
    """Return ordinary values, and paths made of ordinary segments, with what they were drawn from.

    Raises InputError where the libraries that draw them are not installed.
    """
    try:
        # Only whoever makes a prior needs them.
        from cnaf.learner.everyday import (  # noqa: PLC0415
            SOURCES,
            ordinary_segments,
            ordinary_values,
        )
    except ImportError as error:
        raise InputError(
            f"ordinary values cannot be drawn: {error}",
            hint="install them: pip install cnaf[prior]",
        ) from error

    def corpus() -> Iterator[bytes]:
        yield from (value for _, value in ordinary_values(seed, size))
        segments = list(ordinary_segments(seed, max(_PATH_SEGMENTS, size // 10)))
        draw = np.random.default_rng(seed)
        for _ in range(int(size * _PATHS)):
            chosen = draw.integers(0, len(segments), draw.integers(1, _PATH_SEGMENTS + 1))
            yield b"/" + b"/".join(segments[i] for i in chosen)

    return corpus(), {"seed": seed, "size": size, **SOURCES}


def make_prior(
    values: Iterable[bytes],
    sources: Mapping[str, JSON],
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _all: None,
) -> PriorFiles:
    """Return the prior of some values; equal arguments give equal bytes.

    A trigram counts once a value, so that a long text says no more than a short one.
    """
    kept = [value for value in values if value]
    types = np.array([kind_of(value[:TYPE_PREFIX]) for value in kept], np.int64)
    parts = []
    for start in range(0, len(kept), _BATCH):
        progress("Taking values apart", start, len(kept))
        part = slice(start, start + _BATCH)
        owner, kind, gram = take_apart(kept[part], SPELLED[types[part]])
        keys = np.unique(
            (owner.astype(np.uint64) << np.uint64(32)) | (kind << np.uint64(25)) | gram
        )
        parts.append(keys + (np.uint64(start) << np.uint64(32)))
    progress("Taking values apart", len(kept), len(kept))
    keys = np.concatenate(parts)
    owner = (keys >> np.uint64(32)).astype(np.int64)
    kind = (keys >> np.uint64(25)) & np.uint64(1)
    gram = keys & np.uint64((1 << 25) - 1)
    once = np.ones(len(keys))
    hashes, bits = [], []
    for scopes in (types[owner], np.full(len(owner), WIDEST)):
        progress("Counting", len(kept), len(kept))
        counted = Counted.of(scopes, kind, gram, once)
        enough = counted.counts >= np.array(_LEAST)[counted.kind]
        hashes.append(counted.hashes()[enough])
        bits.append(counted.quarter_bits()[enough])
    table = build_table(np.concatenate(hashes), np.concatenate(bits))
    syntax = kind == 0
    tokens = (gram[syntax] & np.uint64(_TOKENS - 1)).astype(np.int64)
    rarity = _rarity(types, owner[syntax], tokens)
    return pack_prior(table, _word_bits(tokens), rarity, sources)


def _word_bits(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return quarter bits of how few words are of each class."""
    counts = np.bincount(tokens, minlength=_TOKENS)
    classes = np.arange(_FIRST_WORD, _HEXADECIMAL)
    words = counts[[_LETTERS, _MIXED, *classes]].sum()
    bits = np.zeros(_TOKENS)
    bits[classes] = np.clip(np.log2((words + 1.0) / (counts[classes] + 1.0)), 0.0, 12.0)
    return np.round(bits * QUARTER_BITS).astype(np.uint8)


def _rarity(
    types: npt.NDArray[np.int64], owner: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return -log2 of the share of each type's values that show a token."""
    pairs = np.unique(owner * _TOKENS + tokens)
    shown = np.zeros((len(ValueType), _TOKENS))
    np.add.at(shown, (types[pairs // _TOKENS], pairs % _TOKENS), 1.0)
    values = np.bincount(types, minlength=len(ValueType))[:, None]
    overall = (shown.sum(axis=0) + 0.05) / (len(types) + 0.1)
    share = (shown + _PRIOR_VALUES * overall) / (values + _PRIOR_VALUES)
    bits: npt.NDArray[np.float32] = -np.log2(share).astype(np.float32)
    return bits
