"""Which registry a person means by a URL, a path, or nothing at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import platformdirs
from cnaf.models.errors import InputError
from cnaf.models.registry import ModelRegistry
from cnaf.models.registry_layout import LayoutRegistry

__all__ = ["REGISTRY_VARIABLE", "default_registry_url", "open_registry"]

#: Names the registry where no option does.
REGISTRY_VARIABLE: Final = "CNAF_REGISTRY"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.IGNORECASE | re.DOTALL)
_REMOTE: Final = {"http", "https", "oci", "docker"}
_MAX_URL = 4096


def default_registry_url() -> str:
    """Return ``CNAF_REGISTRY``, or the folder ``registry`` in the user's data folder."""
    return os.environ.get(REGISTRY_VARIABLE) or str(
        platformdirs.user_data_path("cnaf") / "registry"
    )


def open_registry(url: str | None) -> ModelRegistry:
    """Return the registry at a path, a ``file:`` or ``oci-layout:`` URL, or the default for None.

    Nothing is read or made yet. Raises InputError for what is no registry of this release.
    """
    return LayoutRegistry(_path(default_registry_url() if url is None else url))


def _path(url: str) -> Path:
    match = _SCHEME.fullmatch(url)
    scheme = match[1].lower() if match else ""
    if scheme in _REMOTE:
        raise InputError(
            f"{url[:200]!r} is a remote registry, which comes in a later release",
            hint="name a folder, and mirror it with any tool that copies OCI image layouts",
        )
    if not match:
        path = url
    elif scheme == "file":
        path = _file_path(url)
    elif scheme == "oci-layout":
        path = match[2].removeprefix("//")
    else:
        raise _unusable(url)
    if not path or "\0" in path or len(path) > _MAX_URL:
        raise _unusable(url)
    return Path(path)


def _file_path(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unusable(url) from error
    if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
        raise _unusable(url)
    return unquote(parts.path)


def _unusable(url: str) -> InputError:
    return InputError(
        f"{url[:200]!r} is no registry",
        hint="name a folder as a path (./a:b with a colon), file:///… or oci-layout:…",
    )
