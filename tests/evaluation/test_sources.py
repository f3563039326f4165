"""What is found under the paths, and what is told where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.evaluation import sources
from cnaf.evaluation.sources import Part, find_sources
from cnaf.models.errors import CorpusError, InputError

from tests.support.published import write_published, write_shop

ALL = frozenset(Part)


def test_all_that_is_there_is_found_and_the_rest_named(tmp_path: Path) -> None:
    data, shop = write_published(tmp_path / "data"), write_shop(tmp_path / "shop")
    found = find_sources(data, shop, None, ALL)
    assert set(found.data_sets) == {Part.WORDPRESS, Part.HTTPPARAMS, Part.OCTOKIT}
    assert set(found.payloads) == {Part.LIBINJECTION}
    assert found.missing == ("csic2010: not found", "gotestwaf: not found", "crs_tests: not found")
    assert len(found.data_sets[Part.WORDPRESS].attacks) == 7
    assert found.data_sets[Part.OCTOKIT].name == "octokit"


def test_a_long_file_of_samples_is_capped_and_told(tmp_path: Path) -> None:
    data, shop = write_published(tmp_path / "data"), write_shop(tmp_path / "shop", 2)
    found = find_sources(data, shop, None, ALL).payloads[Part.LIBINJECTION]
    assert len(found.attacks) == 156
    assert found.left_out["beyond 150 of one file"] == 50


def test_attacks_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", 2)
    apart = tmp_path / "apart.jsonl"
    (shop / "attacks.jsonl").rename(apart)
    found = find_sources(None, shop, apart, {Part.WORDPRESS})
    assert len(found.data_sets[Part.WORDPRESS].attacks) == 7


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    data = write_published(tmp_path / "data")
    found = find_sources(data, None, None, {Part.HTTPPARAMS})
    assert set(found.data_sets) == {Part.HTTPPARAMS}
    assert found.payloads == {}


def test_the_recorded_corpus_of_the_checkout_is_the_default() -> None:
    found = find_sources(None, None, None, {Part.WORDPRESS}).data_sets[Part.WORDPRESS]
    assert len(found.benign) == 16_981


def test_nothing_at_all_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "RECORDED", tmp_path / "none")
    with pytest.raises(InputError, match="nothing to evaluate") as raised:
        find_sources(tmp_path, None, None, ALL)
    assert "--data" in (raised.value.hint or "")
    with pytest.raises(InputError, match="is not a folder"):
        find_sources(tmp_path / "none", None, None, ALL)


def test_what_is_not_in_its_form_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "httpparams").mkdir()
    (tmp_path / "httpparams" / "payload_full.csv").write_text("a,b\n", "utf-8")
    with pytest.raises(CorpusError, match="HttpParams"):
        find_sources(tmp_path, None, None, {Part.HTTPPARAMS})
