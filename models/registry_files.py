"""The registry's hands: files that are there whole or not at all, and one writer at a time.

Nothing here knows what is in a file. Every failure of the system becomes a RegistryError that
names the path and the next step.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from cnaf.models.errors import RegistryError

__all__ = ["TEMPORARY_PREFIX", "locked", "read_file", "wrap_os_error", "write_file"]

#: Files of this name are being written, or were when a process died.
TEMPORARY_PREFIX: Final = ".cnaf-tmp-"
#: How often a waiting writer asks again; a push holds the lock for milliseconds.
_LOCK_POLL_S = 0.02
_HINTS: Final = {
    errno.ENOSPC: "free some space; what was stored before is unchanged",
    errno.EDQUOT: "free some of the quota; what was stored before is unchanged",
    errno.EACCES: "check the permissions, or name another registry",
    errno.EPERM: "check the permissions, or name another registry",
    errno.EROFS: "the file system is read-only, name another registry",
    errno.ENOTDIR: "a file is in the way, name a folder",
}


def read_file(path: Path, cap: int) -> bytes | None:
    """Return a regular file's content, or None where there is no such file.

    Raises RegistryError where it is over ``cap`` bytes, no regular file, or unreadable.
    """
    with wrap_os_error(path, "read"):
        try:
            # Not blocking: a named pipe in this place must not hang the reader.
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with open(file, "rb") as stream:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise RegistryError(f"{path} is not a regular file", hint="remove it")
            data = stream.read(cap + 1)
    if len(data) > cap:
        raise RegistryError(f"{path} is over {cap} bytes", hint="it is damaged, or not ours")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Put the file in place in one step, on the disk before this returns.

    A reader sees the old content or the new; a crash leaves a temporary file at most.
    """
    temporary = path.with_name(TEMPORARY_PREFIX + token_hex(8))
    with wrap_os_error(path, "written"):
        try:
            _write_new(temporary, data)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


@contextmanager
def locked(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock file: among processes and threads, one is inside at a time.

    The system frees it when its holder dies. Raises RegistryError after ``timeout_s`` seconds.
    """
    with wrap_os_error(path, "opened"):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _wait_for(file, path, timeout_s)
        yield
    finally:
        os.close(file)


@contextmanager
def wrap_os_error(path: Path, verb: str) -> Iterator[None]:
    """Turn an error of the system about ``path`` into a RegistryError."""
    try:
        yield
    except OSError as error:
        raise RegistryError(
            f"{path} cannot be {verb}: {error.strerror or error}",
            hint=_HINTS.get(error.errno or 0, "check the path and the disk"),
        ) from error


def _wait_for(file: int, path: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with wrap_os_error(path, "locked"):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                pass
        if time.monotonic() >= deadline:
            raise RegistryError(
                f"{path} is held by another process for over {timeout_s:g} s",
                hint="wait for the other writer, or end it",
            )
        time.sleep(_LOCK_POLL_S)


def _write_new(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    """Put the folder's names on the disk: without it, a rename may not survive a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
