"""The folder of sets: what is added comes back, and changed rules are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest
from cnaf.models.errors import InputError
from cnaf.signatures.sets.registered import Mode
from cnaf.signatures.sets.store import (
    RuleStore,
    checked_sources,
    default_rules_dir,
    refreshed,
    sets_for,
)

from tests.support.rule_sets import CUSTOM, SCORED, made


@pytest.fixture
def store(tmp_path: Path) -> RuleStore:
    return RuleStore(tmp_path / "rules")


def test_what_is_added_comes_back_until_it_is_removed(store: RuleStore, tmp_path: Path) -> None:
    registered, _ = made(tmp_path, CUSTOM)
    assert store.list() == ()
    store.add(registered)
    assert store.list() == (registered,)
    assert store.get("shop") == registered
    assert [path.name for path in store.folder.iterdir()] == ["shop.yaml"]
    with pytest.raises(InputError, match="already"):
        store.add(registered)
    store.put(replace(registered, threshold=9))
    assert store.get("shop").threshold == 9
    store.remove("shop")
    with pytest.raises(InputError, match="registered: none"):
        store.get("shop")
    assert registered.paths[0].exists()


def test_a_set_that_is_not_allowed_leaves_the_old_one(store: RuleStore, tmp_path: Path) -> None:
    registered, _ = made(tmp_path, CUSTOM)
    store.add(registered)
    with pytest.raises(InputError):
        store.put(replace(registered, threshold=-1))
    assert store.get("shop") == registered


def test_a_file_under_another_name_is_refused(store: RuleStore, tmp_path: Path) -> None:
    store.add(made(tmp_path, CUSTOM)[0])
    (store.folder / "shop.yaml").rename(store.folder / "other.yaml")
    with pytest.raises(InputError, match=r"other\.yaml: name"):
        store.list()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a" * 300_000, b"{name: shop}"])
def test_damaged_files_are_refused_by_name(
    content: bytes, store: RuleStore, tmp_path: Path
) -> None:
    store.add(made(tmp_path, CUSTOM)[0])
    (store.folder / "shop.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"shop\.yaml"):
        store.get("shop")


def test_changed_rules_are_refused_and_accepted_on_purpose(
    store: RuleStore, tmp_path: Path
) -> None:
    registered, sources = made(tmp_path, CUSTOM)
    store.add(registered)
    assert checked_sources(registered) == sources
    registered.paths[0].write_text(CUSTOM.replace("deny", "pass"), "utf-8")
    with pytest.raises(InputError, match="no longer what was added") as caught:
        sets_for("shop:1", store.folder)
    assert "--refresh" in caught.value.hint
    changed, _ = refreshed(registered)
    assert checked_sources(changed)
    assert changed.sha256 != registered.sha256


def test_sets_for_an_image(store: RuleStore, tmp_path: Path) -> None:
    for name, images, mode in (
        ("all", ("*",), Mode.WEIGH), ("shops", ("shop*",), Mode.BLOCK), ("off", ("*",), Mode.OFF),
    ):  # fmt: skip
        registered, _ = made(tmp_path / name, SCORED)
        store.add(replace(registered, name=name, images=images, mode=mode))
    assert [known.name for known, _ in sets_for("shop:1", store.folder)] == ["all", "shops"]
    assert [known.name for known, _ in sets_for("blog:1", store.folder)] == ["all"]


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNAF_RULES", "/somewhere")
    assert default_rules_dir() == Path("/somewhere")
    monkeypatch.delenv("CNAF_RULES")
    assert default_rules_dir() == Path(platformdirs.user_config_dir("cnaf")) / "rules"
