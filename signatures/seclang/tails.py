r"""Make expressions easier to search for: without ends that are found over and over, in halves.

Hyperscan reports every place where an expression can end: ``a.*`` ends everywhere behind an ``a``.
Whether it is found at all does not depend on how it goes on at its end, so what may be repeated
or left out there is cut. In front of a last ``\b`` the rest of one word, or of what parts two,
will do.
"""

from __future__ import annotations

import re

__all__ = ["halves", "trimmed"]

_TOKEN = re.compile(
    r"(?P<open>\((?:\?(?:[a-zA-Z]*:|[a-zA-Z]+\)))?)|(?P<close>\))|(?P<bar>\|)"
    r"|(?P<atom>\\(?:x[0-9a-fA-F]{2}|.)|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|[^()|*+?{])"
    r"|(?P<count>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})[?+]?)|(?P<other>.)",
    re.DOTALL,
)
_LOOKS_AROUND = re.compile(r"\(\?(?:[=!<>|]|P)|\(\*")
_ANYTHING = frozenset((r"[^\xff]", r"[\s\S]", r"[\d\D]", r"[\w\W]"))
_REST_OF_A_WORD = r"(?:\w*|[^\w\xff]*)"

#: How an expression ends behind a place: with anything, with a word boundary, or with more.
_OPEN, _BOUNDARY, _MORE = range(3)


def trimmed(pattern: str) -> str:
    """Return an expression that is found wherever the pattern is, and ends less often."""
    tokens = [(m.lastgroup or "", m[0]) for m in _TOKEN.finditer(pattern)]
    if _LOOKS_AROUND.search(pattern) or any(kind == "other" for kind, _ in tokens):
        return pattern
    out: list[str] = []
    # Of each open group, seen from its end: how the expression ends behind its branches.
    behind: list[int] = []
    state, count = _OPEN, ""
    for kind, text in reversed(tokens):
        if kind == "count":
            count = text
            continue
        if kind == "close":
            state = state if count in {"", "?", "??"} else _MORE
            behind.append(state)
            out.append(text + count)
        elif kind == "bar":
            out.append(text)
            state = behind[-1] if behind else _OPEN
        elif kind == "open":
            state = _open(text, out, behind, state)
        else:
            state = _atom(text, count, state, out)
        count = ""
    return "".join(reversed(out))


def _open(text: str, out: list[str], behind: list[int], state: int) -> int:
    """Leave a group to its left: whatever is there has the group behind it."""
    out.append(text)
    if text.endswith(")"):
        # Flags for what follows: no group.
        return state
    if behind:
        behind.pop()
    return _MORE


def _atom(text: str, count: str, state: int, out: list[str]) -> int:
    if state == _OPEN and text == r"\b" and not count:
        out.append(text)
        return _BOUNDARY
    optional = count[:1] in {"*", "?"} or count.startswith("{0")
    if state == _OPEN:
        if optional:
            return state
        out.append(text if count[:1] == "+" else text + count)
    elif state == _BOUNDARY and text in _ANYTHING and count[:1] == "*":
        out.append(_REST_OF_A_WORD)
    else:
        out.append(text + count)
    return _MORE


def halves(pattern: str) -> tuple[str, str] | None:
    """Return two expressions, of which one is found wherever the pattern is, or None.

    The alternatives of the largest group that stands once are parted; what refers to groups is
    left as it is.
    """
    tokens = [(m.lastgroup or "", m[0], m.start()) for m in _TOKEN.finditer(pattern)]
    if _LOOKS_AROUND.search(pattern) or _REFERS.search(pattern):
        return None
    best = _largest(tokens, len(pattern))
    if best is None:
        return None
    start, bars, end = best
    middle = (start + end) // 2
    bar = min(bars, key=lambda at: abs(at - middle))
    return pattern[:bar] + pattern[end:], pattern[:start] + pattern[bar + 1 :]


_REFERS = re.compile(r"\\[1-9kg]")


def _largest(tokens: list[tuple[str, str, int]], size: int) -> tuple[int, list[int], int] | None:
    """Return the inside of the largest group with alternatives: start, bars and end."""
    found: list[tuple[int, list[int], int]] = []
    open_groups: list[tuple[int, list[int]]] = [(0, [])]
    flags = re.match(r"\(\?[a-zA-Z]+\)", "".join(text for _, text, _ in tokens[:1]))
    if flags:
        open_groups = [(flags.end(), [])]
    for index, (kind, text, at) in enumerate(tokens):
        if kind == "open" and not text.endswith(")"):
            open_groups.append((at + len(text), []))
        elif kind == "bar":
            open_groups[-1][1].append(at)
        elif kind == "close" and len(open_groups) > 1:
            start, bars = open_groups.pop()
            following = tokens[index + 1] if index + 1 < len(tokens) else ("", "", 0)
            if following[0] == "count" and following[1][:1] != "?":
                # A repeated group: neither it nor what is in it may be parted.
                found = [group for group in found if group[0] < start]
            elif bars:
                found.append((start, bars, at))
    if open_groups[0][1]:
        found.append((*open_groups[0], size))
    return max(found, key=lambda group: group[2] - group[0], default=None)
