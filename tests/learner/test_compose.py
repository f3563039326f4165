"""Refusals that need no engine; projects are started in tests/e2e/test_docker.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.learner.compose import choose_service
from cnaf.models.errors import ImageError, InputError


def test_a_compose_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"):
        choose_service(tmp_path / "compose.yaml", "web")


def test_a_machine_without_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {web: {image: web}}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="Compose is not installed") as error:
        choose_service(file, "web")
    assert "docker-compose-plugin" in error.value.hint
