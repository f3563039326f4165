"""How the readers of artifacts refuse: one error, one hint, the reason in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from cnaf.models.errors import ArtifactFormatError
from cnaf.models.strict_json import JSON

__all__ = ["blamed_on", "of_type", "refused", "require", "text_of"]

_MAX_TEXT = 512

_T = TypeVar("_T")


def refused(reason: str) -> ArtifactFormatError:
    """Return the error for an artifact that must not be loaded."""
    return ArtifactFormatError(
        f"the artifact is refused: {reason}", hint="pull it again, or learn the image again"
    )


def require(holds: bool, reason: str) -> None:
    """Raise ArtifactFormatError with the reason unless the condition holds."""
    if not holds:
        raise refused(reason)


def of_type(value: object, kind: type[_T], name: str) -> _T:
    """Return the value if it is exactly of the kind, or raise ArtifactFormatError."""
    # Not isinstance: JSON's true is no integer.
    if type(value) is not kind:
        raise refused(f"its {name} is missing or no {kind.__name__}")
    return value


def text_of(row: Mapping[str, JSON], key: str) -> str:
    """Return the short text under the key, or raise ArtifactFormatError."""
    text = of_type(row.get(key), str, key)
    require(len(text) <= _MAX_TEXT, f"its {key} is over {_MAX_TEXT} characters")
    return text


@contextmanager
def blamed_on(part: str) -> Iterator[None]:
    """Turn ValueError into an ArtifactFormatError that names the part."""
    try:
        yield
    except ValueError as error:
        raise refused(f"{part} cannot be read: {error}") from error
