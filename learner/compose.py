"""Docker Compose, by whichever command this machine has: the plugin (v2) or docker-compose."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from cnaf.models.errors import ImageError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PROJECT_LABEL", "choose_service", "start_project"]

#: Put by Compose on every container, network and volume of a project.
PROJECT_LABEL = "com.docker.compose.project"
_ASK_TIMEOUT_S = 60
_MAX_REASON = 800


def choose_service(file: Path, service: str | None) -> str:
    """Return the service of a compose file to profile: the named one, or the only one.

    Raises InputError where the file cannot be used or has no such service.
    """
    if not file.is_file():
        raise InputError(f"{file} is no file", hint="give the path of a compose file")
    result = _run(["-f", str(file), "config", "--services"], _ASK_TIMEOUT_S)
    if result.returncode:
        raise InputError(f"Compose refuses {file}: {_reason(result)}")
    services = sorted(result.stdout.split())
    if service in services:
        return service
    if service is None and len(services) == 1:
        return services[0]
    missing = f"has no service {service}" if service else "has several services"
    raise InputError(f"{file} {missing}", hint=f"--service with one of: {', '.join(services)}")


def start_project(
    project: str, file: Path, changes: Mapping[str, Mapping[str, object]], timeout_s: float
) -> None:
    """Start the services of a compose file, each changed as ``changes`` says for it.

    Waits, as Compose does, for the health of what a service depends on. Raises ImageError; what
    was started until then is the caller's to remove, by its label.
    """
    with tempfile.NamedTemporaryFile("w", prefix="cnaf-", suffix=".yaml") as override:
        # JSON is YAML that both versions read.
        json.dump({"services": changes}, override)
        override.flush()
        files = ["-f", str(file), "-f", override.name]
        # Relative paths stay those of the user's file, which comes first.
        result = _run(["-p", project, *files, "up", "-d"], timeout_s)
    if result.returncode:
        raise ImageError(f"Compose cannot start {file}: {_reason(result)}")


def _run(arguments: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    command = [*_command(), *arguments]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            # Ctrl-C is for this process, which cleans up.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"{' '.join(command)} takes more than {timeout_s:.0f} s",
            hint="does a service never get healthy? allow more time, or see its logs",
        ) from error
    except OSError as error:
        raise ImageError(f"{command[0]} cannot be run: {error.strerror}") from error


def _command() -> list[str]:
    if docker := shutil.which("docker"):
        plugin = subprocess.run(
            [docker, "compose", "version"], capture_output=True, timeout=_ASK_TIMEOUT_S, check=False
        )
        if plugin.returncode == 0:
            return [docker, "compose"]
    if standalone := shutil.which("docker-compose"):
        return [standalone]
    raise ImageError(
        "Docker Compose is not installed",
        hint="install docker-compose-plugin (or docker-compose), or leave out --compose",
    )


def _reason(result: subprocess.CompletedProcess[str]) -> str:
    # The last lines say what went wrong; the ones before are progress.
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    text = " ".join(dict.fromkeys(lines[-6:]))
    return "".join(c for c in text if c.isprintable())[-_MAX_REASON:] or "it gives no reason"
