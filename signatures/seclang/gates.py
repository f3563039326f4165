r"""What must be found in a value before an expression can be: a piece of it without long loops.

Hyperscan is not trusted with loops over nearly all bytes, so expressions that hold some are left
to PCRE. Of ``union.*?select`` each of ``union`` and ``select`` must be found, though, and for
these Hyperscan is good: only where it finds the better piece is PCRE asked at all. A piece asks for
less than the expression, never for more: where anything is doubtful there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

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
_WORDS = re.compile(r"\\w|\[[^^]*(?:a-z|A-Z)")
#: A piece that says less than a byte or so is found nearly everywhere.
_LEAST = 1.0


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

    def score(self) -> float:
        """Return how much it says, about as many bytes."""
        if self.is_optional:
            return 0.0
        if self.branches is not None:
            return min(sum(item.score() for item in branch) for branch in self.branches)
        if self.text in _ZERO_WIDTH:
            return 0.0
        if _WIDE.match(self.text):
            return 0.05
        if _WORDS.match(self.text):
            return 0.2
        return 0.6 if self.text.startswith("[") or self.text in {r"\s", r"\d"} else 1.0


@dataclass(slots=True)
class _Run:
    """A piece as it grows."""

    texts: list[str] = field(default_factory=list)
    score: float = 0.0

    def add(self, text: str, score: float) -> None:
        self.texts.append(text)
        self.score += score


def gate(pattern: str) -> str | None:
    """Return an expression that is found, case aside, wherever the pattern is, or None."""
    flags = _FLAGS.match(pattern)
    branches = _read(pattern[flags.end() :] if flags else pattern)
    if branches is None:
        return None
    found = _best(_Item("(?:", "", branches))
    return found[0] if found[1] >= _LEAST else None


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
    return _group([text for text, _ in pieces], group), min(score for _, score in pieces)


def _best_of(items: list[_Item]) -> tuple[str, float]:
    best, run = _Run(), _Run()
    for item in items:
        if not item.is_loop():
            run.add(item.whole(), item.score())
            continue
        found = [run]
        if item.branches is not None and not item.is_optional:
            run.add(*_end(item, is_left=True))
            own = _Run()
            own.add(*_best(item))
            found.append(own)
        best = max(best, *found, key=lambda r: r.score)
        run = _Run()
        if item.branches is not None and not item.is_optional:
            run.add(*_end(item, is_left=False))
    best = max(best, run, key=lambda r: r.score)
    return "".join(best.texts), best.score


def _end(group: _Item, *, is_left: bool) -> tuple[str, float]:
    """Return what a group surely begins with, or ends with: of each branch up to its first loop."""
    texts, scores = [], []
    for branch in group.branches or ():
        run = _Run()
        for item in branch if is_left else reversed(branch):
            if not item.is_loop():
                run.add(item.whole(), item.score())
                continue
            if item.branches is not None and not item.is_optional:
                run.add(*_end(item, is_left=is_left))
            break
        texts.append("".join(run.texts if is_left else reversed(run.texts)))
        scores.append(run.score)
    return _group(texts, group), min(scores, default=0.0)
