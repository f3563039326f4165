"""Small sound artifacts to store and to spoil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cnaf.models.artifact import Artifact, ArtifactFiles, pack
from cnaf.models.digest import Digest


@pytest.fixture
def make_artifact() -> Callable[..., Artifact]:
    """Return a maker of artifacts; keyword arguments replace entries of the metadata."""

    def make(**entries: Any) -> Artifact:
        metadata = {
            "subject": "sha256:" + "a" * 64,
            "image": "shop/web:1.2",
            "created": "2024-05-01T12:00:00Z",
            "trainer": {"name": "cnaf.learner", "version": "0.1.0"},
            "corpus": {"hash": "sha256:" + "c" * 64, "exchanges": 17_000, "sessions": 120},
            "parent": None,
            "model": {"endpoints": [["GET", "/café/{int}", 12, []]], "odd": 0.1},
            **entries,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "roots": np.array([0, 3], np.int32),
            "value": np.array([[0.5, -1.0], [2.0, 0.0]], np.float32),
            "bits": np.arange(11, dtype=np.uint8),
        }
        return Artifact(metadata, arrays)

    return make


@pytest.fixture
def make_files(
    make_artifact: Callable[..., Artifact],
) -> Callable[..., tuple[ArtifactFiles, Digest]]:
    """Return a maker of packed artifacts and their subjects, told apart by a number."""

    def make(number: int = 0, **entries: Any) -> tuple[ArtifactFiles, Digest]:
        subject = Digest(f"sha256:{number:064x}")
        return pack(make_artifact(**{"subject": str(subject), **entries})), subject

    return make
