"""Hyperscan databases on disk: building that of our rules takes seconds, reading it milliseconds.

The name of a file is a digest of all that goes in: the expressions, their flags, and the Hyperscan
and processor that it is built for. Hyperscan trusts the databases that it reads, so a file that is
not whole, or that another user could have written, is built anew. No disk is a reason to fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import hyperscan
import orjson
import platformdirs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["default_cache_dir", "kept_database"]

_MAGIC: Final = b"cnaf.database/1\n"
_DIGEST_BYTES: Final = 32
#: Our own rules take 3 MB.
_MAX_BYTES: Final = 64 * 1024 * 1024


def default_cache_dir() -> Path:
    """Return the folder for compiled rules in the user's cache folder."""
    return platformdirs.user_cache_path("cnaf") / "rules"


def kept_database(
    folder: Path, expressions: Sequence[str], flags: int, build: Callable[[], hyperscan.Database]
) -> hyperscan.Database:
    """Return the database of the expressions: as it lies in the folder, else built and put there.

    Whatever ``build`` raises is raised, and then nothing is kept.
    """
    parts = [_MAGIC.decode(), _platform(), flags, *expressions]
    path = folder / f"{hashlib.sha256(orjson.dumps(parts)).hexdigest()}.own"
    database = _read(path)
    if database is None:
        database = build()
        # A disk that is full or read-only, or a folder of somebody else: it stays in memory.
        with contextlib.suppress(OSError):
            _write(path, hyperscan.dumpb(database))
    return database


def _platform() -> str:
    """Return what a database is built for: Hyperscan's version, and what the processor has."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=[b"a"], flags=[0])
    return repr(database.info())


def _write(path: Path, data: bytes) -> None:
    """Write in one step, so that who reads at the same time finds all of it or nothing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(_MAGIC + hashlib.sha256(data).digest() + data)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def _read(path: Path) -> hyperscan.Database | None:
    content = _own_bytes(path)
    data = content[len(_MAGIC) + _DIGEST_BYTES :]
    if content != _MAGIC + hashlib.sha256(data).digest() + data:
        return None
    try:
        database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
    except (hyperscan.HyperscanError, ValueError, TypeError):
        return None
    return database


def _own_bytes(path: Path) -> bytes:
    """Return what nobody but this user, or root, can have written; empty where there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as stream:
        state = os.fstat(stream.fileno())
        foreign = state.st_uid not in {os.geteuid(), 0}
        writable = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if foreign or writable or not stat.S_ISREG(state.st_mode) or state.st_size > _MAX_BYTES:
            return b""
        return stream.read()
