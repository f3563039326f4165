"""The folder of registered sets: one small YAML file a set, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from cnaf.models.errors import InputError
from cnaf.signatures.sets.registered import (
    MAX_SET_BYTES,
    Mode,
    RegisteredSet,
    check_name,
    set_from_yaml,
    set_to_yaml,
)
from cnaf.signatures.sets.sources import Sources, read_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "RULES_VARIABLE",
    "RuleStore",
    "checked_sources",
    "default_rules_dir",
    "refreshed",
    "sets_for",
]

RULES_VARIABLE = "CNAF_RULES"
_SUFFIX = ".yaml"
#: Sets of one node: releases, teams' rules and virtual patches of years.
_MAX_SETS = 1024


def default_rules_dir() -> Path:
    """Return ``CNAF_RULES``, or the folder ``rules`` in the user's configuration folder."""
    named = os.environ.get(RULES_VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("cnaf") / "rules"


class RuleStore:
    """Registered sets by name. What is not there yet is made at the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> tuple[RegisteredSet, ...]:
        """Return all sets, by name; raises InputError for a file that cannot be used."""
        try:
            files = sorted(self.folder.glob("*" + _SUFFIX))
        except OSError as error:
            raise _told(self.folder, "read", error) from error
        if len(files) > _MAX_SETS:
            raise InputError(f"{self.folder} holds more than {_MAX_SETS} rule sets")
        return tuple(self._read(file) for file in files)

    def get(self, name: str) -> RegisteredSet:
        """Return one set; raises InputError where there is none of that name."""
        file = self._file(name)
        if not file.is_file():
            known = ", ".join(sorted(f.stem for f in self.folder.glob("*" + _SUFFIX))) or "none"
            raise InputError(
                f"no rule set {name!r} in {self.folder}; registered: {known}",
                hint="see `cnaf rules ls`, or add it with `cnaf rules add`",
            )
        return self._read(file)

    def add(self, registered: RegisteredSet) -> None:
        """Enter a new set; raises InputError where the name is taken."""
        if self._file(registered.name).exists():
            raise InputError(
                f"there is a rule set {registered.name!r} already",
                hint=f"`cnaf rules rm {registered.name}` first, or give another --name",
            )
        self.put(registered)

    def put(self, registered: RegisteredSet) -> None:
        """Write a set, in place of one of the same name."""
        text = set_to_yaml(registered).encode()
        if len(text) > MAX_SET_BYTES:
            raise InputError(f"the rule set {registered.name} has too many exclusions")
        file = self._file(registered.name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _replacing(file) as handle:
                os.write(handle, text)
                os.fsync(handle)
        except OSError as error:
            raise _told(file, "written", error) from error

    def remove(self, name: str) -> RegisteredSet:
        """Forget a set; its rule files stay where they are."""
        registered = self.get(name)
        try:
            self._file(name).unlink()
        except OSError as error:
            raise _told(self._file(name), "removed", error) from error
        return registered

    def for_image(self, image: str) -> tuple[RegisteredSet, ...]:
        """Return the sets that apply to an image and are not off."""
        return tuple(s for s in self.list() if s.mode is not Mode.OFF and s.applies_to(image))

    def _read(self, file: Path) -> RegisteredSet:
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_SET_BYTES + 1)
        except OSError as error:
            raise _told(file, "read", error) from error
        if len(data) > MAX_SET_BYTES:
            raise InputError(f"{file} has more than {MAX_SET_BYTES} bytes")
        registered = set_from_yaml(data.decode("utf-8", "replace"), str(file))
        if registered.name != file.stem:
            raise InputError(
                f"{file}: name: it is {registered.name!r}", hint="name the file like the set"
            )
        return registered

    def _file(self, name: str) -> Path:
        return self.folder / (check_name(name) + _SUFFIX)


def checked_sources(registered: RegisteredSet) -> Sources:
    """Read a set's files; raises InputError where they are not what was added."""
    sources = read_sources(registered.kind, registered.paths)
    if sources.sha256 != registered.sha256:
        where = ", ".join(map(str, registered.paths))
        raise InputError(
            f"the rule set {registered.name} is no longer what was added: {where} holds "
            f"{sources.version or 'rules'} of hash {sources.sha256[:12]}, "
            f"added was {registered.version} of {registered.sha256[:12]}",
            hint="restore the files, or accept what is there now with "
            f"`cnaf rules set {registered.name} --refresh`; rehearse a new release beforehand, in "
            f"a folder of its own: `cnaf rules rehearse FOLDER --against {registered.name}`",
        )
    return sources


def sets_for(image: str, folder: Path | None) -> tuple[tuple[RegisteredSet, Sources], ...]:
    """Return the sets that apply to an image, with their files, checked; raises InputError."""
    store = RuleStore(folder or default_rules_dir())
    return tuple((one, checked_sources(one)) for one in store.for_image(image))


def refreshed(registered: RegisteredSet) -> tuple[RegisteredSet, Sources]:
    """Return a set as its files are now."""
    sources = read_sources(registered.kind, registered.paths)
    version = sources.version or sources.sha256[:12]
    return replace(registered, version=version, sha256=sources.sha256), sources


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """Give a descriptor of a new file that takes the path's place when all went well."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        try:
            yield handle
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _told(path: Path, verb: str, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be {verb}: {error.strerror or error}",
        hint=f"check its permissions, or name another folder with --rules-dir or {RULES_VARIABLE}",
    )
