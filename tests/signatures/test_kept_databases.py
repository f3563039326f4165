"""A database is read where it is whole and this user's, else built; never a reason to fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hyperscan
import pytest
from cnaf.signatures.kept_databases import default_cache_dir, kept_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = "ab+c"


class Builder:
    """Counts how often it builds."""

    def __init__(self, text: str = TEXT) -> None:
        self.text, self.built = text, 0

    def __call__(self) -> hyperscan.Database:
        self.built += 1
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=[self.text.encode()], flags=[0])
        return database


def ends(database: hyperscan.Database, data: bytes) -> list[int]:
    found: list[int] = []
    database.scan(data, lambda _i, _start, end, _flags, _context: found.append(end))
    return found


def test_built_once_and_read_afterwards(tmp_path: Path) -> None:
    builder, folder = Builder(), tmp_path / "made" / "of need"
    for _ in range(3):
        assert ends(kept_database(folder, [TEXT], 0, builder), b"xabbc abc") == [5, 9]
    assert builder.built == 1
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_goes_in_is_in_the_name(tmp_path: Path) -> None:
    builder = Builder()
    for expressions, flags in (([TEXT], 0), ([TEXT], 1), (["ab", "+c"], 0), ([TEXT, ""], 0)):
        kept_database(tmp_path, expressions, flags, builder)
    assert builder.built == 4 == len(list(tmp_path.iterdir()))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def change(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def open_to_all(file: Path) -> None:
    file.chmod(0o666)


def lead_elsewhere(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


@pytest.mark.parametrize("spoil", [cut, change, empty, open_to_all, lead_elsewhere])
def test_what_is_not_sound_or_not_ours_is_built_anew(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    builder = Builder()
    kept_database(tmp_path, [TEXT], 0, builder)
    spoil(next(tmp_path.iterdir()))
    for _ in range(2):
        assert ends(kept_database(tmp_path, [TEXT], 0, builder), b"abc") == [3]
    assert builder.built == 2


def test_a_database_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder()
    kept_database(tmp_path, [TEXT], 0, builder)
    owner = os.geteuid()
    if owner == 0:
        os.chown(next(tmp_path.iterdir()), 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    kept_database(tmp_path, [TEXT], 0, builder)
    assert builder.built == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    builder = Builder()
    for _ in range(2):
        assert ends(kept_database(tmp_path / "file", [TEXT], 0, builder), b"abc") == [3]
    assert builder.built == 2


def test_what_cannot_be_built_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(hyperscan.HyperscanError):
        kept_database(tmp_path, ["("], 0, Builder("("))
    assert not list(tmp_path.iterdir())


def test_the_folder_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "cnaf" / "rules"
