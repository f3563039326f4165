"""What was wrong with a corpus, counted in full and kept in part.

Two kinds are told apart. A *broken* line or entry is not what its format says; too many of them
mean that the file is something else. A *skipped* entry is well-formed but holds no exchange that
was on the wire (a blocked request, a cache hit, a WebSocket), which is normal in a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CorpusProblem", "FileTally", "ProblemLog"]

#: Problems kept for display; the counts go on.
_KEPT = 100
#: A file is judged after so many lines, too, so that a huge file of nonsense fails early.
_JUDGED_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class CorpusProblem:
    """One line or entry that gave no exchange: ``file``, ``where`` (``line 12``) and ``reason``."""

    file: Path
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, {self.where}: {self.reason}"


class ProblemLog:
    """Counts problems, keeps the first 100, and refuses a file that is mostly broken."""

    def __init__(self) -> None:
        self.kept: list[CorpusProblem] = []
        self.broken = 0
        self.skipped = 0

    @property
    def count(self) -> int:
        """All problems, kept or not."""
        return self.broken + self.skipped

    def add_broken(self, file: Path, where: str, reason: str) -> None:
        """Count a line or entry that is not what its format says."""
        self.broken += 1
        self._keep(CorpusProblem(file, where, reason))

    def add_skipped(self, file: Path, where: str, reason: str) -> None:
        """Count a well-formed entry that holds no exchange."""
        self.skipped += 1
        self._keep(CorpusProblem(file, where, reason))

    def _keep(self, problem: CorpusProblem) -> None:
        if len(self.kept) < _KEPT:
            self.kept.append(problem)


class FileTally:
    """Good and broken records of one file, and the rule of when it is refused.

    Without a log the first broken record is an error; with one, more than half of them are.
    """

    def __init__(self, file: Path, unit: str, log: ProblemLog | None) -> None:
        self._file = file
        self._unit = unit
        self._log = log
        self._good = 0
        self._broken = 0
        self._first = ""

    def good(self) -> None:
        """Count a record that gave an exchange."""
        self._good += 1

    def broken(self, number: int, reason: str) -> None:
        """Count a broken record; raises CorpusError where that is one too many."""
        self._broken += 1
        where = f"{self._unit} {number}"
        self._first = self._first or f"{where}: {reason}"
        if self._log is None:
            raise CorpusError(
                f"{self._file}, {where}: {reason}",
                hint=f"correct or remove the {self._unit}",
            )
        self._log.add_broken(self._file, where, reason)
        if (self._good + self._broken) % _JUDGED_EVERY == 0:
            self.judge()

    def skipped(self, number: int, reason: str) -> None:
        """Count a record that holds no exchange, which is never an error by itself."""
        if self._log is not None:
            self._log.add_skipped(self._file, f"{self._unit} {number}", reason)

    def judge(self) -> None:
        """Raise CorpusError where more than half of the records so far are broken."""
        if self._broken > self._good:
            raise CorpusError(
                f"{self._file}: {self._broken} of {self._broken + self._good} records are broken; "
                f"the first is {self._first}",
                hint="the file is probably of another format or damaged: record or export it again",
            )
