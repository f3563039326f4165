"""Compiled rule sets come back from disk as they were, or are made anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cnaf.models.exchange import Request
from cnaf.signatures.seclang.cache import Text, load_rules
from cnaf.signatures.seclang.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from cnaf.signatures.seclang.rule_set import RuleSet


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A rule file that includes another and reads a data file."""
    (tmp_path / "words.data").write_text("# c\nevil\nworse\n")
    (tmp_path / "more.conf").write_text('SecRule ARGS "@rx ba+d" "id:2,phase:2,pass,log"\n')
    main = tmp_path / "main.conf"
    main.write_text(
        "SecRuleEngine On\nSecRequestBodyAccess On\nInclude more.conf\n"
        'SecRule ARGS|REQUEST_HEADERS:X "@pmFromFile words.data" "id:1,phase:2,pass,log,t:none,'
        "t:lowercase,tag:'é',msg:'%{tx.name}'\"\n"
    )
    return main


def fired(rules: RuleSet, value: bytes) -> list[tuple[int, str]]:
    outcome = Engine(rules).evaluate(Request("GET", b"/?a=" + value, ((b"x", b"EVIL"),)))
    return [(match.rule, match.message) for match in outcome.matches]


def load(main: Path, name: str = "n") -> RuleSet:
    return load_rules([Text("first", "# a"), main], {"name": name}, cache=main.parent / "cache")


def entries(main: Path) -> list[Path]:
    return sorted((main.parent / "cache").iterdir())


def test_a_stored_rule_set_is_the_compiled_one(main: Path) -> None:
    compiled = load(main)
    stored = load(main)
    assert stored.folded == compiled.folded
    assert stored.settings == compiled.settings
    assert stored.index.always == compiled.index.always
    assert stored.index.header_rules == compiled.index.header_rules
    for value in (b"x", b"baad", b"WORSE"):
        assert fired(stored, value) == fired(compiled, value)
    assert len(entries(main)) == 1
    assert entries(main)[0].stat().st_mode & 0o077 == 0


def test_what_goes_in_names_the_entry(main: Path) -> None:
    assert fired(load(main), b"x") == [(1, "n")]
    assert fired(load(main, "other"), b"x") == [(1, "other")]
    main.write_text(main.read_text().replace("id:1", "id:7"))
    assert fired(load(main), b"x") == [(7, "n")]
    assert len(entries(main)) == 3


@pytest.mark.parametrize("name", ["words.data", "more.conf"])
def test_files_that_were_read_on_the_way_are_checked(main: Path, name: str) -> None:
    load(main)
    file = main.parent / name
    file.write_text(file.read_text().replace("worse", "harmless").replace("ba+d", "harmless"))
    assert (1 if name == "words.data" else 2) in [
        rule for rule, _ in fired(load(main), b"harmless")
    ]


@pytest.mark.parametrize("place", [0, 3, 9, 20, 50, 60, 500, -1, -300])
def test_a_damaged_entry_is_made_anew(main: Path, place: int) -> None:
    load(main)
    (entry,) = entries(main)
    sound = entry.read_bytes()
    damaged = bytearray(sound)
    damaged[place] ^= 0x5A
    entry.write_bytes(damaged)
    assert fired(load(main), b"bad") == [(2, ""), (1, "n")]
    assert len(entry.read_bytes()) == len(sound)
    assert entry.read_bytes() != damaged


@pytest.mark.parametrize("size", [0, 10, 52, 53, 400])
def test_an_entry_that_breaks_off_is_made_anew(main: Path, size: int) -> None:
    load(main)
    (entry,) = entries(main)
    entry.write_bytes(entry.read_bytes()[:size])
    assert fired(load(main), b"bad") == [(2, ""), (1, "n")]


def test_what_another_could_have_written_is_not_read(main: Path) -> None:
    load(main)
    (entry,) = entries(main)
    trusted = entry.read_bytes()
    entry.write_bytes(trusted.replace(b'"evil"', b'"good"'))
    os.chmod(entry, 0o666)
    assert fired(load(main), b"bad") == [(2, ""), (1, "n")]
    target = main.parent / "elsewhere"
    target.write_bytes(trusted)
    entry.unlink()
    entry.symlink_to(target)
    assert fired(load(main), b"bad") == [(2, ""), (1, "n")]
    assert not entry.is_symlink()


def test_a_cache_that_cannot_be_written_is_no_error(main: Path) -> None:
    blocked = main.parent / "file"
    blocked.write_text("")
    rules = load_rules([main], {"name": "n"}, cache=blocked / "cache")
    assert fired(rules, b"bad") == [(2, ""), (1, "n")]
