"""``cnaf prior`` as a user types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cnaf.ci_plugin import prior_command
from cnaf.ci_plugin.main import app
from cnaf.datasets.jsonl import write_jsonl
from cnaf.learner.reference import (
    Reference,
    ReferenceFiles,
    general_reference,
    packaged_reference,
    unpack_reference,
)
from cnaf.learner.rehearsal import Draw, small_corpora
from cnaf.models.exchange import Exchange, Label
from cnaf.models.prior import PriorFiles, general_prior, unpack_prior
from typer.testing import CliRunner

from tests.support.published import shop_attacks
from tests.support.shop import shop_traffic


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


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Visits to the shop, and attacks on it, that nothing may be learned from."""
    path = tmp_path / "site.jsonl"
    write_jsonl(path, [*shop_traffic(100, seed=2), *shop_attacks()])
    return path


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """Two of the small corpora instead of all, and a reference as it were made of them."""
    seen: list[Exchange] = []

    def drawn(exchanges: Sequence[Exchange]) -> tuple[Draw, ...]:
        seen.extend(exchanges)
        return small_corpora(exchanges)[:2]

    def made(draws: Sequence[Draw], progress: Callable[[str, int, int], None]) -> Reference:
        assert [draw.size for draw in draws] == [100, 100]
        progress("Learning small corpora", len(draws), len(draws))
        return general_reference()

    monkeypatch.setattr(prior_command, "small_corpora", drawn)
    monkeypatch.setattr(prior_command, "make_reference", made)
    return seen


def test_a_reference_is_made_of_benign_traffic_and_says_so(
    tmp_path: Path, recorded: Path, few_draws: list[Exchange]
) -> None:
    made = []
    for name in ("one", "other"):
        done = cnaf("reference", tmp_path / name, "--corpus", recorded)
        assert done.exit_code == 0, done.output
        assert "Reference of 2 small corpora" in done.stdout
        assert "not the one of this release" in done.stdout
        parts = ("reference.json", "reference.safetensors")
        made.append(ReferenceFiles(*((tmp_path / name / part).read_bytes() for part in parts)))
    assert made[0] == made[1]
    assert {e.label for e in few_draws} == {Label.BENIGN}
    benign = len(shop_traffic(100, seed=2))
    assert len(few_draws) == 2 * benign
    again = unpack_reference(made[0])
    assert [tail.slope for tail in again.scores] == [t.slope for t in general_reference().scores]
    sources = json.loads(made[0].config)["sources"]
    assert sources["exchanges"] == benign
    assert sources["small corpora"] == 2
    assert re.fullmatch("[0-9a-f]{64}", sources["corpus"])


def test_the_reference_of_this_release_is_known_by_its_bytes(
    tmp_path: Path, recorded: Path, few_draws: list[Exchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = packaged_reference()
    monkeypatch.setattr(prior_command, "pack_reference", lambda _made, _sources: shipped)
    done = cnaf("reference", tmp_path / "made", "--corpus", recorded)
    assert done.exit_code == 0, done.output
    assert "the one of this release" in done.stdout
    assert "not the one of this release" not in done.stdout
    assert (tmp_path / "made" / "reference.safetensors").read_bytes() == shipped.tensors


def test_too_little_traffic_for_a_reference_is_told(tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    # Enough requests, but not of those that are benign.
    write_jsonl(few, [*shop_traffic(10), *shop_attacks() * 300])
    done = cnaf("reference", tmp_path / "made", "--corpus", few)
    assert done.exit_code == 3
    assert f"{len(shop_traffic(10))} exchanges are too few for a reference" in done.stderr
    assert "give 1600 or more" in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_reference_that_cannot_be_written_is_told(
    tmp_path: Path, recorded: Path, few_draws: list[Exchange]
) -> None:
    (tmp_path / "file").write_text("")
    done = cnaf("reference", tmp_path / "file", "--corpus", recorded)
    assert done.exit_code == 3
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("folder",), ("folder", "--corpus", "no/such/file")])
def test_what_a_reference_needs_is_asked_for(arguments: tuple[str, ...]) -> None:
    assert cnaf("reference", *arguments).exit_code in (2, 3)
