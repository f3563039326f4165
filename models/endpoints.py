"""Endpoints: method and path template, learned as a tree of path segments.

A segment is a literal where the image shows few of them in that place, and a placeholder where
it shows many: ``/2024/05/hello-world/`` is ``/{int}/{int}/{slug}/``. Placeholders are typed by
shape, so a path that fits no placeholder is an unseen endpoint. How surprising that is depends on
where it leaves the tree (see :mod:`cnaf.models.structure`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cnaf.models.structure import NOTHING_SEEN, News, news_of

__all__ = ["EndpointTree", "PathMatch", "Visits", "learn_endpoints", "segment_shape"]

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("{int}", re.compile(r"[0-9]{1,19}", re.ASCII)),
    ("{uuid}", re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)),
    ("{hex}", re.compile(r"(?=.*[0-9])[0-9a-fA-F]{16,}", re.ASCII)),
    ("{file}", re.compile(r"[\w@%+~-][\w.@%+~-]{0,200}\.[A-Za-z0-9]{1,8}", re.ASCII)),
    ("{slug}", re.compile(r"[\w.~%+@!,:=-]{1,200}")),
)
#: More distinct literals than this in one place, and the place is a placeholder.
_MAX_LITERALS = 12
#: A literal needs so many sightings to stand beside a placeholder in the same place.
_LITERAL_SIGHTINGS = 3
#: Sightings from which on it says something that none of them was new.
_TELLING = 32
#: What bounds a template's length, which artifacts cap: characters of a literal, and segments.
_LITERAL_CAP = 100
_MAX_SEGMENTS = 32


def segment_shape(segment: str) -> str:
    """Return the placeholder that a segment fits, or ``""`` where it fits none.

    >>> segment_shape("2024"), segment_shape("hello-world"), segment_shape("<script>")
    ('{int}', '{slug}', '')
    """
    for shape, pattern in _SHAPES:
        if pattern.fullmatch(segment):
            if shape == "{file}":
                # Files collapse by extension: a new .js beside others is no news, a .php is.
                return "{file}" + segment[segment.rindex(".") :].lower()
            return shape
    return ""


@dataclass(frozen=True, slots=True)
class PathMatch:
    """Where a path leads: its template, whether the tree knows it, and else how new that is.

    ``news`` is in bits, 0 for a known path.
    """

    template: str
    known: bool
    news: float


@dataclass(frozen=True, slots=True)
class Visits:
    """Who requested a path: how many requests, of which sessions (by number)."""

    requests: int
    sessions: frozenset[int]


@dataclass(slots=True)
class _Node:
    """A place in the tree: who passed it (``sessions``), who wanted nothing behind it (``ended``).

    ``news`` is by shape of what follows, "" for all shapes together.
    """

    children: dict[str, _Node] = field(default_factory=dict)
    ends: bool = False
    weight: int = 0
    sessions: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    news: dict[str, News] = field(default_factory=dict)


class EndpointTree:
    """Resolves paths to templates. Immutable once learned."""

    def __init__(self, root: _Node) -> None:
        self._root = root

    def match(self, path: str) -> PathMatch:
        """Return the template of a path; an unknown rest is shown by its shapes."""
        node: _Node | None = self._root
        parts: list[str] = []
        news = 0.0
        for segment in _segments(_literal(path)):
            child = None if node is None else node.children.get(segment)
            if child is None:
                shape = _placeholder(segment)
                child = None if node is None else node.children.get(shape)
                parts.append(shape)
            else:
                parts.append(segment)
            if child is None and node is not None:
                news = _news_at(node, shape)
            node = child
        known = node is not None and node.ends
        if node is not None and not known:
            # A folder that was only ever passed through.
            news = _news_at(node, "")
        return PathMatch("/" + "/".join(parts), known, news)

    def news(self) -> dict[str, dict[str, News]]:
        """Return how often what was new, by template of the place and shape of what follows."""
        found: dict[str, dict[str, News]] = {}

        def walk(node: _Node, path: str) -> None:
            if node.news:
                found[path] = node.news
            for segment, child in node.children.items():
                walk(child, f"{path}/{segment}")

        walk(self._root, "")
        return found

    @classmethod
    def of_templates(
        cls, templates: Iterable[str], news: Mapping[str, Mapping[str, News]] = MappingProxyType({})
    ) -> EndpointTree:
        """Return the tree that leads to exactly these templates, with the news of its places.

        Raises KeyError where news are of a place that no template passes.
        """
        root = _Node()
        for template in templates:
            node = root
            for segment in _segments(template):
                node = node.children.setdefault(segment, _Node())
            node.ends = True
        for path, by_shape in news.items():
            node = root
            for segment in _segments(path) if path else ():
                node = node.children[segment]
            node.news = dict(by_shape)
        return cls(root)

    def templates(self) -> list[str]:
        """Return all templates, sorted; :meth:`of_templates` gives the tree back."""
        found: list[str] = []

        def walk(node: _Node, path: str) -> None:
            if node.ends:
                found.append(path)
            for segment, child in node.children.items():
                walk(child, f"{path}/{segment}")

        walk(self._root, "")
        return sorted(found)


def learn_endpoints(paths: Mapping[str, Visits]) -> EndpointTree:
    """Return the tree of the given paths, with crowded places made placeholders."""
    root = _Node()
    for path, visits in sorted(paths.items()):
        node = root
        for segment in _segments(_literal(path)):
            name = segment if len(segment) <= _LITERAL_CAP else _placeholder(segment)
            node = node.children.setdefault(name, _Node())
            node.weight += visits.requests
            node.sessions |= visits.sessions
        node.ends = True
        node.ended |= visits.sessions
    return EndpointTree(_collapse(root))


def _collapse(node: _Node) -> _Node:
    by_shape: dict[str, list[str]] = {}
    for segment in node.children:
        # A segment too long to keep came as a placeholder; braces of a path are escaped.
        shape = segment if segment.startswith("{") else _placeholder(segment)
        by_shape.setdefault(shape, []).append(segment)
    sessions = {
        shape: [len(node.children[segment].sessions) for segment in segments]
        for shape, segments in by_shape.items()
    }
    found = {shape: news_of(counts) for shape, counts in sessions.items() if shape}
    found[""] = news_of([*map(sum, sessions.values()), len(node.ended)])
    node.news = {shape: news for shape, news in found.items() if news.sightings >= _TELLING}
    for shape, segments in by_shape.items():
        numeric = shape in ("{int}", "{uuid}", "{hex}")
        if not shape or (len(segments) <= _MAX_LITERALS and not numeric):
            continue
        merged = _Node()
        for segment in segments:
            child = node.children[segment]
            # A frequent literal keeps its own place, and still teaches the placeholder.
            if numeric or child.weight < _LITERAL_SIGHTINGS or len(segments) > 4 * _MAX_LITERALS:
                del node.children[segment]
            _merge(merged, child)
        node.children[shape] = merged
    for child in node.children.values():
        _collapse(child)
    return node


def _merge(into: _Node, other: _Node) -> None:
    into.ends |= other.ends
    into.weight += other.weight
    into.sessions |= other.sessions
    into.ended |= other.ended
    for segment, child in other.children.items():
        _merge(into.children.setdefault(segment, _Node()), child)


def _news_at(node: _Node, shape: str) -> float:
    """Return the bits of something new behind a place: of a shape that it has shown, or of any."""
    return (node.news.get(shape) or node.news.get("") or NOTHING_SEEN).bits


def _placeholder(segment: str) -> str:
    return segment and (segment_shape(segment) or "{other}")


def _literal(path: str) -> str:
    """Keep a path that holds braces from naming a placeholder."""
    return path.replace("{", "%7B") if "{" in path else path


def _segments(path: str) -> list[str]:
    return path.removeprefix("/").split("/", _MAX_SEGMENTS)
