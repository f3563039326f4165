from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cnaf.models.errors import RegistryError
from cnaf.models.registry_files import locked, read_file, write_file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert read_file(path, 10) is None
    for data in (b"first", b"", b"\0" * 10):
        write_file(path, data)
        assert read_file(path, 10) == data
    assert os.listdir(tmp_path) == ["a"]


def test_reading_is_capped(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(RegistryError, match="over 4 bytes"):
        read_file(tmp_path / "a", 4)


def test_a_named_pipe_neither_hangs_nor_passes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(RegistryError, match="not a regular file"):
        read_file(tmp_path / "a", 10)
    with pytest.raises(RegistryError, match=r"not a regular file|Is a directory"):
        read_file(tmp_path, 10)


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:3]))
    write_file(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_the_lock_keeps_other_threads_out_and_is_given_up_on(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock", 0.0),
        pytest.raises(RegistryError, match=r"held by another process for over 0.1 s"),
        locked(tmp_path / "lock", 0.1),
    ):
        pass
    with locked(tmp_path / "lock", 0.0):
        pass


def test_a_waiting_writer_gets_the_lock(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait() -> None:
        with locked(tmp_path / "lock", 60.0):
            entered.set()

    with locked(tmp_path / "lock", 0.0):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not entered.wait(0.1)
    thread.join(60)
    assert entered.is_set()


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from cnaf.models.registry_files import locked\n"
        "with locked(Path(sys.argv[1]), 0.0): os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "lock")], timeout=60, check=False
    )
    assert done.returncode == 9
    with locked(tmp_path / "lock", 0.0):
        pass
