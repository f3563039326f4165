from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest
from cnaf.evaluation.packed import read_folder, read_packed
from cnaf.models.errors import CorpusError

FILES = {"lists/a.txt": b"one", "lists/deep/b.txt": b"two", "lists/c.md": b"no list"}


def archive(files: dict[str, bytes], prefix: str = "published/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "folder"


def test_a_file_is_read_plain_and_through_xz_whatever_its_name(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(b"traffic")
    packed.write_bytes(lzma.compress(b"traffic"))
    assert read_packed(plain) == read_packed(packed) == b"traffic"


def test_a_missing_file_is_looked_for_with_xz_behind_it(tmp_path: Path) -> None:
    (tmp_path / "data.txt.xz").write_bytes(lzma.compress(b"traffic"))
    assert read_packed(tmp_path / "data.txt") == b"traffic"
    with pytest.raises(CorpusError, match=r"other\.txt cannot be read"):
        read_packed(tmp_path / "other.txt")


def test_what_is_too_large_is_refused_before_it_is_unpacked_whole(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xz"
    bomb.write_bytes(lzma.compress(bytes(1 << 20)))
    with pytest.raises(CorpusError, match="more than 1000 bytes"):
        read_packed(bomb, 1000)
    bomb.write_bytes(bytes(1001))
    with pytest.raises(CorpusError, match="more than 1000 bytes"):
        read_packed(bomb, 1000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lzma.compress(b"traffic" * 99)[:-4], "cut short"),
        (lzma.compress(b"traffic") + b"more", "goes on after its end"),
        (lzma.compress(b"traffic")[:12] + b"\xff" * 40, "damaged xz"),
        (gzip.compress(b"traffic", mtime=0), "packed as gzip"),
        (b"PK\x03\x04rest", "packed as a zip archive"),
    ],
)
def test_damaged_and_foreign_files_are_refused_with_a_hint(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CorpusError, match=message) as raised:
        read_packed(tmp_path / "file")
    assert raised.value.hint


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="not a regular file"):
        read_packed(tmp_path / "pipe")


def test_folder_and_archive_give_the_same_names_and_contents(tmp_path: Path, folder: Path) -> None:
    tar, packed = tmp_path / "files.tar", tmp_path / "files.tar.xz"
    tar.write_bytes(archive(FILES))
    packed.write_bytes(lzma.compress(archive(FILES, "./")))
    expected = [("a.txt", b"one"), ("deep/b.txt", b"two")]
    for path in (folder, folder / "lists", tar, packed):
        assert list(read_folder(path, (".txt",))) == expected


def test_links_and_sparse_members_are_passed_over(tmp_path: Path, folder: Path) -> None:
    (folder / "lists" / "link.txt").symlink_to("/etc/hostname")
    assert [name for name, _ in read_folder(folder, (".txt",))] == ["a.txt", "deep/b.txt"]
    buffer = io.BytesIO(archive(FILES))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        link = tarfile.TarInfo("published/lists/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    (tmp_path / "files.tar").write_bytes(buffer.getvalue())
    names = [name for name, _ in read_folder(tmp_path / "files.tar", (".txt",))]
    assert names == ["a.txt", "deep/b.txt"]


def test_neither_folder_nor_archive_and_nothing_inside_are_refused(
    tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "text").write_bytes(b"no archive" * 100)
    with pytest.raises(CorpusError, match="neither a folder nor a tar archive"):
        list(read_folder(tmp_path / "text", (".txt",)))
    with pytest.raises(CorpusError, match=r"no file that ends in \.yml or \.yaml"):
        list(read_folder(folder, (".yml", ".yaml")))
