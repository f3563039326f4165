"""The tree of errors that a caller can act on.

    CnafError
    ├── InputError            a file or argument of the user cannot be used: fix it and run again
    │   └── CorpusError       traffic that cannot be read, or holds nothing to learn from
    ├── ArtifactError         a stored model must not be loaded: relearn it or pull it again
    │   ├── ArtifactFormatError   bytes that are no artifact of a version that we read
    │   └── ArtifactMismatchError a sound artifact, but for another image digest
    ├── RegistryError         the registry cannot be read or written (disk full, permissions)
    │   └── ModelNotFoundError    no model under this reference
    ├── ImageError            an image or container does not start, answer or resolve
    ├── DataplaneError        HAProxy or the rules of a network namespace refuse to work
    │   └── ProtocolError     a SPOP peer sent a frame that the protocol does not allow
    └── AlertError            alerts cannot be written or read

A malicious request is a verdict, never an exception. Programming mistakes stay builtins.
"""

from __future__ import annotations

__all__ = [
    "AlertError",
    "ArtifactError",
    "ArtifactFormatError",
    "ArtifactMismatchError",
    "CnafError",
    "CorpusError",
    "DataplaneError",
    "ImageError",
    "InputError",
    "ModelNotFoundError",
    "ProtocolError",
    "RegistryError",
]


class CnafError(Exception):
    """Says what failed, on which input, and what to do next.

    Parameters
    ----------
    message:
        What failed and where, one sentence without a full stop.
    hint:
        The next step for the person who reads it, empty where there is none.
    """

    #: Exit code of the command line for this branch of the tree (documented in docs/cli.md).
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(CnafError):
    """A file or argument of the user cannot be used."""

    exit_code = 3


class CorpusError(InputError):
    """Traffic that cannot be read, or that holds nothing to learn from."""


class ArtifactError(CnafError):
    """A stored model must not be loaded."""

    exit_code = 4


class ArtifactFormatError(ArtifactError):
    """Bytes that are no artifact of a version that this release reads."""


class ArtifactMismatchError(ArtifactError):
    """A sound artifact, but learned from another image digest than the one asked for."""


class RegistryError(CnafError):
    """The registry cannot be read or written."""

    exit_code = 5


class ModelNotFoundError(RegistryError):
    """No model is stored under this reference."""


class ImageError(CnafError):
    """An image or container does not start, does not answer, or cannot be resolved."""

    exit_code = 6


class DataplaneError(CnafError):
    """HAProxy is missing, refuses to start or cannot bind; or a namespace takes no rules."""

    exit_code = 7


class ProtocolError(DataplaneError):
    """A SPOP peer sent a frame that the protocol does not allow."""


class AlertError(CnafError):
    """Alerts cannot be written or read."""

    exit_code = 8
