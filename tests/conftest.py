"""Which tests run: those with containers only where an engine answers, and always in CI."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def _engine_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None or os.geteuid() != 0:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, never skip: a run says how many tests it left out, and CI leaves out none."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    if not marked or os.environ.get("CNAF_REQUIRE_DOCKER") or _engine_answers():
        return
    config.hook.pytest_deselected(items=marked)
    items[:] = [item for item in items if not item.get_closest_marker("docker")]


def pytest_report_header() -> str:
    return "containers: tests marked docker need root and an engine (CNAF_REQUIRE_DOCKER=1)"
