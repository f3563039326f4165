"""Which namespaces are entered, and what is said about others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cnaf.dataplane.namespace import Namespace
from cnaf.models.errors import DataplaneError


def test_our_own_network_is_refused() -> None:
    with pytest.raises(DataplaneError, match="of this process itself"):
        Namespace.of_process(os.getpid())


@pytest.mark.parametrize("path", ["/proc/self/ns/uts", "/dev/null", "/proc/self/status"])
def test_what_is_no_network_namespace_is_refused(path: str) -> None:
    with pytest.raises(DataplaneError, match="no network namespace"):
        Namespace(Path(path))


def test_a_process_that_is_gone_is_told() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    with pytest.raises(DataplaneError) as caught:
        Namespace.of_process(gone.pid)
    assert str(gone.pid) in caught.value.message
    assert "container" in caught.value.hint


@pytest.mark.namespaces
def test_a_namespace_stays_the_same_when_its_process_is_gone() -> None:
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; read _"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        namespace = Namespace.of_process(process.pid)
        process.kill()
    with namespace:
        assert namespace.run(["cat"], "text") == "text"
        # A new namespace has a loopback interface that is down, and nothing else.
        assert namespace.run(["ip", "-br", "link"]).split()[:2] == ["lo", "DOWN"]


@pytest.mark.namespaces
def test_what_fails_in_a_namespace_is_told() -> None:
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as process:
        own = os.stat("/proc/self/ns/net").st_ino
        while os.stat(f"/proc/{process.pid}/ns/net").st_ino == own:
            pass
        with Namespace.of_process(process.pid) as namespace:
            with pytest.raises(DataplaneError, match="ip nonsense fails in"):
                namespace.run(["ip", "nonsense"])
            with pytest.raises(DataplaneError, match="cnaf-missing"):
                namespace.run(["cnaf-missing"])
            with pytest.raises(DataplaneError, match="prints more than"):
                namespace.run(["cat", "/dev/zero"])
            # Programs that end before they have read, as much as a pipe does not hold.
            assert namespace.run(["true"], "x" * 1_000_000) == ""
