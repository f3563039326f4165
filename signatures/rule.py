"""What a rule is: patterns, where they may match, and how much a match says.

A rule is data. Files are read in :mod:`cnaf.signatures.rule_files`, samples in
:mod:`cnaf.signatures.rule_samples`, patterns are turned into databases in
:mod:`cnaf.signatures.compiler`; nothing here touches any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cnaf.models.fields import Field, Location
from cnaf.models.verdict import Confidence
from cnaf.signatures.seclang.syntax import Place

__all__ = [
    "PROSE", "PROSE_LOCATIONS", "Pattern", "Rule", "Severity", "Syntax", "Targets", "is_prose",
]  # fmt: skip


#: Names under which people write texts: articles, comments, source code. A code sample is normal
#: there, so a match says one step less.
PROSE: Final = frozenset((
    "body", "code", "comment", "comment_content", "content", "content.raw", "css", "customized",
    "data[wp_autosave][content]", "data[wp_autosave][excerpt]", "description", "excerpt",
    "excerpt.raw", "html", "markdown", "newcontent", "post_content", "post_excerpt", "source",
    "text", "widget-custom_html[#][content]", "widget-text[#][text]",
))  # fmt: skip
#: Where a rule stands that no file holds.
_NOWHERE: Final = Place("rules", 1)
#: Where those names are names of texts.
PROSE_LOCATIONS: Final = (Location.FORM, Location.JSON, Location.MULTIPART)


def is_prose(field: Field) -> bool:
    """Say whether people write texts in this field, by its name."""
    return field.location in PROSE_LOCATIONS and field.name.lower() in PROSE


class Severity(StrEnum):
    """How bad the attack is where it works, whatever the chance that it is one."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Syntax(StrEnum):
    """A tokenizer that has the last word on what the patterns of a rule let through."""

    SQL = "sql"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, and whether it is held to the start or the end of a value.

    ``body`` is the part that Hyperscan and :mod:`re` understand alike (no anchors, no
    look-around, no back-references); letter case is ignored and nothing in it matches a NUL. A
    NUL inside of a value ends what stands before it, and starts what follows.
    """

    body: str
    at_start: bool = False
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class Targets:
    """Which fields a rule looks at: whole locations, and single names in or out of them.

    Names are lower-case and compared without regard to case. An exception wins over a location,
    a name wins over nothing else. In ``prose`` people write texts, and what they quote is no
    attack: there a match says one step less.
    """

    locations: frozenset[Location]
    names: frozenset[tuple[Location, str]] = frozenset()
    exceptions: frozenset[tuple[Location, str]] = frozenset()
    prose: frozenset[tuple[Location, str]] = frozenset()

    def covers(self, field: Field) -> bool:
        """Return whether the rule looks at this field."""
        if field.location in self.locations:
            return not self.exceptions or _key(field) not in self.exceptions
        return bool(self.names) and _key(field) in self.names


@dataclass(frozen=True, slots=True)
class Rule:
    """One attack technique.

    ``confidence`` HIGH means that a match alone may block: it practically never matches benign
    traffic. ``max_length`` is the longest value, in bytes, in which that holds (0: any): what is
    an attack as a search term can be a code sample in an article. ``expected`` is the sentence
    that evidence shows. With a ``syntax`` the patterns only choose what its tokenizer sees. ``id``
    is the name that evidence shows, ``number`` the one by which SecLang knows the rule;
    ``version`` is that of the rules that it came with, ``place`` where it stands.
    """

    id: str
    message: str
    expected: str
    severity: Severity
    confidence: Confidence
    tags: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    targets: Targets
    max_length: int = 0
    syntax: Syntax | None = None
    number: int = 0
    version: str = ""
    place: Place = _NOWHERE

    def confidence_in(self, field: Field) -> Confidence | None:
        """Return what a match in this field says, by its place and length; None for nothing."""
        if not self.targets.covers(field):
            return None
        short = not self.max_length or len(field.value) <= self.max_length
        prose = self.targets.prose
        if short and not (prose and _key(field) in prose):
            return self.confidence
        return Confidence.MEDIUM if self.confidence is Confidence.HIGH else Confidence.LOW


def _key(field: Field) -> tuple[Location, str]:
    return field.location, field.name.lower()
