from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cnaf.ci_plugin.models_command import app
from cnaf.models.artifact import Artifact, pack
from cnaf.models.digest import Digest
from cnaf.models.errors import ArtifactFormatError, InputError, ModelNotFoundError
from cnaf.models.registry_layout import LayoutRegistry
from cnaf.models.strict_json import JSON
from typer.testing import CliRunner

SUBJECT = Digest("sha256:" + "ab" * 32)
MODEL = {
    "endpoints": [["GET", "/shop/{int}", 12, [[0, 1]]], ["POST", "/[red]x\x1b[2J", 3, []]],
    "profiles": [[0, "q", 1, 2, 3, 4]],
    "thresholds": {"0.001": 12.5},
}


def run(*arguments: str, answer: str | None = None) -> Any:
    return CliRunner().invoke(app, arguments, input=answer, catch_exceptions=True)


def push(root: Path, model: dict[str, Any]) -> None:
    metadata: dict[str, JSON] = {
        "subject": str(SUBJECT), "image": "shop:1", "created": "2024-05-01T12:00:00Z",
        "trainer": {"name": "cnaf.learner", "version": "0.1.0"}, "parent": None, "model": model,
        "corpus": {"hash": "sha256:00", "exchanges": 17_000, "sessions": 120},
    }  # fmt: skip
    files = pack(Artifact(metadata, {"roots": np.zeros(3, np.int32)}))
    LayoutRegistry(root).push(files, subject=SUBJECT, image="shop:1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    push(tmp_path / "models", MODEL)
    return tmp_path / "models"


def test_ls_lists_models(root: Path) -> None:
    shown = run("ls", "--registry", str(root))
    assert shown.exit_code == 0
    assert "shop:1" in shown.stdout
    assert SUBJECT.short in shown.stdout
    (record,) = json.loads(run("ls", "--registry", str(root), "--json").stdout)
    assert record["subject"] == str(SUBJECT)
    assert record["image"] == "shop:1"
    assert record["created"] == "2024-05-01T12:00:00+00:00"
    assert record["bytes"] > 0


def test_ls_of_an_empty_registry_says_what_to_do(tmp_path: Path) -> None:
    shown = run("ls", "--registry", str(tmp_path))
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "cnaf learn" in shown.stderr
    assert json.loads(run("ls", "--registry", str(tmp_path), "--json").stdout) == []


def test_show_tells_where_a_model_comes_from_and_what_it_knows(root: Path) -> None:
    shown = run("show", "shop:1", "--registry", str(root))
    assert shown.exit_code == 0, shown.exception
    for part in ("cnaf.learner 0.1.0", "17000 exchanges, 120 sessions", str(SUBJECT),
                 "2 endpoints, 1 fields", "Threshold 0.001", "12.5", "/shop/{int}"):  # fmt: skip
        assert part in shown.stdout


def test_show_lets_no_markup_or_control_character_through(root: Path) -> None:
    shown = run("show", "shop:1", "--registry", str(root))
    assert r"/[red]x\x1b[2J" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_show_prints_json(root: Path) -> None:
    shown = json.loads(run("show", SUBJECT.hex[:12], "--registry", str(root), "--json").stdout)
    assert shown["subject"] == str(SUBJECT)
    assert shown["corpus"]["sessions"] == 120
    assert shown["tensors"]["roots"]["shape"] == [3]
    assert shown["thresholds"] == {"0.001": 12.5}
    assert shown["endpoints"][0] == {"method": "GET", "template": "/shop/{int}", "sightings": 12}
    assert "model" not in shown


@pytest.mark.parametrize(
    "model",
    [{}, {"endpoints": None}, {"endpoints": [1, [], {}]}, {"profiles": 7, "thresholds": []},
     {"endpoints": [["GET", f"/{i}", i, []] for i in range(100)]}],
)  # fmt: skip
def test_show_bears_models_that_tell_less(tmp_path: Path, model: dict[str, Any]) -> None:
    push(tmp_path / "models", model)
    for options in ([], ["--json"]):
        shown = run("show", "shop:1", "--registry", str(tmp_path / "models"), *options)
        assert shown.exit_code == 0, shown.exception


def test_rm_asks_and_takes_no_for_an_answer(root: Path) -> None:
    for answer in ("n\n", ""):
        refused = run("rm", "shop:1", "--registry", str(root), answer=answer)
        assert refused.exit_code == 1
        assert "shop:1 (sha256:abababababab)" in refused.stderr
        assert len(LayoutRegistry(root).list()) == 1
    assert run("rm", "shop:1", "--registry", str(root), answer="y\n").exit_code == 0
    assert len(LayoutRegistry(root).list()) == 0


def test_rm_prints_the_removed_record_as_json(root: Path) -> None:
    removed = run("rm", "shop:1", "--registry", str(root), "--yes", "--json")
    assert json.loads(removed.stdout)["subject"] == str(SUBJECT)
    assert len(LayoutRegistry(root).list()) == 0


def test_errors_go_up_typed(root: Path) -> None:
    assert isinstance(run("show", "other", "--registry", str(root)).exception, ModelNotFoundError)
    assert isinstance(run("rm", "-y", "sha256:1", "--registry", str(root)).exception, InputError)
    assert isinstance(run("ls", "--registry", "https://x").exception, InputError)
    for path in (root / "blobs/sha256").iterdir():
        path.write_bytes(b"damaged")
    damaged = run("show", "shop:1", "--registry", str(root)).exception
    assert isinstance(damaged, ArtifactFormatError)


def test_the_registry_may_come_from_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNAF_REGISTRY", str(root))
    assert "shop:1" in run("ls").stdout
