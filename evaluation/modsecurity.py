"""ModSecurity with the OWASP Core Rule Set, in this process, as the yardstick beside CNAF.

Needs the optional package ``libmodsecurity`` and a folder of the Core Rule Set, version 3 or 4.
Scores and thresholds are the rule set's own defaults; nothing else refuses a request.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.evaluation.core_rules import DEBIAN_CRS, CoreRules
from cnaf.evaluation.rule_engines import LibModSecurity
from cnaf.models.errors import InputError

if TYPE_CHECKING:
    from cnaf.models.exchange import Request

__all__ = ["BLOCKING_SCORE", "DEBIAN_CRS", "ModSecurity", "available"]

#: The rule set's default threshold for requests: one critical rule.
BLOCKING_SCORE = 5

_PACKAGE = "libmodsecurity"
_HINT = f"pip install {_PACKAGE}, and the Core Rule Set (Debian: apt install modsecurity-crs)"


def available(crs: Path = DEBIAN_CRS) -> bool:
    """Whether the binding is installed and ``crs`` holds rules for requests."""
    installed = importlib.util.find_spec(_PACKAGE) is not None
    return installed and any((crs / "rules").glob("REQUEST-*.conf"))


class ModSecurity:
    """One engine with its rules, loaded once (some 30 ms). Not thread-safe.

    Parameters
    ----------
    crs:
        Folder of the Core Rule Set, the one that holds ``rules/``.
    paranoia:
        Paranoia level, 1 (the rule set's default) to 4.

    Raises InputError where the binding or the rules are missing, or a rule cannot be loaded.
    """

    def __init__(self, crs: Path = DEBIAN_CRS, paranoia: int = 1) -> None:
        if not 1 <= paranoia <= 4:
            raise ValueError(f"paranoia level {paranoia} is not 1 to 4")
        if not available(crs):
            raise InputError(f"no ModSecurity with the rule set of {crs}", hint=_HINT)
        self._engine = LibModSecurity(CoreRules(crs, paranoia))

    def score(self, request: Request) -> float:
        """Return the inbound anomaly score, a whole number from 0; higher is more anomalous."""
        return float(self._engine.evaluate(request).scores[1])

    def blocks(self, request: Request) -> bool:
        """Whether the rule set's default threshold is reached."""
        return self.score(request) >= BLOCKING_SCORE
