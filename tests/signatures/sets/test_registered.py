"""What a set's file may say, and how it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cnaf.models.errors import InputError
from cnaf.signatures.sets.registered import (
    Exclusion,
    Kind,
    Mode,
    RegisteredSet,
    check_name,
    set_from_yaml,
    set_to_yaml,
)

SET = RegisteredSet(
    "crs", Kind.CRS, (Path("/opt/crs"),), "4.1.0", "a" * 64, 2, 7, Mode.BLOCK, ("wordpress*",),
    {"allowed_methods": "GET POST"},
    (Exclusion(rule="942100", endpoint="POST /c", field="form:comment"), Exclusion(tag="a/b")),
    "crs.tests.yaml",
)  # fmt: skip


def test_round_trip() -> None:
    assert set_from_yaml(set_to_yaml(SET), "crs.yaml") == SET


def test_what_is_left_out_has_defaults() -> None:
    text = f"{{name: a, kind: custom, paths: [/r.conf], version: '1', sha256: {'b' * 64}}}"
    found = set_from_yaml(text, "a.yaml")
    assert (found.mode, found.threshold, found.images) == (Mode.WEIGH, 5, ("*",))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../../etc/passwd"), ("name", "A"), ("kind", "other"), ("paths", []),
        ("sha256", "a"), ("paranoia", 5), ("paranoia", 0), ("threshold", 0), ("mode", "shout"),
        ("images", []), ("images", [7]), ("settings", {"a b": "1"}),
        ("settings", {"a": "1',deny,setvar:'x=1"}), ("settings", {"a": "1\nSecRuleEngine Off"}),
        ("exclusions", [{"rule": "1;ctl:ruleEngine=Off"}]), ("exclusions", [{"tag": 'x" "id:1'}]),
        ("exclusions", [{"endpoint": "/a b"}]), ("exclusions", [{"endpoint": "/a\\"}]),
        ("exclusions", [{"endpoint": '/a"'}]), ("exclusions", [{"other": "x"}]), ("more", 1),
    ],
)  # fmt: skip
def test_what_is_refused_names_file_and_key(key: str, value: object) -> None:
    described = yaml.safe_load(set_to_yaml(SET)) | {key: value}
    with pytest.raises(InputError, match=rf"crs\.yaml: {key}"):
        set_from_yaml(yaml.safe_dump(described), "crs.yaml")


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "a: [", "!!python/object:os.system {}"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"x\.yaml"):
        set_from_yaml(text, "x.yaml")


def test_nothing_is_written_that_would_not_be_read() -> None:
    with pytest.raises(InputError, match="threshold"):
        set_to_yaml(replace(SET, threshold=-1))


@pytest.mark.parametrize("name", ["", "a/b", "..", "Ä", "a" * 64])
def test_names(name: str) -> None:
    with pytest.raises(InputError, match="no name"):
        check_name(name)


@pytest.mark.parametrize(
    ("image", "applies"),
    [
        ("wordpress:6.1", True),
        ("registry.example:5000/team/wordpress:6", True),
        ("shop:1", False),
        ("my-wordpress", False),
    ],
)
def test_globs_are_held_against_the_name(image: str, applies: bool) -> None:
    assert SET.applies_to(image) is applies
