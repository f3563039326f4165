"""Injected SQL as tokens: enough of the language to change a payload without breaking it.

A payload is a fragment. It may begin inside of a string of the query that it is injected into
(``' OR 1=1 --``) or outside (``1 OR 1=1``); the reading that shows more of the language outside
of strings is taken. Backslashes escape nothing, as in standard SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["KEYWORDS", "Comparison", "Token", "between_ands", "comparisons", "join", "tokenize"]

#: Reserved words that mutations may change; functions and names are not among them.
KEYWORDS = frozenset((
    "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "DESC", "DISTINCT", "ELSE", "END",
    "EXISTS", "FROM", "GROUP", "HAVING", "IN", "INSERT", "INTO", "IS", "JOIN", "LIKE",
    "LIMIT", "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER", "SELECT", "SET", "THEN", "UNION",
    "UPDATE", "VALUES", "WHEN", "WHERE", "XOR", "DELETE", "RLIKE", "REGEXP",
))  # fmt: skip
_LEXER = re.compile(
    r"""(?P<comment>/\*(?!!).*?(?:\*/|\Z)|\#[^\n]*|--[^\n]*)"""
    r"""|(?P<special>/\*!.*?(?:\*/|\Z)|`[^`]*`?|@+\w+)"""
    r"""|(?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<open>['"][^'"]*\Z)|(?P<space>[\s\x0b]+)"""
    r"""|(?P<number>0[xX][0-9A-Fa-f]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?!\w))|(?P<word>\w[\w$]*)"""
    r"""|(?P<symbol><=>|<>|!=|<=|>=|:=|\|\||&&|.)""",
    re.DOTALL,
)
_QUOTE = re.compile(r"['\"]")


class Token(NamedTuple):
    """A piece of a payload; ``kind`` is the name of its group in the lexer, or ``outer``.

    ``outer`` is the end of the string that the payload began in, its quote included.
    """

    kind: str
    text: str

    @property
    def is_blank(self) -> bool:
        """Whether it only separates."""
        return self.kind in ("space", "comment")

    @property
    def keyword(self) -> str:
        """The reserved word in upper case, or nothing."""
        upper = self.text.upper()
        return upper if self.kind == "word" and upper in KEYWORDS else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``literal operator literal`` that stands by itself, as indices of its three tokens.

    Both are whole numbers without leading zeros, or both strings; ``is_open`` says that the right
    one is a string that the query closes. ``is_true`` is what the comparison yields in every
    dialect; one whose value depends on the dialect (letters in different case) is not found.
    """

    left: int
    operator: int
    right: int
    is_true: bool
    is_number: bool
    is_open: bool
    is_negated: bool


def tokenize(payload: str) -> list[Token]:
    """Return the tokens of a payload; joined they are the payload."""
    quote = _QUOTE.search(payload)
    outside = _lex(payload)
    if quote is None:
        return outside
    inside = [Token("outer", payload[: quote.end()]), *_lex(payload[quote.end() :])]
    return inside if _sense(inside) > _sense(outside) else outside


def join(tokens: list[Token]) -> str:
    """Return the text of tokens."""
    return "".join(token.text for token in tokens)


def comparisons(tokens: list[Token]) -> list[Comparison]:
    """Return the comparisons of literals that nothing around them binds tighter than."""
    solid = [index for index, token in enumerate(tokens) if not token.is_blank]
    ranges = between_ands(tokens)
    found: list[Comparison] = []
    for at, (left, operator, right) in enumerate(zip(solid, solid[1:], solid[2:], strict=False)):
        # What stands before the payload is not known, so nothing at its start is by itself.
        before = tokens[solid[at - 1]] if at else None
        after = tokens[solid[at + 3]] if at + 3 < len(solid) else None
        if before is None or not (before.keyword in _OPENERS or before.text in _OPENERS):
            continue
        if after is not None and not (after.keyword in _CLOSERS or after.text in _CLOSERS):
            continue
        if solid[at - 1] in ranges:
            continue
        truth = _truth(tokens[left], tokens[operator].text, tokens[right])
        if truth is not None:
            found.append(
                Comparison(
                    left, operator, right, truth, tokens[left].kind == "number",
                    tokens[right].kind == "open", before.keyword == "NOT",
                )
            )  # fmt: skip
    return found


def between_ands(tokens: list[Token]) -> set[int]:
    """Return the indices of each AND that belongs to a BETWEEN."""
    waiting = 0
    found: set[int] = set()
    for index, token in enumerate(tokens):
        if token.keyword == "BETWEEN":
            waiting += 1
        elif token.keyword == "AND" and waiting:
            waiting -= 1
            found.add(index)
    return found


def _lex(text: str) -> list[Token]:
    return [Token(match.lastgroup or "", match[0]) for match in _LEXER.finditer(text)]


def _sense(tokens: list[Token]) -> int:
    """How much of the language stands outside of strings."""
    return sum(1 + bool(t.keyword) for t in tokens if t.kind in ("word", "number", "symbol"))


_OPENERS = frozenset((
    "AND", "OR", "XOR", "NOT", "WHERE", "HAVING", "WHEN", "ON", "SELECT", "(", ",", "&&",
))  # fmt: skip
_CLOSERS = frozenset((
    "AND", "OR", "XOR", "WHERE", "HAVING", "WHEN", "THEN", "ELSE", "END", "ORDER", "GROUP",
    "LIMIT", "UNION", "FROM", ")", ",", ";", "&&",
))  # fmt: skip


def _truth(left: Token, operator: str, right: Token) -> bool | None:
    if left.kind == "number" and right.kind == "number":
        if not all(_is_whole(token.text) for token in (left, right)):
            return None
        a, b = int(left.text), int(right.text)
        return {
            "=": a == b, "<>": a != b, "!=": a != b,
            "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b,
        }.get(operator)  # fmt: skip
    if left.kind != "string" or right.kind not in ("string", "open"):
        return None
    x, y = left.text[1:-1], right.text[1 : -1 if right.kind == "string" else None]
    # Strings of letters and digits have neither wildcards nor trailing blanks, which dialects
    # compare differently; nor do two that differ in case only mean the same everywhere.
    if operator not in ("=", "<>", "!=") or not (x + y).isalnum() or not (x + y).isascii():
        return None
    if not (x and y) or (x != y and x.lower() == y.lower()):
        return None
    return (x == y) is (operator == "=")


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and (text == "0" or text[0] != "0")
