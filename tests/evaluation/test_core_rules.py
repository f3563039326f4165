from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.evaluation.core_rules import DEBIAN_CRS, CoreRules, find_core_rules, read_score
from cnaf.models.errors import InputError

from tests.support.core_rules import write_core_rules


def test_only_files_for_requests_are_loaded_in_order(tmp_path: Path) -> None:
    rules = CoreRules(write_core_rules(tmp_path))
    assert [file.name[:11] for file in rules.files] == ["REQUEST-901", "REQUEST-911", "REQUEST-942"]
    assert rules.version == "4.0.1-small"


def test_the_set_up_holds_level_and_settings(tmp_path: Path) -> None:
    rules = CoreRules(write_core_rules(tmp_path), 3, (("arg_length", 7),), (942100,))
    assert "setvar:tx.blocking_paranoia_level=3" in rules.set_up
    assert "setvar:tx.arg_length=7" in rules.set_up
    assert "SecRuleRemoveById 942100" in rules.report
    assert "%{tx.inbound_anomaly_score_pl4}" in rules.report


def test_the_report_follows_the_names_of_version_3(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    start = tmp_path / "rules" / "REQUEST-901-INITIALIZATION.conf"
    start.write_text('SecComponentSignature "OWASP_CRS/3.3.4"\n', "utf-8")
    rules = CoreRules(tmp_path)
    assert rules.version == "3.3.4"
    assert "%{tx.anomaly_score_pl1}" in rules.report
    start.write_text("", "utf-8")
    assert rules.version == "unknown"


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRS4_DIR", str(write_core_rules(tmp_path)))
    assert find_core_rules(2, {"arg_length": 5}) == CoreRules(tmp_path, 2, (("arg_length", 5),))
    monkeypatch.delenv("CRS4_DIR")
    if DEBIAN_CRS.is_dir():
        assert find_core_rules().folder == DEBIAN_CRS


def test_a_folder_without_rules_and_a_wrong_level_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no rules/REQUEST"):
        CoreRules(tmp_path)
    with pytest.raises(ValueError, match="paranoia level 5"):
        CoreRules(write_core_rules(tmp_path), 5)


def test_the_score_is_the_sum_of_the_levels() -> None:
    assert read_score("5 2 0 1") == 8
