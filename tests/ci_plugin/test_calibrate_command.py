"""``cnaf calibrate`` as a user types it: a shadow run, and --apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cnaf.ci_plugin.main import app
from cnaf.datasets.jsonl import write_jsonl
from cnaf.models.artifact import ArtifactFiles
from cnaf.models.calibration import CATEGORIES
from cnaf.models.digest import Digest
from cnaf.models.registry_layout import LayoutRegistry
from cnaf.models.stored_model import unpack_model
from typer.testing import CliRunner

from tests.support.shop import shop_traffic

SUBJECT = Digest("sha256:" + "cd" * 32)


def cnaf(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, Path]:
    """A registry with a model of the shop, and traffic of other visitors."""
    registry, learned, seen = tmp_path / "models", tmp_path / "ci.jsonl", tmp_path / "live.jsonl"
    write_jsonl(learned, shop_traffic(12))
    write_jsonl(seen, shop_traffic(15, seed=8))
    done = cnaf("learn", f"shop@{SUBJECT}", "--recorded", "--corpus", learned,
                "--registry", registry)  # fmt: skip
    assert done.exit_code == 0, done.output
    return registry, seen


def stored(registry: Path) -> ArtifactFiles:
    return LayoutRegistry(registry).pull(SUBJECT)


def test_a_shadow_run_changes_nothing(shop: tuple[Path, Path]) -> None:
    registry, seen = shop
    before = stored(registry)
    done = cnaf("calibrate", SUBJECT, seen, "--registry", registry)
    assert done.exit_code == 0, done.output
    for part in ("distinct requests of production", "1.00%", "look at these first"):
        assert part in done.stdout
    assert "Nothing was changed" in done.stderr
    assert stored(registry) == before


def test_apply_stores_the_new_thresholds(shop: tuple[Path, Path]) -> None:
    registry, seen = shop
    before = unpack_model(stored(registry))
    done = cnaf("calibrate", SUBJECT, "--corpus", seen, "--registry", registry, "--apply", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["applied"] is True
    assert [rate["target"] for rate in found["before"]] == [
        rate["target"] for rate in found["after"]
    ]
    after = unpack_model(stored(registry))
    assert (after.subject, after.image) == (before.subject, before.image)
    assert after.model.calibration.total == found["distinct"]
    assert after.model.calibration.total != before.model.calibration.total
    thresholds = found["after"][0]["thresholds"]
    assert len(thresholds) == len(CATEGORIES)
    assert thresholds == pytest.approx(
        after.model.calibration.thresholds(found["after"][0]["target"]), abs=1e-5
    )
    assert after.model.profiles == before.model.profiles


def test_what_cannot_be_used_is_told(shop: tuple[Path, Path], tmp_path: Path) -> None:
    registry, _ = shop
    write_jsonl(tmp_path / "few.jsonl", shop_traffic(1))
    done = cnaf("calibrate", SUBJECT, tmp_path / "few.jsonl", "--registry", registry)
    assert done.exit_code == 3
    assert "too few to calibrate on" in done.stderr
    assert cnaf("calibrate", "unknown:1", "--registry", registry).exit_code == 5
