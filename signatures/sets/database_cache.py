"""Databases of the prefilter on disk: building them takes seconds, reading them milliseconds.

A file's name is the hash of the expressions and of the Hyperscan that built it, so nothing is ever
out of date. A file that is damaged, or from another machine, is built again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import hyperscan
import orjson
import platformdirs
from cnaf.signatures.seclang.prefilter import Built, build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DatabaseCache", "default_cache_dir"]

_log = logging.getLogger(__name__)

_FORMAT = b"cnaf.hyperscan/1\n"
#: Largest database that is read: the one of the Core Rule Set at level 4 has some 10 MB.
_MAX_BYTES = 256 * 1024 * 1024
_HASH_BYTES = 32
_LIBRARY = metadata.version("hyperscan")


def default_cache_dir() -> Path:
    """Return the folder of databases in the user's cache folder."""
    return platformdirs.user_cache_path("cnaf") / "rules"


class DatabaseCache:
    """Reads databases, or has them built and keeps them. It never fails for want of a disk."""

    def __init__(
        self, folder: Path, builder: Callable[[Sequence[tuple[str, bool]]], Built] = build
    ) -> None:
        self.folder = folder
        self._build = builder

    def __call__(self, patterns: Sequence[tuple[str, bool]]) -> Built:
        """Return the database of patterns, given with whether case counts for nothing."""
        if not patterns:
            return self._build(patterns)
        about = (_FORMAT.decode(), _LIBRARY, patterns)
        path = self.folder / (hashlib.sha256(orjson.dumps(about)).hexdigest() + ".hsdb")
        found = _read(path, len(patterns))
        if found is None:
            found = self._build(patterns)
            self._write(path, found)
        return found

    def _write(self, path: Path, built: Built) -> None:
        database = hyperscan.dumpb(built.database) if built.database is not None else b""
        content = orjson.dumps(built.usable) + b"\n" + database
        digest = hashlib.sha256(content).digest()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(_FORMAT + digest + content)
            os.replace(file.name, path)
        except OSError as error:
            _log.warning("compiled rules cannot be kept in %s: %s", self.folder, error)


def _read(path: Path, expressions: int) -> Built | None:
    """Return what a file holds; None where there is none, or it is not what was written."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError:
        return None
    digest, content = data[len(_FORMAT) :][:_HASH_BYTES], data[len(_FORMAT) + _HASH_BYTES :]
    if not data.startswith(_FORMAT) or hashlib.sha256(content).digest() != digest:
        return None
    line, _, database = content.partition(b"\n")
    try:
        usable = tuple(map(bool, orjson.loads(line)))
        loaded = _loaded(database) if any(usable) else None
    except (ValueError, TypeError, hyperscan.error):
        return None
    return Built(usable, loaded) if len(usable) == expressions else None


def _loaded(data: bytes) -> hyperscan.Database:
    database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
    database.scratch = hyperscan.Scratch(database)
    return database
