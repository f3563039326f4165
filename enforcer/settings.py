"""What a worker is told: a JSON file, the model's two blobs and rule sets in one directory.

Rule sets come with the text of their files: a worker that starts again needs neither a registry nor
the folders that the rules came from. What takes seconds to compile lies in the user's cache.

Both are written by :func:`write_settings` and read by :func:`read_settings`; nobody else's files.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from cnaf.enforcer.pipeline import Policy
from cnaf.models.artifact import MAX_ARTIFACT_BYTES, ArtifactFiles
from cnaf.models.digest import Digest
from cnaf.models.errors import ArtifactFormatError, InputError
from cnaf.models.limits import Limits
from cnaf.models.stored_model import unpack_model
from cnaf.models.verdict import Action
from cnaf.signatures.sets.matching import RuleSets, load_rules
from cnaf.signatures.sets.registered import RegisteredSet, set_from_dict
from cnaf.signatures.sets.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnaf.models.request_model import RequestModel

__all__ = ["WorkerSettings", "read_model", "read_rules", "read_settings", "write_settings"]

_FILE, _CONFIG, _TENSORS = "worker.json", "model.json", "model.safetensors"
_RULES = "rules.json"
_MAX_BYTES = 1 << 16
#: Of all rule sets together; one has 32 MB at most, the Core Rule Set 1 MB.
_MAX_RULES_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``subject`` is the image digest whose model lies in ``directory``, empty for no model."""

    directory: Path
    image: str
    subject: str
    spool: Path
    policy: Policy


def write_settings(
    settings: WorkerSettings,
    files: ArtifactFiles | None,
    rules: Sequence[tuple[RegisteredSet, Sources]] = (),
) -> Path:
    """Write settings, model and rules into the directory; return the settings' path.

    Rules are compiled here, once, which may take seconds. Raises InputError.
    """
    load_rules(rules)
    told = [{"set": r.to_dict(), "sources": s.to_dict()} for r, s in rules]
    described = asdict(settings) | {"directory": None, "spool": str(settings.spool)}
    path = settings.directory / _FILE
    with _told(settings.directory, "write"):
        if files is not None:
            (settings.directory / _CONFIG).write_bytes(files.config)
            (settings.directory / _TENSORS).write_bytes(files.tensors)
        (settings.directory / _RULES).write_bytes(orjson.dumps(told))
        path.write_bytes(orjson.dumps(described))
    return path


def read_rules(settings: WorkerSettings) -> RuleSets | None:
    """Return the rule sets of the settings, None where there are none; raises InputError."""
    path = settings.directory / _RULES
    with _told(path, "read"), path.open("rb") as file:
        text = file.read(_MAX_RULES_BYTES)
    try:
        told = [
            (set_from_dict(one["set"], str(path)), Sources.from_dict(one["sources"]))
            for one in orjson.loads(text)
        ]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} holds no rule sets: {error}") from error
    return load_rules(told)


def read_settings(path: Path) -> WorkerSettings:
    """Return the settings; raises InputError where the file is not what was written."""
    with _told(path, "read"), path.open("rb") as file:
        text = file.read(_MAX_BYTES)
    try:
        described: dict[str, Any] = orjson.loads(text)
        policy = described["policy"]
        return WorkerSettings(
            path.parent,
            described["image"],
            described["subject"],
            Path(described["spool"]),
            Policy(
                **{
                    **policy,
                    "action": Action(policy["action"]),
                    "limits": Limits(**policy["limits"]),
                }
            ),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path} holds no worker settings: {error}") from error


def read_model(settings: WorkerSettings) -> RequestModel | None:
    """Return the model of the settings' subject, None where there is none; raises ArtifactError."""
    if not settings.subject:
        return None
    blobs = []
    for name in (_CONFIG, _TENSORS):
        try:
            with (settings.directory / name).open("rb") as file:
                blobs.append(file.read(MAX_ARTIFACT_BYTES + 1))
        except OSError as error:
            raise ArtifactFormatError(f"the model cannot be read: {error}") from error
    return unpack_model(ArtifactFiles(*blobs), expect=Digest.parse(settings.subject)).model


@contextlib.contextmanager
def _told(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot {verb} {path}: {error.strerror or error}") from error
