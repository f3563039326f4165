"""A trial: learn from some sessions, and hold the others and the attacks against what came out.

Learned as ``cnaf learn --recorded`` learns, and inspected by the pipeline of the node. A session's
requests, and the attacks that were injected into them, stand on one side together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import numpy.typing as npt
from cnaf.datasets.split import kfold, request_key
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.evaluation.ablation import Variants
from cnaf.evaluation.baselines import AllowList, MetacharacterRegex
from cnaf.evaluation.data_set import DataSet
from cnaf.evaluation.modsecurity import ModSecurity, available
from cnaf.evaluation.observations import LOOSE, LOOSE_FPR, Observation
from cnaf.learner.learn import learn
from cnaf.learner.report import Source
from cnaf.models.exchange import Exchange, Request
from cnaf.models.kernels import SURPRISE_CAP
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer
from cnaf.models.stored_model import unpack_model
from cnaf.models.verdict import Action, Verdict
from cnaf.signatures.engine import SignatureEngine

__all__ = ["Trial", "TrialResult", "inspectors", "learn_model", "run_trial", "split"]

#: Levels of the Core Rule Set that are told.
_PARANOIA = (1, 2)
_EVIDENCE = 2
_NONE: npt.NDArray[np.float32] = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Trial:
    """What to learn from, and what to inspect: benign requests, and attacks by data set."""

    application: str
    train: tuple[Exchange, ...]
    benign: tuple[Exchange, ...]
    attacks: tuple[tuple[str, Exchange], ...] = ()
    ablated: bool = False


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What was observed; ``model_bytes`` is the size of the artifact."""

    observations: tuple[Observation, ...]
    model_bytes: int


def split(data_set: DataSet, folds: int) -> tuple[tuple[tuple[Exchange, ...], ...], ...]:
    """Return (train, benign, attacks) of each fold, by session; one where the publisher split."""
    if data_set.train:
        return ((data_set.train, data_set.benign, data_set.attacks),)
    fold_of = {e.session: kfold(e.session, folds) for e in data_set.benign + data_set.attacks}
    return tuple(
        (
            tuple(e for e in data_set.benign if fold_of[e.session] != fold),
            tuple(e for e in data_set.benign if fold_of[e.session] == fold),
            tuple(e for e in data_set.attacks if fold_of[e.session] == fold),
        )
        for fold in range(folds)
    )


def learn_model(exchanges: Iterable[Exchange], target_fpr: float) -> tuple[RequestModel, int]:
    """Return the model of the exchanges, packed and unpacked, and its artifact's size in bytes."""
    zero = "0" * 64
    source = Source("evaluation", f"sha256:{zero}", "given", zero, 0, 0)
    learned = learn(
        exchanges, source, target_fpr=target_fpr, created=datetime.fromtimestamp(0, UTC),
        progress=lambda _stage, _done, _total: None,
    )  # fmt: skip
    return unpack_model(learned.files).model, learned.files.size


def inspectors(model: RequestModel, target_fpr: float) -> tuple[Inspector, ...]:
    """Return the pipelines in the order of ``PIPELINES``."""
    policy = Policy(target_fpr=target_fpr)
    policies = (replace(policy, signatures=False), replace(policy, model=False), policy)
    return tuple(Inspector(chosen, _engine(), model) for chosen in policies)


@cache
def _engine() -> SignatureEngine:
    """Return this process's engine; compiling its rules takes more than a second."""
    return SignatureEngine.load()


def run_trial(trial: Trial, target_fpr: float) -> TrialResult:
    """Learn, inspect everything, and return what was observed.

    Raises CorpusError where too little is left to learn from.
    """
    model, size = learn_model(trial.train, target_fpr)
    observer = _Observer(trial, model, target_fpr)
    observations = [observer.observe("", exchange) for exchange in trial.benign]
    observations += [observer.observe(name, exchange) for name, exchange in trial.attacks]
    return TrialResult(tuple(observations), size)


class _Observer:
    def __init__(self, trial: Trial, model: RequestModel, target_fpr: float) -> None:
        self._trial = trial
        self._inspectors = inspectors(model, target_fpr)
        self._parser = RequestParser()
        self._scorer = Scorer(model)
        self._thresholds = model.calibration.thresholds(target_fpr)
        self._loose = model.calibration.thresholds(LOOSE_FPR)
        self._variants = Variants(model, trial.train) if trial.ablated else None
        self._yardsticks = _yardsticks(trial.train)
        # Equal requests have equal verdicts, and some publishers repeat them.
        self._known: dict[Request, Observation] = {}

    def observe(self, data_set: str, exchange: Exchange) -> Observation:
        request = exchange.request
        seen = self._known.get(request)
        if seen is None:
            seen = self._known[request] = self._look(request)
        meta = exchange.meta
        return replace(
            seen,
            application=self._trial.application,
            data_set=data_set,
            name=exchange.id,
            session=exchange.session,
            key=_attack_key(request) if data_set else request_key(request),
            attack_class=str(meta.get("class", "")),
            ambiguous=bool(meta.get("ambiguous")),
        )

    def _look(self, request: Request) -> Observation:
        verdicts = [inspector.inspect(request) for inspector in self._inspectors]
        parsed = self._parser.parse(request)
        score = self._scorer.score(parsed)
        blockable = self._scorer.blockable(parsed, score)
        yardsticks = {name: measure(request) for name, measure in self._yardsticks.items()}
        yardsticks[LOOSE] = blockable - self._loose[score.category]
        return Observation(
            application="", data_set="", name="", session="", key=b"", attack_class="",
            ambiguous=False,
            body=parsed.body_bytes > 0,
            actions=tuple(verdict.action for verdict in verdicts),
            # Where nothing is promised there is no threshold; scores still have an order.
            margin=blockable - min(self._thresholds[score.category], SURPRISE_CAP),
            yardsticks=yardsticks,
            why=tuple(_why(verdict) for verdict in verdicts),
            variants=self._variants.scores(parsed) if self._variants else _NONE,
        )  # fmt: skip


def _yardsticks(train: Sequence[Exchange]) -> dict[str, Callable[[Request], float]]:
    found: dict[str, Callable[[Request], float]] = {
        "regex": MetacharacterRegex.learn(train).score,
        "allow-list": AllowList.learn(train).score,
    }
    if available():
        found |= {f"CRS PL{level}": ModSecurity(paranoia=level).score for level in _PARANOIA}
    return found


def _attack_key(request: Request) -> bytes:
    """Attacks in headers differ there alone."""
    headers = [header for header in request.headers if header[0] != b"content-length"]
    return hashlib.sha256(request_key(request) + repr(headers).encode()).digest()


def _why(verdict: Verdict) -> str:
    if verdict.action is not Action.BLOCK:
        return ""
    found = ", ".join(f"{e.field} {e.rule}" for e in verdict.evidence[:_EVIDENCE])
    return f"{verdict.endpoint} {found}".strip()
