"""Whether the rule engine says what libmodsecurity says: the rule set's own tests, then fuzzing.

First every regression test of the Core Rule Set runs in both engines; then they look at the same
requests, made of recorded and published ones, attack strings and mutations (seeded: the same
options make the same requests). Tables and JSON go into the output folder; the last line is one
JSON object. Exits with 1 where libmodsecurity passes more regression tests.

    python benchmarks/rule_sameness.py --data FOLDER [--requests 50000] [--paranoia 1 2 4]

``CRS4_DIR`` names a folder of the Core Rule Set, else it is Debian's. ``--data`` holds the
published data sets, among them ``crs_tests``; what is missing is said. ``--without RULE`` holds
libmodsecurity against itself less one rule: it shows that what differs is found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.evaluation.core_rules import CoreRules, find_core_rules
from cnaf.evaluation.crs_regression import Regression, regression_rules, run_stages
from cnaf.evaluation.crs_stages import read_stages
from cnaf.evaluation.fuzz_seeds import find_seeds
from cnaf.evaluation.fuzzing import Fuzzer
from cnaf.evaluation.rule_comparison import Comparison, compare
from cnaf.evaluation.rule_engines import LibModSecurity, RuleEngine, SecLangEngine
from cnaf.models.errors import CnafError
from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

console = Console(stderr=True)


def main() -> None:
    args = _arguments()
    try:
        rules = find_core_rules()
        console.print(f"Core Rule Set {rules.version} of {rules.folder}")
        result: dict[str, object] = {"crs_version": rules.version}
        with Progress(console=console) as progress:
            regression = _regression(args, rules, progress)
            comparisons = _comparisons(args, rules, progress)
    except CnafError as error:
        sys.exit(str(error))
    args.output.mkdir(parents=True, exist_ok=True)
    if regression is not None:
        (args.output / "regression.md").write_text(regression.markdown(), "utf-8")
        result["regression"] = dict(
            zip(regression.engines, map(regression.passed, range(2)), strict=True)
        )
        result["regression_total"] = regression.total
        result["regression_differing"] = [r.stage.name for r in regression.differing]
    for level, comparison in comparisons.items():
        stem = f"differences-{rules.version}-pl{level}"
        (args.output / f"{stem}.md").write_text(comparison.markdown(), "utf-8")
        (args.output / f"{stem}.json").write_text(json.dumps(comparison.as_json(), indent=1))
    result["requests"] = {level: c.requests for level, c in comparisons.items()}
    result["differing"] = {level: c.differing for level, c in comparisons.items()}
    console.print(f"tables and examples: {args.output}")
    print(json.dumps(result))
    sys.exit(int(regression is not None and regression.passed(0) > regression.passed(1)))


def _engines(args: argparse.Namespace, rules: CoreRules) -> tuple[RuleEngine, RuleEngine]:
    yardstick = LibModSecurity(rules)
    if args.without:
        less = LibModSecurity(replace(rules, removed=(args.without,)))
        less.name = f"without {args.without}"
        return yardstick, less
    return yardstick, SecLangEngine(rules)


def _regression(
    args: argparse.Namespace, rules: CoreRules, progress: Progress
) -> Regression | None:
    if args.tests is None:
        console.print("no regression tests: --tests or CRS_TESTS names their folder or archive")
        return None
    stages = read_stages(args.tests)
    engines = _engines(args, regression_rules(rules))
    step = _bar(progress, "regression tests", len(stages))
    return run_stages(stages, engines, step)


def _comparisons(
    args: argparse.Namespace, rules: CoreRules, progress: Progress
) -> dict[int, Comparison]:
    if not args.requests:
        return {}
    fuzzer = Fuzzer(find_seeds(args.data), args.seed)
    found = {}
    for level in args.paranoia:
        first, second = _engines(args, replace(rules, paranoia=level))
        numbers = range(args.first, args.first + args.requests)
        step = _bar(progress, f"requests, paranoia level {level}", len(numbers))
        requests = map(fuzzer.request, numbers)
        found[level] = compare(
            requests, first, second, shrinks=not args.no_shrinking, progress=step
        )
    return found


def _bar(progress: Progress, name: str, total: int) -> Callable[[], object]:
    task = progress.add_task(name, total=total)
    return lambda: progress.advance(task)


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--data", type=Path, help="folder of the data sets")
    options.add_argument(
        "--tests", type=Path, help="regression tests; else CRS_TESTS, else in --data"
    )
    options.add_argument("--requests", type=int, default=50_000, help="0: only the tests (50,000)")
    options.add_argument("--first", type=int, default=0, help="number of the first request (0)")
    options.add_argument("--seed", type=int, default=1, help="(1)")
    options.add_argument("--paranoia", type=int, nargs="+", choices=range(1, 5), default=[1, 2])
    options.add_argument("--without", type=int, help="libmodsecurity against itself less a rule")
    options.add_argument("--no-shrinking", action="store_true", help="examples as they came")
    output = Path("build/sameness")
    options.add_argument("--output", type=Path, default=output, help="(build/sameness)")
    args = options.parse_args()
    if args.tests is None and os.environ.get("CRS_TESTS"):
        args.tests = Path(os.environ["CRS_TESTS"])
    if args.tests is None and args.data is not None:
        names = ("crs_tests", "crs_tests.tar.xz")
        args.tests = next((p for name in names if (p := args.data / name).exists()), None)
    return args


if __name__ == "__main__":
    main()
