"""All errors of rule files are told at once, with file, line and what is supported."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.models.errors import InputError
from cnaf.signatures.sets.describing import describe_rules
from cnaf.signatures.sets.linting import lint
from cnaf.signatures.sets.registered import Exclusion, Kind
from cnaf.signatures.sets.registering import check_rules, check_tests, register
from cnaf.signatures.sets.sources import DEBIAN_CRS

from tests.support.rule_sets import BROKEN, CUSTOM, SCORED, made, write


def test_every_line_that_is_wrong_is_told(tmp_path: Path) -> None:
    found = lint(*made(tmp_path, BROKEN))
    assert [error.line for error in found.errors] == list(range(2, 13))
    assert not found.cut
    problems = {error.line: error.problem for error in found.errors}
    for line, word in ((2, "@nonsense"), (3, "SecNothing"), (4, "'('"), (5, "NOWHERE"),
                       (6, "exec"), (7, "id"), (8, "missing.data"), (9, "quote"), (10, "already"),
                       (11, "Include"), (12, "chain")):  # fmt: skip
        assert word in problems[line]
    assert all(error.file.endswith("shop.conf") for error in found.errors)
    assert "@rx" in found.errors[0].hint


def test_an_error_in_a_chain_takes_the_chain_with_it(tmp_path: Path) -> None:
    text = (
        'SecRule ARGS "@rx a" \\\n  "id:1,phase:2,deny,chain"\n'
        '  SecRule ARGS "@other b" "t:none,chain"\n  SecRule ARGS "@rx c" "t:none"\n'
        'SecRule ARGS "@worse d" "id:2,deny"\n'
    )
    assert [error.line for error in lint(*made(tmp_path, text)).errors] == [3, 5]


def test_many_errors_are_cut(tmp_path: Path) -> None:
    found = lint(*made(tmp_path, "SecNothing\n" * 80))
    assert (len(found.errors), found.cut) == (50, True)


@pytest.mark.parametrize("text", ["\x00\xff\x1b", "SecRule " * 500, "\\\n" * 500, '"' * 99])
def test_rubbish_is_told_and_nothing_else_happens(text: str, tmp_path: Path) -> None:
    found = lint(*made(tmp_path, text))
    assert all(error.line >= 1 for error in found.errors)


@pytest.mark.core_rules
def test_whole_files_have_no_errors(tmp_path: Path) -> None:
    assert lint(*made(tmp_path, CUSTOM)).errors == ()
    assert lint(*register(Kind.CRS, [DEBIAN_CRS])).errors == ()


def test_the_first_error_is_raised_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="@nonsense") as caught:
        check_rules(*made(tmp_path, BROKEN))
    assert "10 more" in caught.value.hint


def test_a_patch_needs_both_kinds_of_tests() -> None:
    with pytest.raises(InputError, match="must block, and one that must pass"):
        check_tests([], "t.yaml")


def test_two_folders_are_no_core_rule_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one folder"):
        register(Kind.CRS, [tmp_path, tmp_path])


def test_names_come_from_files(tmp_path: Path) -> None:
    path = write(tmp_path, CUSTOM, "My Shop (1).conf")
    assert register(Kind.CUSTOM, [path])[0].name == "my-shop-1"


def test_rules_are_described_with_what_keeps_them_quiet(tmp_path: Path) -> None:
    exclusions = (Exclusion(rule="9101", field="form:comment"), Exclusion(tag="attack-sqli"))
    rules = describe_rules(*made(tmp_path, SCORED, exclusions=exclusions))
    markup = rules[9101]
    assert markup.line == 2
    assert markup.targets == ("ARGS", "REQUEST_HEADERS:Referer")
    assert (markup.operator, markup.severity) == ("@contains <b>", "critical")
    assert "SecRuleUpdateTargetById 9101" in markup.excluded_by[0]
    assert rules[9102].excluded_by == ('SecRuleRemoveByTag "attack-sqli"',)


@pytest.mark.core_rules
def test_rules_beyond_the_paranoia_level_say_so() -> None:
    rules = describe_rules(*register(Kind.CRS, [DEBIAN_CRS]))
    assert "paranoia level 1" in rules[942130].excluded_by[0]
    assert rules[942100].excluded_by == ()
