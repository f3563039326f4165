from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cnaf.evaluation.crs_tests import read_crs_tests
from cnaf.evaluation.payloads import PayloadSet
from cnaf.models.errors import CorpusError

AGENT = "OWASP CRS test agent"


def stage(uri: str = "/", fires: bool = True, **sent: object) -> dict[str, object]:
    headers = {"Host": "localhost", "User-Agent": AGENT, "Accept": "*/*;q=0.5"}
    headers |= sent.pop("headers", {})  # type: ignore[arg-type, operator]
    return {
        "input": {"method": "GET", "uri": uri, "headers": headers, **sent},
        "output": {"log": {"expect_ids" if fires else "no_expect_ids": [1]}},
    }


def read(folder: Path, *stages: object, rule: str = "942100") -> PayloadSet:
    tests = {"tests": [{"test_id": 1, "stages": list(stages)}]}
    (folder / f"{rule}.yaml").write_text(yaml.safe_dump(tests, allow_unicode=True))
    return read_crs_tests(folder)


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (stage("/get?id=7&q=1%27+or+2"), b"1' or 2"),
        (stage("/get?q=%2527"), b"%27"),
        (stage("/get/a/%3Cb%3E/c"), b"<b>"),
        (stage(method="POST", data="id=7&q=;ls"), b";ls"),
        (stage(method="POST", data='{"a":["$(id)"]}', headers={"Content-Type": "text/json"}),
         b"$(id)"),
        (stage(headers={"Referer": "x;id", "Cookie": "c=<i>"}), b"<i>"),
        (stage(headers={"User-Agent": "() { :;}; id"}), b"() { :;}; id"),
        (stage("/get?q=\uff11\u2018"), "\uff11\u2018".encode()),
    ],
)  # fmt: skip
def test_the_value_that_carries_the_attack_is_found(
    tmp_path: Path, sent: object, value: bytes
) -> None:
    [payload] = read(tmp_path, sent).attacks
    assert payload == (value, "sqli", "942100.yaml")


@pytest.mark.parametrize(
    ("sent", "rule", "reason"),
    [
        (stage("/get?q=ping"), "932100", "no value that differs from ordinary ones"),
        (stage("/get?q=<b>"), "920100", "is not about a value"),
        (stage("/get?id=<b>"), "943110", "is not about a value"),
        (stage(method="a b"), "942101", "is no request that an HTTP client can send"),
        (stage(encoded_request="R0VU"), "942101", "is no request that an HTTP client can send"),
        (stage("/get?q=<b>"), "942101", "repeats another value"),
    ],
)
def test_what_cannot_be_put_elsewhere_is_counted(
    tmp_path: Path, sent: object, rule: str, reason: str
) -> None:
    read(tmp_path, stage("/get?q=<b>"))
    found = read(tmp_path, sent, rule=rule)
    assert found.left_out == {reason: 1}


def test_stages_that_must_not_fire_are_passed_over_in_either_schema(tmp_path: Path) -> None:
    older = {"stage": stage("/?q=<a>") | {"output": {"expect_ids": [1]}}}
    (tmp_path / "941000.yaml").write_text("# to be written\n")
    found = read(tmp_path, stage("/?q=<b>", fires=False), older)
    assert [payload.value for payload in found.attacks] == [b"<a>"]


@pytest.mark.parametrize("content", ["[]", "tests: text", "tests: [{stages: [{input: {}}]}]", "{"])
def test_other_yaml_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "942100.yaml").write_text(content)
    with pytest.raises(CorpusError, match=r"942100\.yaml is no test of the Core Rule Set"):
        read_crs_tests(tmp_path)
