"""A network namespace of somebody else, and how to run programs in it.

Programs are started by ``nsenter`` with an argument list: it enters the namespace and becomes the
program by exec, so that process id, exit status and signals are the program's. ``setns`` in this
process is not used: it moves one thread only, whatever that thread touches next would be in the
wrong network, and Python 3.11 has no call for it.

The namespace is held open by a file descriptor, so that a process id that is given to another
process meanwhile leads nowhere else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.models.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["Namespace"]

# linux/nsfs.h and linux/sched.h.
_NS_GET_NSTYPE = 0xB703
_CLONE_NEWNET = 0x4000_0000
#: nft and ip take milliseconds; whoever takes so long hangs.
_TIMEOUT_S = 20.0
_MAX_REASON = 300
_MAX_OUTPUT = 4 << 20


class Namespace:
    """An open network namespace; a context manager. Every failure is a DataplaneError."""

    def __init__(self, path: Path) -> None:
        """Open the namespace that ``path`` leads to, which must not be that of this process."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataplaneError(
                f"the network namespace {path} cannot be opened: {error.strerror}",
                hint="does the container still run, and is this root?",
            ) from error
        self.path = path
        try:
            self._check()
        except DataplaneError:
            self.close()
            raise

    @classmethod
    def of_process(cls, pid: int) -> Namespace:
        """Open the network namespace of a process, such as the first one of a container."""
        return cls(Path(f"/proc/{pid}/ns/net"))

    def _check(self) -> None:
        try:
            kind = fcntl.ioctl(self._fd, _NS_GET_NSTYPE)
        except OSError:
            kind = 0
        if kind != _CLONE_NEWNET:
            raise DataplaneError(f"{self.path} is no network namespace")
        own = Path("/proc/self/ns/net").stat()
        here = os.fstat(self._fd)
        if (own.st_dev, own.st_ino) == (here.st_dev, here.st_ino):
            raise DataplaneError(
                f"{self.path} is the network of this process itself",
                hint="containers on the host's network are not intercepted",
            )

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the namespace go; programs that run in it keep it alive."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def launcher(self) -> tuple[str, ...]:
        """The words before a command that run it in this namespace."""
        # By way of this process, so that the program does not inherit the descriptor.
        return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._fd}", "--")

    def run(self, command: Sequence[str], text: str = "") -> str:
        """Run a program with ``text`` as its input and return what it prints."""
        try:
            status, output, errors = _run([*self.launcher, *command], text.encode())
        except OSError as error:
            raise DataplaneError(
                f"{command[0]} cannot be run: {error.strerror}",
                hint="install util-linux, nftables and iproute2",
            ) from error
        if len(output) > _MAX_OUTPUT:
            raise DataplaneError(
                f"{' '.join(command)} prints more than {_MAX_OUTPUT} bytes in {self.path}",
                hint="the container has rules or routes without measure: see who makes them",
            )
        if status:
            reason = " ".join(errors.decode("utf-8", "replace").split())[:_MAX_REASON]
            raise DataplaneError(
                f"{' '.join(command)} fails in {self.path}: {reason or f'status {status}'}"
            )
        return output.decode("utf-8", "replace")


def _run(command: Sequence[str], text: bytes) -> tuple[int, bytes, bytes]:
    # A container with NET_ADMIN decides how much there is to print, so that no more is read.
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        timer = threading.Timer(_TIMEOUT_S, process.kill)
        timer.start()
        try:
            assert process.stdin
            assert process.stdout
            # A program that does not read what it is told says why by its status.
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(text)
            output = process.stdout.read(_MAX_OUTPUT + 1)
            if len(output) > _MAX_OUTPUT:
                process.kill()
            status = process.wait()
        finally:
            timer.cancel()
        errors.seek(0)
        return status, output, errors.read(_MAX_REASON * 4)
