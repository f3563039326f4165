"""An evaluation as Markdown tables, ready for docs/detection.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from cnaf.evaluation.ablation import VARIANTS
from cnaf.evaluation.observations import Rate, Rates
from cnaf.evaluation.results import ABLATION_TARGETS, SetResult
from cnaf.evaluation.runner import Evaluation

__all__ = ["brief", "evaluation_markdown", "shown"]

_NAMES = {"model": "model alone", "signatures": "signatures alone", "product": "product"}
_EXAMPLES = 6


def shown(rate: Rate, *, counts: bool = True) -> str:
    """Return a rate in words: ``7 of 1,000, 0.70 % (0.34 to 1.44)``."""
    if not rate.n:
        return "none"
    share = f"{rate.share:.2%} ({100 * rate.low:.2f} to {100 * rate.high:.2f})"
    share = share.replace("%", " %")
    return f"{rate.hits:,} of {rate.n:,}, {share}" if counts else share


def evaluation_markdown(evaluation: Evaluation) -> str:
    """Return the report: what fails first, then all tables."""
    e = evaluation
    parts = [
        f"# Detection at a target of {e.target_fpr:.2%} false positives\n",
        _how(e),
        "## What fails\n",
        *(_failures(result) for result in e.results),
        "## Detection and false positives\n",
        "Distinct requests, and beside them all requests as they came; 95 % intervals in "
        "brackets. Thresholds of regex and allow-list were set on these benign requests, which is "
        "in their favour.\n",
        *(_result_table(result) for result in e.results),
    ]
    if e.ablation:
        parts += ["## Ablation\n", _ablation(e)]
    if e.small:
        parts += ["## Small corpora\n", _small(e)]
    if e.poison:
        parts += ["## Attacks in what is learned from\n", _poison(e)]
    if e.mutations:
        parts += ["## Mutated attacks\n", _mutations(e)]
    if e.speed:
        parts += ["## Speed and size\n", _speed(e)]
    return "\n".join(parts)


def brief(rate: Rate) -> str:
    """Return a rate in per cent for a narrow column: ``0.70 (0.3-1.4)``."""
    if not rate.n:
        return "none"
    return f"{100 * rate.share:.2f} ({100 * rate.low:.1f}-{100 * rate.high:.1f})"


def _how(e: Evaluation) -> str:
    folds = f"the first of {e.folds} folds" if e.quick else f"{e.folds} folds"
    lines = [
        f"Learned as `cnaf learn --recorded` learns, {folds} by session (where a publisher split, "
        "its split), inspected by the pipeline of the node. Each attack is held against the model "
        "of one fold. Every request has the same client headers and host; attacks without cookies "
        "have a visitor's.\n"
    ]
    lines += [f"- Not measured: {reason}" for reason in e.missing]
    for name, counts in e.left_out.items():
        told = ", ".join(f"{count:,} {reason}" for reason, count in counts.items() if count)
        if told:
            lines.append(f"- Left out of {name}: {told}")
    return "\n".join(lines) + "\n"


def _failures(result: SetResult) -> str:
    lines = [f"### {result.data_set}\n"]
    for name in ("product", "model"):
        failed = result.failures[name]
        if name == "model" and failed == result.failures["product"]:
            lines.append("- model alone fails alike")
            break
        missed = ", ".join(
            f"{m} of {n} {_code(kind)}" for kind, (m, n) in failed.missed.items() if m
        )
        if failed.missed:
            lines.append(f"- {_NAMES[name]} misses: {missed or 'nothing'}")
        if name == "product" and failed.examples:
            examples = ", ".join(_code(text) for text in failed.examples[:_EXAMPLES])
            lines.append(f"  - for example {examples}")
        if result.application == result.data_set:
            blocked = [f"  - {n}: {_code(why)}" for why, n in failed.blocked.items()]
            lines.append(f"- {_NAMES[name]} blocks by mistake:" + ("" if blocked else " nothing"))
            lines += blocked
    if result.ambiguous:
        lines.append(f"- {result.ambiguous} ambiguous attacks are in no rate")
    return "\n".join(lines) + "\n"


def _result_table(result: SetResult) -> str:
    rows = [
        (
            _NAMES.get(row.detector, row.detector),
            shown(row.attacks.distinct),
            shown(row.attacks.requests, counts=False),
            _alerts(row.alerted),
            shown(row.benign.distinct),
            shown(row.benign.requests),
            shown(row.bodies.requests),
            _alerts(row.benign_alerted),
        )
        for row in result.rows
    ]
    head = ("", "attacks blocked", "all", "alerted too", "benign blocked", "all", "with a body",
            "alerted too")  # fmt: skip
    return f"### {result.data_set}\n\n" + _table(head, rows)


def _alerts(rates: Rates | None) -> str:
    if rates is None or not rates.distinct.n:
        return ""
    return f"{100 * rates.distinct.share:.2f} %"


def _ablation(e: Evaluation) -> str:
    full = e.ablation[0].found
    rows = [
        (
            row.part,
            *(
                f"{shown(rate, counts=False)}, {100 * (rate.share - whole.share):+.1f} points"
                for rate, whole in zip(row.found, full, strict=True)
            ),
        )
        for row in e.ablation
    ]
    head = ("left out", *(f"found at {t:.1%}" for t in ABLATION_TARGETS))
    return (
        "Model alone on the attacks of the WordPress corpus, thresholds set on its held-out "
        f"benign requests. Nothing is learned again: {len(VARIANTS) - 1} parts are silenced in "
        "the learned models one by one.\n\n" + _table(head, rows)
    )


def _small(e: Evaluation) -> str:
    groups: dict[tuple[str, float, int, str], list[Any]] = defaultdict(list)
    for point in e.small:
        groups[point.application, point.target, point.size, point.pipeline].append(point)
    rows = []
    for (application, target, size, pipeline), points in groups.items():
        rows.append(
            (
                application, f"{target:.1%}", f"{size:,}", _NAMES[pipeline], str(len(points)),
                _spread([p.attacks for p in points]), _spread([p.benign for p in points]),
            )
        )  # fmt: skip
    rows.sort(key=lambda row: (row[0], row[1], int(row[2].replace(",", "")), row[3]))
    head = ("application", "target", "requests", "", "draws", "attacks blocked",
            "benign blocked")  # fmt: skip
    return (
        "Sessions drawn at random and taken whole, the last one up to the size; the others, and "
        "the attacks, are inspected. Mean over draws, and their range.\n\n" + _table(head, rows)
    )


def _spread(rates: Sequence[Rate]) -> str:
    shares = [rate.share for rate in rates]
    mean = sum(shares) / len(shares)
    return f"{100 * mean:.2f} % ({100 * min(shares):.2f} to {100 * max(shares):.2f})"


def _poison(e: Evaluation) -> str:
    groups: dict[tuple[float, str], list[Any]] = defaultdict(list)
    for point in e.poison:
        groups[point.share, point.pipeline].append(point)
    rows = [
        (
            f"{share:.0%}", f"{sum(p.mixed_in for p in points):,}", _NAMES[pipeline],
            *(shown(_sum(getattr(p, name) for p in points), counts=False)
              for name in ("known", "others", "benign")),
        )
        for (share, pipeline), points in groups.items()
    ]  # fmt: skip
    head = ("share", "mixed in", "", "the attacks mixed in", "other attacks", "benign blocked")
    return (
        "Half of the attacks, repeated, as accepted requests at random places of the sessions "
        "that are learned from. Each attack is held against the models of several folds, so the "
        "intervals are narrower than independent attacks would make them.\n\n" + _table(head, rows)
    )


def _sum(rates: Iterable[Rate]) -> Rate:
    found = list(rates)
    return Rate.of(sum(r.hits for r in found), sum(r.n for r in found))


def _mutations(e: Evaluation) -> str:
    rows = [
        (m.language, _NAMES[m.pipeline], shown(m.before), shown(m.after), f"{100 * m.loss:+.1f}")
        for m in e.mutations
    ]
    head = ("language", "", "rewritten, nothing changed", "mutated", "loss in points")
    return (
        "Attacks of the WordPress corpus, three mutations each of three operators; held against "
        "the same attacks that were only encoded again. Mutations of one attack are alike, so the "
        "intervals are too narrow.\n\n" + _table(head, rows)
    )


def _speed(e: Evaluation) -> str:
    assert e.speed is not None
    s = e.speed
    sizes = ", ".join(f"{name} {size / 1000:,.0f} kB" for name, size in e.model_bytes.items())
    return (
        f"- Scoring a parsed request of {s.fields:.0f} scored fields: {s.us_per_request:.1f} µs "
        "(median)\n"
        f"- Learning {s.learned:,} requests: {s.learn_s:.1f} s; sessions repeated under new names "
        "with new nonces, times and session cookies\n"
        f"- Artifact of all WordPress sessions: {s.model_bytes / 1000:,.0f} kB; of folds: {sizes}\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    # Names come from traffic: nothing in them may end a cell or start markup.
    safe = "".join(c if c.isprintable() and c not in "|`<>&\\" else "·" for c in text[:120])
    return f"`{safe}`"
