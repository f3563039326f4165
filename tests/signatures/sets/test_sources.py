"""Files of a set: their order, their hash, and what they say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.models.errors import InputError
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.syntax import Place
from cnaf.signatures.sets.registered import Kind
from cnaf.signatures.sets.sources import DEBIAN_CRS, Sources, read_sources

from tests.support.core_rules import write_core_rules
from tests.support.rule_sets import CUSTOM, write


@pytest.mark.core_rules
def test_debians_core_rule_set() -> None:
    sources = read_sources(Kind.CRS, [DEBIAN_CRS])
    names = [Path(path).name for path, _ in sources.files]
    assert sources.version.startswith("3.3.")
    assert names[0] == "REQUEST-901-INITIALIZATION.conf"
    assert not any(name.startswith(("RESPONSE-", "REQUEST-910-")) for name in names)
    assert any(path.endswith("sql-errors.data") for path in sources.data) is False
    assert any(path.endswith("lfi-os-files.data") for path in sources.data)


def test_plugins_and_set_up_have_their_places(tmp_path: Path) -> None:
    folder = write_core_rules(tmp_path)
    write(folder, "# set-up", "crs-setup.conf")
    for name in ("x-config.conf", "x-before.conf", "x-after.conf"):
        write(folder / "plugins", "# plugin", name)
    sources = read_sources(Kind.CRS, [folder])
    names = [Path(path).name for path, _ in sources.files]
    assert names[:3] == ["crs-setup.conf", "x-config.conf", "x-before.conf"]
    assert names[-1] == "x-after.conf"
    assert sources.first == 3


def test_the_hash_is_of_contents_and_not_of_the_folder(tmp_path: Path) -> None:
    one = read_sources(Kind.CUSTOM, [write(tmp_path / "a", CUSTOM)])
    same = read_sources(Kind.CUSTOM, [write(tmp_path / "b", CUSTOM)])
    other = read_sources(Kind.CUSTOM, [write(tmp_path / "c", CUSTOM + "#")])
    assert one.sha256 == same.sha256 != other.sha256
    assert one.version == "Shop rules/2.1"


def test_data_files_count(tmp_path: Path) -> None:
    rule = write(tmp_path, 'SecRule ARGS "@pmFromFile words.data" "id:1,phase:2,deny"')
    write(tmp_path, "one\ntwo", "words.data")
    sources = read_sources(Kind.CUSTOM, [rule])
    assert sources.lines("words.data", Place(str(rule), 1)) == ["one", "two"]
    before = sources.sha256
    write(tmp_path, "one\nthree", "words.data")
    assert read_sources(Kind.CUSTOM, [rule]).sha256 != before
    with pytest.raises(SecLangError, match=r"other\.data"):
        sources.lines("other.data", Place(str(rule), 1))


def test_what_a_worker_is_handed_is_all_of_it(tmp_path: Path) -> None:
    sources = read_sources(Kind.CUSTOM, [write(tmp_path, CUSTOM)])
    assert Sources.from_dict(sources.to_dict()) == sources


def test_folders_are_read_in_order_of_names(tmp_path: Path) -> None:
    for name in ("20-b.conf", "10-a.conf", "README.md"):
        write(tmp_path, "# nothing", name)
    files = read_sources(Kind.CUSTOM, [tmp_path]).files
    assert [Path(path).name for path, _ in files] == ["10-a.conf", "20-b.conf"]


@pytest.mark.parametrize(
    ("kind", "problem"), [(Kind.CRS, "REQUEST-"), (Kind.CUSTOM, "no \\*.conf")]
)
def test_an_empty_folder_is_refused(kind: Kind, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        read_sources(kind, [tmp_path])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_sources(Kind.CUSTOM, [tmp_path / "none.conf"])
