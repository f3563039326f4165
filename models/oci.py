"""Models in the words of OCI: manifests, index entries and descriptors as bytes and values.

Source: OCI image specification 1.1, manifest.md, image-index.md, image-layout.md. A model is an
image manifest with an ``artifactType``, whose ``subject`` is the manifest of the image, so that it
travels with it. The index entry repeats what a list needs, so that listing reads one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from cnaf.models.artifact import MAX_ARTIFACT_BYTES, ArtifactFiles, unpack
from cnaf.models.digest import Digest, ImageReference
from cnaf.models.errors import InputError
from cnaf.models.registry import ModelRecord
from cnaf.models.strict_json import JSON, canonical_json, parse_json

__all__ = [
    "ARTIFACT_TYPE",
    "Blob",
    "PreparedModel",
    "children_of",
    "digest_of",
    "empty_index",
    "index_entry",
    "prepare",
    "read_entry",
    "read_manifest",
]

ARTIFACT_TYPE: Final = "application/vnd.cnaf.request-model.v1"
CONFIG_TYPE: Final = "application/vnd.cnaf.request-model.config.v1+json"
TENSORS_TYPE: Final = "application/vnd.cnaf.request-model.tensors.v1.safetensors"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_DOCUMENT_TYPES = {
    MANIFEST_TYPE,
    INDEX_TYPE,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_CREATED: Final = "org.opencontainers.image.created"
_REF_NAME: Final = "org.opencontainers.image.ref.name"
_IMAGE: Final = "com.cnaf.image"
_SUBJECT: Final = "com.cnaf.subject"
_SIZE: Final = "com.cnaf.size"


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob by its content: digest and size in bytes."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A checked model, ready to be stored: its record and the bytes of its manifest."""

    record: ModelRecord
    manifest: bytes


def digest_of(data: bytes) -> Digest:
    """Return the SHA-256 digest of the bytes."""
    return Digest(f"sha256:{sha256(data).hexdigest()}")


def prepare(files: ArtifactFiles, *, subject: Digest, image: str) -> PreparedModel:
    """Check that the files are a sound artifact for ``subject`` and return what to store.

    So a registry never exchanges a good model for a bad one. Raises ArtifactError, InputError.
    """
    name = str(ImageReference.parse(image))
    created = unpack(files.config, files.tensors, expect=subject).created
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": _descriptor(CONFIG_TYPE, files.config),
            "layers": [_descriptor(TENSORS_TYPE, files.tensors)],
            # The size of the image's manifest is not known here, where only its digest is;
            # who pushes the model next to the image must write what that registry says.
            "subject": {"mediaType": MANIFEST_TYPE, "digest": str(subject), "size": 0},
            "annotations": {_CREATED: created.isoformat(), _IMAGE: name},
        }
    )
    return PreparedModel(
        ModelRecord(subject, name, created, digest_of(manifest), files.size), manifest
    )


def empty_index() -> dict[str, JSON]:
    """Return an image index without manifests."""
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}


def index_entry(model: PreparedModel) -> dict[str, JSON]:
    """Return the descriptor under which an index lists the model.

    Its reference name is made of the image digest and so unique: two versions of one image may
    have the same name, which stands in an annotation of its own.
    """
    record = model.record
    return {
        **_descriptor(MANIFEST_TYPE, model.manifest),
        "artifactType": ARTIFACT_TYPE,
        "annotations": {
            _REF_NAME: f"model-{record.subject.hex}",
            _CREATED: record.created.isoformat(),
            _IMAGE: record.image,
            _SUBJECT: str(record.subject),
            _SIZE: str(record.size),
        },
    }


def read_entry(entry: Any) -> ModelRecord | None:
    """Return the record of an index entry, None where it is no model's; raises ValueError."""
    if not isinstance(entry, Mapping) or entry.get("artifactType") != ARTIFACT_TYPE:
        return None
    try:
        notes = entry["annotations"]
        created = datetime.fromisoformat(notes[_CREATED])
        image = str(ImageReference.parse(notes[_IMAGE]))
        subject = Digest.parse(notes[_SUBJECT])
        record = ModelRecord(
            subject, image, created, Digest.parse(entry["digest"]), int(notes[_SIZE])
        )
    except (KeyError, TypeError, InputError) as error:
        raise ValueError(f"an entry of a model is malformed: {error!r}") from error
    if created.tzinfo is None:
        raise ValueError("an entry of a model has a time without a zone")
    return record


def read_manifest(data: bytes) -> tuple[Digest, Blob, Blob]:
    """Return a model manifest's subject, configuration and tensors; raises ValueError."""
    manifest: Any = parse_json(data)
    try:
        if manifest["artifactType"] != ARTIFACT_TYPE:
            raise ValueError("it is the manifest of something else")
        (layer,) = manifest["layers"]
        subject = Digest.parse(manifest["subject"]["digest"])
        config, tensors = _blob(manifest["config"]), _blob(layer)
    except (KeyError, TypeError, InputError) as error:
        raise ValueError(f"it is malformed: {error!r}") from error
    if not 0 <= min(config.size, tensors.size) <= config.size + tensors.size <= MAX_ARTIFACT_BYTES:
        raise ValueError("it lists blobs of impossible size")
    return subject, config, tensors


def children_of(document: Any) -> list[tuple[Digest, bool]]:
    """Return the digests that a manifest or index needs, and whether each is such a document.

    The subject is left out: it is what the document speaks of, and may live elsewhere. Raises
    ValueError where a descriptor is malformed.
    """
    try:
        rows = [*document.get("manifests", ()), *document.get("layers", ())]
        rows += [document["config"]] if "config" in document else []
        rows += document.get("blobs", ())
        return [(Digest.parse(row["digest"]), row["mediaType"] in _DOCUMENT_TYPES) for row in rows]
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise ValueError(f"a descriptor is malformed: {error!r}") from error


def _descriptor(media_type: str, data: bytes) -> dict[str, JSON]:
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}


def _blob(descriptor: Any) -> Blob:
    size = descriptor["size"]
    if type(size) is not int:
        raise ValueError("a descriptor has no size")
    return Blob(Digest.parse(descriptor["digest"]), size)
