from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.models.errors import InputError
from cnaf.models.registry_layout import LayoutRegistry
from cnaf.models.registry_url import default_registry_url, open_registry


def path_of(url: str | None) -> Path:
    registry = open_registry(url)
    assert isinstance(registry, LayoutRegistry)
    return registry.root


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/srv/models", "/srv/models"),
        ("models", "models"),
        ("./a:b", "./a:b"),
        ("/a:b", "/a:b"),
        ("file:///srv/my%20models", "/srv/my models"),
        ("file://localhost/srv", "/srv"),
        ("FILE:///srv", "/srv"),
        ("oci-layout:/srv/models", "/srv/models"),
        ("oci-layout:models", "models"),
        ("oci-layout:///srv/models", "/srv/models"),
    ],
)
def test_a_url_names_a_folder(url: str, path: str) -> None:
    assert path_of(url) == Path(path)


@pytest.mark.parametrize("url", ["http://r.example/x", "https://r.example", "oci://r/x", "OCI://r"])
def test_remote_registries_come_later(url: str) -> None:
    with pytest.raises(InputError, match="later release"):
        open_registry(url)


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "file://other/srv", "file:", "file:///a?b", "file://[", "oci-layout:",
            "a\0b", "file:///a%00b", "/" + "a" * 5000, "s3://bucket"],
)  # fmt: skip
def test_what_names_no_registry_is_an_input_error(url: str) -> None:
    with pytest.raises(InputError):
        open_registry(url)


def test_the_default_is_the_variable_or_the_users_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNAF_REGISTRY", f"file://{tmp_path}")
    assert path_of(None) == tmp_path
    assert path_of("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("CNAF_REGISTRY", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert path_of(None) == tmp_path / "cnaf" / "registry" == Path(default_registry_url())
