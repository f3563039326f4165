"""A corpus: the exchanges of files and folders, read again on each pass and never held in memory.

Which files: a file by its name (``.har``, ``.har.gz``, ``.jsonl``, ``.jsonl.gz``), a folder by
all such files in it and its sub-folders, sorted by path. Symbolic links to folders inside of a
folder are not followed, so that a loop ends; a file that is reached twice is read once.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.datasets.files import ReadLimits, wrap_os_error
from cnaf.datasets.har import har_session, read_har
from cnaf.datasets.jsonl import encode_exchange, read_jsonl
from cnaf.datasets.problems import CorpusProblem, ProblemLog
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Corpus", "CorpusFacts", "open_corpus"]

_HAR = (".har", ".har.gz")
_JSONL = (".jsonl", ".jsonl.gz")
_EXPECTED = "expected .har, .har.gz, .jsonl or .jsonl.gz"
#: Other files named in the error about a folder without traffic.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What one complete pass over a corpus found.

    ``sha256`` (64 hexadecimal digits) covers session, label, request and response of every
    exchange, whatever the order, format, compression and names of the files: equal traffic has
    equal hashes. ``broken`` counts lines and entries that are not what their format says (and,
    where broken files are passed over, those files); ``skipped`` those that were never on the
    wire; ``problems`` shows the first 100 of both.
    """

    exchanges: int
    sha256: str
    broken: int
    skipped: int
    problems: tuple[CorpusProblem, ...]


class Corpus:
    """Exchanges from files; each iteration reads them anew, in a stable order.

    ``files`` maps each file to the session id of a HAR file (unused for JSONL). Iterating raises
    CorpusError where a file cannot be read or is mostly broken, unless ``skip_broken_files``, and
    where there is not one exchange in all of them. An exchange whose id was seen before is broken.
    """

    def __init__(
        self,
        files: Mapping[Path, str],
        *,
        limits: ReadLimits | None = None,
        skip_broken_files: bool = False,
    ) -> None:
        self.files = tuple(files)
        self._sessions = dict(files)
        self._limits = limits or ReadLimits()
        self._skip_broken_files = skip_broken_files
        self._facts: CorpusFacts | None = None

    def __iter__(self) -> Iterator[Exchange]:
        log = ProblemLog()
        seen: set[int] = set()
        digests: list[bytes] = []
        for file in self.files:
            for exchange in self._read(file, log):
                # 64 bits of a keyed hash stand for the id: a tenth of the memory, and a clash
                # among a million ids once in 37 million corpora.
                key = hash(exchange.id)
                if key in seen:
                    log.add_broken(file, f"id {exchange.id}", "an exchange of this id came before")
                    continue
                seen.add(key)
                digests.append(_digest(exchange))
                yield exchange
        if not digests:
            raise _nothing(self.files, log)
        total = hashlib.sha256(b"".join(sorted(digests))).hexdigest()
        self._facts = CorpusFacts(len(digests), total, log.broken, log.skipped, tuple(log.kept))

    @property
    def facts(self) -> CorpusFacts:
        """What the last complete pass found; makes one where there was none."""
        if self._facts is None:
            for _ in self:
                pass
        # A complete pass sets them or raises.
        assert self._facts is not None
        return self._facts

    @property
    def problems(self) -> tuple[CorpusProblem, ...]:
        """The first 100 lines, entries and files that gave no exchange."""
        return self.facts.problems

    def sha256(self) -> str:
        """Return the hash of the traffic, see :class:`CorpusFacts`."""
        return self.facts.sha256

    def _read(self, file: Path, log: ProblemLog) -> Iterator[Exchange]:
        try:
            if _format(file) is _HAR:
                session = self._sessions[file]
                yield from read_har(file, session=session, limits=self._limits, problems=log)
            else:
                yield from read_jsonl(file, limits=self._limits, problems=log)
        except CorpusError as error:
            if not self._skip_broken_files:
                raise
            log.add_broken(file, "file", error.message)


def open_corpus(
    paths: Sequence[Path], *, limits: ReadLimits | None = None, skip_broken_files: bool = False
) -> Corpus:
    """Find the traffic files under ``paths``; nothing is read before the corpus is iterated.

    Raises CorpusError for a path that does not exist, a file of an unknown format, and a folder
    without traffic. ``skip_broken_files`` counts broken files as problems instead of raising.
    """
    limits = limits or ReadLimits()
    if not paths:
        raise CorpusError("no corpus given", hint=f"pass a file or folder of traffic: {_EXPECTED}")
    found: dict[Path, tuple[Path, Path]] = {}
    for path in paths:
        with wrap_os_error(path, "read"):
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        for file in _walk(path, limits) if is_folder else [_known(path)]:
            # realpath, unlike resolve, lets a link to itself pass: reading names that file later.
            real = Path(os.path.realpath(file))
            found.setdefault(real, (file, path if is_folder else path.parent))
        if len(found) > limits.files:
            raise _too_many(path, limits)
    return Corpus(
        _name_sessions(found.values()), limits=limits, skip_broken_files=skip_broken_files
    )


def _format(path: Path) -> tuple[str, ...] | None:
    name = path.name.lower()
    return next((suffixes for suffixes in (_HAR, _JSONL) if name.endswith(suffixes)), None)


def _known(path: Path) -> Path:
    if _format(path) is None:
        raise CorpusError(
            f"{path} is of no known traffic format",
            hint=f"{_EXPECTED}; rename the file if it is one of these",
        )
    return path


def _walk(folder: Path, limits: ReadLimits) -> list[Path]:
    found: list[Path] = []
    others: list[str] = []
    looked_at = 0

    def fail(error: OSError) -> None:
        raise error

    with wrap_os_error(folder, "read"):
        for root, _folders, names in os.walk(folder, onerror=fail):
            looked_at += len(names)
            if looked_at > limits.files:
                raise _too_many(folder, limits)
            for name in names:
                if _format(Path(name)) is not None:
                    found.append(Path(root, name))
                elif len(others) < _NAMED:
                    others.append(name)
    if not found:
        seen = f"; it holds {', '.join(sorted(others))}" if others else "; it is empty"
        raise CorpusError(
            f"{folder} holds no traffic: {_EXPECTED}{seen}",
            hint="pass the folder of the recordings, or export them in one of these formats",
        )
    return sorted(found)


def _name_sessions(files: Iterable[tuple[Path, Path]]) -> dict[Path, str]:
    """Give each file the shortest session id that no other file has.

    First the file name; where two folders hold the same name, the path below the folder that the
    user named; where even that is not unique, the path as given.
    """
    levels = {
        file: (
            har_session(file),
            str(file.relative_to(root).with_name(har_session(file))),
            str(file.with_name(har_session(file))),
        )
        for file, root in files
    }
    uses = Counter(name for names in levels.values() for name in set(names))
    return {
        file: next((name for name in names if uses[name] == 1), str(file))
        for file, names in levels.items()
    }


def _digest(exchange: Exchange) -> bytes:
    # The id and the recorder's tags are names for the traffic, not traffic.
    bare = Exchange("", exchange.session, exchange.label, exchange.request, exchange.response)
    return hashlib.sha256(encode_exchange(bare)).digest()


def _nothing(files: Sequence[Path], log: ProblemLog) -> CorpusError:
    first = f"; the first problem is {log.kept[0]}" if log.kept else ""
    where = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
    return CorpusError(
        f"{where} hold no exchange ({log.broken} broken, {log.skipped} skipped){first}",
        hint="record some traffic, and check that the recorder saw requests and answers",
    )


def _too_many(path: Path, limits: ReadLimits) -> CorpusError:
    return CorpusError(
        f"{path} holds more than {limits.files} files",
        hint="pass the folder of the recordings, not one above it",
    )
