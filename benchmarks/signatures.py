"""What signatures cost: the engine beside the same rules searched one by one with ``re``.

Both look at the same requests of the recorded WordPress corpus, already parsed. After a warm-up
they take turns; the best round of each counts, for noise only ever adds time. The last line is
one JSON object. Times are in microseconds.

    python benchmarks/signatures.py [--requests 400] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.datasets.corpus import open_corpus
from cnaf.models.exchange import Label
from cnaf.models.parsing import RequestParser
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.rule_files import built_in_rules
from cnaf.signatures.tokenizers import is_injection
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnaf.models.fields import ParsedRequest
    from cnaf.signatures.rule import Pattern, Rule

CORPUS = Path(__file__).parents[1] / "datasets" / "wordpress"
#: The reference is slow; it sees so many requests a round.
REFERENCE_REQUESTS = 40


class OneByOne:
    """Each pattern of each rule, searched in each field that the rule looks at."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule, [_expression(p) for p in rule.patterns]) for rule in rules]

    def match(self, request: ParsedRequest) -> list[str]:
        return [
            rule.id
            for rule, expressions in self._rules
            if any(
                rule.confidence_in(field) is not None
                and any(e.search(field.value) for e in expressions)
                and (rule.syntax is None or is_injection(rule.syntax, field.value))
                for field in request.fields
            )
        ]


def _expression(pattern: Pattern) -> re.Pattern[bytes]:
    start = "^" if pattern.at_start else ""
    end = r"\Z" if pattern.at_end else ""
    text = f"{start}(?:{pattern.body}){end}"
    return re.compile(text.encode("ascii"), re.IGNORECASE | re.DOTALL)


def best(
    match: Callable[[ParsedRequest], object], requests: Sequence[ParsedRequest], rounds: int
) -> float:
    """Return the best round's time for one request, in µs."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for request in requests:
            match(request)
        times.append(time.perf_counter() - start)
    return min(times[1:]) / len(requests) * 1e6


def kilobytes(requests: Sequence[ParsedRequest]) -> float:
    return sum(len(request.buffer) for request in requests) / 1024 / len(requests)


def resident_mb() -> float:
    """Peak resident size of this process; what compiling needs for a moment is in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--requests", type=int, default=400, help="benign requests (400)")
    options.add_argument("--rounds", type=int, default=5, help="rounds that are measured (5)")
    options.add_argument("--seed", type=int, default=1, help="of the choice of requests (1)")
    args = options.parse_args()

    parser = RequestParser()
    benign: list[ParsedRequest] = []
    attacks: list[ParsedRequest] = []
    for exchange in open_corpus([CORPUS]):
        (benign if exchange.label is Label.BENIGN else attacks).append(
            parser.parse(exchange.request)
        )
    random.Random(args.seed).shuffle(benign)
    before = resident_mb()
    start = time.perf_counter()
    engine = SignatureEngine.load()
    load_s = time.perf_counter() - start
    added = resident_mb() - before
    reference = OneByOne(built_in_rules())

    sample = benign[: args.requests]
    silent = [request for request in sample if not engine.match(request)]
    rows = [
        ("benign requests", sample),
        ("benign, 4 KiB and more", [r for r in benign if len(r.buffer) >= 4096][: args.requests]),
        ("attacks", attacks),
    ]
    table = Table(title=f"{len(engine.rules)} rules, best of {args.rounds} rounds")
    for heading in ("requests", "KB", "engine µs", "engine µs/KB", "one by one µs", "ratio"):
        table.add_column(heading, justify="left" if heading == "requests" else "right")
    result: dict[str, float] = {}
    for name, requests in rows:
        few = requests[:REFERENCE_REQUESTS]
        ours, size = best(engine.match, requests, args.rounds), kilobytes(requests)
        ours_few, theirs = best(engine.match, few, args.rounds), best(reference.match, few, 1)
        table.add_row(
            name, f"{size:.2f}", f"{ours:.2f}", f"{ours / size:.2f}", f"{theirs:.0f}",
            f"{theirs / ours_few:.0f}",
        )  # fmt: skip
        result.setdefault("request_us", round(ours, 2))
        result.setdefault("ratio", round(theirs / ours_few, 1))
    quiet = best(engine.match, silent, args.rounds) / kilobytes(silent)
    console = Console()
    console.print(table)
    console.print(f"loaded in {load_s:.2f} s; {added:.1f} MB more at the peak of compiling")
    result |= {
        "silent_us_per_kb": round(quiet, 2),
        "load_s": round(load_s, 2),
        "added_peak_mb": round(added, 1),
        "benign_matched": sum(bool(engine.match(request)) for request in benign) / len(benign),
        "attacks_matched": sum(bool(engine.match(request)) for request in attacks) / len(attacks),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
