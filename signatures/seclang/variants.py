"""All that the pipelines of many rules make of a value, each step taken once.

Pipelines that begin alike share a path in a tree. A branch is not gone down where none of its
transformations acts on the value, which for most values is every branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.signatures.seclang.transformations import TRANSFORMATIONS, Transformation, traits_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Variants"]


class _Node:
    __slots__ = ("below", "branches", "ends")

    def __init__(self) -> None:
        self.branches: dict[str, tuple[Transformation, _Node]] = {}
        self.below = 0
        #: Whether a pipeline ends here or below: where no step below acts, it ends with this value.
        self.ends = False


class Variants:
    """The tree of some pipelines, given as names of transformations."""

    def __init__(self, pipelines: Iterable[tuple[str, ...]]) -> None:
        self._root = _Node()
        for names in pipelines:
            self._add(names)

    def _add(self, names: tuple[str, ...]) -> None:
        node = self._root
        for index, name in enumerate(names):
            for later in names[index:]:
                node.below |= TRANSFORMATIONS[later].acts_on
            step = TRANSFORMATIONS[name]
            node = node.branches.setdefault(name, (step, _Node()))[1]
            node.ends = True

    def add_to(self, out: set[bytes], value: bytes) -> None:
        """Add what pipelines make of a value, where it differs from the value."""
        traits = traits_of(value)
        if self._root.below & traits:
            _descend(self._root, value, traits, out)


def _descend(node: _Node, value: bytes, traits: int, out: set[bytes]) -> None:
    for step, child in node.branches.values():
        result, result_traits = value, traits
        if step.acts_on & traits:
            result = step.apply(value)
            if result != value:
                result_traits = traits_of(result)
        if child.ends:
            out.add(result)
        if child.below & result_traits:
            _descend(child, result, result_traits, out)
