"""Observations made by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from cnaf.evaluation.ablation import VARIANTS
from cnaf.evaluation.observations import LOOSE, Observation
from cnaf.models.verdict import Action


def observed(
    data_set: str = "",
    *,
    application: str = "app",
    name: str = "r1",
    key: bytes = b"key",
    attack_class: str = "",
    body: bool = False,
    ambiguous: bool = False,
    action: Action = Action.PASS,
    actions: tuple[Action, ...] = (),
    margin: float = -1.0,
    yardsticks: Mapping[str, float] | None = None,
) -> Observation:
    """An observation of a benign request, or, with a data set, of an attack."""
    return Observation(
        application, data_set, name, "session", key, attack_class, body, ambiguous,
        actions or (action, Action.PASS, action), margin,
        {"regex": 0.0, "allow-list": 0.0, LOOSE: margin, **(yardsticks or {})},
        tuple("GET / query:a" if a is Action.BLOCK else "" for a in actions or (action,) * 3),
        np.full(len(VARIANTS), margin, np.float32),
    )  # fmt: skip
