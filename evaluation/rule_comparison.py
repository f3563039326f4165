"""Hold two engines against each other on many requests, and say where they differ.

Requests may differ in which rules fire, or, where those are the same, in the score. Differences are
grouped by rule and by the engine in which it fires alone; each group has its count, and one example
that was made as small as it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cnaf.evaluation.rule_engines import Outcome, RuleEngine
from cnaf.evaluation.shrinking import shrink
from cnaf.models.exchange import Request

__all__ = ["SCORE", "Comparison", "Difference", "compare", "request_text"]

#: Stands for a rule where the same rules fire and the scores differ.
SCORE = 0
#: Rules that only sum up what others found: they differ because another one does.
_SUMS = ("949", "980")
#: Bytes of an example in a table.
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule that fires in one engine alone (``only_in`` is its name), or a score that differs.

    ``count`` requests show it, ``numbers`` are the first of them; ``example`` is the first, shrunk,
    with what both engines say about it.
    """

    rule: int
    only_in: str
    count: int
    numbers: tuple[int, ...]
    example: Request
    outcomes: tuple[Outcome, Outcome]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences, the most frequent first; ``differing`` requests show at least one."""

    engines: tuple[str, str]
    requests: int
    differing: int
    fired: int
    differences: tuple[Difference, ...]

    def as_json(self) -> dict[str, object]:
        """Return plain values; bytes as Latin-1."""
        return {
            "engines": list(self.engines),
            "requests": self.requests,
            "differing_requests": self.differing,
            "rules_fired": self.fired,
            "differences": [
                {
                    "rule": d.rule or "score", "only_in": d.only_in, "count": d.count,
                    "requests": list(d.numbers),
                    "ids": [list(o.ids) for o in d.outcomes],
                    "scores": [list(o.scores) for o in d.outcomes],
                    "example": _plain(d.example),
                }
                for d in self.differences
            ],
        }  # fmt: skip

    def markdown(self) -> str:
        """Return a table of the differences."""
        first, second = self.engines
        lines = [
            f"{first} and {second} on {self.requests:,} requests ({self.fired:,} rules fired): "
            f"{self.differing:,} differ.",
            "",
            f"| rule | only in | requests | scores in {first} and {second} | smallest example |",
            "|---|---|---:|---|---|",
        ]
        for d in self.differences:
            scores = " and ".join(str(o.scores) for o in d.outcomes)
            text = request_text(d.example)[:_SHOWN].replace("|", "\\|").replace("`", "'")
            cells = (str(d.rule or "score"), d.only_in, f"{d.count:,}", scores, f"`{text}`")
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def compare(
    requests: Iterable[Request],
    first: RuleEngine,
    second: RuleEngine,
    *,
    shrinks: bool = True,
    progress: Callable[[], object] = lambda: None,
) -> Comparison:
    """Evaluate every request in both engines; ``progress`` is called after each."""
    found: dict[tuple[int, str], list[tuple[int, Request]]] = {}
    total = differing = fired = 0
    for total, request in enumerate(requests, start=1):
        outcomes = first.evaluate(request), second.evaluate(request)
        fired += len(outcomes[0].ids)
        if outcomes[0] != outcomes[1]:
            differing += 1
            for key in _keys(outcomes, first.name, second.name):
                found.setdefault(key, []).append((total - 1, request))
        progress()
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    differences = tuple(
        _difference(key, shown, first, second, shrinks=shrinks) for key, shown in ranked
    )
    return Comparison((first.name, second.name), total, differing, fired, differences)


def request_text(request: Request) -> str:
    """Return a request on one line, with escapes for what does not print."""
    headers = b"".join(b"\n" + name + b": " + value for name, value in request.headers)
    line = request.method.encode() + b" " + request.target + b" " + request.version.encode()
    body = b"\n\n" + request.body if request.body else b""
    text = (line + headers + body).decode("latin-1")
    return "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in text)


def _keys(outcomes: tuple[Outcome, Outcome], first: str, second: str) -> Iterator[tuple[int, str]]:
    a, b = set(outcomes[0].ids), set(outcomes[1].ids)
    causes = {rule for rule in a ^ b if not str(rule).startswith(_SUMS)} or a ^ b
    for rule in sorted(causes):
        yield rule, first if rule in a else second
    if not causes:
        yield SCORE, "both"


def _difference(
    key: tuple[int, str],
    shown: list[tuple[int, Request]],
    first: RuleEngine,
    second: RuleEngine,
    *,
    shrinks: bool,
) -> Difference:
    def shows(request: Request) -> bool:
        outcomes = first.evaluate(request), second.evaluate(request)
        return outcomes[0] != outcomes[1] and key in _keys(outcomes, first.name, second.name)

    example = min((request for _, request in shown), key=_size)
    if shrinks:
        example = shrink(example, shows)
    outcomes = first.evaluate(example), second.evaluate(example)
    numbers = tuple(number for number, _ in shown[:10])
    return Difference(*key, len(shown), numbers, example, outcomes)


def _size(request: Request) -> int:
    headers = sum(len(name) + len(value) for name, value in request.headers)
    return len(request.target) + len(request.body) + headers


def _plain(request: Request) -> dict[str, object]:
    return {
        "method": request.method, "target": request.target.decode("latin-1"),
        "version": request.version,
        "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers],
        "body": request.body.decode("latin-1"),
    }  # fmt: skip
