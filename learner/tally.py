"""Count what values look like: from weighted values to surprisals per scope.

A value counts once a session, however often the session repeats it: a poller or a hot asset must
not drown what is rare. Training on all folds but one is then a matter of other weights over the
same trigrams, so the expensive part, taking values apart, is done once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.models.kernels import hash_grams
from cnaf.models.ngrams import QUARTER_BITS, TOKENS, NgramTable, build_table, grams_of

__all__ = ["Counted", "ScopeStatistics", "Tally", "take_apart"]

# A scope's key, a kind and a trigram packed in 64 bits: scope << 26 | kind << 25 | gram.
_SCOPE, _KIND = np.uint64(26), np.uint64(25)
_GRAM_MASK = np.uint64((1 << 25) - 1)
_CONTEXT_BITS = (np.uint64(6), np.uint64(8))
#: An escape costs at least half a bit and at most 14 (a scope of 16,000 trigrams without news).
_ESCAPE_BITS = (0.5, 14.0)


@dataclass(frozen=True, slots=True)
class ScopeStatistics:
    """What scoring needs of the counted scopes; see :class:`cnaf.models.request_model`."""

    table: NgramTable
    escapes: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.uint64]
    longest: npt.NDArray[np.float32]
    shortest: npt.NDArray[np.float32]


class Tally:
    """The trigrams of distinct values, ready to be counted under any weights.

    Parameters
    ----------
    values:
        n distinct (per field) values.
    scopes:
        int64 of shape (n, 3): the field, group and image scope of each value.
    scope_count:
        Number of scopes.
    spelled:
        uint8 of shape (n,), whether the bytes of each value are counted.
    """

    def __init__(
        self,
        values: list[bytes],
        scopes: npt.NDArray[np.int64],
        scope_count: int,
        spelled: npt.NDArray[np.uint8],
    ) -> None:
        self._scopes = scopes
        self._count = scope_count
        self._log_lengths = np.log2(np.array([len(v) for v in values], np.float64) + 1.0)
        self._owner, self._kind, self._gram = take_apart(values, spelled)

    def statistics(
        self, weights: npt.NDArray[np.float64], fields: npt.NDArray[np.bool_]
    ) -> ScopeStatistics:
        """Return the statistics of the values under weights (float64, shape (n,)).

        ``fields`` (bool, one a field) says which have trigrams of their own in the table.
        """
        alive = weights[self._owner] > 0
        owner, kind, gram = self._owner[alive], self._kind[alive], self._gram[alive]
        escapes = np.zeros((self._count, 2), np.uint8)
        seen = np.zeros(self._count, np.uint64)
        longest, shortest = np.zeros(self._count), np.full(self._count, np.inf)
        hashes, bits = [], []
        present = weights > 0
        for level in range(self._scopes.shape[1]):
            counted = Counted.of(self._scopes[owner, level], kind, gram, weights[owner])
            escapes_here, used = counted.escapes(self._count)
            escapes[used] = escapes_here[used]
            # Byte trigrams that one session alone showed are two thirds of all and carry least;
            # backing off tells nearly as well, and the artifact stays small.
            kept = (counted.kind == 0) | (counted.counts > (3.0, 2.0, 1.0)[level])
            if level == 0:
                kept &= fields[counted.scope]
            hashes.append(counted.hashes()[kept])
            bits.append(counted.quarter_bits()[kept])
            counted.mark_tokens(seen)
            scopes = self._scopes[present, level]
            np.maximum.at(longest, scopes, self._log_lengths[present])
            np.minimum.at(shortest, scopes, self._log_lengths[present])
        table = build_table(np.concatenate(hashes), np.concatenate(bits))
        shortest[np.isinf(shortest)] = 0.0
        return ScopeStatistics(
            table, escapes, seen, longest.astype(np.float32), shortest.astype(np.float32)
        )


def take_apart(
    values: Sequence[bytes], spelled: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return all trigrams of some values: whose each is (by index), its kind and itself.

    Those of bytes only where ``spelled`` (uint8, one a value) says so.
    """
    taken = [grams_of(value) for value in values]
    owner = np.repeat(np.arange(len(values)), [len(kinds) for kinds, _ in taken])
    if not taken:
        return owner, np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    kind = np.concatenate([kinds for kinds, _ in taken]).astype(np.uint64)
    gram = np.concatenate([grams for _, grams in taken]).astype(np.uint64)
    read = (kind == TOKENS) | (spelled[owner] > 0)
    return owner[read], kind[read], gram[read]


@dataclass(frozen=True, slots=True)
class Counted:
    """Distinct packed trigrams of one level of scopes, with their weighted counts."""

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.float64]
    scope: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        scopes: npt.NDArray[np.int64],
        kind: npt.NDArray[np.uint64],
        gram: npt.NDArray[np.uint64],
        weights: npt.NDArray[np.float64],
    ) -> Counted:
        """Count trigrams (all arguments of one shape) by scope, kind and trigram."""
        keys = (scopes.astype(np.uint64) << _SCOPE) | (kind << _KIND) | gram
        distinct, inverse = np.unique(keys, return_inverse=True)
        counts = np.bincount(inverse, weights=weights).astype(np.float64)
        kinds = ((distinct >> _KIND) & np.uint64(1)).astype(np.int64)
        return cls(distinct, counts, (distinct >> _SCOPE).astype(np.int64), kinds)

    def escapes(self, scopes: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Good-Turing: the share of tokens whose trigram one session alone showed."""
        slot = self.scope * 2 + self.kind
        tokens = np.bincount(slot, weights=self.counts, minlength=2 * scopes)
        once = np.bincount(slot, weights=self.counts <= 1.0, minlength=2 * scopes)
        cost = np.clip(np.log2((tokens + 2.0) / (once + 1.0)), *_ESCAPE_BITS)
        used = np.bincount(self.scope, minlength=scopes) > 0
        return np.round(cost * QUARTER_BITS).astype(np.uint8).reshape(-1, 2), used

    def quarter_bits(self) -> npt.NDArray[np.uint8]:
        """-log2 of the third symbol given the first two, with one token set aside for news."""
        shift = np.where(self.kind == 0, _CONTEXT_BITS[0], _CONTEXT_BITS[1])
        context = ((self.keys >> shift) << np.uint64(1)) | self.kind.astype(np.uint64)
        _, inverse = np.unique(context, return_inverse=True)
        total = np.bincount(inverse, weights=self.counts)[inverse]
        cost = np.round(QUARTER_BITS * np.log2((total + 1.0) / self.counts))
        return np.clip(cost, 0, 255).astype(np.uint8)

    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return the hash of each trigram, as tables look it up."""
        out = np.empty(len(self.keys), np.uint64)
        hash_grams(self.scope, self.kind, (self.keys & _GRAM_MASK).astype(np.int64), out)
        return out

    def mark_tokens(self, seen: npt.NDArray[np.uint64]) -> None:
        """Set the bit of each token that a scope (uint64, one a scope) shows."""
        syntax = self.kind == 0
        token = self.keys[syntax] & np.uint64(63)
        np.bitwise_or.at(seen, self.scope[syntax], np.uint64(1) << token)
