"""Mutations of path traversals and file inclusions.

Each yields a path to the same file for apps that treat paths as the operator's reason says: most
rely on a further decoding, on a lenient server, or on a filter that removes what it finds once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from cnaf.evaluation.operators import Kind, Operator, random_case, substitute

__all__ = ["OPERATORS"]

_SLASH = re.compile(r"(?<![:/\\])[/\\](?![/\\])")
_PARENT = re.compile(r"\.\.(?=[/\\])")
_LEADING = re.compile(r"(?:\.\.[/\\])+")
_DOT_OR_SLASH = re.compile(r"\.(?=\.|[/\\])|(?<![:/])[/\\](?!/)")
_LETTER = re.compile(r"(?<=/)[a-z]|(?<=[a-z])[a-z](?=[a-z])")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
#: Folders at the root of a file system; a path into one of them can be given from the root.
_ROOTED = re.compile(r"(?:\.\./)+(?=(?:etc|proc|var|usr|home|tmp|dev)/)")
_DETOUR = re.compile(r"(?<=/)(etc|var|usr|proc|home)/(?!\.)")


def _over(
    pattern: re.Pattern[str], make: Callable[[re.Match[str], Random], str]
) -> Callable[[str, Random], str]:
    def apply(payload: str, rng: Random) -> str:
        return substitute(pattern, lambda match: make(match, rng), payload, rng)

    return apply


def _hex(text: str, rng: Random, percent: str = "%") -> str:
    return "".join(percent + random_case(f"{ord(c):02x}", rng) for c in text)


def _overlong(text: str, rng: Random) -> str:
    """The forms of two and three bytes that UTF-8 forbids, percent-encoded."""
    made = []
    for code in map(ord, text):
        two = (0xC0 | code >> 6, 0x80 | code & 0x3F)
        three = (0xE0, 0x80 | code >> 6, 0x80 | code & 0x3F)
        made += [f"%{byte:02x}" for byte in rng.choice((two, three))]
    return "".join(made)


def _deeper(payload: str, rng: Random) -> str:
    found = _LEADING.match(payload)
    return found[0][:3] * rng.randint(1, 8) + payload if found else payload


def _null_byte(payload: str, rng: Random) -> str:
    if "\0" in payload or not _SLASH.search(payload):
        return payload
    return payload + "\0" + rng.choice(("", ".jpg", ".html", ".php"))


def _absolute(payload: str, rng: Random) -> str:
    found = _ROOTED.match(payload)
    start = rng.choice(("/", "file:///", "//", "/./"))
    return start + payload[found.end() :] if found else payload


def _nested(payload: str, rng: Random) -> str:
    # Nested twice, the filter would have to run twice, too.
    return payload if "..." in payload else payload.replace("../", rng.choice(("....//", "..././")))


def _operator(name: str, apply: Callable[[str, Random], str], reason: str) -> Operator:
    return Operator(name, Kind.PATH, apply, reason)


OPERATORS: tuple[Operator, ...] = (
    _operator(
        "dot_steps",
        _over(_SLASH, lambda m, r: m[0] + f".{m[0]}" * r.randint(1, 3)),
        "a step to where one is",
    ),
    _operator(
        "slash_repeated",
        _over(_SLASH, lambda m, r: m[0] * r.randint(2, 4)),
        "several slashes are one",
    ),
    _operator(
        "backslash",
        _over(_SLASH, lambda m, _: "\\" if m[0] == "/" else "/"),
        "Windows and lenient servers take either slash",
    ),
    _operator("deeper", _deeper, "the root is its own parent"),
    _operator(
        "detour",
        _over(_DETOUR, lambda m, _: f"{m[1]}/../{m[1]}/"),
        "into a folder, out and in again",
    ),
    _operator("absolute", _absolute, "the same file from the root"),
    _operator(
        "nested",
        _nested,
        "a filter that removes ../ once leaves one behind",
    ),
    _operator(
        "path_parameter",
        _over(_PARENT, lambda _, r: f"..;{r.choice(('', 'a', 'x=1'))}"),
        "Tomcat drops what follows a semicolon in a segment",
    ),
    _operator(
        "percent",
        _over(_DOT_OR_SLASH, lambda m, r: _hex(m[0], r)),
        "one decoding more than the carrier's",
    ),
    _operator(
        "double_percent",
        _over(_DOT_OR_SLASH, lambda m, r: _hex(m[0], r, "%25")),
        "two decodings more",
    ),
    _operator(
        "percent_letters", _over(_LETTER, lambda m, r: _hex(m[0], r)), "letters encoded, too"
    ),
    _operator(
        "hex_case",
        _over(_ESCAPE, lambda m, r: random_case(m[0], r)),
        "hexadecimal digits have no case",
    ),
    _operator(
        "overlong",
        _over(_DOT_OR_SLASH, lambda m, r: _overlong(m[0], r)),
        "decoders that do not refuse overlong UTF-8",
    ),
    _operator(
        "percent_u", _over(_DOT_OR_SLASH, lambda m, _: f"%u{ord(m[0]):04x}"), "IIS decodes %uXXXX"
    ),
    _operator(
        "full_width",
        _over(_DOT_OR_SLASH, lambda m, _: chr(ord(m[0]) + 0xFEE0)),
        "frameworks that normalise by compatibility (NFKC)",
    ),
    _operator("null_byte", _null_byte, "where C reads the path it ends at the NUL"),
)
