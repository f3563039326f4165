"""Image digests and references: under which name a model is stored, and for what it may be used."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnaf.models.errors import InputError

__all__ = ["Digest", "ImageReference"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# The grammar of the distribution specification, without its IPv6 hosts.
_LABEL = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII
)
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_MAX_REFERENCE = 512


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content digest, ``sha256:`` and 64 hexadecimal digits.

    >>> Digest.parse("sha256:" + "0" * 64).short
    'sha256:000000000000'
    """

    value: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that ``text`` spells, or raise InputError."""
        if not _DIGEST.fullmatch(text):
            raise InputError(
                f"{text[:80]!r} is not an image digest",
                hint="a digest is sha256: and 64 hexadecimal digits",
            )
        return cls(text)

    @property
    def hex(self) -> str:
        """The 64 hexadecimal digits, safe as a file name."""
        return self.value.removeprefix("sha256:")

    @property
    def short(self) -> str:
        """The first 12 digits, for people."""
        return self.value[:19]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image as a person names it: repository, tag, digest.

    >>> str(ImageReference.parse("wordpress"))
    'wordpress:latest'
    """

    repository: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Return the reference that ``text`` spells (``repo``, ``repo:tag``, ``repo@digest``).

        A bare digest is a reference without a repository. Raises InputError.
        """
        if _DIGEST.fullmatch(text):
            return cls("", None, Digest(text))
        name, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        head, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            head, colon, tag = name, "", ""
        match = _NAME.fullmatch(head) if len(text) <= _MAX_REFERENCE else None
        if match is None or (colon and not _TAG.fullmatch(tag)):
            raise InputError(
                f"{text[:80]!r} is not an image reference",
                hint="write repository[:tag][@sha256:…] or a bare sha256:… digest",
            )
        return cls(head, tag or (None if digest else "latest"), digest)

    def __str__(self) -> str:
        text = self.repository
        if self.tag:
            text += f":{self.tag}"
        if self.digest:
            text += f"@{self.digest}" if text else str(self.digest)
        return text
