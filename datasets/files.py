"""Files of traffic as bounded bytes: plain or gzip, told by their first bytes and not their name.

Everything here treats a file as hostile: decompressed sizes, line lengths and counts are capped,
only regular files are opened, and every failure is a CorpusError that names the file.
"""

from __future__ import annotations

import gzip
import stat
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ReadLimits", "read_lines", "read_whole", "wrap_os_error"]

_MIB = 1 << 20
_UTF8_BOM = b"\xef\xbb\xbf"
#: First bytes of what people pass by mistake, and what to do about it.
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "unpack it and pass the folder"),
    b"\xfd7zXZ": ("xz-compressed", "unpack it with unxz, or compress it with gzip"),
    b"\x28\xb5\x2f\xfd": ("zstd-compressed", "unpack it with unzstd, or compress it with gzip"),
    b"BZh": ("bzip2-compressed", "unpack it with bunzip2, or compress it with gzip"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
}


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Caps on what is read, in bytes after decompression, or counts."""

    #: One HAR file, which is parsed whole; the largest recorded one has 1.4 MB.
    har_bytes: int = 128 * _MIB
    #: Commas and opening brackets in a HAR file, which bound its JSON values: an empty array takes
    #: 3 bytes in a file and 40 times as much in memory. So a hostile file costs 0.6 GB and its
    #: text; the recorded WordPress sessions would come to 6 million if they filled 128 MiB.
    har_values: int = 8_000_000
    #: One JSONL file, which is streamed: this bounds time, not memory.
    jsonl_bytes: int = 4096 * _MIB
    #: One line of JSONL, so one exchange, of which one is in memory at a time.
    line_bytes: int = 8 * _MIB
    #: Traffic files of one corpus, and files looked at to find them.
    files: int = 100_000


def read_whole(path: Path, cap: int) -> bytes:
    """Return the decompressed content without a byte order mark.

    Raises CorpusError where it is larger than ``cap`` bytes, damaged or unreadable.
    """
    with _opened(path) as stream:
        content = stream.read(cap + 1)
    if len(content) > cap:
        raise _too_large(path, cap)
    return content.removeprefix(_UTF8_BOM)


def read_lines(path: Path, limits: ReadLimits) -> Iterator[tuple[int, bytes | None]]:
    """Yield line number (from 1) and line without its end, one in memory at a time.

    A line over ``limits.line_bytes`` comes as None and is read past. Raises CorpusError where the
    whole is over ``limits.jsonl_bytes``, damaged or unreadable.
    """
    total = number = 0
    with _opened(path) as stream:
        while chunk := stream.readline(limits.line_bytes + 1):
            number += 1
            total += len(chunk)
            line: bytes | None = chunk.rstrip(b"\r\n")
            if len(chunk) > limits.line_bytes and chunk[-1:] != b"\n":
                line = None
                while total <= limits.jsonl_bytes and chunk and chunk[-1:] != b"\n":
                    chunk = stream.readline(_MIB)
                    total += len(chunk)
            if total > limits.jsonl_bytes:
                raise _too_large(path, limits.jsonl_bytes)
            if number == 1 and line is not None:
                line = line.removeprefix(_UTF8_BOM)
            yield number, line


@contextmanager
def wrap_os_error(path: Path, verb: str) -> Iterator[None]:
    """Turn operating system errors about ``path`` into a CorpusError that names it."""
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{path} cannot be {verb}: {error.strerror or error}",
            hint="check the path, its permissions and the free space",
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file for reading, through gzip where its first bytes say so."""
    with wrap_os_error(path, "read"):
        # A named pipe or device would block or never end; so the kind is checked before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CorpusError(f"{path} is not a regular file", hint="pass a file of traffic")
        file = path.open("rb")
    with file:
        start = file.read(6)
        file.seek(0)
        for magic, (what, hint) in _FOREIGN.items():
            if start.startswith(magic):
                raise CorpusError(f"{path} is {what}, expected plain or gzip JSON", hint=hint)
        packed = start.startswith(b"\x1f\x8b")
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        try:
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorpusError(
                f"{path} is a damaged gzip file: {error}", hint="copy or record it again"
            ) from error
        except OSError as error:
            raise CorpusError(
                f"{path} cannot be read: {error.strerror or error}", hint="check the disk"
            ) from error


def _too_large(path: Path, cap: int) -> CorpusError:
    return CorpusError(
        f"{path} holds more than {cap} bytes after decompression",
        hint="split it into smaller files, or save it without response bodies",
    )
