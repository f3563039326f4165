"""What a worker is told arrives as it was said, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.enforcer.pipeline import Policy
from cnaf.enforcer.settings import WorkerSettings, read_model, read_settings, write_settings
from cnaf.learner.learn import Learned
from cnaf.models.errors import ArtifactError, InputError
from cnaf.models.limits import Limits
from cnaf.models.verdict import Action


@pytest.fixture
def settings(learned: Learned, tmp_path: Path) -> WorkerSettings:
    policy = Policy(action=Action.ALERT, target_fpr=0.01, limits=Limits(fields=9))
    subject = learned.report.source.subject
    return WorkerSettings(tmp_path, "shop:1", subject, tmp_path / "alerts", policy)


def test_round_trip(settings: WorkerSettings, learned: Learned) -> None:
    path = write_settings(settings, learned.files)
    found = read_settings(path)
    assert found == settings
    model = read_model(found)
    assert model is not None
    assert len(model.endpoints) == len(learned.report.coverage.endpoints)


def test_without_a_model(settings: WorkerSettings) -> None:
    bare = WorkerSettings(settings.directory, "shop", "", settings.spool, settings.policy)
    assert read_model(read_settings(write_settings(bare, None))) is None


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_copy_of_the_model_is_refused(
    name: str, content: bytes | None, settings: WorkerSettings, learned: Learned
) -> None:
    found = read_settings(write_settings(settings, learned.files))
    if content is None:
        (settings.directory / name).unlink()
    else:
        (settings.directory / name).write_bytes(content)
    with pytest.raises(ArtifactError):
        read_model(found)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"policy": {}}', b"9" * 100_000])
def test_what_is_no_settings_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"worker\.json"):
        read_settings(path)
    with pytest.raises(InputError, match="cannot read"):
        read_settings(tmp_path / "other")
