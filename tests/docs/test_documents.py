"""The documents say what the code does."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from cnaf.ci_plugin.main import app
from cnaf.models import errors
from cnaf.models.limits import Limits

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
)  # fmt: skip
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")


def commands() -> dict[str, Any]:
    """Return click's commands by what a user types; typer may bring a click of its own."""
    found: dict[str, Any] = {}

    def walk(name: str, command: Any) -> None:
        if hasattr(command, "commands"):
            for child, under in command.commands.items():
                walk(f"{name} {child}", under)
        else:
            found[name] = command

    walk("cnaf", typer.main.get_command(app))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text("utf-8")):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_paths_that_are_named_exist(name: str) -> None:
    for path in _PATH.findall((ROOT / name).read_text("utf-8")):
        if not path.startswith(("/", "application/")):
            assert (ROOT / path).exists(), path


def test_every_command_and_option_in_the_documents_exists() -> None:
    known = commands()
    options = {o for command in known.values() for p in command.params for o in p.opts}
    options |= {o for command in known.values() for p in command.params for o in p.secondary_opts}
    options |= {"--help", "--strict"}
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for line in re.findall(r"^cnaf .*$", text, re.MULTILINE):
            words = line.split()
            assert any(" ".join(words[:count]) in known for count in (2, 3, 4)), line
        if path.parent.name != "adr":
            for option in re.findall(r"`(?:cnaf [^`]*)?(--[a-z-]+)", text):
                assert option in options, f"{path.name}: {option}"


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for name in commands():
        words = name.split()
        assert words[1] in text
        assert f"`{words[-1]}`" in text or f"cnaf {' '.join(words[1:])}" in text, name


def test_exit_codes_are_those_of_the_errors() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    raised = {getattr(errors, name).exit_code for name in errors.__all__}
    assert raised | {0, 2, 130, 141} == documented


def test_every_help_text_is_there() -> None:
    for name, command in commands().items():
        assert command.help, name
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.help, f"{name} {parameter.opts}"


def test_limits_are_told_as_they_are() -> None:
    text = (ROOT / "docs" / "adr" / "0004-caps-on-fields-and-values.md").read_text("utf-8")
    limits = Limits()
    told = (
        f"{limits.fields:,} fields", f"{limits.value_bytes // 1024} KiB inspected of one value",
        f"{limits.body_bytes // 1024} KiB of a body", f"{limits.depth}\nlevels",
        f"{limits.decode_rounds} rounds",
    )  # fmt: skip
    for sentence in told:
        assert sentence in text, sentence
    assert all(field.default for field in dataclasses.fields(Limits))


def test_decision_records_are_listed() -> None:
    folder = ROOT / "docs" / "adr"
    listed = (folder / "README.md").read_text("utf-8")
    for path in folder.glob("[0-9]*.md"):
        assert f"({path.name})" in listed


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for path in DOCUMENTS:
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text("utf-8"), re.MULTILINE):
            assert target in targets, f"{path.name}: make {target}"


def test_every_module_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["setuptools"]["packages"]
    modules = [*ROOT.glob("*/__init__.py"), *ROOT.glob("*/*/__init__.py")]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in modules}
    assert {f"cnaf.{folder}" for folder in folders} == set(packages)


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["readme"] == "README.md"
    assert (ROOT / project["license-files"][0]).exists()
