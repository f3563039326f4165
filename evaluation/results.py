"""The figures of an evaluation, from observations; only counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cnaf.evaluation.ablation import VARIANTS
from cnaf.evaluation.modsecurity import BLOCKING_SCORE
from cnaf.evaluation.observations import (
    LOOSE,
    PIPELINES,
    Decide,
    Observation,
    Rate,
    Rates,
    blocked_by,
    least_threshold,
    rates,
    seen_by,
)

__all__ = [
    "ABLATION_TARGETS",
    "AblationRow",
    "Curve",
    "DetectorRow",
    "Failures",
    "SetResult",
    "ablation_rows",
    "curves",
    "set_results",
]

#: Rates of false positives of the ablation.
ABLATION_TARGETS = (0.001, 0.01)
_TOP = 12
_TRIVIAL = ("regex", "allow-list")


@dataclass(frozen=True, slots=True)
class DetectorRow:
    """One detector on one data set.

    ``attacks`` leaves out those that are marked ambiguous; ``bodies`` are the benign requests with
    a body. ``alerted`` and ``benign_alerted`` count what was blocked or alerted on, for pipelines.
    """

    detector: str
    attacks: Rates
    benign: Rates
    bodies: Rates
    alerted: Rates | None = None
    benign_alerted: Rates | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """What one pipeline got wrong.

    ``missed`` holds by class how many distinct attacks passed or only alerted, and how many there
    are; ``examples`` names some. ``blocked`` counts benign requests by endpoint and evidence.
    """

    missed: Mapping[str, tuple[int, int]]
    examples: tuple[str, ...]
    blocked: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SetResult:
    """All detectors on one data set; ``ambiguous`` attacks were left out of the rates."""

    application: str
    data_set: str
    rows: tuple[DetectorRow, ...]
    ambiguous: int
    failures: Mapping[str, Failures]

    def row(self, detector: str) -> DetectorRow:
        """Return the figures of one detector; raises KeyError for another name."""
        found = {row.detector: row for row in self.rows}
        return found[detector]


@dataclass(frozen=True, slots=True)
class Curve:
    """Detection over false positives of one detector on an application's own attacks.

    ``fpr`` and ``tpr`` are float64, both ascending.
    """

    application: str
    detector: str
    fpr: npt.NDArray[np.float64]
    tpr: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AblationRow:
    """A part that is left out, and the share of attacks found at each of the targets."""

    part: str
    found: tuple[Rate, ...]


def set_results(observations: Sequence[Observation], target_fpr: float) -> tuple[SetResult, ...]:
    """Return the figures of each application and data set, in the order that they came in.

    The trivial baselines have no threshold of their own: theirs is set on these benign requests,
    so that at most the target is blocked, which is in their favour.
    """
    names = dict.fromkeys((seen.application, seen.data_set) for seen in observations)
    with_attacks = {application for application, data_set in names if data_set}
    results = []
    for application, data_set in names:
        # Where there are only benign ones, they make a result of their own.
        if not data_set and application in with_attacks:
            continue
        benign = [o for o in observations if o.application == application and not o.data_set]
        attacks = [
            o for o in observations if o.application == application and o.data_set == data_set
        ] if data_set else []  # fmt: skip
        results.append(_result(application, data_set or application, benign, attacks, target_fpr))
    return tuple(results)


def _result(
    application: str,
    data_set: str,
    benign: list[Observation],
    attacks: list[Observation],
    target_fpr: float,
) -> SetResult:
    plain = [seen for seen in attacks if not seen.ambiguous]
    bodies = [seen for seen in benign if seen.body]
    groups = plain, benign, bodies
    rows = []
    for pipeline in PIPELINES:
        blocked, alerted = blocked_by(pipeline), seen_by(pipeline)
        found, alarms, in_bodies = (rates(group, blocked) for group in groups)
        rows.append(
            DetectorRow(
                pipeline, found, alarms, in_bodies, rates(plain, alerted), rates(benign, alerted)
            )
        )
    for name in benign[0].yardsticks if benign else ():
        decide = _yardstick(name, benign, target_fpr)
        rows.append(DetectorRow(name, *(rates(group, decide) for group in groups)))
    failures = {pipeline: _failures(pipeline, benign, plain) for pipeline in PIPELINES}
    return SetResult(application, data_set, tuple(rows), len(attacks) - len(plain), failures)


def _yardstick(name: str, benign: list[Observation], target_fpr: float) -> Decide:
    if name == LOOSE:
        threshold = 0.0
    elif name.startswith("CRS"):
        threshold = float(BLOCKING_SCORE)
    else:
        threshold = least_threshold([seen.yardsticks[name] for seen in benign], target_fpr)
    return lambda seen: seen.yardsticks[name] >= threshold


def _failures(pipeline: str, benign: list[Observation], attacks: list[Observation]) -> Failures:
    decide = blocked_by(pipeline)
    by_class: dict[str, list[Observation]] = {}
    for seen in attacks:
        by_class.setdefault(seen.attack_class or "attack", []).append(seen)
    missed = {}
    for name, group in sorted(by_class.items()):
        found = rates(group, decide).distinct
        missed[name] = found.n - found.hits, found.n
    at = PIPELINES.index(pipeline)
    blocked = Counter(seen.why[at] for seen in benign if decide(seen))
    examples = dict.fromkeys(f"{o.attack_class}: {o.name}" for o in attacks if not decide(o))
    return Failures(missed, tuple(examples)[:_TOP], dict(blocked.most_common(_TOP)))


def curves(observations: Sequence[Observation]) -> tuple[Curve, ...]:
    """Return the curve of each detector that has a score, for each application with attacks."""
    names = dict.fromkeys(o.application for o in observations if o.application == o.data_set)
    return tuple(curve for name in names for curve in _curves(name, observations))


def _curves(application: str, observations: Sequence[Observation]) -> Iterator[Curve]:
    """Requests count as they came, ambiguous attacks do not."""
    here = [o for o in observations if o.application == application and not o.ambiguous]
    benign = [seen for seen in here if not seen.data_set]
    plain = [seen for seen in here if seen.data_set == application]
    if not benign or not plain:
        return
    for name in ("model", *(name for name in benign[0].yardsticks if name != LOOSE)):
        good, bad = (
            np.sort([seen.margin if name == "model" else seen.yardsticks[name] for seen in group])
            for group in (benign, plain)
        )
        steps = np.unique(np.concatenate([good, bad]))[::-1]
        fpr = 1.0 - np.searchsorted(good, steps) / len(good)
        tpr = 1.0 - np.searchsorted(bad, steps) / len(bad)
        yield Curve(application, name, fpr, tpr)


def ablation_rows(
    benign: Sequence[Observation], attacks: Sequence[Observation]
) -> tuple[AblationRow, ...]:
    """Return each variant of the model, and the trivial baselines, at equal false positives.

    Thresholds are set on these benign requests: apart for requests with and without a body for the
    variants, and one for all for the baselines.
    """
    plain = [seen for seen in attacks if not seen.ambiguous]
    rows = []
    for at, part in enumerate(VARIANTS):
        limits = [
            tuple(
                least_threshold([s.variants[at] for s in benign if s.body == body], target)
                for body in (False, True)
            )
            for target in ABLATION_TARGETS
        ]
        rows.append(
            AblationRow(
                part,
                tuple(
                    _share(plain, [seen.variants[at] >= limit[seen.body] for seen in plain])
                    for limit in limits
                ),
            )
        )
    for name in benign[0].yardsticks:
        if name not in _TRIVIAL:
            continue
        decides = [_yardstick(name, list(benign), target) for target in ABLATION_TARGETS]
        rows.append(
            AblationRow(f"instead: {name}", tuple(_share(plain, map(d, plain)) for d in decides))
        )
    return tuple(rows)


def _share(attacks: list[Observation], found: Iterable[bool]) -> Rate:
    return Rate.of(sum(map(bool, found)), len(attacks))
