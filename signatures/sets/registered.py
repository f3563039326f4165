"""What is registered of a rule set: a value, its checks, and the file that it is written to."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from cnaf.models.errors import InputError
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

__all__ = [
    "Exclusion",
    "Kind",
    "Mode",
    "RegisteredSet",
    "check_name",
    "set_from_yaml",
    "set_to_yaml",
]

#: Of a set's file: settings, and some hundreds of exclusions.
MAX_SET_BYTES = 256 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_STRICT = ConfigDict(extra="forbid")
#: A method, and a path without quotes or backslashes, which would end the text it is put in.
_ENDPOINT = r"^(?:[A-Z]{1,20} )?(?:/[!#-&(-\[\]-~]*)?$"
_SettingName = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_.-]+$")]
_SettingValue = Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z0-9_ .:/|*+-]*$")]
_Text = Annotated[str, Field(max_length=512)]


class Kind(StrEnum):
    """What a set is: a release of the OWASP Core Rule Set, somebody's rules, a virtual patch."""

    CRS = "crs"
    CUSTOM = "custom"
    PATCH = "patch"


class Mode(StrEnum):
    """What becomes of a request that reaches a set's threshold.

    ``WEIGH`` holds each match against what the image's model knows of the field it is in.
    """

    OFF = "off"
    ALERT = "alert"
    WEIGH = "weigh"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Where rules are not to look: a rule (id or range) or a tag; an endpoint, a field, or both.

    ``endpoint`` is ``POST /wp-comments-post.php`` or a path alone, with ``{int}`` and the like for
    a segment that varies; ``field`` is a label as evidence shows it (``form:comment``).
    """

    __pydantic_config__ = _STRICT

    rule: Annotated[str, Field(pattern=r"^([0-9]{1,15}(-[0-9]{1,15})?)?$")] = ""
    tag: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9._/ -]*$")] = ""
    endpoint: Annotated[str, Field(max_length=512, pattern=_ENDPOINT)] = ""
    field: Annotated[str, Field(max_length=256)] = ""


@dataclass(frozen=True, slots=True)
class RegisteredSet:
    """One rule set: where it is, what it was when it was added, and how it is used.

    ``paths`` are a release folder (``crs``), or rule files and folders of them in the order in
    which they are loaded. ``sha256`` is of all that they hold. ``threshold`` is the inbound anomaly
    score from which a request counts. ``images`` are globs over image names. ``settings`` are
    ``tx.`` variables that are set in advance. ``tests`` is a file of test requests, empty for none.
    """

    __pydantic_config__ = _STRICT

    name: Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]
    kind: Kind
    paths: Annotated[tuple[Path, ...], Field(min_length=1, max_length=64)]
    version: _Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    paranoia: Annotated[int, Field(ge=1, le=4)] = 1
    threshold: Annotated[int, Field(ge=1, le=10_000)] = 5
    mode: Mode = Mode.WEIGH
    images: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=64)] = ("*",)
    settings: Annotated[dict[_SettingName, _SettingValue], Field(max_length=64)] = field(
        default_factory=dict
    )
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=1000)] = ()
    tests: str = ""

    def applies_to(self, image: str) -> bool:
        """Return whether an image's name, with or without its tag, fits one of the globs."""
        name = image.rpartition("/")[2] if "/" in image else image
        return any(fnmatchcase(image, glob) or fnmatchcase(name, glob) for glob in self.images)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {
            "kind": self.kind.value,
            "mode": self.mode.value,
            "paths": [str(path) for path in self.paths],
            "images": list(self.images),
            "exclusions": [asdict(exclusion) for exclusion in self.exclusions],
        }


def set_to_yaml(registered: RegisteredSet) -> str:
    """Return the text of a set's file; raises InputError where a value is not allowed."""
    described = registered.to_dict()
    set_from_dict(described, registered.name)
    described["exclusions"] = [
        {key: value for key, value in exclusion.items() if value}
        for exclusion in described["exclusions"]
    ]
    return yaml.safe_dump(described, sort_keys=False, allow_unicode=True)


def set_from_yaml(text: str, file: str) -> RegisteredSet:
    """Return the set that a file describes; raises InputError that names file and key."""
    try:
        described = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        line = f":{place.line + 1}" if place else ""
        raise InputError(
            f"{file}{line}: no YAML: {getattr(error, 'problem', error)}", hint=_HINT
        ) from None
    return set_from_dict(described, file)


def set_from_dict(described: object, file: str) -> RegisteredSet:
    """Return the set that JSON values describe; raises InputError that names file and key."""
    try:
        return _adapter().validate_python(described)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{file}: {key}: {first['msg']}", hint=_HINT) from None


def check_name(name: str) -> str:
    """Return the name; raises InputError for one that is no name of a set."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:64]!r} is no name of a rule set",
            hint="use small letters, digits, dots and dashes, at most 63",
        )
    return name


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[RegisteredSet]:
    return TypeAdapter(RegisteredSet)


_HINT = "correct it, or remove the set with `cnaf rules rm` and add it again"
