"""A whole evaluation: what to run, in two processes, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cnaf.evaluation.data_set import Kind
from cnaf.evaluation.experiments import (
    POISONED,
    SIZES,
    PoisonPoint,
    SmallPoint,
    poisoned,
    small_corpus,
)
from cnaf.evaluation.observations import PIPELINES, Observation, Rate, blocked_by, rates
from cnaf.evaluation.plan import MUTATED, REWRITTEN, Plan, make_plan
from cnaf.evaluation.results import (
    AblationRow,
    Curve,
    SetResult,
    ablation_rows,
    curves,
    set_results,
)
from cnaf.evaluation.sources import CURVES, Part, find_sources
from cnaf.evaluation.speed import Speed, measure_speed
from cnaf.evaluation.trials import TrialResult, run_trial, split
from joblib import Parallel, delayed

__all__ = ["Evaluation", "MutationRow", "Options", "evaluate"]

Progress = Callable[[str, int, int], None]

_POISON_FOLDS = 2
_QUICK_SIZES = {200: 1, 1_000: 1}
_LEARNED, _LEARNED_QUICK = 100_000, 20_000


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and on what; see ``cnaf evaluate --help``. ``only`` empty is everything.

    ``quick`` takes the first fold, one draw, and less to learn for the speed. ``processes`` 1 runs
    everything in this one.
    """

    data: Path | None = None
    wordpress: Path | None = None
    attacks: Path | None = None
    only: frozenset[Part] = frozenset()
    quick: bool = False
    folds: int = 5
    target_fpr: float = 0.001
    processes: int = 2


@dataclass(frozen=True, slots=True)
class MutationRow:
    """Attacks of one language, rewritten with nothing changed and mutated, before a pipeline."""

    language: str
    pipeline: str
    before: Rate
    after: Rate

    @property
    def loss(self) -> float:
        """Share that was found before, less the share that was found after."""
        return self.before.share - self.after.share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures. ``observations`` are of what ``results`` counts."""

    target_fpr: float
    folds: int
    quick: bool
    missing: tuple[str, ...]
    left_out: Mapping[str, Mapping[str, int]]
    results: tuple[SetResult, ...]
    curves: tuple[Curve, ...]
    ablation: tuple[AblationRow, ...]
    small: tuple[SmallPoint, ...]
    poison: tuple[PoisonPoint, ...]
    mutations: tuple[MutationRow, ...]
    speed: Speed | None
    model_bytes: Mapping[str, int]
    observations: tuple[Observation, ...]


def evaluate(options: Options, progress: Progress) -> Evaluation:
    """Run an evaluation.

    Raises InputError where nothing is found to run on, CorpusError where a data set is not in its
    publisher's form or too small to learn from.
    """
    parts = options.only or frozenset(Part)
    progress("Reading data sets", 0, 1)
    sources = find_sources(options.data, options.wordpress, options.attacks, parts)
    plan = make_plan(sources, parts, folds=options.folds, quick=options.quick)
    progress("Reading data sets", 1, 1)
    jobs = [*_trials(plan, options), *_small(plan, parts, options), *_poison(plan, parts, options)]
    done = _run(jobs, options.processes, progress)
    order = list(dict.fromkeys(trial.application for trial in plan.trials))
    trials = sorted(
        (result for result in done if isinstance(result, TrialResult)),
        key=lambda trial: order.index(_application(trial)),
    )
    observations = [o for trial in trials for o in trial.observations]
    sizes = {_application(trial): trial.model_bytes for trial in trials}
    counted = [o for o in observations if o.data_set not in (REWRITTEN, MUTATED)]
    name = plan.data_sets[Part.WORDPRESS].name if Part.WORDPRESS in plan.data_sets else ""
    benign = [o for o in counted if o.application == name and not o.data_set]
    attacks = [o for o in counted if o.application == name and o.data_set == name]
    speed = None
    if Part.SPEED in parts and name:
        progress("Measuring speed", 0, 1)
        count = _LEARNED_QUICK if options.quick else _LEARNED
        speed = measure_speed(plan.data_sets[Part.WORDPRESS].benign, count, options.target_fpr)
        progress("Measuring speed", 1, 1)
    return Evaluation(
        target_fpr=options.target_fpr,
        folds=options.folds,
        quick=options.quick,
        missing=sources.missing,
        left_out=plan.left_out,
        results=set_results(counted, options.target_fpr),
        curves=curves(counted),
        ablation=ablation_rows(benign, attacks) if attacks and Part.ABLATION in parts else (),
        small=tuple(p for points in done if _is(points, SmallPoint) for p in points),
        poison=tuple(p for points in done if _is(points, PoisonPoint) for p in points),
        mutations=_mutations(observations),
        speed=speed,
        model_bytes=sizes,
        observations=tuple(counted),
    )


_Job = tuple[str, Callable[[], Any]]


def _run(jobs: Sequence[_Job], processes: int, progress: Progress) -> list[Any]:
    """Run the jobs, two at a time; results in the order of the jobs."""
    totals = {stage: sum(s == stage for s, _ in jobs) for stage, _ in jobs}
    finished = dict.fromkeys(totals, 0)
    for stage, total in totals.items():
        progress(stage, 0, total)
    found: list[Any] = [None] * len(jobs)
    parallel = Parallel(n_jobs=processes, return_as="generator_unordered")
    for at, result in parallel(delayed(_numbered)(at, run) for at, (_, run) in enumerate(jobs)):
        found[at] = result
        stage = jobs[at][0]
        finished[stage] += 1
        progress(stage, finished[stage], totals[stage])
    return found


def _numbered(at: int, run: Callable[[], Any]) -> tuple[int, Any]:
    return at, run()


def _trials(plan: Plan, options: Options) -> Iterator[_Job]:
    # The largest first, so that no process waits for it at the end.
    for trial in sorted(plan.trials, key=lambda t: -len(t.benign) - len(t.attacks)):
        yield "Learning and inspecting", partial(run_trial, trial, options.target_fpr)


def _small(plan: Plan, parts: frozenset[Part], options: Options) -> Iterator[_Job]:
    if Part.SMALL_CORPORA not in parts:
        return
    for part in CURVES:
        data_set = plan.data_sets.get(part)
        if data_set is None or not data_set.attacks:
            continue
        attacks = [e for e in data_set.attacks_of(Kind.ATTACK) if not e.meta.get("ambiguous")]
        for size, draws in (_QUICK_SIZES if options.quick else SIZES).items():
            for draw in range(draws):
                yield "Learning small corpora", partial(
                    small_corpus, data_set.name, data_set.train or data_set.benign, attacks,
                    size, draw, held_out=data_set.benign if data_set.train else (),
                )  # fmt: skip


def _poison(plan: Plan, parts: frozenset[Part], options: Options) -> Iterator[_Job]:
    data_set = plan.data_sets.get(Part.WORDPRESS)
    if Part.POISONING not in parts or data_set is None or not data_set.attacks:
        return
    attacks = [e for e in data_set.attacks if not e.meta.get("ambiguous")]
    splits = split(data_set, options.folds)[: 1 if options.quick else _POISON_FOLDS]
    for fold, (train, benign, _) in enumerate(splits):
        for share in POISONED:
            yield (
                "Learning with attacks",
                partial(poisoned, train, benign, attacks, share, fold, options.target_fpr),
            )


def _mutations(observations: Sequence[Observation]) -> tuple[MutationRow, ...]:
    languages = sorted({o.attack_class for o in observations if o.data_set == MUTATED})
    rows = []
    for language in languages:
        of = [o for o in observations if o.attack_class == language]
        before = [o for o in of if o.data_set == REWRITTEN]
        after = [o for o in of if o.data_set == MUTATED]
        for pipeline in PIPELINES:
            shares = (rates(group, blocked_by(pipeline)).requests for group in (before, after))
            rows.append(MutationRow(language, pipeline, *shares))
    return tuple(rows)


def _application(trial: TrialResult) -> str:
    return trial.observations[0].application


def _is(points: object, kind: type) -> bool:
    return isinstance(points, tuple) and bool(points) and isinstance(points[0], kind)
