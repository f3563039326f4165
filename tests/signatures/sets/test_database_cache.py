"""Databases are read where they were built before, and built again where they are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cnaf.signatures.seclang.prefilter import Built, build
from cnaf.signatures.sets.compiled import load_set
from cnaf.signatures.sets.database_cache import DatabaseCache
from cnaf.signatures.sets.matching import RuleSets

from tests.support.rule_sets import CUSTOM, find, get, made

# The second one Hyperscan cannot stand for.
PATTERNS = [("union select", True), ("(", False), ("eval", False)]


class Counting:
    """Builds, and counts how often."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self, patterns: Sequence[tuple[str, bool]]) -> Built:
        self.built += 1
        return build(patterns)


def hits(built: Built, text: bytes) -> list[int]:
    found: list[int] = []
    assert built.database is not None
    built.database.scan(text, match_event_handler=lambda number, *_: found.append(number))
    return found


def test_what_was_built_is_read_and_finds_the_same(tmp_path: Path) -> None:
    counting = Counting()
    made = [DatabaseCache(tmp_path, counting)(PATTERNS) for _ in range(2)]
    assert counting.built == 1
    assert made[0].usable == made[1].usable == (True, False, True)
    for built in made:
        assert hits(built, b"a UNION SELECT eval") == [0, 1]


def test_other_expressions_are_other_files(tmp_path: Path) -> None:
    counting = Counting()
    DatabaseCache(tmp_path, counting)(PATTERNS)
    DatabaseCache(tmp_path, counting)(PATTERNS[:1])
    assert counting.built == len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"cnaf.hyperscan/1\n", None])
def test_a_damaged_file_is_built_again(damage: bytes | None, tmp_path: Path) -> None:
    counting = Counting()
    DatabaseCache(tmp_path, counting)(PATTERNS)
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-9] + b"123456789" if damage is None else damage)
    assert hits(DatabaseCache(tmp_path, counting)(PATTERNS), b"eval") == [1]
    assert counting.built == 2
    assert file.read_bytes() == data


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert DatabaseCache(tmp_path / "file")(PATTERNS).usable == (True, False, True)


def test_a_set_from_the_cache_says_the_same(tmp_path: Path) -> None:
    registered = made(tmp_path, CUSTOM)
    for _ in range(2):
        rules = RuleSets([load_set(*registered, DatabaseCache(tmp_path / "kept"))])
        assert find(rules, get("/?coupon=free-1"))
