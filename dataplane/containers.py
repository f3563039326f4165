"""Which digest an image or container has: under it a model is stored, and by it one is found.

The digest is the registry's (of the manifest, or of the index where the image has several
platforms), so that a model learned in CI fits the container on every node. An image that never
came from or went to a registry has only its image id, which holds on this engine alone.

The one thing that learner and enforcer both ask of the Docker engine. Everything that fails is an
ImageError; nothing is pulled.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import docker
from cnaf.models.digest import Digest, ImageReference
from cnaf.models.errors import ImageError
from docker.errors import DockerException, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["container_digest", "digest_of", "engine", "engine_errors", "resolve_image_digest"]

#: An engine that is starting containers answers late; one that says nothing for so long is hung.
_TIMEOUT_S = 60
_MAX_REASON = 300


@contextlib.contextmanager
def engine() -> Iterator[Any]:
    """Give a client of the Docker engine that ``DOCKER_HOST`` names, or of the local one."""
    try:
        client = docker.from_env(timeout=_TIMEOUT_S)
    except DockerException as error:
        raise ImageError(
            f"no Docker engine answers: {_reason(error)}",
            hint="start it, let this user reach its socket, or set DOCKER_HOST",
        ) from error
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the engine refuses inside of this block into an ImageError that says ``what``."""
    try:
        yield
    # The client raises OSErrors (of requests) where the connection breaks.
    except (DockerException, OSError) as error:
        raise ImageError(f"{what}: {_reason(error)}") from error


def resolve_image_digest(image: str) -> Digest:
    """Return the digest of an image that this engine has (name, id or digest).

    Raises InputError for what is no image reference, ImageError for an image that is not here.
    """
    ImageReference.parse(image)
    with engine() as client:
        try:
            with engine_errors(f"the image {image} cannot be looked up"):
                return digest_of(client.images.get(image).attrs, image)
        except ImageError as error:
            if isinstance(error.__cause__, NotFound):
                raise ImageError(
                    f"this engine has no image {image}", hint=f"docker pull {image}, or build it"
                ) from error
            raise


def container_digest(container: str) -> Digest:
    """Return the digest of the image that a container (name or id) really runs.

    A tag may have moved on since the container was made; the container's own image counts.
    """
    with engine() as client, engine_errors(f"the container {container[:80]} cannot be looked up"):
        attrs = client.containers.get(container).attrs
        return digest_of(client.images.get(attrs["Image"]).attrs, attrs["Config"]["Image"])


def digest_of(attrs: Mapping[str, Any], name: str) -> Digest:
    """Choose among the digests of an image the one of the repository that ``name`` says."""
    wanted = ImageReference.parse(name)
    known = [ImageReference.parse(text) for text in sorted(attrs.get("RepoDigests") or [])]
    own = [ref for ref in known if _familiar(ref.repository) == _familiar(wanted.repository)]
    exact = [ref for ref in own if ref.digest == wanted.digest]
    for reference in (*exact, *own, *known):
        if reference.digest:
            return reference.digest
    return Digest.parse(attrs["Id"])


def _familiar(repository: str) -> str:
    # The engine leaves out what is the default; people sometimes write it.
    return repository.removeprefix("docker.io/").removeprefix("library/")


def _reason(error: Exception) -> str:
    text = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:_MAX_REASON]
