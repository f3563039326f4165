from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
from typing import TYPE_CHECKING

import pytest
from cnaf.datasets.files import ReadLimits, read_lines, read_whole
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from pathlib import Path


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.har", "{}")
    return buffer.getvalue()


FOREIGN = {
    "a zip archive": archive(),
    "xz-compressed": lzma.compress(b"{}"),
    "bzip2-compressed": bz2.compress(b"{}"),
    "zstd-compressed": b"\x28\xb5\x2f\xfd\x00\x00",
    "UTF-16 text": '{"a": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_people_pass_by_mistake_is_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.har.gz"
    path.write_bytes(FOREIGN[what])
    with pytest.raises(CorpusError, match=rf"x\.har\.gz is {what}") as caught:
        read_whole(path, 1000)
    assert "unpack" in caught.value.hint or "UTF-8" in caught.value.hint


def test_compression_is_told_by_content_not_name(tmp_path: Path) -> None:
    path = tmp_path / "plain.har.gz"
    path.write_bytes(b"{}")
    assert read_whole(path, 1000) == b"{}"
    path.write_bytes(gzip.compress(b"{") + gzip.compress(b"}"))
    assert read_whole(path, 1000) == b"{}"


PACKED = gzip.compress(os.urandom(2000))
DAMAGED = {
    "cut": PACKED[:-500],
    "header only": PACKED[:6],
    "garbage behind": PACKED + b"garbage",
    "a wrong checksum": PACKED[:-8] + b"\0" * 8,
    "a flipped block type": PACKED[:10] + b"\xff" + PACKED[11:],
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_gzip_file_is_named(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(CorpusError, match=r"x\.gz is a damaged gzip file"):
        read_whole(path, 10_000)
    with pytest.raises(CorpusError, match=r"x\.gz is a damaged gzip file"):
        list(read_lines(path, ReadLimits()))


def test_a_named_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "pipe.har"
    os.mkfifo(path)
    with pytest.raises(CorpusError, match="is not a regular file"):
        read_whole(path, 1000)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"gone\.har cannot be read: No such file"):
        read_whole(tmp_path / "gone.har", 1000)


def test_lines_keep_their_numbers_and_lose_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\nlong line\nb")
    lines = list(read_lines(path, ReadLimits(line_bytes=6)))
    assert lines == [(1, b"a"), (2, b""), (3, None), (4, b"b")]
