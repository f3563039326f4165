"""The demo with real containers, on a few of the recorded sessions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SESSIONS = "12"
TIMEOUT_S = 900.0


@pytest.mark.docker
def test_a_site_in_containers_is_learned_and_protected() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "containers.py"), SESSIONS],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    kept, sent = re.search(r"learned from\s+([\d,]+) of ([\d,]+) requests", done.stdout).groups()  # type: ignore[union-attr]
    assert int(kept.replace(",", "")) >= 0.9 * int(sent.replace(",", ""))
    assert "blocked ──" in done.stdout
    assert "query:orderby" in done.stdout
