"""One learning run: select, lay out, fit, evaluate, pack. Traffic in, artifact and report out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from cnaf.learner.evaluate import reached_rates
from cnaf.learner.fit import FitOptions, Progress, fit
from cnaf.learner.poisoning import outvoted, without_outvoted
from cnaf.learner.report import LearnReport, Source, cover
from cnaf.learner.samples import collect
from cnaf.learner.selection import Selection, select
from cnaf.models.artifact import ArtifactFiles
from cnaf.models.digest import Digest
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange
from cnaf.models.model_codec import TARGET_RATES
from cnaf.models.stored_model import pack_model
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.sets.matching import RequestRules

__all__ = ["Learned", "learn"]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a run made.

    ``held_out`` (float64, one a learned request) are out-of-fold scores, as far as they can block.
    """

    files: ArtifactFiles
    report: LearnReport
    held_out: npt.NDArray[np.float64]


def learn(
    exchanges: Iterable[Exchange],
    source: Source,
    *,
    target_fpr: float,
    created: datetime,
    progress: Progress,
    options: FitOptions | None = None,
    rules: RequestRules | None = None,
) -> Learned:
    """Learn a model from an image's exchanges; equal arguments give equal artifacts.

    The model notes where benign values set off ``rules``, which are registered for the image.
    Raises CorpusError where too little is left to learn from.
    """
    started = time.perf_counter()
    options = options or FitOptions()
    progress("Setting attacks aside", 0, 1)
    selection = select(exchanges, SignatureEngine.load(), rules)
    progress("Setting attacks aside", 1, 1)
    _check(selection, options.folds)
    samples = collect(selection.kept, folds=options.folds, seed=options.seed, marks=selection.marks)
    voted = outvoted(samples, selection.suspects, progress)
    if voted:
        selection = without_outvoted(selection, samples, voted)
        samples = collect(
            selection.kept, folds=options.folds, seed=options.seed, marks=selection.marks
        )
    fitted = fit(samples, options, progress)
    files = pack_model(
        fitted.model,
        subject=Digest.parse(source.subject),
        image=source.image,
        created=created,
        corpus={
            "hash": source.corpus_sha256,
            "exchanges": len(selection.kept),
            "sessions": samples.sessions,
        },
        subject_source=source.subject_source,
    )
    targets = sorted({*TARGET_RATES, target_fpr})
    report = LearnReport(
        source=source,
        created=created.isoformat(timespec="seconds"),
        kept=len(selection.kept),
        labelled=selection.labelled,
        refused=selection.refused,
        set_aside=selection.attacks,
        coverage=cover(fitted.model),
        target_fpr=target_fpr,
        rates=reached_rates(
            fitted.blockable,
            fitted.categories,
            fitted.sessions,
            fitted.folds,
            tuple(category.reference for category in fitted.model.calibration.categories),
            targets,
        ),
        artifact_bytes=files.size,
        seconds=time.perf_counter() - started,
    )
    return Learned(files, report, fitted.blockable)


def _check(selection: Selection, least: int) -> None:
    if len(selection.kept) < least:
        refused = ", ".join(f"{count} with {status}" for status, count in selection.refused.items())
        raise CorpusError(
            f"only {len(selection.kept)} of {selection.seen} requests can be learned from: the app "
            f"refused {refused or 'none'}, {len(selection.attacks)} look like attacks, "
            f"{selection.labelled} are labelled as attacks",
            hint=f"at least {least} accepted requests are needed, better a few hundred; check "
            "that the tests log in and talk to the right path",
        )
