"""``cnaf evaluate`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnaf.ci_plugin.main import app
from typer.testing import CliRunner

from tests.support.published import write_published, write_shop


def cnaf(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["evaluate", *(str(a) for a in arguments)])


def test_a_quick_evaluation_prints_its_table_and_writes_its_files(tmp_path: Path) -> None:
    data, shop = write_published(tmp_path / "data"), write_shop(tmp_path / "shop")
    done = cnaf("--wordpress", shop, "--data", data, "--out", tmp_path / "out", "--quick",
                "--folds", 3, "--target-fpr", 0.01, "--only", "wordpress", "--only", "gotestwaf",
                "--only", "octokit")  # fmt: skip
    assert done.exit_code == 0, done.output
    for word in ("WordPress", "octokit", "product", "evaluation.md", "roc.png"):
        assert word in done.stdout
    assert "gotestwaf: not found" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "evaluation.md", "evaluation.json", "roc.png", "scores.png",
    }  # fmt: skip


def test_json_is_one_line(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop")
    done = cnaf("--wordpress", shop, "--out", tmp_path / "out", "--quick", "--folds", 2,
                "--only", "wordpress", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    product = found["data_sets"]["WordPress"]["product"]
    assert {"tpr", "fpr", "n_attack", "n_benign"} <= product.keys()
    assert {"us_per_request", "learn_100k_s", "model_bytes"} <= found.keys()


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    done = cnaf("--data", tmp_path / "none", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "is not a folder" in done.stderr
    assert cnaf("--out", tmp_path, "--only", "nonsense").exit_code == 2
    assert cnaf("--quick").exit_code == 2
