"""What the findings of registered rule sets are worth, by the mode of each set.

    ============  =============================================================================
    mode          a request that reaches the set's threshold, or that one of its rules ends
    ============  =============================================================================
    ``block``     is high evidence: it blocks, as everybody who runs the Core Rule Set expects
    ``weigh``     is medium evidence in each field that matched: it blocks where the model says
                  that benign values of the field never set the rule off; matches that they do
                  set off are taken out of the score first, so known false alarms are silent
    ``alert``     is medium evidence of no field: it alerts
    ============  =============================================================================

Matches below the threshold are low evidence. Rules that keep no score and end nothing were written
to be told of, so they alert. Pure: findings and a test for marks in, worth out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.enforcer.scrub import scrub_text
from cnaf.models.explain import excerpt_around
from cnaf.models.verdict import Confidence, Detector, Evidence
from cnaf.signatures.sets.registered import Kind, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cnaf.models.fields import Field, ParsedRequest
    from cnaf.signatures.sets.matching import SetFinding, SetMatch

__all__ = ["Weighed", "set_evidence", "weigh"]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A finding with its worth. ``confidence`` is that of each of its matches, in order.

    ``candidates`` are family and field (by index) of medium matches that the model has a say in.
    """

    finding: SetFinding
    confidence: tuple[Confidence, ...]
    candidates: tuple[tuple[str, int], ...]

    @property
    def strongest(self) -> Confidence:
        """The worth of the finding as a whole; what was not looked at is worth an alert."""
        least = Confidence.MEDIUM if self.finding.limited else Confidence.LOW
        return min((least, *self.confidence), key=_ORDER.__getitem__)


_ORDER = {Confidence.HIGH: 0, Confidence.MEDIUM: 1, Confidence.LOW: 2}


def weigh(
    finding: SetFinding, request: ParsedRequest, is_marked: Callable[[str, Field], bool]
) -> Weighed:
    """Return the worth of a finding.

    ``is_marked`` says that benign values of a field set a family of rules off.
    """
    mode, matches = finding.registered.mode, finding.matches
    if mode is Mode.WEIGH:
        return _against_marks(finding, request, is_marked)
    worth = _unreached(finding)
    if finding.reached:
        worth = Confidence.HIGH if mode is Mode.BLOCK else Confidence.MEDIUM
    return Weighed(finding, (worth,) * len(matches), ())


def _unreached(finding: SetFinding) -> Confidence:
    keeps_score = finding.score or finding.registered.kind is Kind.CRS
    return Confidence.LOW if keeps_score else Confidence.MEDIUM


def _against_marks(
    finding: SetFinding, request: ParsedRequest, is_marked: Callable[[str, Field], bool]
) -> Weighed:
    fields = request.fields
    unmarked = [
        tuple(index for index in match.fields if not is_marked(match.family, fields[index]))
        for match in finding.matches
    ]
    speaks = [
        bool(left) or not match.fields
        for match, left in zip(finding.matches, unmarked, strict=True)
    ]
    reached = finding.reached and _still_reached(finding, request, unmarked, speaks)
    worth = Confidence.MEDIUM if reached else _unreached(finding)
    confidence = tuple(worth if said else Confidence.LOW for said in speaks)
    if not reached:
        return Weighed(finding, confidence, ())
    candidates = [
        (match.family, index)
        for match, left in zip(finding.matches, unmarked, strict=True)
        for index in left
    ]
    return Weighed(finding, confidence, tuple(candidates))


def _still_reached(
    finding: SetFinding,
    request: ParsedRequest,
    unmarked: Sequence[tuple[int, ...]],
    speaks: Sequence[bool],
) -> bool:
    """Whether what no benign value sets off is enough to reach the threshold."""
    is_whole = all(
        len(left) == len(match.fields)
        for match, left in zip(finding.matches, unmarked, strict=True)
    )
    if is_whole:
        return True
    if not finding.score:
        return any(speaks)
    points = 0
    for match, left, said in zip(finding.matches, unmarked, speaks, strict=True):
        # A rule adds its points for each value that it matches.
        names = {request.fields[index].label for index in left}
        points += match.points * max(len(names), int(said))
    return points >= finding.registered.threshold


def set_evidence(weighed: Weighed, request: ParsedRequest, limit: int) -> Iterator[Evidence]:
    """Yield the evidence of a finding; ``limit`` caps each excerpt, in bytes."""
    finding = weighed.finding
    if finding.limited:
        yield Evidence(
            Detector.LIMIT, "rule-work",
            "the rules of a set did not look at all of the request: it makes too much work",
            "request", "", "a request within the limits of work",
            f"{finding.steps:,} tests of a value by a rule", Confidence.MEDIUM,
            source=finding.source,
        )  # fmt: skip
    for match, confidence in zip(finding.matches, weighed.confidence, strict=True):
        yield _evidence(finding, match, confidence, request, limit)


def _evidence(
    finding: SetFinding,
    match: SetMatch,
    confidence: Confidence,
    request: ParsedRequest,
    limit: int,
) -> Evidence:
    excerpt, marks = "", ()  # type: tuple[str, tuple[tuple[int, int], ...]]
    if match.fields:
        value = request.fields[match.fields[0]].value
        # Where a rule transformed what it matched, the value is shown as it came.
        end = match.end or len(value)
        excerpt, marks = excerpt_around(value, match.start, end, limit)
    elif match.text:
        excerpt, marks = excerpt_around(match.text, 0, len(match.text), limit)
    seen = repr(match.text[:64].decode("utf-8", "replace")) if match.text else "a match"
    expected = "nothing that the rule matches"
    if finding.score:
        threshold = finding.registered.threshold
        expected = f"an anomaly score below {threshold}; the request has {finding.score}"
    return Evidence(
        Detector.SIGNATURE, match.rule, scrub_text(match.message), match.label, excerpt, expected,
        seen, confidence, match.start, match.end, marks, None, match.tags, source=finding.source,
    )  # fmt: skip
