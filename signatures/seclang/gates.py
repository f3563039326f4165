r"""What must be found in a value before an expression can be: a piece of it without long loops.

Hyperscan is not trusted with loops over nearly all bytes, so expressions that hold some are left
to PCRE. Of ``union.*?select`` each of ``union`` and ``select`` must be found, though, and for
these Hyperscan is good: only where it finds the better piece is PCRE asked at all. A piece asks for
less than the expression, never for more: where anything is doubtful there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod

__all__ = ["gate"]

_TOKEN = re.compile(
    r"(?P<open>\((?:\?(?:[ims]*:|[=!>]|<[=!]))?(?![?*]))|(?P<close>\))|(?P<bar>\|)"
    r"|(?P<atom>\\(?:x[0-9a-fA-F]{2}|[1-9]|[^xQEKpPXRGkg0-9])"
    r"|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|[^()|*+?{\\\[])"
    r"|(?P<count>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})[?+]?)|(?P<other>.)",
    re.DOTALL,
)
_FLAGS = re.compile(r"\(\?[ims]+\)")
_ZERO_WIDTH = frozenset(("^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z"))
_WIDE = re.compile(r"\[\^|\[\\s\\S\]|\[\\d\\D\]|\[\\w\\W\]|\.|\\[SWDNHV]")
_UNSURE = re.compile(r"\\[1-9]")
_WORDS = re.compile(r"\\w|\[.*(?:a-z|A-Z)", re.DOTALL)
_NO_WORDS = re.compile(r"\[\^.*(?:a-z.*A-Z|A-Z.*a-z|\\w)|\\W", re.DOTALL)
#: How often an atom fits by chance, roughly, in what requests hold.
_OFTEN, _LETTER, _COMMON, _SELDOM = 0.7, 0.08, 0.1, 0.005
_COMMON_BYTES = " -./:=&_,;()\xff"
_CLASSES = {r"\s": 0.15, r"\d": 0.2, r"\n": 0.02, r"\r": 0.02, r"\t": 0.02}
#: A piece that fits more often than a letter is not worth the reports of where it is found.
_MOST = 0.06


@dataclass(slots=True)
class _Item:
    """An atom or, where there are branches, a group, with how often it stands."""

    text: str
    count: str = ""
    branches: list[list[_Item]] | None = None

    @property
    def is_optional(self) -> bool:
        return self.count[:1] in {"*", "?"} or self.count.startswith("{0")

    def is_loop(self) -> bool:
        """Whether it holds what Hyperscan is not to be asked."""
        if self.branches is not None:
            return any(item.is_loop() for branch in self.branches for item in branch)
        if _UNSURE.match(self.text):
            return True
        return self.count not in {"", "?", "??"} and _WIDE.match(self.text) is not None

    def whole(self) -> str:
        if self.branches is None:
            return self.text + self.count
        return _group(["".join(i.whole() for i in b) for b in self.branches], self) + self.count

    def odds(self) -> float:
        """Return how often it fits by chance, at one place."""
        if self.is_optional or self.text in _ZERO_WIDTH:
            return 1.0
        if self.branches is not None:
            return min(sum(prod(item.odds() for item in b) for b in self.branches), 1.0)
        if _WIDE.match(self.text):
            return 1.0
        if self.text.startswith("["):
            return _OFTEN if _WORDS.match(self.text) else 0.1
        return _CLASSES.get(self.text) or _odds_of(_character(self.text))


def _character(text: str) -> str:
    if text.startswith(r"\x"):
        return chr(int(text[2:], 16))
    return text[-1] if not text[-1].isalnum() or len(text) == 1 else ""


def _odds_of(character: str) -> float:
    if not character:
        return _OFTEN
    if character.isascii() and character.isalnum():
        return _LETTER
    return _COMMON if character in _COMMON_BYTES else _SELDOM


@dataclass(slots=True)
class _Run:
    """A piece as it grows, and how often it fits by chance."""

    texts: list[str] = field(default_factory=list)
    odds: float = 1.0

    def add(self, text: str, odds: float) -> None:
        self.texts.append(text)
        self.odds *= odds


def gate(pattern: str) -> str | None:
    """Return an expression that is found, case aside, wherever the pattern is, or None."""
    flags = _FLAGS.match(pattern)
    branches = _read(pattern[flags.end() :] if flags else pattern)
    if branches is None:
        return None
    found = _best(_Item("(?:", "", branches))
    return found[0] if found[1] <= _MOST else None


def _group(texts: list[str], item: _Item) -> str:
    return f"{item.text if item.text.endswith(':') else '(?:'}{'|'.join(texts)})"


def _read(text: str) -> list[list[_Item]] | None:
    """Parse to branches; None for what is not understood. What looks around is left out."""
    stack: list[_Item] = [_Item("(?:", "", [[]])]
    last: _Item | None = None
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        branches = stack[-1].branches
        assert branches is not None
        if kind == "other" or (kind == "count" and (last is None or last.count)):
            return None
        if kind == "open":
            stack.append(_Item(token, "", [[]]))
            last = None
        elif kind == "close":
            if len(stack) == 1:
                return None
            last = stack.pop()
            if last.text[2:] not in {"=", "!", "<=", "<!"}:
                assert stack[-1].branches is not None
                stack[-1].branches[-1].append(last)
        elif kind == "bar":
            branches.append([])
            last = None
        elif kind == "count":
            assert last is not None
            last.count = token[:-1] if len(token) > 1 and token[-1] == "+" else token
        else:
            last = _Item(token)
            branches[-1].append(last)
    return stack[0].branches if len(stack) == 1 else None


def _best(group: _Item) -> tuple[str, float]:
    """Return the best piece of a group that must be found: one of each branch."""
    pieces = [_best_of(branch) for branch in group.branches or ()]
    return _group([text for text, _ in pieces], group), min(sum(odds for _, odds in pieces), 1.0)


def _best_of(items: list[_Item]) -> tuple[str, float]:
    best, run = _Run(), _Run()
    for index, item in enumerate(items):
        if not item.is_loop():
            run.add(item.whole(), item.odds())
            continue
        found = [run]
        if run.odds < 1 and index + 1 < len(items):
            _go_on(run, item, items[index + 1])
        if item.branches is not None and not item.is_optional:
            run.add(*_end(item, is_left=True))
            own = _Run()
            own.add(*_best(item))
            found.append(own)
        best = min(best, *found, key=lambda r: r.odds)
        run = _Run()
        if item.branches is not None and not item.is_optional:
            run.add(*_end(item, is_left=False))
    best = min(best, run, key=lambda r: r.odds)
    return "".join(best.texts), best.odds


def _go_on(run: _Run, loop: _Item, following: _Item) -> None:
    """Add one more byte: of a loop over all but words, or else of what follows it."""
    is_loop_of_bytes = loop.branches is None and _NO_WORDS.match(loop.text) is not None
    is_byte = following.branches is None and following.text not in _ZERO_WIDTH
    if is_loop_of_bytes and is_byte and not (following.is_optional or following.is_loop()):
        run.add(f"(?:{loop.text}|{following.text})", min(0.3 + following.odds(), 1.0))


def _end(group: _Item, *, is_left: bool) -> tuple[str, float]:
    """Return what a group surely begins with, or ends with: of each branch up to its first loop."""
    texts, odds = [], 0.0
    for branch in group.branches or ():
        run = _Run()
        for item in branch if is_left else reversed(branch):
            if not item.is_loop():
                run.add(item.whole(), item.odds())
                continue
            if item.branches is not None and not item.is_optional:
                run.add(*_end(item, is_left=is_left))
            break
        texts.append("".join(run.texts if is_left else reversed(run.texts)))
        odds += run.odds
    return _group(texts, group), min(odds, 1.0)
