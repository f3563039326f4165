"""What rules cost: the Core Rule Set in this engine and in libmodsecurity, and our own rules.

Both engines run in this process on one core and see the same requests in turn, a batch each. Two
sets of requests are measured: the twelve of a WordPress visit that also `bench-dataplane` sends,
and the recorded WordPress corpus. No request comes twice: before a batch, outside of the time that
is taken, each gets fresh digits in cookies, target and body, so that nothing that an engine
remembered of a request helps. Names and values of headers that a browser repeats stay; the figures
``…_all_distinct_us`` are of requests in which no value of a header came before either. The median
batch counts.

The rule set's own tests and a short fuzz run (see `benchmarks/rule_sameness.py`) say whether the
two engines say the same. The last line is one JSON object, times in microseconds a request.

    python benchmarks/signatures.py [--data FOLDER] [--tests PATH]

``CRS4_DIR`` names a folder of the Core Rule Set, else it is Debian's (`crs_version` says which).
``CRS_TESTS`` or ``--tests`` names its regression tests; without them those figures are null.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from cnaf.datasets.corpus import open_corpus
from cnaf.evaluation.core_rules import CoreRules, find_core_rules
from cnaf.evaluation.crs_regression import regression_rules, run_stages
from cnaf.evaluation.crs_stages import read_stages
from cnaf.evaluation.fuzz_seeds import find_seeds
from cnaf.evaluation.fuzzing import Fuzzer
from cnaf.evaluation.rule_comparison import compare
from cnaf.evaluation.rule_engines import LibModSecurity, SecLangEngine
from cnaf.models.errors import CnafError
from cnaf.models.exchange import Label, Request
from cnaf.models.parsing import RequestParser
from cnaf.signatures.engine import SignatureEngine
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CORPUS = Path(__file__).parents[1] / "datasets" / "wordpress"
MIX = Path(__file__).with_name("dataplane") / "mix.jsonl"
#: Requests that an engine sees in a row; caches of the processor are warm after the first few.
BATCH = 48
#: Digits and hexadecimal digits that are no escape; they differ from client to client.
DIGITS = re.compile(rb"(?<![%0-9A-Za-z])[0-9a-f]*[0-9][0-9a-f]*(?![0-9A-Za-z])")
FRAMING = frozenset((b"host", b"content-length", b"content-type", b"content-encoding"))
REPEATED = FRAMING | {b"user-agent", b"accept", b"accept-language", b"accept-encoding"}

console = Console(stderr=True)


class Variants:
    """Endless requests made of some: each is new in its digits and has a cookie of its own."""

    def __init__(self, requests: Sequence[Request], *, headers: bool = False) -> None:
        self._requests = requests
        self._headers = headers
        self._made = 0
        self._draw = random.Random(1)

    def batch(self, size: int = BATCH) -> list[Request]:
        return [self._next() for _ in range(size)]

    def _next(self) -> Request:
        request = self._requests[self._made % len(self._requests)]
        self._made += 1
        headers = []
        for name, value in request.headers:
            if name not in REPEATED:
                headers.append((name, self._fresh(value)))
            elif self._headers and name not in FRAMING:
                headers.append((name, value + b" %d" % self._made))
            else:
                headers.append((name, value))
        if not any(name == b"cookie" for name, _ in headers):
            headers.append((b"cookie", b"visit=%032x" % self._draw.getrandbits(128)))
        return replace(
            request,
            target=self._fresh(request.target),
            headers=tuple(headers),
            body=self._fresh(request.body),
        )

    def _fresh(self, text: bytes) -> bytes:
        def digits(found: re.Match[bytes]) -> bytes:
            if found[0].isdigit():
                return b"".join(b"%d" % self._draw.randrange(1, 10) for _ in found[0])
            return b"%0*x" % (len(found[0]), self._draw.getrandbits(4 * len(found[0])))

        return DIGITS.sub(digits, text)


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds a request, by contestant: the median of the batches; ``ratio`` is of both."""

    us: dict[str, float]
    ratio: float


def race(
    contestants: dict[str, Callable[[Request], object]], variants: Variants, batches: int,
    step: Callable[[], object],
) -> Times:  # fmt: skip
    """Let the contestants take turns, the first batch of each uncounted."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(batches + 1):
        requests = variants.batch()
        for name, look in contestants.items():
            start = time.perf_counter_ns()
            for request in requests:
                look(request)
            taken[name].append((time.perf_counter_ns() - start) / 1000 / len(requests))
        step()
    ours, theirs = taken.values()
    ratio = median(b / a for a, b in zip(ours[1:], theirs[1:], strict=True))
    return Times({name: median(times[1:]) for name, times in taken.items()}, ratio)


def recorded() -> list[Request]:
    """Return the benign requests of the corpus, shuffled."""
    requests = [e.request for e in open_corpus([CORPUS]) if e.label is Label.BENIGN]
    random.Random(1).shuffle(requests)
    return requests


def mix() -> list[Request]:
    return [exchange.request for exchange in open_corpus([MIX])]


def speeds(args: argparse.Namespace, rules: CoreRules, progress: Progress) -> dict[str, object]:
    """Measure both engines at both levels on all sets of requests."""
    requests = {"": mix(), "_wordpress": recorded()}
    found: dict[str, object] = {}
    table = Table(title=f"Core Rule Set {rules.version}, µs a request, median of the batches")
    for heading in ("requests", "level", "cnaf", "libmodsecurity", "ratio"):
        table.add_column(heading, justify="right" if heading not in ("requests",) else "left")
    step = bar(progress, "speed", 2 * 3 * (args.batches + 1))
    for level in (1, 2):
        at_level = replace(rules, paranoia=level)
        contestants = {
            "crs": SecLangEngine(at_level).inspect,
            "libmodsecurity": LibModSecurity(at_level).inspect,
        }
        for name, variants in (
            ("", Variants(requests[""])),
            ("_wordpress", Variants(requests["_wordpress"])),
            ("_all_distinct", Variants(requests[""], headers=True)),
        ):
            times = race(contestants, variants, args.batches, step)
            for engine, us in times.us.items():
                found[f"{engine}_pl{level}{name}_us"] = round(us, 1)
            found[f"ratio_pl{level}{name}"] = round(times.ratio, 1)
            us = times.us
            table.add_row(
                {"": "mix", "_wordpress": "WordPress", "_all_distinct": "mix, all distinct"}[name],
                str(level), f"{us['crs']:.1f}", f"{us['libmodsecurity']:.1f}", f"{times.ratio:.1f}",
            )  # fmt: skip
    console.print(table)
    return found


def own_rules(args: argparse.Namespace) -> dict[str, object]:
    """Measure our own rules on parsed requests: the pipeline parses once for rules and model."""
    engine, parser = SignatureEngine.load(), RequestParser()
    found: dict[str, object] = {}
    for name, requests in (("own_us", mix()), ("own_wordpress_us", recorded())):
        variants = Variants(requests)
        times = []
        for _ in range(args.batches + 1):
            parsed = [parser.parse(request) for request in variants.batch()]
            start = time.perf_counter_ns()
            for one in parsed:
                engine.match(one)
            times.append((time.perf_counter_ns() - start) / 1000 / len(parsed))
        found[name] = round(median(times[1:]), 1)
    return found


def worker_figures(rules: CoreRules) -> dict[str, object]:
    """Load twice in fresh processes: the first may compile, the second reads the cache."""
    argv = [sys.executable, __file__, "--probe", str(rules.folder)]
    for _ in range(2):
        output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    figures: dict[str, object] = json.loads(output.splitlines()[-1])
    return figures


def probe(folder: Path) -> None:
    """Print what a worker takes to load the rule set, and its memory after some requests."""
    base = resident_mb()
    start = time.perf_counter()
    engine = SecLangEngine(CoreRules(folder))
    load_ms = (time.perf_counter() - start) * 1000
    for request in Variants(mix()).batch(240):
        engine.inspect(request)
    figures = {
        "load_ms": round(load_ms),
        "rss_mb": round(resident_mb(), 1),
        "rss_added_mb": round(resident_mb() - base, 1),
    }
    print(json.dumps(figures))


def resident_mb() -> float:
    """Return the memory that this process has now, not its peak."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def sameness(args: argparse.Namespace, rules: CoreRules, progress: Progress) -> dict[str, object]:
    found: dict[str, object] = dict.fromkeys(
        ("regression_passed", "regression_passed_libmodsecurity", "regression_total")
    )
    if args.tests is None:
        console.print("no regression tests: CRS_TESTS or --tests names their folder or archive")
    else:
        stages = read_stages(args.tests)
        tested = regression_rules(rules)
        engines = (SecLangEngine(tested), LibModSecurity(tested))
        result = run_stages(stages, engines, bar(progress, "regression tests", len(stages)))
        found["regression_passed"] = result.passed(0)
        found["regression_passed_libmodsecurity"] = result.passed(1)
        found["regression_total"] = result.total
        left_out = Counter(stage.left_out for stage in result.left_out)
        for reason, count in left_out.items():
            console.print(f"{count} regression tests left out: {reason}")
    fuzzer = Fuzzer(find_seeds(args.data), args.seed)
    requests = map(fuzzer.request, range(args.requests))
    step = bar(progress, "fuzzing", args.requests)
    compared = compare(
        requests, SecLangEngine(rules), LibModSecurity(rules), shrinks=False, progress=step
    )
    for difference in compared.differences[:10]:
        rule = difference.rule or "score"
        console.print(f"{rule} only in {difference.only_in}: {difference.count} requests")
    found["differences"] = compared.differing
    found["compared"] = compared.requests
    return found


def bar(progress: Progress, name: str, total: int) -> Callable[[], object]:
    task = progress.add_task(name, total=total)
    return lambda: progress.advance(task)


def main() -> None:
    args = arguments()
    if args.probe:
        probe(args.probe)
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        rules = find_core_rules()
        console.print(f"Core Rule Set {rules.version} of {rules.folder}")
        with Progress(console=console) as progress:
            result = {
                "crs_version": rules.version, **speeds(args, rules, progress), **own_rules(args),
                **worker_figures(rules), **sameness(args, rules, progress),
            }  # fmt: skip
    except CnafError as error:
        sys.exit(str(error))
    print(json.dumps(result))


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--batches", type=int, default=25, help=f"of {BATCH} requests (25)")
    options.add_argument("--requests", type=int, default=5_000, help="of the fuzz run (5,000)")
    options.add_argument("--seed", type=int, default=1, help="of the fuzz run (1)")
    options.add_argument("--data", type=Path, help="folder of data sets to make requests of")
    options.add_argument("--tests", type=Path, help="the rule set's regression tests")
    options.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.tests is None and os.environ.get("CRS_TESTS"):
        args.tests = Path(os.environ["CRS_TESTS"])
    return args


if __name__ == "__main__":
    main()
