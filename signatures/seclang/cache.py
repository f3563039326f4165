"""Compiled rule sets on disk, so that a worker loads the Core Rule Set in a fraction of a second.

An entry holds folded rules as JSON and Hyperscan's own serialized databases. Its name is a digest
of all that goes in: the texts and files, TX variables, the versions of this format and of
Hyperscan, and the processor. What was included or read as data is listed with its digest and
checked when an entry is read, and so is the entry itself. An entry that is not sound, or that
another user could have written, is made anew: the cache is never a reason to fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import struct
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hyperscan
import orjson
from cnaf.signatures.seclang.codec import (
    folded_from_json,
    folded_to_json,
    settings_from_json,
    settings_to_json,
)
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.grouping import Index
from cnaf.signatures.seclang.loader import Loader, read_file
from cnaf.signatures.seclang.rule_set import RuleSet, assemble, compile_program
from cnaf.signatures.seclang.scanner import Group
from cnaf.signatures.seclang.syntax import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Text", "load_rules"]

#: Counts up with whatever changes what is compiled.
_FORMAT = 16
_MAGIC = b"CNAFSECL"
_HEAD = struct.Struct(">8sI32sQ")
#: The Core Rule Set at its highest level takes some 20 MB.
_MAX_BYTES = 512 * 1024 * 1024
_BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error)


@dataclass(frozen=True, slots=True)
class Text:
    """Rules given as a text, under a name for messages."""

    name: str
    content: str


def load_rules(
    sources: Iterable[Path | Text],
    variables: Mapping[str, str] | None = None,
    *,
    cache: Path | None = None,
    read: Callable[[Path, Place], str] = read_file,
) -> RuleSet:
    """Return the rules of files and texts, in the order given; raises SecLangError.

    ``variables`` are TX variables that are set in advance. ``cache`` is a folder of this user's,
    made when it is missing; without one the rules are compiled each time. ``read`` gives the text
    of a file for who needs it (Place), from disk where nothing else is said; raises SecLangError.
    """
    sources, variables = tuple(sources), dict(variables or {})
    if cache is None:
        return _compiled(sources, variables, _Reader(read))
    entry = cache / f"{_digest(sources, variables, read)}.rules"
    rules = _stored(entry, read)
    if rules is None:
        reader = _Reader(read)
        rules = _compiled(sources, variables, reader)
        _store(entry, rules, reader.digests)
    return rules


class _Reader:
    """Reads files, each once, and knows the digest of each."""

    def __init__(self, read: Callable[[Path, Place], str]) -> None:
        self._read = read
        self.digests: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def text(self, path: Path, place: Place) -> str:
        """Return a file's text; raises SecLangError."""
        name = str(path)
        if name not in self._texts:
            self._texts[name] = text = self._read(path, place)
            self.digests[name] = hashlib.sha256(text.encode("latin-1")).hexdigest()
        return self._texts[name]

    def lines(self, name: str, place: Place) -> list[str]:
        """Return the lines of a data file, which is sought beside the file that names it."""
        return self.text(Path(place.file).parent / name, place).split("\n")

    def is_unchanged(self, digests: Mapping[str, str]) -> bool:
        """Whether all files are there as they were."""
        try:
            for name in digests:
                self.text(Path(name), Place(name, 1))
        except SecLangError:
            return False
        return self.digests == dict(digests)


def _compiled(
    sources: Sequence[Path | Text], variables: Mapping[str, str], reader: _Reader
) -> RuleSet:
    loader = Loader(reader.text)
    for source in sources:
        if isinstance(source, Text):
            loader.read_text(source.content, source.name)
        else:
            loader.read(source)
    return compile_program(loader.program(), variables, reader.lines)


def _digest(
    sources: Sequence[Path | Text],
    variables: Mapping[str, str],
    read: Callable[[Path, Place], str],
) -> str:
    """Return the name of an entry: what is given, by content and order, and who would read it."""
    parts: list[object] = [_FORMAT, version("hyperscan"), platform.machine(), _processor()]
    for source in sources:
        if isinstance(source, Text):
            parts.append(["text", source.name, source.content])
        else:
            text = read(source, Place(str(source), 1))
            parts.append(["file", str(source), hashlib.sha256(text.encode("latin-1")).hexdigest()])
    parts.append(sorted(variables.items()))
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def _processor() -> str:
    """Return what databases are compiled for: Hyperscan uses what the processor has."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=[b"a"], ids=[0], flags=[0])
    return repr(database.info())


# Writing ------------------------------------------------------------------------------------


def _store(entry: Path, rules: RuleSet, digests: Mapping[str, str]) -> None:
    """Write an entry in one step; a cache that cannot be written is no error."""
    blobs = {
        name: b"" if group.database is None else hyperscan.dumpb(group.database)
        for name, group in rules.index.groups.items()
    }
    data = orjson.dumps({
        "sources": digests,
        "settings": settings_to_json(rules.settings),
        "notes": rules.notes,
        "folded": folded_to_json(rules.folded),
        "index": _index_to_json(rules.index),
        "blobs": {name: len(blob) for name, blob in blobs.items()},
    })  # fmt: skip
    body = data + b"".join(blobs.values())
    head = _HEAD.pack(_MAGIC, _FORMAT, hashlib.sha256(body).digest(), len(data))
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=entry.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(head + body)
            os.replace(name, entry)
        except OSError:
            os.unlink(name)
            raise


def _index_to_json(index: Index) -> dict[str, Any]:
    return {
        "groups": {
            name: [
                group.index,
                dict(group.pipelines),
                [[h.decode("latin-1"), places] for h, places in group.suspicious],
                group.slow,
            ]
            for name, group in index.groups.items()
        },
        "always": index.always,
        "collections": sorted(index.collections),
        "headers": {
            name.decode("latin-1"): sorted(rules) for name, rules in index.header_rules.items()
        },
    }


# Reading ------------------------------------------------------------------------------------


def _stored(entry: Path, read: Callable[[Path, Place], str]) -> RuleSet | None:
    """Return what an entry holds, None where it is missing, not sound, or of other files."""
    content = _trusted_bytes(entry)
    if content is None or len(content) < _HEAD.size:
        return None
    magic, form, digest, size = _HEAD.unpack_from(content)
    body = memoryview(content)[_HEAD.size :]
    if magic != _MAGIC or form != _FORMAT or hashlib.sha256(body).digest() != digest:
        return None
    try:
        data = orjson.loads(body[:size])
        reader = _Reader(read)
        if not reader.is_unchanged(data["sources"]):
            return None
        index = _index_from_json(data["index"], data["blobs"], bytes(body[size:]))
        return assemble(
            folded_from_json(data["folded"]),
            settings_from_json(data["settings"]),
            tuple(data["notes"]),
            reader.lines,
            index,
        )
    except (*_BROKEN, hyperscan.HyperscanError):
        return None


def _trusted_bytes(entry: Path) -> bytes | None:
    """Read a file that nobody but this user may have written: Hyperscan trusts its databases."""
    try:
        handle = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as stream:
        state = os.fstat(stream.fileno())
        if (
            not stat.S_ISREG(state.st_mode)
            or state.st_uid != os.geteuid()
            or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            or state.st_size > _MAX_BYTES
        ):
            return None
        return stream.read()


def _index_from_json(data: Any, sizes: Mapping[str, int], blobs: bytes) -> Index:
    groups: dict[str, Group] = {}
    position = 0
    for name, (index, pipelines, suspicious, slow) in data["groups"].items():
        blob = blobs[position : position + sizes[name]]
        position += sizes[name]
        database = hyperscan.loadb(blob, hyperscan.HS_MODE_BLOCK) if blob else None
        if database is not None:
            database.scratch = hyperscan.Scratch(database)
        groups[name] = Group(
            database,
            tuple(_places(places) for places in index),
            {v: tuple(tuple(names) for names in lists) for v, lists in pipelines.items()},
            tuple((h.encode("latin-1"), _places(places)) for h, places in suspicious),
            tuple((pattern, case, _places(places)) for pattern, case, places in slow),
        )
    return Index(
        groups,
        tuple(tuple(numbers) for numbers in data["always"]),
        frozenset(data["collections"]),
        {
            name.encode("latin-1"): frozenset(_places(rules))
            for name, rules in data["headers"].items()
        },
    )


def _places(pairs: Any) -> tuple[tuple[int, int], ...]:
    return tuple((phase, number) for phase, number in pairs)
