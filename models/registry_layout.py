"""A registry in a folder: an OCI image layout, which other tools can read, copy and mirror.

What the disk must never show is told in :mod:`cnaf.models.image_layout`. Entries of other tools in
the same layout stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnaf.models.artifact import ArtifactFiles
from cnaf.models.digest import Digest
from cnaf.models.errors import ArtifactFormatError, ArtifactMismatchError, RegistryError
from cnaf.models.image_layout import MAX_DOCUMENT, ImageLayout
from cnaf.models.oci import index_entry, prepare, read_entry, read_manifest
from cnaf.models.registry import ModelRecord, newest_first, not_found, select_record

__all__ = ["LayoutRegistry"]

#: A reader begins again this often when writers keep replacing the model under it.
_ATTEMPTS = 8


class LayoutRegistry:
    """Keeps models in the OCI image layout at ``root``, which the first push makes."""

    def __init__(self, root: Path, *, lock_timeout_s: float = 30.0) -> None:
        self.root = root
        self._layout = ImageLayout(root, lock_timeout_s)

    def push(self, files: ArtifactFiles, *, subject: Digest, image: str) -> ModelRecord:
        """Keep the model; see :class:`cnaf.models.registry.ModelRegistry`."""
        model = prepare(files, subject=subject, image=image)
        with self._layout.writing() as writer:
            others, dropped = self._without(subject)
            for data in (files.config, files.tensors, model.manifest):
                writer.write_blob(data)
            # Last in the index is last pushed.
            writer.replace_entries([*others, index_entry(model)], dropped)
        return model.record

    def pull(self, subject: Digest) -> ArtifactFiles:
        """Return the files as pushed, every blob checked against its digest."""
        for _ in range(_ATTEMPTS):
            files = self._read_model(self._record(subject))
            if files is not None:
                return files
        raise RegistryError(
            f"{self.root} lists a model of {subject.short} but lacks its blobs",
            hint="learn the image again, or restore the folder",
        )

    def find(self, reference: str) -> ModelRecord:
        """Return the newest model that ``reference`` names."""
        return select_record(self.list(), reference)

    def list(self) -> Sequence[ModelRecord]:
        """Return every model, newest first."""
        return newest_first(self._records().values())

    def remove(self, subject: Digest) -> ModelRecord:
        """Drop the model of ``subject`` with its blobs."""
        # Looked up first, so that no folder is made for nothing.
        self._record(subject)
        with self._layout.writing() as writer:
            record = self._record(subject)
            writer.replace_entries(*self._without(subject))
        return record

    def _record(self, subject: Digest) -> ModelRecord:
        record = self._records().get(subject)
        if record is None:
            raise not_found(subject)
        return record

    def _records(self) -> dict[Digest, ModelRecord]:
        """Return the models in the order of pushing."""
        records: dict[Digest, ModelRecord] = {}
        for _, record in self._entries():
            if record is not None:
                records.pop(record.subject, None)
                records[record.subject] = record
        return records

    def _entries(self) -> Sequence[tuple[Any, ModelRecord | None]]:
        try:
            return [(entry, read_entry(entry)) for entry in self._layout.entries()]
        except ValueError as error:
            raise self._layout.error(str(error)) from error

    def _without(self, subject: Digest) -> tuple[Any, Sequence[Digest]]:
        """Return the entries but the subject's, and the manifests that these name."""
        pairs = [(e, r if r and r.subject == subject else None) for e, r in self._entries()]
        return [e for e, r in pairs if r is None], [r.manifest for _, r in pairs if r]

    def _read_model(self, record: ModelRecord) -> ArtifactFiles | None:
        """Return the files, or None where a writer took one of them away meanwhile."""
        manifest = self._layout.read_blob(record.manifest, MAX_DOCUMENT)
        if manifest is None:
            return None
        try:
            subject, config, tensors = read_manifest(manifest)
        except ValueError as error:
            raise ArtifactFormatError(
                f"the manifest of the model of {record.subject.short} is refused: {error}",
                hint="learn the image again",
            ) from error
        if subject != record.subject:
            raise ArtifactMismatchError(
                f"the model listed for {record.subject.short} was learned from {subject.short}",
                hint="learn the image again",
            )
        first = self._layout.read_blob(config.digest, config.size)
        second = self._layout.read_blob(tensors.digest, tensors.size)
        if first is None or second is None:
            return None
        return ArtifactFiles(first, second)
