"""An OCI image layout on disk: an index, blobs by digest, and the collection of garbage.

Source: OCI image specification 1.1, image-layout.md. Invariants, each kept across a crash at any
point and with any number of writers:

- blobs are written before the index names them, and checked against their digest when read;
- the index changes in one step, by one writer at a time, who holds the lock file; readers take no
  lock and see the index before or after;
- a blob goes only when nothing reaches it from the index: at once where this writer dropped it,
  else after an hour, so that another tool's half-made image is left alone.

What the entries mean is not known here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cnaf.models.digest import Digest
from cnaf.models.errors import ArtifactFormatError, RegistryError
from cnaf.models.oci import children_of, digest_of, empty_index
from cnaf.models.registry_files import (
    TEMPORARY_PREFIX,
    locked,
    read_file,
    wrap_os_error,
    write_file,
)
from cnaf.models.strict_json import canonical_json, parse_json

__all__ = ["MAX_DOCUMENT", "ImageLayout"]

#: What registries commonly accept as a manifest.
MAX_DOCUMENT: Final = 4 << 20
_MARKER = b'{"imageLayoutVersion":"1.0.0"}'
_LOCK: Final = ".cnaf-lock"
#: What a layout may hold before its marker: made by us, or about to be.
_OWN_NAMES: Final = {"blobs", _LOCK}
_MAX_INDEX = 8 << 20
#: Manifests in one index; that of a model takes about 600 bytes.
_MAX_ENTRIES = 4096
_ORPHAN_AGE_S = 3600.0


class ImageLayout:
    """The layout at ``root``, which the first writer makes."""

    def __init__(self, root: Path, lock_timeout_s: float) -> None:
        self._root = root
        self._marker = root / "oci-layout"
        self._index = root / "index.json"
        self._blobs = root / "blobs" / "sha256"
        self._lock_timeout_s = lock_timeout_s

    def entries(self) -> list[Any]:
        """Return the manifests of the index, none where there is no layout yet.

        Raises RegistryError where the folder is something else, or its index damaged.
        """
        return list(self._read_index()["manifests"])

    def read_blob(self, digest: Digest, cap: int) -> bytes | None:
        """Return the blob, or None where there is none.

        Raises ArtifactFormatError where it is damaged, RegistryError where it is over ``cap``.
        """
        data = read_file(self._blobs / digest.hex, cap)
        if data is not None and digest_of(data) != digest:
            raise ArtifactFormatError(
                f"the stored blob {digest.short} is damaged: its content has another digest",
                hint="learn the image again, or restore the registry",
            )
        return data

    @contextmanager
    def writing(self) -> Iterator[LayoutWriter]:
        """Hold the lock; makes the layout where there is none."""
        # Before even a lock file is left in a folder that is not ours.
        self._read_index()
        with wrap_os_error(self._root, "made"):
            self._root.mkdir(parents=True, exist_ok=True)
        with locked(self._root / _LOCK, self._lock_timeout_s):
            index = self._read_index()
            # In this order, so that blobs without an index are always a sign of damage.
            if read_file(self._marker, MAX_DOCUMENT) is None:
                write_file(self._marker, _MARKER)
            if read_file(self._index, _MAX_INDEX) is None:
                write_file(self._index, canonical_json(index))
            with wrap_os_error(self._blobs, "made"):
                self._blobs.mkdir(parents=True, exist_ok=True)
            writer = LayoutWriter(self, index)
            try:
                yield writer
            except BaseException:
                writer.discard()
                raise

    def error(self, reason: str) -> RegistryError:
        """Return the error for an index that cannot be used."""
        return RegistryError(
            f"{self._index} cannot be used: {reason}",
            hint="restore it, or move the folder away and learn the images again",
        )

    def _read_index(self) -> dict[str, Any]:
        marker = read_file(self._marker, MAX_DOCUMENT)
        data = read_file(self._index, _MAX_INDEX)
        if marker is None or data is None:
            self._require_empty()
            return empty_index()
        try:
            version: Any = parse_json(marker)
            index: Any = parse_json(data)
            if version["imageLayoutVersion"] != "1.0.0" or index["schemaVersion"] != 2:
                raise ValueError("its version is unknown")
            if not isinstance(index["manifests"], list):
                raise ValueError("its manifests are no list")
        except (ValueError, KeyError, TypeError) as error:
            raise self.error(f"{type(error).__name__} {error}") from error
        return dict(index)

    def _require_empty(self) -> None:
        """Raise unless a layout could begin here, or another writer just began one."""
        with wrap_os_error(self._root, "read"):
            blobs = self._blobs.exists() and any(self._blobs.iterdir())
            names = set(os.listdir(self._root)) if self._root.exists() else set()
        if "oci-layout" in names:
            if blobs and "index.json" not in names:
                raise self.error("it is missing")
        elif any(not name.startswith(TEMPORARY_PREFIX) for name in names - _OWN_NAMES):
            raise RegistryError(
                f"{self._root} is no registry: it holds other files and no oci-layout",
                hint="name an empty or new folder",
            )


class LayoutWriter:
    """What only the holder of the lock may do; lives inside of :meth:`ImageLayout.writing`."""

    def __init__(self, layout: ImageLayout, index: dict[str, Any]) -> None:
        self._layout = layout
        self._index = index
        self._written: set[Digest] = set()

    def write_blob(self, data: bytes) -> None:
        """Put the blob on the disk."""
        digest = digest_of(data)
        self._written.add(digest)
        write_file(self._layout._blobs / digest.hex, data)

    def discard(self) -> None:
        """Take back the blobs that no index names: a full disk must not fill up with tries."""
        with suppress(OSError, ValueError, RegistryError):
            self._collect(self._layout._read_index(), self._written)

    def replace_entries(self, entries: list[Any], dropped: Iterable[Digest]) -> None:
        """Make these the manifests of the index, and collect what only ``dropped`` needed.

        Raises RegistryError where the index would outgrow its cap.
        """
        index = {**self._index, "manifests": entries}
        data = canonical_json(index)
        if len(entries) > _MAX_ENTRIES or len(data) > _MAX_INDEX:
            raise RegistryError(
                f"{self._layout._index} is full: it cannot hold {len(entries)} entries",
                hint="remove models with `cnaf models rm`",
            )
        # Looked up before the change: what cannot be followed goes alone, the rest by its age.
        gone = [*dropped]
        doomed = self._reachable((digest, True) for digest in gone) or set(gone)
        write_file(self._layout._index, data)
        # The change is made; what cannot be cleaned now is left to the next writer.
        with suppress(OSError, ValueError):
            self._collect(index, doomed)

    def _collect(self, index: dict[str, Any], doomed: set[Digest]) -> None:
        kept = self._reachable(children_of(index))
        blobs = self._layout._blobs
        for folder in (self._layout._root, blobs):
            for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
                # Whoever writes holds the lock, so temporary files are of the dead.
                path.unlink()
        if kept is None:
            return
        kept_names = {digest.hex for digest in kept}
        doomed_names = {digest.hex for digest in doomed}
        cutoff = time.time() - _ORPHAN_AGE_S
        for path in blobs.iterdir():
            old = path.name in doomed_names or path.stat().st_mtime < cutoff
            if old and path.name not in kept_names:
                path.unlink()

    def _reachable(self, roots: Iterable[tuple[Digest, bool]]) -> set[Digest] | None:
        """Return the digests that are reached, or None where a document cannot be followed."""
        seen: set[Digest] = set()
        waiting = [*roots]
        while waiting:
            digest, is_document = waiting.pop()
            if digest in seen:
                continue
            seen.add(digest)
            if is_document:
                try:
                    document = self._layout.read_blob(digest, MAX_DOCUMENT)
                    waiting += children_of(parse_json(document or b""))
                except (ValueError, RegistryError, ArtifactFormatError):
                    return None
        return seen
