from __future__ import annotations

from pathlib import Path

from cnaf.evaluation.core_rules import CoreRules
from cnaf.evaluation.crs_regression import regression_rules, run_stages
from cnaf.evaluation.crs_stages import read_stages
from cnaf.evaluation.rule_engines import LibModSecurity

from tests.support.core_rules import write_core_rules, write_stages


def test_two_engines_are_counted_side_by_side(tmp_path: Path) -> None:
    rules = CoreRules(write_core_rules(tmp_path / "crs"))
    whole = LibModSecurity(regression_rules(rules))
    less = LibModSecurity(CoreRules(rules.folder, 4, removed=(942100,)))
    less.name = "less"
    steps: list[int] = []
    stages = read_stages(write_stages(tmp_path / "tests"))
    found = run_stages(stages, (whole, less), lambda: steps.append(1))
    assert len(steps) == len(stages) == 7
    assert (found.total, found.passed(0), found.passed(1)) == (5, 4, 1)
    assert [r.stage.name for r in found.differing] == ["942100-1", "942100-2.2", "942100-3"]
    assert found.by_file()["REQUEST-942-APPLICATION-ATTACK-SQLI"] == ([4, 1], 4, 1)
    text = found.markdown()
    assert "| all | 4 | 1 | 5 | 2 |" in text
    assert "| 911100-7 | fails | fails |" in text
    assert "| 942100-1 |  | fails |" in text
    assert "(status 400), 1: 942100-4" in text


def test_tests_run_at_the_highest_level_with_their_settings(tmp_path: Path) -> None:
    rules = regression_rules(CoreRules(write_core_rules(tmp_path)))
    assert rules.paranoia == 4
    assert dict(rules.settings)["arg_name_length"] == 100
