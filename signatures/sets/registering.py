"""From files to a registered set: read, checked whole, named after what they say of themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from cnaf.models.errors import InputError
from cnaf.signatures.kept_databases import default_cache_dir
from cnaf.signatures.sets.compiled import load_set
from cnaf.signatures.sets.linting import lint
from cnaf.signatures.sets.matching import RuleSets
from cnaf.signatures.sets.registered import Kind, Mode, RegisteredSet
from cnaf.signatures.sets.request_tests import read_tests, run_tests, tests_beside
from cnaf.signatures.sets.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnaf.signatures.sets.request_tests import RequestTest, TestResult
    from cnaf.signatures.sets.sources import Sources

__all__ = ["check_rules", "check_tests", "register", "results_of", "tests_of"]

#: People wrote custom rules and patches for their own app: they mean what they say.
_MODES = {Kind.CRS: Mode.WEIGH, Kind.CUSTOM: Mode.BLOCK, Kind.PATCH: Mode.BLOCK}


def register(
    kind: Kind, paths: Sequence[Path], *, name: str = "", mode: Mode | None = None
) -> tuple[RegisteredSet, Sources]:
    """Return a new set with its files; raises InputError where they are no rules."""
    full = tuple(path.absolute() for path in paths)
    if kind is Kind.CRS and len(full) != 1:
        raise InputError("the Core Rule Set is one folder", hint="give --path once")
    sources = read_sources(kind, full)
    sha256 = sources.sha256
    beside = tests_beside(full[0])
    registered = RegisteredSet(
        name or (kind.value if kind is Kind.CRS else _name_of(full[0])),
        kind, full, sources.version or sha256[:12], sha256,
        mode=mode or _MODES[kind],
        tests=str(beside) if kind is not Kind.CRS and beside.is_file() else "",
    )  # fmt: skip
    return registered, sources


def check_rules(registered: RegisteredSet, sources: Sources) -> None:
    """Raise the first error of a set's rules, and say how many there are."""
    errors = lint(registered, sources).errors
    if errors:
        first = errors[0]
        if len(errors) > 1:
            first.hint += f"; {len(errors) - 1} more: cnaf rules lint {first.file}"
        raise first


def check_tests(results: Sequence[TestResult], file: str) -> None:
    """Raise InputError for the first test that failed, or where one kind is missing."""
    failed = next((result for result in results if result.problem), None)
    if failed is not None:
        raise InputError(
            f"{file}: the test {failed.test.name!r} failed: {failed.problem}",
            hint="correct the patch or its test; nothing was added",
        )
    if {result.test.must_block for result in results} != {True, False}:
        raise InputError(
            f"{file}: a patch needs a request that it must block, and one that must pass",
            hint="add the exploit's request, and one like it that people send",
        )


def tests_of(registered: RegisteredSet) -> tuple[RequestTest, ...]:
    """Return a set's test requests, none where it has no file of them; raises InputError."""
    # The file is read where the set says, which may have been moved since.
    return read_tests(registered.paths[0].parent / registered.tests) if registered.tests else ()


def results_of(
    registered: RegisteredSet, sources: Sources, tests: Sequence[RequestTest]
) -> tuple[TestResult, ...]:
    """Run test requests against a set, alone, as if it blocked; raises SecLangError."""
    blocking = replace(registered, mode=Mode.BLOCK)
    loaded = load_set(blocking, sources, default_cache_dir())
    return tuple(run_tests(RuleSets([loaded]), tests))


def _name_of(path: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip(".-_")[:63] or "custom"
