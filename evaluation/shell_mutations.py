"""Mutations of shell commands that a POSIX shell (where named: bash) runs as the original.

Changes are made outside of quotes only. After the literature on command injection and the
tricks that rules of firewalls name; each is held against a real shell by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from cnaf.evaluation.operators import Kind, Operator, some

__all__ = ["OPERATORS"]

# Pieces that must not be looked into: quoted strings, expansions, substitutions' marks, escapes.
_LEXER = re.compile(
    r"(?P<quoted>'[^']*'?|\"[^\"]*\"?|\\.)|(?P<open>\$\(|`|\(|\))|(?P<dollar>\$\{[^}]*\}?|\$\w+|\$.)"
    r"|(?P<separator>\|\||&&|[;|&\n])|(?P<redirect>\d*[<>]+&?)|(?P<space>[ \t]+)"
    r"|(?P<word>[A-Za-z0-9_./:@,+=%~*?\[\]-]+)|(?P<other>.)",
    re.DOTALL,
)
_KEYWORDS = frozenset((
    "if", "then", "else", "elif", "fi", "do", "done", "for", "while", "until", "case", "esac",
    "in", "function", "time",
))  # fmt: skip
_SOLID = ("word", "quoted", "dollar")
#: A word in which any letter may be quoted: a glob or assignment would change its meaning.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%-]*[A-Za-z][A-Za-z0-9_./:@%-]*")

_Tokens = list[tuple[str, str]]


def _tokens(payload: str) -> _Tokens:
    return [(match.lastgroup or "", match[0]) for match in _LEXER.finditer(payload)]


def _join(tokens: _Tokens) -> str:
    return "".join(text for _, text in tokens)


def _is_word(tokens: _Tokens, index: int) -> bool:
    kind, text = tokens[index]
    return kind == "word" and bool(_PLAIN.fullmatch(text)) and text not in _KEYWORDS


def _is_command(tokens: _Tokens, index: int) -> bool:
    """Whether the word is the first of a command; that of the payload may be an argument."""
    before = [kind for kind, _ in tokens[:index] if kind != "space"]
    return _is_word(tokens, index) and bool(before) and before[-1] in ("separator", "open")


def _words(make: Callable[[str, Random], str]) -> Callable[[str, Random], str]:
    """Change some of the words."""

    def apply(payload: str, rng: Random) -> str:
        tokens = _tokens(payload)
        places = [i for i in range(len(tokens)) if _is_word(tokens, i)]
        for index in (places[n] for n in some(len(places), rng)):
            tokens[index] = ("raw", make(tokens[index][1], rng))
        return _join(tokens)

    return apply


def _spaces(make: Callable[[Random], str]) -> Callable[[str, Random], str]:
    """Change some of the spaces between a command's words."""

    def apply(payload: str, rng: Random) -> str:
        tokens = _tokens(payload)
        places = [
            i
            for i in range(1, len(tokens) - 1)
            if tokens[i][0] == "space"
            and tokens[i - 1][0] in _SOLID
            and tokens[i + 1][0] in _SOLID
            and not {tokens[i - 1][1], tokens[i + 1][1]} & _KEYWORDS
        ]
        for index in (places[n] for n in some(len(places), rng)):
            tokens[index] = ("raw", make(rng))
        return _join(tokens)

    return apply


def _inside(mark: Callable[[Random], str]) -> Callable[[str, Random], str]:
    def put(word: str, rng: Random) -> str:
        at = rng.randrange(1, len(word)) if len(word) > 1 else 1
        return word[:at] + mark(rng) + word[at:]

    return put


def _escape(word: str, rng: Random) -> str:
    letters = [i for i, c in enumerate(word) if c.isalpha()]
    for index in reversed([letters[n] for n in some(min(len(letters), 3), rng)]):
        word = word[:index] + "\\" + word[index:]
    return word


def _escaped(payload: str, rng: Random) -> str:
    # Between backquotes a backslash is read twice.
    return payload if "`" in payload else _words(_escape)(payload, rng)


def _quote_part(word: str, rng: Random) -> str:
    start = rng.randrange(len(word))
    end = rng.randrange(start, len(word)) + 1
    quote = rng.choice("'\"")
    return word[:start] + quote + word[start:end] + quote + word[end:]


def _glob(word: str, rng: Random) -> str:
    letters = [i for i, c in enumerate(word) if c.isalpha()]
    at = rng.choice(letters)
    return f"{word[:at]}[{word[at]}]{word[at + 1 :]}" if word[0] == "/" else word


def _variables(payload: str, rng: Random) -> str:
    """A command's name from two variables, where a list of commands begins."""
    tokens = _tokens(payload)
    places = [
        i
        for i in range(1, len(tokens))
        if _is_command(tokens, i)
        and len(tokens[i][1]) > 1
        and _last(tokens, i) in (";", "\n", "$(", "`")
    ]
    if not places:
        return payload
    index = rng.choice(places)
    word = tokens[index][1]
    a, b = rng.sample("abcdefghijklmnopqrstuvwxyz", 2)
    at = rng.randrange(1, len(word))
    tokens[index] = ("raw", f"{a}={word[:at]};{b}={word[at:]};${a}${b}")
    return _join(tokens)


def _last(tokens: _Tokens, index: int) -> str:
    return next(text for kind, text in reversed(tokens[:index]) if kind != "space")


def _commands(make: Callable[[list[str], Random], str]) -> Callable[[str, Random], str]:
    """Rewrite one command of plain words, name and arguments."""

    def apply(payload: str, rng: Random) -> str:
        tokens = _tokens(payload)
        places: list[tuple[int, int, list[str]]] = []
        for start in range(len(tokens)):
            if not _is_command(tokens, start):
                continue
            end = start
            while end < len(tokens) and (tokens[end][0] == "space" or _is_word(tokens, end)):
                end += 1
            words = [text for kind, text in tokens[start:end] if kind == "word"]
            if end == len(tokens) or tokens[end][0] in ("separator", "open"):
                places.append((start, end, words))
        if not places:
            return payload
        start, end, words = rng.choice(places)
        made = make(words, rng)
        return _join([*tokens[:start], ("raw", made), *tokens[end:]]) if made else payload

    return apply


def _braces(words: list[str], _rng: Random) -> str:
    return "{" + ",".join(words) + "}" if len(words) > 1 and "," not in "".join(words) else ""


def _printf(words: list[str], _rng: Random) -> str:
    octal = "".join(f"\\{ord(c):03o}" for c in words[0])
    return " ".join([f"$(printf '{octal}')", *words[1:]])


def _redirect(words: list[str], _rng: Random) -> str:
    return f"cat<{words[1]}" if len(words) == 2 and words[0] == "cat" and words[1][0] != "-" else ""


def _printed(payload: str, rng: Random) -> str:
    return payload if "`" in payload else _commands(_printf)(payload, rng)


def _newlines(payload: str, rng: Random) -> str:
    tokens = _tokens(payload)
    places = [i for i, (_, text) in enumerate(tokens) if text == ";"]
    for index in (places[n] for n in some(len(places), rng)):
        tokens[index] = ("separator", "\n")
    return _join(tokens)


_SUBSTITUTION = re.compile(r"\$\(([^()`'\"\\$]*)\)|`([^`'\"\\$()]*)`")


def _substitutions(payload: str, _rng: Random) -> str:
    """``$(x)`` as backquotes and the other way round, where nothing is nested."""
    return _SUBSTITUTION.sub(
        lambda m: f"`{m[1]}`" if m[1] is not None else f"$({m[2]})", payload, count=1
    )


def _operator(name: str, apply: Callable[[str, Random], str], reason: str) -> Operator:
    return Operator(name, Kind.SHELL, apply, reason)


OPERATORS: tuple[Operator, ...] = (
    _operator(
        "ifs",
        _spaces(lambda r: r.choice(("${IFS}", "$IFS$9", "${IFS%?}"))),
        "the separators of fields, unquoted, separate",
    ),
    _operator("tab", _spaces(lambda r: r.choice(("\t", "  ", "\t\t"))), "blanks are blanks"),
    _operator("line_continued", _spaces(lambda _: " \\\n"), "a backslash joins two lines"),
    _operator(
        "empty_quotes",
        _words(_inside(lambda r: r.choice(("''", '""')))),
        "empty quotes are nothing",
    ),
    _operator(
        "quoted_part", _words(_quote_part), "quotes around letters only say that they are letters"
    ),
    _operator("backslash", _escaped, "an escaped letter is the letter"),
    _operator(
        "empty_variable",
        _words(_inside(lambda r: r.choice(("$@", "$*", "${zq}")))),
        "what is unset expands to nothing",
    ),
    _operator("glob", _words(_glob), "a class of one letter matches the one file that is there"),
    _operator("variables", _variables, "the name of a command out of two variables"),
    _operator("braces", _commands(_braces), "bash expands braces into words"),
    _operator("printf", _printed, "the name of a command out of octal codes"),
    _operator("redirect", _commands(_redirect), "cat prints what it is given as input"),
    _operator("newline", _newlines, "a newline ends a command as a semicolon does"),
    _operator("substitution", _substitutions, "two ways to write a command substitution"),
)
