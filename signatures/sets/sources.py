"""The files of a rule set, read once: in load order, with their data files, and their hash.

Everything that compiling needs is in a :class:`Sources`, so that a worker that starts again needs
no folder, and what was hashed is what is run.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnaf.models.errors import InputError
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.loader import read_file
from cnaf.signatures.seclang.syntax import Place
from cnaf.signatures.sets.registered import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["DEBIAN_CRS", "Sources", "read_sources"]

#: Where Debian's package modsecurity-crs puts the Core Rule Set.
DEBIAN_CRS = Path("/usr/share/modsecurity-crs")
_MAX_FILES = 512
_MAX_BYTES = 32 * 1024 * 1024
#: IP reputation needs lists of addresses that nobody ships any more.
_LEFT_OUT = ("REQUEST-910-",)
_DATA = re.compile(r"@(?:pmf|pmFromFile|ipMatchF|ipMatchFromFile)\s+([^\"\n\\]{1,512})", re.I)
_SIGNATURE = re.compile(r"^\s*SecComponentSignature\s+\"?([\w./ -]{1,80})", re.I | re.M)
_VERSION = re.compile(r"\bver:'?([\w./-]{1,60})")


@dataclass(frozen=True, slots=True)
class Sources:
    """Rule files as (path, Latin-1 text) in load order, and data files by path.

    ``first`` is how many of the files come before the user's exclusions: set-up and plugins.
    """

    files: tuple[tuple[str, str], ...]
    data: Mapping[str, str]
    first: int = 0

    @property
    def sha256(self) -> str:
        """The hash over names and contents; folders above do not count."""
        digest = hashlib.sha256()
        for path, text in (*self.files, *sorted(self.data.items())):
            content = text.encode("latin-1")
            digest.update(f"{Path(path).name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    @property
    def version(self) -> str:
        """What the rules say of themselves, ``3.3.4`` for the Core Rule Set; empty for nothing."""
        for pattern in (_SIGNATURE, _VERSION):
            for _, text in self.files:
                if found := pattern.search(text):
                    return found[1].strip().removeprefix("OWASP_CRS/")
        return ""

    def text(self, path: Path, place: Place) -> str:
        """Return the text of a data file that a rule names; raises SecLangError."""
        text = self.data.get(str(path))
        if text is None:
            problem = f"there is no data file {path.name!r} beside it"
            raise SecLangError(place.file, place.line, problem)
        return text

    def lines(self, name: str, place: Place) -> list[str]:
        """Return the lines of a data file that a rule names; raises SecLangError."""
        return self.text(Path(place.file).parent / name, place).split("\n")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"files": self.files, "data": dict(self.data), "first": self.first}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Sources:
        """Return what :meth:`to_dict` gave."""
        files = tuple((str(path), str(text)) for path, text in described["files"])
        return cls(files, dict(described["data"]), int(described["first"]))


def read_sources(kind: Kind, paths: Sequence[Path]) -> Sources:
    """Read the files of a set; raises InputError that says which path holds none."""
    if kind is Kind.CRS:
        before, rules = _core_files(paths[0])
    else:
        before, rules = [], [file for path in paths for file in _rule_files(path)]
    names = [*before, *rules]
    if len(names) > _MAX_FILES:
        raise InputError(f"{paths[0]}: more than {_MAX_FILES} rule files", hint="split the set")
    files: list[tuple[str, str]] = []
    data: dict[str, str] = {}
    size = 0
    for path in names:
        text = read_file(path, Place(str(path), 1))
        files.append((str(path), text))
        data.update(_data_files(text, path))
        size += len(text)
    if size + sum(map(len, data.values())) > _MAX_BYTES:
        raise InputError(f"{paths[0]}: more than {_MAX_BYTES} bytes of rules", hint="split the set")
    return Sources(tuple(files), data, len(before))


def _core_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return what a release loads before the exclusions of a user, and from there on."""
    rules = [
        file
        for file in sorted((folder / "rules").glob("REQUEST-*.conf"))
        if not file.name.startswith(_LEFT_OUT)
    ]
    if not rules:
        raise InputError(
            f"{folder} holds no rules/REQUEST-*.conf",
            hint="give the folder of a released Core Rule Set, such as /usr/share/modsecurity-crs "
            "(Debian: apt install modsecurity-crs)",
        )
    plugins = folder / "plugins"
    before = [folder / "crs-setup.conf"] if (folder / "crs-setup.conf").is_file() else []
    before += sorted(plugins.glob("*-config.conf")) + sorted(plugins.glob("*-before.conf"))
    return before, rules + sorted(plugins.glob("*-after.conf"))


def _rule_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.glob("*.conf") if file.is_file())
    if not found:
        raise InputError(f"{path} holds no *.conf", hint="give a rule file, or a folder of them")
    return found


def _data_files(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for found in _DATA.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        file = path.parent / found[1].strip()
        # What is missing is told, with the rule that names it, when the set is compiled.
        if not line.lstrip().startswith("#") and file.is_file():
            yield str(file), read_file(file, Place(str(path), 1))
