"""Read SecLang text into directives, and their arguments into rules; refuse what is not SecLang.

The grammar is that of configuration files of web servers: one directive a line, a backslash at
the end continues it, ``#`` starts a comment line, arguments are words or stand in quotes.
Inside of quotes ``\\"`` is a quote; every other backslash belongs to the argument.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.syntax import Action, Directive, Operator, Place, SecRule, Variable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["parse_actions", "parse_operator", "parse_rule", "parse_variables", "read_directives"]

#: A rule file is some kilobytes; the largest of the Core Rule Set has 200.
MAX_FILE_BYTES = 8 * 1024 * 1024
#: The longest rule of the Core Rule Set has 9 kB.
MAX_LINE_CHARS = 256 * 1024

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|([^\s"\'][^\s]*)', re.DOTALL)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_VARIABLE = re.compile(r"([!&]?)([A-Za-z_]+)(?:[:.](.*))?", re.DOTALL)
_OPERATOR = re.compile(r"(!?)\s*@([A-Za-z0-9_]+)(?:\s+(.*))?", re.DOTALL)
_ACTION_NAME = re.compile(r"[A-Za-z]+")


def read_directives(text: str, file: str) -> Iterator[Directive]:
    """Yield the directives of a file in order; raises SecLangError."""
    if len(text) > MAX_FILE_BYTES:
        raise SecLangError(file, 1, f"more than {MAX_FILE_BYTES} bytes")
    for line, content in _logical_lines(text, file):
        place = Place(file, line)
        yield _directive(content, place)


def _logical_lines(text: str, file: str) -> Iterator[tuple[int, str]]:
    started, parts, size = 0, list[str](), 0
    for number, raw in enumerate(text.split("\n"), 1):
        stripped = raw.strip()
        if not parts and (not stripped or stripped.startswith("#")):
            continue
        started = started or number
        size += len(stripped)
        if size > MAX_LINE_CHARS:
            raise SecLangError(file, started, f"a directive of more than {MAX_LINE_CHARS} bytes")
        if stripped.endswith("\\"):
            parts.append(stripped[:-1])
            continue
        parts.append(stripped)
        yield started, "".join(parts).strip()
        started, parts, size = 0, [], 0
    if parts:
        yield started, "".join(parts).strip()


def _directive(content: str, place: Place) -> Directive:
    name = _NAME.match(content)
    if name is None:
        raise SecLangError(place.file, place.line, f"no directive: {content[:60]!r}")
    words: list[str] = []
    position = name.end()
    while True:
        position = _skip_blanks(content, position)
        if position == len(content):
            return Directive(place, name[0], tuple(words))
        word = _WORD.match(content, position)
        if word is None or (word.end() < len(content) and not content[word.end()].isspace()):
            raise SecLangError(
                place.file, place.line, f"a quote is not closed: {content[position:][:60]!r}"
            )
        words.append(_unquoted(word))
        position = word.end()


def _skip_blanks(content: str, position: int) -> int:
    while position < len(content) and content[position].isspace():
        position += 1
    return position


def _unquoted(word: re.Match[str]) -> str:
    if word[1] is not None:
        return word[1].replace('\\"', '"')
    if word[2] is not None:
        return word[2].replace("\\'", "'")
    return word[3]


def parse_rule(directive: Directive) -> SecRule:
    """Turn a SecRule or SecAction directive into a rule; raises SecLangError."""
    place, words = directive.place, directive.arguments
    if directive.name.lower() == "secaction":
        if len(words) != 1:
            raise _wrong(place, f"SecAction takes one argument, found {len(words)}")
        return SecRule(place, (), None, parse_actions(words[0], place))
    if len(words) not in {2, 3}:
        raise _wrong(place, f"SecRule takes 2 or 3 arguments, found {len(words)}")
    actions = parse_actions(words[2], place) if len(words) == 3 else ()
    return SecRule(
        place, parse_variables(words[0], place), parse_operator(words[1], place), actions
    )


def parse_variables(text: str, place: Place) -> tuple[Variable, ...]:
    """Return the targets of ``A|!B:c|&D``; raises SecLangError."""
    return tuple(_variable(piece, place) for piece in _split_variables(text))


def _split_variables(text: str) -> list[str]:
    """Split at ``|``, which also stands in expressions between slashes."""
    pieces, start, inside, position = [], 0, False, 0
    while position < len(text):
        char = text[position]
        if char == "\\" and inside:
            position += 1
        elif char == "/" and (inside or _opens_expression(text[start:position])):
            inside = not inside or not _closes(text, position)
        elif char == "|" and not inside:
            pieces.append(text[start:position])
            start = position + 1
        position += 1
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces]


def _opens_expression(before: str) -> bool:
    """Whether a slash behind this is the first sign of a selector; that of XML is a path."""
    name, colon, rest = before.partition(":")
    return bool(colon) and rest in {"", "'"} and name.strip(" !&").upper() != "XML"


def _closes(text: str, position: int) -> bool:
    """Whether a slash inside of an expression ends it: only then the next target may follow."""
    rest = text[position + 1 :].lstrip("'")
    return not rest or rest[0] == "|"


def _variable(text: str, place: Place) -> Variable:
    match = _VARIABLE.fullmatch(text)
    if match is None or (match[3] is not None and not match[3]):
        raise _wrong(place, f"no variable: {text!r}")
    sign, collection, selector = match[1], match[2].upper(), match[3] or ""
    if len(selector) > 1 and selector[0] == selector[-1] == "'":
        selector = selector[1:-1]
    is_regex = collection != "XML" and len(selector) > 1 and selector[0] == selector[-1] == "/"
    if is_regex:
        selector = selector[1:-1]
    return Variable(collection, selector, is_regex, sign == "&", sign == "!")


def parse_operator(text: str, place: Place) -> Operator:
    """Return the operator; one without a name is ``@rx``. Raises SecLangError."""
    text = text.strip()
    match = _OPERATOR.fullmatch(text)
    if match is not None:
        return Operator(match[2].lower(), (match[3] or "").strip(), bool(match[1]))
    if text.startswith("@") or text.startswith("!@"):
        raise _wrong(place, f"no operator: {text[:60]!r}")
    if text.startswith("!"):
        return Operator("rx", text[1:].strip(), True)
    return Operator("rx", text)


def parse_actions(text: str, place: Place) -> tuple[Action, ...]:
    """Return the actions of ``a,b:c,d:'e,f'``; raises SecLangError."""
    actions: list[Action] = []
    position = 0
    while True:
        while position < len(text) and (text[position].isspace() or text[position] == ","):
            position += 1
        if position >= len(text):
            return tuple(actions)
        name = _ACTION_NAME.match(text, position)
        if name is None:
            raise _wrong(place, f"no action: {text[position:][:60]!r}")
        argument, position = _argument(text, name.end(), place)
        actions.append(Action(name[0].lower(), argument))


def _argument(text: str, position: int, place: Place) -> tuple[str, int]:
    """Return what stands behind an action's colon, and where the next action may start."""
    position = _skip_blanks(text, position)
    if position >= len(text) or text[position] == ",":
        return "", position
    if text[position] != ":":
        raise _wrong(place, f"a comma is missing at {text[position:][:60]!r}")
    position = _skip_blanks(text, position + 1)
    end, quoted = position, False
    while end < len(text) and (quoted or text[end] != ","):
        if text[end] == "\\" and quoted:
            end += 1
        elif text[end] == "'" and (quoted or _opens(text, position, end)):
            quoted = not quoted
        end += 1
    if quoted:
        raise _wrong(place, f"a quote is not closed: {text[position:][:60]!r}")
    argument = text[position:end].strip()
    if len(argument) > 1 and argument[0] == argument[-1] == "'":
        argument = argument[1:-1].replace("\\'", "'")
    return argument, end


def _opens(text: str, start: int, position: int) -> bool:
    """A quote opens at the start of an argument, or behind the sign of an assignment."""
    return position == start or text[position - 1] == "="


def _wrong(place: Place, problem: str) -> SecLangError:
    return SecLangError(place.file, place.line, problem)
