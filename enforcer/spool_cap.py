"""Keeping a spool's directory within its cap: the oldest whole segments go, and each is told."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cnaf.enforcer.spool_records import alerts_told, segments

__all__ = ["sync_and_trim"]


def sync_and_trim(directory: Path, total_bytes: int, tell: Callable[[int], None]) -> None:
    """Put the names in the directory on the disk, and remove segments while it is over the cap.

    A segment that its writer holds stays. ``tell`` gets the number of alerts that a segment holds,
    or says were lost before it, ahead of its removal: after a crash in between the spool says too
    much, never too little. Raises OSError.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        # Two writers at once would both remove what one of them has to.
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _trim(directory, total_bytes, tell)
    finally:
        os.close(handle)


def _trim(directory: Path, total_bytes: int, tell: Callable[[int], None]) -> None:
    sizes = {path: path.stat().st_size for path in segments(directory)}
    excess = sum(sizes.values()) - total_bytes
    for path, size in sizes.items():
        if excess > 0:
            with suppress(BlockingIOError), path.open("rb") as segment:
                fcntl.flock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB)
                tell(alerts_told(segment.read()))
                path.unlink()
                excess -= size
