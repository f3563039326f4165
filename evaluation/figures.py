"""An evaluation as plain JSON values: every figure, and the few that a build compares."""

from __future__ import annotations

from typing import Any

from cnaf.evaluation.observations import Rate
from cnaf.evaluation.results import ABLATION_TARGETS, DetectorRow, SetResult
from cnaf.evaluation.runner import Evaluation

__all__ = ["evaluation_to_dict", "summary"]


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures that a build compares: by data set, for model alone and product.

    Rates are over distinct requests; those over all are beside them as ``fpr_all``, and over all
    with a body as ``fpr_body``.
    """
    found: dict[str, Any] = {
        result.data_set: {name: _brief(result.row(name)) for name in ("model", "product")}
        for result in evaluation.results
    }
    speed = evaluation.speed
    return {
        "data_sets": found,
        "us_per_request": speed and speed.us_per_request,
        "learn_100k_s": speed and speed.learn_s * 100_000 / speed.learned,
        "model_bytes": speed.model_bytes
        if speed
        else max(evaluation.model_bytes.values(), default=None),
    }


def _brief(row: DetectorRow) -> dict[str, float | int | None]:
    return {
        "tpr": _share(row.attacks.distinct),
        "fpr": _share(row.benign.distinct),
        "n_attack": row.attacks.distinct.n,
        "n_benign": row.benign.distinct.n,
        "fpr_all": _share(row.benign.requests),
        "n_benign_all": row.benign.requests.n,
        "fpr_body": _share(row.bodies.requests),
        "n_body": row.bodies.requests.n,
    }


def evaluation_to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return every figure with its count and interval as plain JSON values."""
    return {
        "target_fpr": evaluation.target_fpr,
        "folds": evaluation.folds,
        "quick": evaluation.quick,
        "missing": list(evaluation.missing),
        "left_out": {name: dict(counts) for name, counts in evaluation.left_out.items()},
        "data_sets": [_result_dict(result) for result in evaluation.results],
        "ablation": [
            {"left_out": row.part,
             "found": {str(target): _rate(rate)
                       for target, rate in zip(ABLATION_TARGETS, row.found, strict=True)}}
            for row in evaluation.ablation
        ],
        "small_corpora": [
            {"application": p.application, "size": p.size, "draw": p.draw, "target": p.target,
             "pipeline": p.pipeline, "attacks": _rate(p.attacks),
             "benign": _rate(p.benign)}
            for p in evaluation.small
        ],
        "poisoning": [
            {"share": p.share, "mixed_in": p.mixed_in, "fold": p.fold, "pipeline": p.pipeline,
             "known_attacks": _rate(p.known), "other_attacks": _rate(p.others),
             "benign": _rate(p.benign)}
            for p in evaluation.poison
        ],
        "mutations": [
            {"language": m.language, "pipeline": m.pipeline, "before": _rate(m.before),
             "after": _rate(m.after), "loss": m.loss}
            for m in evaluation.mutations
        ],
        **{key: value for key, value in summary(evaluation).items() if key != "data_sets"},
    }  # fmt: skip


def _result_dict(result: SetResult) -> dict[str, Any]:
    return {
        "application": result.application,
        "data_set": result.data_set,
        "ambiguous": result.ambiguous,
        "detectors": {
            row.detector: {
                name: {"all": _rate(rates.requests), "distinct": _rate(rates.distinct)}
                for name, rates in (
                    ("attacks", row.attacks), ("benign", row.benign), ("with_body", row.bodies),
                    ("alerted_attacks", row.alerted), ("alerted_benign", row.benign_alerted),
                )
                if rates is not None
            }
            for row in result.rows
        },
        "failures": {
            pipeline: {
                "missed": {name: {"missed": m, "n": n} for name, (m, n) in failed.missed.items()},
                "examples": list(failed.examples),
                "blocked": dict(failed.blocked),
            }
            for pipeline, failed in result.failures.items()
        },
    }  # fmt: skip


def _share(rate: Rate) -> float | None:
    return rate.share if rate.n else None


def _rate(rate: Rate) -> dict[str, float | int | None]:
    return {
        "hits": rate.hits,
        "n": rate.n,
        "rate": _share(rate),
        "low": rate.low,
        "high": rate.high,
    }
