"""Published data as it is handed out: a file or a folder, plain, ``.xz`` or ``.tar.xz``.

Unpacked in memory and never onto the disk, told by its first bytes and not by its name. Sizes are
capped, and only regular files are read.
"""

from __future__ import annotations

import io
import lzma
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.datasets.files import wrap_os_error
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DATA_BYTES", "read_folder", "read_packed"]

_MIB = 1 << 20
#: Bytes of one data set after decompression; the largest known one has 60 MB.
DATA_BYTES = 512 * _MIB
#: Files of one folder or archive.
_MAX_FILES = 100_000
_XZ = b"\xfd7zXZ\x00"
#: Memory of the decompressor: ``xz -9`` takes 65 MiB.
_XZ_MEMORY = 256 * _MIB
_FOREIGN = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "gzip", b"BZh": "bzip2",
            b"\x28\xb5\x2f\xfd": "zstd"}  # fmt: skip


def read_packed(path: Path, cap: int = DATA_BYTES) -> bytes:
    """Return the content of a file, through xz where its first bytes say so.

    A path that does not exist is looked for with ``.xz`` behind it, too. Raises CorpusError where
    it is unreadable, damaged, packed otherwise, or larger than ``cap`` bytes after decompression.
    """
    packed = path.with_name(path.name + ".xz")
    if not path.exists() and packed.exists():
        path = packed
    with wrap_os_error(path, "read"):
        # A named pipe or device would block or never end; so the kind is checked before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CorpusError(f"{path} is not a regular file", hint="pass a file, plain or .xz")
        with path.open("rb") as file:
            raw = file.read(cap + 1)
    for magic, name in _FOREIGN.items():
        if raw.startswith(magic):
            raise CorpusError(
                f"{path} is packed as {name}", hint="unpack it, or pack it with xz or tar -J"
            )
    content = _unpack(path, raw, cap) if raw.startswith(_XZ) else raw
    if len(content) > cap:
        raise CorpusError(
            f"{path} holds more than {cap} bytes after decompression",
            hint="check that this is the data set",
        )
    return content


def read_folder(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield the files whose names end in one of ``suffixes``, sorted, as (name, content).

    ``path`` is a folder or a tar archive, plain or .xz; names are relative to it, with ``/``.
    What all names begin with is left out, so both give the same. Links are not followed. Raises
    CorpusError where it is neither, or holds no such file.
    """
    files = _in_folder(path, suffixes) if path.is_dir() else _in_archive(path, suffixes)
    if not files:
        raise CorpusError(
            f"{path} holds no file that ends in {' or '.join(suffixes)}",
            hint="pass the folder or archive as it was published",
        )
    names = {name: tuple(name.split("/")) for name in files}
    parents = [parts[:-1] for parts in names.values()]
    shared = 0
    while all(len(p) > shared and p[shared] == parents[0][shared] for p in parents):
        shared += 1
    for name in sorted(files):
        yield "/".join(names[name][shared:]), files[name]


def _unpack(path: Path, raw: bytes, cap: int) -> bytes:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    try:
        content = decompressor.decompress(raw, cap + 1)
    except lzma.LZMAError as error:
        raise CorpusError(f"{path} is a damaged xz file: {error}", hint="fetch it again") from None
    if len(content) <= cap and (not decompressor.eof or decompressor.unused_data):
        raise CorpusError(
            f"{path} is a damaged xz file: it is cut short or goes on after its end",
            hint="fetch it again",
        )
    return content


def _in_folder(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    with wrap_os_error(path, "read"):
        files = [p for p in path.rglob("*") if p.name.endswith(suffixes) and not p.is_symlink()]
    if len(files) > _MAX_FILES:
        raise _too_many(path)
    found: dict[str, bytes] = {}
    room = DATA_BYTES
    for file in files:
        if file.is_file():
            content = read_packed(file, room)
            found[file.relative_to(path).as_posix()] = content
            room -= len(content)
    return found


def _in_archive(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    raw = io.BytesIO(read_packed(path))
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=raw, mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= _MAX_FILES:
                    raise _too_many(path)
                # A sparse file may claim any size and hold next to nothing.
                if member.isfile() and not member.issparse() and member.name.endswith(suffixes):
                    content = archive.extractfile(member)
                    assert content is not None  # as it is a regular file
                    found[member.name.removeprefix("./")] = content.read()
    except tarfile.TarError as error:
        raise CorpusError(
            f"{path} is neither a folder nor a tar archive: {error}",
            hint="pass the folder, or the .tar or .tar.xz that was published",
        ) from None
    return found


def _too_many(path: Path) -> CorpusError:
    return CorpusError(
        f"{path} holds more than {_MAX_FILES} files", hint="check that this is the data set"
    )
