"""From a registry to a model that can score, and from a fitted model to what a registry keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata

from cnaf.models.artifact import Artifact, ArtifactFiles, pack, unpack
from cnaf.models.digest import Digest
from cnaf.models.model_codec import model_from_parts, model_to_parts
from cnaf.models.registry import ModelRegistry
from cnaf.models.request_model import RequestModel

__all__ = ["StoredModel", "load_model", "pack_model", "unpack_model"]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model with the image that it was learned from, as its artifact names them."""

    subject: Digest
    image: str
    model: RequestModel


def pack_model(
    model: RequestModel,
    *,
    subject: Digest,
    image: str,
    created: datetime,
    corpus: Mapping[str, str | int],
    subject_source: str,
) -> ArtifactFiles:
    """Return the artifact of a model; the same arguments always give the same bytes.

    ``corpus`` holds ``hash``, ``exchanges`` and ``sessions``; ``subject_source`` says who vouches
    for the digest (``engine``, ``given``, or ``name`` for a stand-in made of the image's name).
    Raises ArtifactFormatError for what could not be read back.
    """
    described, arrays = model_to_parts(model)
    about = {
        "subject": str(subject),
        "subject_source": subject_source,
        "image": image,
        "created": created.isoformat(timespec="seconds"),
        "trainer": {"name": "cnaf", "version": metadata.version("cnaf")},
        "corpus": dict(corpus),
        "parent": None,
        "model": described,
    }
    return pack(Artifact(about, arrays))


def unpack_model(files: ArtifactFiles, *, expect: Digest | None = None) -> StoredModel:
    """Return the model of an artifact, checked throughout; raises ArtifactError."""
    artifact = unpack(files.config, files.tensors, expect=expect)
    described = artifact.metadata["model"]
    assert isinstance(described, Mapping)  # unpack made sure
    return StoredModel(
        artifact.subject, artifact.image, model_from_parts(described, artifact.arrays)
    )


def load_model(registry: ModelRegistry, reference: str) -> StoredModel:
    """Return the newest model that ``reference`` names.

    Raises RegistryError, ModelNotFoundError among them, InputError for what is no reference, and
    ArtifactError for a model that must not be used.
    """
    record = registry.find(reference)
    return unpack_model(registry.pull(record.subject), expect=record.subject)
