"""The registry's in-memory twin, for tests and for commands that keep nothing."""

from __future__ import annotations

from collections.abc import Sequence

from cnaf.models.artifact import ArtifactFiles
from cnaf.models.digest import Digest
from cnaf.models.oci import prepare
from cnaf.models.registry import ModelRecord, newest_first, not_found, select_record

__all__ = ["MemoryRegistry"]


class MemoryRegistry:
    """Keeps models for as long as the process lives."""

    def __init__(self) -> None:
        self._models: dict[Digest, tuple[ModelRecord, ArtifactFiles]] = {}

    def push(self, files: ArtifactFiles, *, subject: Digest, image: str) -> ModelRecord:
        """Keep the model; see :class:`cnaf.models.registry.ModelRegistry`."""
        record = prepare(files, subject=subject, image=image).record
        # Popped first, so that the dictionary stays in the order of pushing.
        self._models.pop(subject, None)
        self._models[subject] = record, files
        return record

    def pull(self, subject: Digest) -> ArtifactFiles:
        """Return the files as pushed."""
        return self._entry(subject)[1]

    def find(self, reference: str) -> ModelRecord:
        """Return the newest model that ``reference`` names."""
        return select_record(self.list(), reference)

    def list(self) -> Sequence[ModelRecord]:
        """Return every model, newest first."""
        return newest_first(record for record, _ in self._models.values())

    def remove(self, subject: Digest) -> ModelRecord:
        """Forget the model of ``subject``."""
        record, _ = self._entry(subject)
        del self._models[subject]
        return record

    def _entry(self, subject: Digest) -> tuple[ModelRecord, ArtifactFiles]:
        if subject not in self._models:
            raise not_found(subject)
        return self._models[subject]
