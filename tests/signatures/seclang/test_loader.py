"""Files with what they include become a program; what is not supported is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cnaf.signatures.seclang.cache import Text, load_rules
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.loader import Loader, load_program
from cnaf.signatures.seclang.program import Chain, Marker

if TYPE_CHECKING:
    from pathlib import Path

    from cnaf.signatures.seclang.program import Program


def program(text: str) -> Program:
    loader = Loader()
    loader.read_text(text, "test")
    return loader.program()


def chains(text: str) -> list[Chain]:
    return [unit for unit in program(text).units if isinstance(unit, Chain)]


RULE = "SecRule ARGS \"@rx a\" \"id:{},phase:2,pass,tag:'{}',msg:'m{}'\"\n"
THREE = RULE.format(1, "x", 1) + RULE.format(2, "x", 2) + RULE.format(30, "y", 3)


def test_includes_are_read_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.conf").write_text(RULE.format(2, "x", 2))
    (tmp_path / "b" / "1.conf").write_text(RULE.format(1, "x", 1))
    main = tmp_path / "main.conf"
    main.write_text("Include b/*.conf\nIncludeOptional none.conf\n" + RULE.format(3, "x", 3))
    units = load_program([main]).units
    assert [unit.id for unit in units if isinstance(unit, Chain)] == [1, 2, 3]


def test_an_include_of_nothing_and_a_loop_are_refused(tmp_path: Path) -> None:
    main = tmp_path / "main.conf"
    main.write_text("SecMarker A\nInclude none.conf\n")
    with pytest.raises(SecLangError, match=r"main.conf:2: there is no file"):
        load_program([main])
    main.write_text("Include main.conf\n")
    with pytest.raises(SecLangError, match="deeper than"):
        load_program([main])
    with pytest.raises(SecLangError, match="cannot be read"):
        load_program([tmp_path / "none.conf"])


@pytest.mark.parametrize(
    ("directive", "left"),
    [
        ("SecRuleRemoveById 2", [1, 30]),
        ("SecRuleRemoveById 1-2 77", [30]),
        ('SecRuleRemoveByTag "x"', [30]),
        ('SecRuleRemoveByMsg "m3"', [1, 2]),
    ],
)
def test_rules_are_removed(directive: str, left: list[int]) -> None:
    assert [chain.id for chain in chains(THREE + directive)] == left


def test_targets_are_updated_by_id_tag_and_message() -> None:
    text = THREE + (
        'SecRuleUpdateTargetById 1 "!ARGS:a,REQUEST_COOKIES"\n'
        'SecRuleUpdateTargetByTag y "!ARGS"\n'
        'SecRuleUpdateTargetByMsg m3 "REQUEST_URI"\n'
    )
    labels = [[v.label() for v in chain.head.variables] for chain in chains(text)]
    assert labels == [["ARGS", "ARGS:a", "REQUEST_COOKIES"], ["ARGS"], ["ARGS", "REQUEST_URI"]]


def test_actions_are_updated() -> None:
    text = RULE.format(1, "x", 1) + "SecRuleUpdateActionById 1 \"deny,status:404,msg:'n'\""
    (chain,) = chains(text)
    assert chain.has("deny")
    assert not chain.has("pass")
    assert (chain.argument("msg"), chain.tags()) == ("n", ("x",))


def test_skip_becomes_a_marker_behind_the_rules_of_its_phase() -> None:
    other = 'SecAction "id:9,phase:1,pass,nolog"\n'
    text = 'SecAction "id:8,phase:2,nolog,skip:2"\n' + RULE.format(1, "x", 1) + other
    text += RULE.format(2, "x", 2) + RULE.format(3, "x", 3)
    units = program(text).units
    assert [unit.name if isinstance(unit, Marker) else unit.id for unit in units][:5] == [
        8, 1, 9, 2, "skip of 8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem", "supported"),
    [
        ("SecHashEngine On", "directive SecHashEngine", "SecRule"),
        ("SecRuleEngine Maybe", "SecRuleEngine Maybe", "DetectionOnly"),
        ("SecArgumentSeparator ;", "SecArgumentSeparator", "&"),
        ('SecRule ARGS "@geoLookup" "id:1,pass"', "operator @geolookup", "@rx"),
        ('SecRule GEO "@rx a" "id:1,pass"', "variable GEO", "ARGS"),
        ('SecRule XML:/a/b "@rx a" "id:1,pass"', "XML:/a/b", "XML://@"),
        ('SecRule ARGS "@rx a" "id:1,t:rot13,pass"', "t:rot13", "t:lowercase"),
        ('SecRule ARGS "@rx a" "id:1,exec:/bin/sh"', "action exec", "setvar"),
        ('SecRule ARGS "@rx a" "id:1,pass,ctl:hashEngine=On"', "ctl:hashEngine", "ruleEngine"),
        ('SecRule ARGS "@rx a" "id:1,pass,ctl:ruleEngine=Perhaps"', "Perhaps", "DetectionOnly"),
        ('SecRule ARGS "@rx (" "id:1,pass"', "expression", ""),
        ('SecRule ARGS "@rx a" "phase:2"', "needs an id", ""),
        ('SecRule ARGS "@rx a" "id:1,phase:9"', "no phase", "1 to 5"),
        ('SecRule ARGS "@rx a" "id:1,severity:BAD"', "severity", "critical"),
        ('SecAction "id:1,pass,setvar:ENV.a=1"', "ENV", "TX"),
        ('SecRule ARGS "@rx a" "id:1,chain"', "chain ends", ""),
        ('SecRule ARGS "@rx a" "id:1,chain"\nSecMarker A', "chain is interrupted", ""),
        ('SecRule A "@rx a" "id:1,chain"\nSecRule A "@rx a" "deny"', "first rule of a chain", ""),
        ('SecRule ARGS "@pmFromFile none.data" "id:1,pass"', "cannot be read", ""),
        ('SecRule ARGS "@validateByteRange 1-999" "id:1,pass"', "range of bytes", "0 to 255"),
        (RULE.format(1, "x", 1) * 2, "there already", ""),
        ("SecRuleRemoveById x", "no rule id", ""),
        ('SecRule ARGS "@rx %{foo.bar}" "id:1,pass"', "variable FOO", ""),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    tmp_path: Path, text: str, problem: str, supported: str
) -> None:
    file = tmp_path / "rules.conf"
    file.write_text("# first line\n" + text)
    with pytest.raises(SecLangError, match=problem.replace("(", r"\(")) as caught:
        load_rules([file])
    assert caught.value.file == str(file)
    assert caught.value.line >= 2
    assert supported in caught.value.hint


def test_what_a_configuration_switches_off_may_name_what_is_not_supported() -> None:
    text = (
        'SecAction "id:1,phase:1,nolog,pass,setvar:tx.geo=0"\n'
        'SecRule TX:geo "@eq 1" "id:2,phase:1,chain,deny"\n SecRule REMOTE_ADDR "@geoLookup" ""\n'
    )
    load_rules([Text("test", text)])
    with pytest.raises(SecLangError, match="@geolookup"):
        load_rules([Text("test", text.replace("geo=0", "geo=1"))])


def test_what_has_no_effect_is_noted() -> None:
    assert program("SecAuditEngine Off").notes == ("test:1: SecAuditEngine has no effect here",)
