"""``cnaf learn`` and ``cnaf inspect`` as a user types them, good input and bad."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from cnaf.ci_plugin.main import app
from cnaf.datasets.jsonl import write_jsonl
from cnaf.learner.learn import Learned
from cnaf.models.digest import Digest
from cnaf.models.exchange import Exchange
from cnaf.models.registry_layout import LayoutRegistry
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
HOSTILE = runpy.run_path(str(ROOT / "tests" / "data" / "hostile_corpora" / "generate.py"))["CASES"]
DIGEST = "sha256:" + "7" * 64


def cnaf(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def corpus(wordpress_sessions: list[Exchange], tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    write_jsonl(path, wordpress_sessions[:400])
    return path


@pytest.fixture
def registry(learned: Learned, tmp_path: Path) -> Path:
    root = tmp_path / "registry"
    subject = Digest.parse(learned.report.source.subject)
    LayoutRegistry(root).push(learned.files, subject=subject, image="wordpress:6.1")
    return root


def test_learn_as_recorded_stores_the_model_and_reports(corpus: Path, tmp_path: Path) -> None:
    registry, report = tmp_path / "r", tmp_path / "deep" / "report"
    done = cnaf("learn", f"shop@{DIGEST}", "--recorded", "--corpus", corpus,
                "--registry", registry, "--report", report)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert DIGEST[:60] in done.stdout
    assert {p.name for p in report.iterdir()} == {
        "report.json", "report.md", "scores.png", "coverage.png",
    }  # fmt: skip
    (record,) = LayoutRegistry(registry).list()
    assert (str(record.subject), record.image) == (DIGEST, "shop:latest")


def test_learn_prints_its_report_as_json(corpus: Path, tmp_path: Path) -> None:
    done = cnaf("learn", "shop:1", "--recorded", corpus.parent, "--registry", tmp_path / "r",
                "--target-fpr", "0.02", "--corpus", corpus, "--json")  # fmt: skip
    report = json.loads(done.stdout)
    assert report["target_fpr"] == 0.02
    assert report["source"]["exchanges"] == 400  # the file that was named twice counts once
    assert report["source"]["subject_source"] in {"name", "engine"}


def test_equal_corpora_give_equal_artifacts(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    found = []
    for name in ("a", "b"):
        arguments = ("--recorded", "--corpus", corpus, "--registry", tmp_path / name)
        assert cnaf("learn", DIGEST, *arguments).exit_code == 0
        (record,) = LayoutRegistry(tmp_path / name).list()
        found.append(record.manifest)
    assert found[0] == found[1]


def test_inspect_prints_a_line_a_request_and_the_rates(
    registry: Path, wordpress_attacks: list[Exchange], corpus: Path, tmp_path: Path
) -> None:
    attacks = tmp_path / "attacks.jsonl"
    write_jsonl(attacks, wordpress_attacks[:60])
    done = cnaf("inspect", "--image", "wordpress:6.1", "--corpus", corpus, "--corpus", attacks,
                "--registry", registry, "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 460
    assert {line["action"] for line in lines} <= {"pass", "alert", "block"}
    for line in lines:
        assert 0 < line["p_value"] <= 1
        assert line["score"] >= 0
        assert line["action"] == "pass" or line["evidence"]
    rates = last["summary"]
    assert rates["benign"]["requests"] == 400
    assert rates["benign"]["block_rate"] <= 0.01
    assert rates["attack"]["block_rate"] >= 0.75
    for found in rates.values():
        assert found["passed"] + found["alerted"] + found["blocked"] == found["requests"]
        assert found["low"] <= found["block_rate"] <= found["high"]


def test_inspect_with_action_alert_blocks_nobody(
    registry: Path, wordpress_attacks: list[Exchange], tmp_path: Path
) -> None:
    attacks = tmp_path / "attacks.jsonl"
    write_jsonl(attacks, wordpress_attacks[:30])
    done = cnaf("inspect", "--image", "wordpress:6.1", attacks, "--registry", registry,
                "--action", "alert")  # fmt: skip
    actions = [json.loads(line)["action"] for line in done.stdout.splitlines()]
    assert "block" not in actions
    assert "alert" in actions
    assert "attack" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("learn", "shop", "--recorded"), 3, "no corpus given"),
        (("learn", "shop", "--recorded", "--corpus", "/nowhere.har"), 3, "/nowhere.har"),
        (("learn", "Sh op", "--recorded", "--corpus", "."), 3, "not an image reference"),
        (("learn", DIGEST, "--corpus", "."), 3, "cannot be started"),
        (("learn", "shop", "--recorded", "--corpus", "{empty}"), 3, "no exchange"),
        (("learn", "shop", "--recorded", "--corpus", "{corpus}", "--registry", "{empty}"), 5, ""),
        (("learn", "shop", "--recorded", "--corpus", "{corpus}", "--registry", "http://r"), 3,
         "remote"),
        (("inspect", "--image", "nothing", "--corpus", "{corpus}"), 5, "no model"),
        (("inspect", "--image", DIGEST, "--corpus", "{corpus}"), 5, "no model"),
        (("learn", "shop", "--target-fpr", "7", "--corpus", "."), 2, ""),
        (("learn",), 2, "IMAGE"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_words(
    arguments: tuple[str, ...], code: int, words: str, corpus: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    monkeypatch.setenv("CNAF_REGISTRY", str(tmp_path / "default"))
    done = cnaf(*(a.format(empty=empty, corpus=corpus) for a in arguments))
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert words in " ".join(done.stderr.split())


def test_too_little_to_learn_from_is_said_with_the_reasons(
    wordpress_sessions: list[Exchange], wordpress_attacks: list[Exchange], tmp_path: Path
) -> None:
    path = tmp_path / "few.jsonl"
    refused = [e for e in wordpress_sessions if e.response and e.response.status >= 400]
    write_jsonl(path, [*refused[:2], *wordpress_attacks[:3], wordpress_sessions[0]])
    done = cnaf("learn", "shop", "--recorded", "--corpus", path, "--registry", tmp_path / "r")
    assert done.exit_code == 3
    assert "3 are labelled as attacks" in " ".join(done.stderr.split())
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_corpora_end_in_words(name: str, tmp_path: Path) -> None:
    case = HOSTILE[name]
    path = tmp_path / case.file
    path.write_bytes(case.content())
    done = cnaf("learn", "shop", "--recorded", "--corpus", path, "--registry", tmp_path / "r")
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.output
    assert case.words in " ".join(done.stderr.lower().split())
    assert "hint:" in done.stderr
    assert not (tmp_path / "r").exists()


def test_a_damaged_model_is_refused_and_stays_where_it_is(
    registry: Path, corpus: Path, learned: Learned
) -> None:
    (blob,) = [p for p in (registry / "blobs" / "sha256").iterdir()
               if p.read_bytes() == learned.files.tensors]  # fmt: skip
    blob.chmod(0o644)
    blob.write_bytes(learned.files.tensors[:-1] + b"\x00")
    done = cnaf("inspect", "--image", "wordpress:6.1", corpus, "--registry", registry)
    assert done.exit_code == 4, done.output
    assert "error:" in done.stderr
    assert blob.exists()
