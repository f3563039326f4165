"""The artifact: one request model as two blobs, canonical JSON and safetensors. No pickle anywhere.

What holds of every artifact that :func:`unpack` returns:

- its size, header, nesting and counts were bounded before anything was allocated from them;
- format and version are known, every required entry of the metadata is there and of its type;
- the subject is the image digest that the caller expects;
- the blob holds the tensors that the metadata lists, all of them and no others, with their dtype,
  shape and SHA-256, each dtype one that scoring uses and every float finite;
- no byte differs from what was written: ``checksum`` is the SHA-256 of the configuration with the
  checksum itself as zeros. It finds damage; it proves no origin, which is a signature's part.

Whether the arrays fit each other is not looked at here but in :mod:`cnaf.models.model_codec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import numpy.typing as npt
from cnaf.models.digest import Digest, ImageReference
from cnaf.models.errors import ArtifactFormatError, ArtifactMismatchError, InputError
from cnaf.models.refusals import blamed_on, of_type, refused, require, text_of
from cnaf.models.strict_json import JSON, canonical_json, parse_json
from cnaf.models.tensor_blob import MAX_BYTES, read_tensors, write_tensors

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MAX_ARTIFACT_BYTES",
    "Artifact",
    "ArtifactFiles",
    "pack",
    "unpack",
]

FORMAT: Final = "cnaf.request-model"
#: Raised whenever a reader of the previous version could not read the file set.
FORMAT_VERSION: Final = 1
#: Both blobs together.
MAX_ARTIFACT_BYTES: Final = MAX_BYTES
_MAX_CONFIG = 8 << 20
_HEX = re.compile(r"[0-9a-f]{64}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_UNSEALED = "0" * 64


@dataclass(frozen=True, slots=True)
class ArtifactFiles:
    """The two blobs: ``config`` is canonical JSON, ``tensors`` is safetensors."""

    config: bytes
    tensors: bytes

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.config) + len(self.tensors)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model as metadata and named arrays.

    The trainer gives these entries of ``metadata``, made of dict, list and scalars: ``subject``
    (image digest), ``image`` (reference), ``created`` (RFC 3339; given, so that a run can be
    repeated), ``trainer`` {name, version}, ``corpus`` {hash, exchanges, sessions}, ``parent``
    (image digest or None), ``model`` (its own object). :func:`pack` adds ``format``,
    ``format_version``, ``checksum`` and ``tensors`` {name: {dtype, shape, sha256}}.
    """

    metadata: Mapping[str, JSON]
    arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def subject(self) -> Digest:
        """The digest of the image that the model was learned from."""
        return Digest.parse(str(self.metadata["subject"]))

    @property
    def image(self) -> str:
        """The name under which the image was learned."""
        return str(self.metadata["image"])

    @property
    def created(self) -> datetime:
        """When it was learned, with its time zone."""
        return datetime.fromisoformat(str(self.metadata["created"]))


def pack(artifact: Artifact) -> ArtifactFiles:
    """Return the blobs; the same artifact always gives the same bytes.

    Raises ArtifactFormatError for whatever :func:`unpack` would refuse.
    """
    tensors, table = write_tensors(artifact.arrays)
    with blamed_on("the metadata"):
        unsealed = canonical_json(
            {
                **artifact.metadata,
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "checksum": _UNSEALED,
                "tensors": table,
            }
        )
    config = unsealed.replace(_seal(_UNSEALED), _seal(sha256(unsealed).hexdigest()))
    unpack(config, tensors)
    return ArtifactFiles(config, tensors)


def unpack(config: bytes, tensors: bytes, *, expect: Digest | None = None) -> Artifact:
    """Return the artifact with read-only arrays.

    Raises ArtifactFormatError where any line of the module's docstring does not hold, and
    ArtifactMismatchError where the artifact is for another image digest than ``expect``.
    """
    require(len(config) <= _MAX_CONFIG, f"its configuration is over {_MAX_CONFIG} bytes")
    total = len(config) + len(tensors)
    require(total <= MAX_ARTIFACT_BYTES, f"it is over {MAX_ARTIFACT_BYTES} bytes")
    metadata = _read_metadata(config)
    subject = Digest(text_of(metadata, "subject"))
    if expect is not None and subject != expect:
        raise ArtifactMismatchError(
            f"the model was learned from {subject.short}, not from {expect.short}",
            hint="learn this image, or pull the model of its own digest",
        )
    return Artifact(metadata, read_tensors(tensors, metadata["tensors"]))


def _read_metadata(config: bytes) -> dict[str, JSON]:
    with blamed_on("its configuration"):
        metadata = of_type(parse_json(config), dict, "configuration")
    require(metadata.get("format") == FORMAT, f"its format is not {FORMAT}")
    version = of_type(metadata.get("format_version"), int, "format_version")
    if version != FORMAT_VERSION:
        raise ArtifactFormatError(
            f"the artifact has format version {version}, this release reads {FORMAT_VERSION}",
            hint="upgrade cnaf" if version > FORMAT_VERSION else "learn the image again",
        )
    _check_seal(config, text_of(metadata, "checksum"))
    _check_entries(metadata)
    return metadata


def _check_seal(config: bytes, checksum: str) -> None:
    require(bool(_HEX.fullmatch(checksum)), "its checksum is no SHA-256")
    sealed = _seal(checksum)
    unsealed = config.replace(sealed, _seal(_UNSEALED))
    same = config.count(sealed) == 1 and sha256(unsealed).hexdigest() == checksum
    require(same, "its configuration does not have the checksum that it gives")


def _check_entries(metadata: Mapping[str, JSON]) -> None:
    """Check that every required entry is there and of its type."""
    try:
        ImageReference.parse(text_of(metadata, "image"))
        Digest.parse(text_of(metadata, "subject"))
        if metadata.get("parent", "") is not None:
            Digest.parse(text_of(metadata, "parent"))
    except InputError as error:
        raise refused(error.message) from error
    created = text_of(metadata, "created")
    require(bool(_RFC3339.fullmatch(created)), "its created is no RFC 3339 time with a zone")
    with blamed_on("its created"):
        datetime.fromisoformat(created)
    trainer = of_type(metadata.get("trainer"), dict, "trainer")
    for key in ("name", "version"):
        text_of(trainer, key)
    corpus = of_type(metadata.get("corpus"), dict, "corpus")
    text_of(corpus, "hash")
    for key in ("exchanges", "sessions"):
        require(of_type(corpus.get(key), int, key) >= 0, f"its {key} are negative")
    of_type(metadata.get("model"), dict, "model")
    of_type(metadata.get("tensors"), dict, "tensors")


def _seal(checksum: str) -> bytes:
    return f'"checksum":"{checksum}"'.encode()
