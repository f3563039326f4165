"""``cnaf prior`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnaf.ci_plugin.main import app
from cnaf.models.prior import PriorFiles, general_prior, unpack_prior
from typer.testing import CliRunner


def cnaf(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["prior", *(str(a) for a in arguments)])


def test_show_names_the_sources_of_this_release() -> None:
    shown = cnaf("show")
    assert shown.exit_code == 0
    assert general_prior().digest[:12] in shown.stdout
    assert "faker" in shown.stdout
    described = json.loads(cnaf("show", "--json").stdout)
    assert described["digest"] == general_prior().digest
    assert {"seed", "size", "python", "faker"} <= described["sources"].keys()


def test_make_is_deterministic_and_readable(tmp_path: Path) -> None:
    made = []
    for name in ("one", "other"):
        done = cnaf("make", tmp_path / name, "--size", 2000, "--seed", 5)
        assert done.exit_code == 0, done.output
        assert "not the one of this release" in done.stdout
        parts = ("prior.json", "prior.safetensors")
        made.append(PriorFiles(*((tmp_path / name / part).read_bytes() for part in parts)))
    assert made[0] == made[1]
    prior = unpack_prior(made[0])
    assert prior.sources["size"] == 2000
    assert prior.digest != general_prior().digest


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cnaf("make", tmp_path / "file", "--size", 1000)
    assert done.exit_code == 3
    assert "cannot be written" in done.stderr
