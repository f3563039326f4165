"""The general prior: what ordinary values of web requests look like anywhere.

A field backs off to its type, to the image, and last to this: n-gram statistics of benign values of
every kind and of many languages, so that a name, a sentence or a URL that CI never showed is cheap
and the syntax of an attack is not. It ships with the package, and ``cnaf prior make`` makes it
again, byte for byte, from its sources (:mod:`cnaf.learner.prior`). No attack is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cnaf.models.ngrams import NgramTable
from cnaf.models.refusals import blamed_on, of_type, refused, require
from cnaf.models.strict_json import JSON, canonical_json, parse_json
from cnaf.models.tensor_blob import read_tensors, write_tensors
from cnaf.models.value_types import ValueType

__all__ = ["WIDEST", "Prior", "PriorFiles", "general_prior", "pack_prior", "unpack_prior"]

_FORMAT: Final = "cnaf.general-prior"
_TOKENS: Final = 64
#: The scope of all types together; that of a type is the type's number.
WIDEST: Final = len(ValueType)


@dataclass(frozen=True, slots=True)
class PriorFiles:
    """The prior as two blobs: ``config`` is canonical JSON, ``tensors`` is safetensors."""

    config: bytes
    tensors: bytes


@dataclass(frozen=True, slots=True)
class Prior:
    """Statistics of ordinary values.

    ``table`` holds trigrams by scope: a type, or :data:`WIDEST`. ``word_bits`` (uint8, (64,)) is
    what it costs in quarter bits that a word is of its token's class; ``rarity`` (float32,
    (types, 64)) is -log2 of the share of a type's values that show a token. ``digest`` names the
    content, ``sources`` what it was made from.
    """

    table: NgramTable
    word_bits: npt.NDArray[np.uint8]
    rarity: npt.NDArray[np.float32]
    digest: str
    sources: Mapping[str, JSON]


def pack_prior(
    table: NgramTable,
    word_bits: npt.NDArray[np.uint8],
    rarity: npt.NDArray[np.float32],
    sources: Mapping[str, JSON],
) -> PriorFiles:
    """Return the prior's files; equal arguments give equal bytes."""
    blob, tensors = write_tensors(
        {"tags": table.tags, "bits": table.bits, "word_bits": word_bits, "rarity": rarity}
    )
    config: JSON = {
        "format": _FORMAT, "version": 1, "sources": dict(sources), "tensors": tensors,
    }  # fmt: skip
    return PriorFiles(canonical_json(config), blob)


def unpack_prior(files: PriorFiles) -> Prior:
    """Return the prior; raises ArtifactFormatError where the files do not fit each other."""
    with blamed_on("its description"):
        config = of_type(parse_json(files.config), dict, "description")
    require(config.get("format") == _FORMAT, "it is no general prior")
    require(config.get("version") == 1, "its version is unknown")
    arrays = read_tensors(files.tensors, config.get("tensors"))
    try:
        tags, bits = arrays["tags"], arrays["bits"]
        word_bits, rarity = arrays["word_bits"], arrays["rarity"]
    except KeyError as error:
        raise refused(f"the array {error.args[0]} is missing") from error
    _shaped(tags, np.uint16, (tags.size,))
    _shaped(bits, np.uint8, (tags.size,))
    _shaped(word_bits, np.uint8, (_TOKENS,))
    _shaped(rarity, np.float32, (len(ValueType), _TOKENS))
    require(len(tags) >= _TOKENS and bool((tags == 0).any()), "its table has no room")
    digest = sha256(files.config).hexdigest()
    sources = of_type(config.get("sources"), dict, "list of sources")
    return Prior(NgramTable(tags, bits), word_bits, rarity, digest, sources)


@cache
def general_prior() -> Prior:
    """Return the prior that ships with the package, read once."""
    folder = resources.files("cnaf.models") / "general"
    return unpack_prior(
        PriorFiles(
            (folder / "prior.json").read_bytes(), (folder / "prior.safetensors").read_bytes()
        )
    )


def _shaped(array: npt.NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    require(array.dtype == dtype and array.shape == shape, f"an array is not {dtype.__name__}")
