"""The dense features of a request, in groups: the registry of training, scoring and reports.

A group is a named run of columns. The compiled kernel (:mod:`cnaf.models.scoring`) fills a row in
the order given here; an ablation drops a group by name. To add a feature, add its column here and
its line in the kernel; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnaf.models.kernels import MEASURES, NOVELTIES

__all__ = ["COLUMNS", "GROUPS", "FeatureGroup"]


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """A run of columns that stand or fall together in an ablation."""

    name: str
    columns: tuple[str, ...]
    describes: str


GROUPS: tuple[FeatureGroup, ...] = (
    FeatureGroup(
        "worst-value",
        tuple(f"worst-{name}" for name in MEASURES),
        "the greatest surprise of each measure over all values",
    ),
    FeatureGroup(
        "second-value",
        tuple(f"second-{name}" for name in MEASURES),
        "the second greatest: one odd value is chance more often than two",
    ),
    FeatureGroup(
        "location",
        ("worst-path", "worst-query", "worst-body", "worst-cookie", "worst-header"),
        "the greatest value score by place in the request",
    ),
    FeatureGroup(
        "structure",
        (*(f"new-{name}" for name in NOVELTIES), "rare-endpoint"),
        "path, method, composition and names that the image never showed",
    ),
    FeatureGroup(
        "size",
        ("log-fields", "log-bytes", "log-body", "log-longest"),
        "counts and lengths, log2",
    ),
    FeatureGroup(
        "encoding",
        ("extra-rounds", "problems"),
        "layers of encoding beyond the carrier's, and what could not be parsed",
    ),
)

#: All columns in the order of the kernel.
COLUMNS: tuple[str, ...] = tuple(name for group in GROUPS for name in group.columns)
