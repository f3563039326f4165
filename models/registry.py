"""Where request models are kept: under the digest of the image that they were learned from.

One image digest has one model, the last that was pushed. What a registry gives back is what was
pushed, byte for byte, or an error; whether it may be enforced is decided by who loads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cnaf.models.artifact import ArtifactFiles
from cnaf.models.digest import Digest, ImageReference
from cnaf.models.errors import InputError, ModelNotFoundError

__all__ = ["ModelRecord", "ModelRegistry", "newest_first", "not_found", "select_record"]

# 12 digits are what engines print; fewer would soon be ambiguous.
_DIGEST_PREFIX = re.compile(r"(sha256:)?([0-9a-f]{12,64})")


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What a registry knows of a model without reading it.

    ``subject`` is the image digest, ``image`` the normalised reference that it was learned under,
    ``created`` when it was learned (with its time zone), ``manifest`` the digest of the model's
    own OCI manifest, ``size`` the bytes of both its blobs.
    """

    subject: Digest
    image: str
    created: datetime
    manifest: Digest
    size: int


class ModelRegistry(Protocol):
    """The verbs of every registry; one contract suite runs over all implementations.

    Every method raises RegistryError where the registry cannot be read or written; the models in it
    are whole even then.
    """

    def push(self, files: ArtifactFiles, *, subject: Digest, image: str) -> ModelRecord:
        """Keep the model under ``subject``; replaces the one that was there.

        Raises ArtifactError where the files are no sound artifact for ``subject``, and InputError
        where ``image`` is no reference.
        """
        ...

    def pull(self, subject: Digest) -> ArtifactFiles:
        """Return the files as pushed.

        Raises ModelNotFoundError where there is none, ArtifactError where it is damaged.
        """
        ...

    def find(self, reference: str) -> ModelRecord:
        """Return the newest model that a person means: see :func:`select_record`."""
        ...

    def list(self) -> Sequence[ModelRecord]:
        """Return every model, newest first."""
        ...

    def remove(self, subject: Digest) -> ModelRecord:
        """Forget the model of ``subject`` and return its record; raises ModelNotFoundError."""
        ...


def newest_first(records: Iterable[ModelRecord]) -> tuple[ModelRecord, ...]:
    """Return records, given in the order of pushing, newest first; the last pushed leads a tie."""
    numbered = sorted(enumerate(records), key=lambda pair: (pair[1].created, pair[0]), reverse=True)
    return tuple(record for _, record in numbered)


def select_record(records: Sequence[ModelRecord], reference: str) -> ModelRecord:
    """Return the first record that ``reference`` names.

    It is an image digest, at least 12 digits of one with or without ``sha256:``, ``repository@…``,
    or ``repository[:tag]``, where a missing tag is ``latest`` as everywhere. Raises InputError
    where it is none of these or a prefix of several, ModelNotFoundError where no record fits.
    """
    prefix = _DIGEST_PREFIX.fullmatch(reference)
    if prefix:
        found = [record for record in records if record.subject.hex.startswith(prefix[2])]
        if len(found) > 1:
            names = ", ".join(f"{record.subject.hex[:24]} ({record.image})" for record in found[:5])
            raise InputError(f"{reference} names several models", hint=f"one of {names}")
        if found:
            return found[0]
    if reference.startswith("sha256:"):
        if prefix is None:
            raise InputError(
                f"{reference[:80]!r} is not an image digest",
                hint="give sha256: and at least 12 lower-case hexadecimal digits",
            )
        raise not_found(reference)
    wanted = ImageReference.parse(reference)
    for record in records:
        if _names(wanted, record):
            return record
    raise _no_such_image(wanted, records)


def not_found(what: object) -> ModelNotFoundError:
    """Return the error for a model that is not there."""
    return ModelNotFoundError(
        f"no model is stored for {what}",
        hint="see `cnaf models ls`, or learn the image with `cnaf learn`",
    )


def _names(wanted: ImageReference, record: ModelRecord) -> bool:
    if wanted.digest is not None:
        return wanted.digest == record.subject
    image = ImageReference.parse(record.image)
    return (image.repository, image.tag) == (wanted.repository, wanted.tag)


def _no_such_image(wanted: ImageReference, records: Sequence[ModelRecord]) -> ModelNotFoundError:
    others = {
        record.image
        for record in records
        if ImageReference.parse(record.image).repository == wanted.repository
    }
    if not others or wanted.digest is not None:
        return not_found(wanted)
    return ModelNotFoundError(
        f"no model is stored for {wanted}", hint=f"there is {', '.join(sorted(others)[:5])}"
    )
