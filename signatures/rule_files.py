"""Read our own rules from SecLang files; what our profile of SecLang has not is refused.

A file holds nothing but ``SecRule`` and comments; what a rule may say stands in
:mod:`cnaf.signatures.rule_profile`, :mod:`cnaf.signatures.rule_patterns` (expressions) and
:mod:`cnaf.signatures.rule_targets` (variables), and for people in ``rules/README.md``. Every error
is a SecLangError: file, line, what is wrong, what is supported.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from cnaf.signatures.rule_profile import read_chain
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.reader import MAX_FILE_BYTES, parse_rule, read_directives

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable

    from cnaf.signatures.rule import Rule
    from cnaf.signatures.seclang.syntax import SecRule

__all__ = ["built_in_files", "built_in_rules", "parse_rules", "read_rules"]

SUFFIX = ".conf"


def built_in_files() -> tuple[Traversable, ...]:
    """Return the rule files that come with the product, by name."""
    folder = resources.files("cnaf.signatures") / "rules"
    files = (item for item in folder.iterdir() if item.name.endswith(SUFFIX))
    return tuple(sorted(files, key=lambda item: item.name))


def built_in_rules() -> tuple[Rule, ...]:
    """Return the rules that come with the product, in the order of their files and lines."""
    return read_rules(built_in_files())


def read_rules(files: Iterable[Traversable]) -> tuple[Rule, ...]:
    """Return the rules of several files, sorted by file name.

    Raises SecLangError for the first problem: an unreadable file, what the profile has not, a name
    or number that came before.
    """
    rules: list[Rule] = []
    for file in sorted(files, key=lambda item: item.name):
        try:
            with file.open("rb") as stream:
                text = stream.read(MAX_FILE_BYTES + 1).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SecLangError(file.name, 1, f"cannot be read: {error}") from None
        rules.extend(parse_rules(text, file.name))
    _check_names(rules)
    return tuple(rules)


def parse_rules(text: str, file: str) -> tuple[Rule, ...]:
    """Return the rules of one file's text; ``file`` is its name in errors (SecLangError)."""
    rules = []
    pieces: dict[str, tuple[str, int]] = {}
    for chain in _chains(text, file):
        rule, used = read_chain(chain)
        for name, body in used.items():
            known, line = pieces.setdefault(name, (body, rule.place.line))
            if known != body:
                problem = f"the piece {name} says something else than in line {line}"
                raise SecLangError(file, rule.place.line, problem, supported="one text a name")
        rules.append(rule)
    _check_names(rules)
    return tuple(rules)


def _chains(text: str, file: str) -> Iterator[list[SecRule]]:
    links: list[SecRule] = []
    for directive in read_directives(text, file):
        if directive.name.lower() != "secrule":
            problem = f"the directive {directive.name}"
            raise SecLangError(file, directive.place.line, problem, supported="SecRule")
        links.append(parse_rule(directive))
        if not any(action.name == "chain" for action in links[-1].actions):
            yield links
            links = []
    if links:
        raise SecLangError(file, links[-1].place.line, "a chain without its last link")


def _check_names(rules: Iterable[Rule]) -> None:
    known: dict[str | int, Rule] = {}
    for rule in rules:
        for name in (rule.id, rule.number):
            first = known.setdefault(name, rule)
            if first is not rule:
                where = f"{first.place.file}:{first.place.line}"
                raise SecLangError(rule.place.file, rule.place.line, f"{name} stands in {where}")
