"""The reference: how a small model's statistics are distributed on traffic that it never saw.

A corpus of some hundred requests shows nothing of its own tails. Those of other small corpora stand
in (see :mod:`cnaf.models.calibration`): models learned from a few sessions of a recorded site, and
held against the rest of it. The file ships with the package; ``cnaf prior reference`` makes it
again (:mod:`cnaf.learner.rehearsal`). No attack is in it, and no value: only distributions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from cnaf.models.calibration import CATEGORIES, STEPS, Tail
from cnaf.models.kernels import CHANNELS, MEASURES, NOVELTIES
from cnaf.models.prior import general_prior
from cnaf.models.refusals import blamed_on, of_type, refused, require
from cnaf.models.scoring import TAIL_GROUP_COUNT
from cnaf.models.strict_json import JSON, canonical_json, parse_json
from cnaf.models.tensor_blob import read_tensors, write_tensors

__all__ = [
    "TAILS",
    "Reference",
    "ReferenceFiles",
    "general_reference",
    "pack_reference",
    "packaged_reference",
    "unpack_reference",
]

_FORMAT: Final = "cnaf.reference"
#: Tails of a model, in the order of its rows: measures by group, novelties, forest, channels.
TAILS: Final = TAIL_GROUP_COUNT * len(MEASURES) + len(NOVELTIES) + 1 + len(CHANNELS)


@dataclass(frozen=True, slots=True)
class Reference:
    """``tails`` are those of a model, in their order; ``scores`` those of each category."""

    tails: tuple[Tail, ...]
    scores: tuple[Tail, ...]


@dataclass(frozen=True, slots=True)
class ReferenceFiles:
    """The reference as two blobs: ``config`` is canonical JSON, ``tensors`` is safetensors."""

    config: bytes
    tensors: bytes


def pack_reference(reference: Reference, sources: Mapping[str, JSON]) -> ReferenceFiles:
    """Return the reference's files; equal arguments give equal bytes."""
    rows = (*reference.tails, *reference.scores)
    points = np.stack([tail.points for tail in rows])
    blob, tensors = write_tensors(
        {
            "points": np.minimum(points, np.finfo(np.float32).max),
            "slopes": np.array([tail.slope for tail in rows], np.float64),
        }
    )
    config: JSON = {
        "format": _FORMAT, "version": 1, "prior": general_prior().digest,
        "sources": dict(sources), "tensors": tensors,
    }  # fmt: skip
    return ReferenceFiles(canonical_json(config), blob)


def unpack_reference(files: ReferenceFiles) -> Reference:
    """Return the reference; raises ArtifactFormatError where the files do not fit each other."""
    with blamed_on("its description"):
        config = of_type(parse_json(files.config), dict, "description")
    require(config.get("format") == _FORMAT, "it is no reference")
    require(config.get("version") == 1, "its version is unknown")
    require(config.get("prior") == general_prior().digest, "it was made with another prior")
    arrays = read_tensors(files.tensors, config.get("tensors"))
    try:
        points, slopes = arrays["points"], arrays["slopes"]
    except KeyError as error:
        raise refused(f"the array {error.args[0]} is missing") from error
    rows = TAILS + len(CATEGORIES)
    require(points.shape == (rows, STEPS) and points.dtype == np.float32, "points do not fit")
    require(slopes.shape == (rows,) and slopes.dtype == np.float64, "slopes do not fit")
    require(bool((np.diff(points, axis=1) >= 0).all() and (slopes > 0).all()), "no tails")
    points = np.where(points == np.finfo(np.float32).max, np.float32(np.inf), points)
    tails = [Tail(row, float(slope)) for row, slope in zip(points, slopes, strict=True)]
    return Reference(tuple(tails[:TAILS]), tuple(tails[TAILS:]))


@cache
def general_reference() -> Reference:
    """Return the reference that ships with the package, read once."""
    return unpack_reference(packaged_reference())


def packaged_reference() -> ReferenceFiles:
    """Return the files of the reference that ships with the package."""
    folder = resources.files("cnaf.learner") / "general"
    return ReferenceFiles(
        (folder / "reference.json").read_bytes(), (folder / "reference.safetensors").read_bytes()
    )
