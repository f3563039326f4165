from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.evaluation.crs_stages import NEEDS_ANSWER, NEEDS_SERVER, Stage, read_stages
from cnaf.models.errors import CorpusError

from tests.support.core_rules import write_stages


@pytest.fixture
def stages(tmp_path: Path) -> dict[str, Stage]:
    return {stage.name: stage for stage in read_stages(write_stages(tmp_path))}


def test_every_stage_is_read_or_left_out_with_its_reason(stages: dict[str, Stage]) -> None:
    assert {name: stage.left_out for name, stage in stages.items()} == {
        "911100-7": "", "942100-1": "", "942100-2.1": "", "942100-2.2": "", "942100-3": "",
        "942100-4": NEEDS_SERVER, "950100-7": NEEDS_ANSWER,
    }  # fmt: skip
    assert stages["942100-1"].file == "REQUEST-942-APPLICATION-ATTACK-SQLI"


def test_what_the_runner_adds_is_added(stages: dict[str, Stage]) -> None:
    request = stages["942100-1"].request
    assert request.body == b"a=1&b=union+all+select"
    assert request.headers == (
        (b"host", b"localhost"), (b"accept", b"*/*"),
        (b"content-type", b"application/x-www-form-urlencoded"), (b"connection", b"close"),
        (b"content-length", b"22"),
    )  # fmt: skip


def test_nothing_is_added_where_the_test_forbids_it(stages: dict[str, Stage]) -> None:
    request = stages["911100-7"].request
    assert request.headers == ((b"content-length", b"2"),)
    assert request.body == b"ab", "a server hands on as much as the length says"
    assert (request.method, request.version) == ("FOO", "2.0")


def test_raw_bytes_are_read_as_a_server_reads_them(stages: dict[str, Stage]) -> None:
    request = stages["942100-3"].request
    assert request.body == b"a=union+select"
    assert (request.method, request.target, request.version) == ("POST", b"/", "1.0")


def test_without_a_length_there_is_no_body(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(
        "tests: [{test_id: 1, stages: [{input: {method: POST, autocomplete_headers: false, "
        "headers: {Host: a}, data: abc}, output: {}}]}]",
        "utf-8",
    )
    assert read_stages(tmp_path)[0].request.body == b""


def test_expectations_hold_on_ids_and_lines(stages: dict[str, Stage]) -> None:
    assert stages["942100-1"].holds(frozenset((1, 942100)), "")
    assert not stages["942100-1"].holds(frozenset((1,)), "")
    assert not stages["942100-2.1"].holds(frozenset((942100,)), "")
    assert stages["942100-2.2"].reads_log
    assert stages["942100-2.2"].holds(frozenset(), "x select found within ARGS:q")
    assert not stages["942100-2.2"].holds(frozenset(), "x")


@pytest.mark.parametrize(
    "text",
    [
        "tests: 5", "- a", "tests: [{test_id: 1}]",
        "tests: [{test_id: 1, stages: [{input: {uri: 5}, output: {}}]}]",
        "tests: [{test_id: 1, stages: [{input: {encoded_request: a}, output: {}}]}]",
        "tests: [{test_id: 1, stages: [{input: {encoded_request: YQ==}, output: {}}]}]",
        "tests: [{test_id: 1, stages: [{input: {}, output: {log: {expect_ids: [x]}}}]}]",
        "tests: [{test_id: 1, stages: [{input: {}, output: {log: {match_regex: '('}}}]}]",
        "tests: [",
    ],
)  # fmt: skip
def test_another_format_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.yaml").write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=r"1\.yaml is no test of the Core Rule Set"):
        read_stages(tmp_path)


def test_multipart_lines_end_as_the_protocol_has_it(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(
        'tests: [{test_id: 1, stages: [{input: {method: POST, data: "--b\\nX: 1\\n", headers: '
        '{Content-Type: "multipart/form-data; boundary=b"}}, output: {}}]}]',
        "utf-8",
    )
    assert read_stages(tmp_path)[0].request.body == b"--b\r\nX: 1\r\n"
