"""Which digest an image has; the engine itself is met in tests/e2e/test_docker.py."""

from __future__ import annotations

import pytest
from cnaf.dataplane.containers import container_digest, digest_of, resolve_image_digest
from cnaf.models.errors import ImageError, InputError

ID, ONE, TWO = (f"sha256:{digit * 64}" for digit in "123")

# The name that is asked for, the registry digests that the engine lists, the digest.
CASES = {
    "built here": ("shop", [], ID),
    "no list at all": ("shop", None, ID),
    "pulled": ("shop", [f"shop@{ONE}"], ONE),
    "the default registry, written out": ("docker.io/library/shop:1", [f"shop@{ONE}"], ONE),
    "the repository that is named": ("b.io/shop", [f"a.io/shop@{ONE}", f"b.io/shop@{TWO}"], TWO),
    "the digest that is named": (f"shop@{TWO}", [f"shop@{ONE}", f"shop@{TWO}"], TWO),
    "several pushes of one image": ("shop", [f"shop@{TWO}", f"shop@{ONE}"], ONE),
    "another name for what was pulled": ("mine", [f"shop@{TWO}"], TWO),
    "by its id": (ID, [f"shop@{ONE}"], ONE),
}


@pytest.mark.parametrize(("name", "digests", "expected"), CASES.values(), ids=CASES)
def test_the_digest_of_an_image(name: str, digests: list[str] | None, expected: str) -> None:
    assert digest_of({"Id": ID, "RepoDigests": digests}, name).value == expected


def test_what_is_no_image_is_refused_before_the_engine_is_asked() -> None:
    with pytest.raises(InputError, match="not an image reference"):
        resolve_image_digest("Not An Image")


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    for ask in (resolve_image_digest, container_digest):
        with pytest.raises(ImageError, match="no Docker engine answers") as error:
            ask("shop")
        assert "DOCKER_HOST" in error.value.hint
