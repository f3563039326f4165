"""Run the regression tests of the Core Rule Set against engines, one beside the other.

All stages run at paranoia level 4 with the settings that the tests are written for, as upstream
runs them. A test that an engine fails is no proof of a fault: some tests expect what only one
engine does, and upstream keeps a list of those for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cnaf.evaluation.core_rules import REGRESSION, CoreRules
from cnaf.evaluation.crs_stages import Stage
from cnaf.evaluation.rule_engines import RuleEngine

__all__ = ["Regression", "StageResult", "regression_rules", "run_stages"]

_PARANOIA = 4


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage, and for each engine whether it holds and which rules fired."""

    stage: Stage
    holds: tuple[bool, ...]
    ids: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Regression:
    """The results of all stages that ran, in order; ``left_out`` are the others."""

    engines: tuple[str, ...]
    results: tuple[StageResult, ...]
    left_out: tuple[Stage, ...]

    @property
    def total(self) -> int:
        """Stages that ran."""
        return len(self.results)

    def passed(self, engine: int) -> int:
        """Return how many hold for an engine."""
        return sum(result.holds[engine] for result in self.results)

    @property
    def differing(self) -> tuple[StageResult, ...]:
        """Stages that hold for one engine and not for another."""
        return tuple(r for r in self.results if len(set(r.holds)) > 1)

    def by_file(self) -> dict[str, tuple[list[int], int, int]]:
        """Return for each rule file: passed by each engine, ran, left out."""
        files = sorted({s.file for s in self.left_out} | {r.stage.file for r in self.results})
        found: dict[str, tuple[list[int], int, int]] = {}
        for file in files:
            ran = [r for r in self.results if r.stage.file == file]
            passed = [sum(r.holds[i] for r in ran) for i in range(len(self.engines))]
            found[file] = passed, len(ran), sum(s.file == file for s in self.left_out)
        return found

    def markdown(self) -> str:
        """Return the table by rule file, the stages that fail, and those that were left out."""
        return "\n".join((*self._table(), "", *self._failures(), "", *self._reasons(), ""))

    def _table(self) -> Iterator[str]:
        yield "| rule file | " + " | ".join(self.engines) + " | ran | left out |"
        yield "|---|" + "---:|" * (2 + len(self.engines))
        for file, (passed, ran, left_out) in self.by_file().items():
            yield _row(file, *passed, ran, left_out)
        passed = [self.passed(i) for i in range(len(self.engines))]
        yield _row("all", *passed, self.total, len(self.left_out))

    def _failures(self) -> Iterator[str]:
        yield "| stage | " + " | ".join(self.engines) + " |"
        yield "|---|" + "---|" * len(self.engines)
        for result in self.results:
            if not all(result.holds):
                yield _row(result.stage.name, *("" if held else "fails" for held in result.holds))

    def _reasons(self) -> Iterator[str]:
        by_reason: dict[str, list[str]] = {}
        for stage in self.left_out:
            by_reason.setdefault(stage.left_out, []).append(stage.name)
        for reason, names in sorted(by_reason.items()):
            yield f"- {reason}, {len(names)}: {', '.join(names)}"


def regression_rules(rules: CoreRules) -> CoreRules:
    """Return the same rule set as the tests want it."""
    return CoreRules(rules.folder, _PARANOIA, tuple(REGRESSION.items()))


def run_stages(
    stages: Iterable[Stage],
    engines: Sequence[RuleEngine],
    progress: Callable[[], object] = lambda: None,
) -> Regression:
    """Run every stage against every engine; ``progress`` is called after each stage."""
    results: list[StageResult] = []
    left_out: list[Stage] = []
    for stage in stages:
        if stage.left_out:
            left_out.append(stage)
        else:
            results.append(_result(stage, engines))
        progress()
    return Regression(tuple(e.name for e in engines), tuple(results), tuple(left_out))


def _row(name: str, *cells: int | str) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
    return f"| {name} | {' | '.join(texts)} |"


def _result(stage: Stage, engines: Sequence[RuleEngine]) -> StageResult:
    ids = tuple(engine.evaluate(stage.request).ids for engine in engines)
    logs = [engine.log(stage.request) if stage.reads_log else "" for engine in engines]
    holds = tuple(stage.holds(frozenset(fired), log) for fired, log in zip(ids, logs, strict=True))
    return StageResult(stage, holds, ids)
