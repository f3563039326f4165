"""ModSecurity with the OWASP Core Rule Set, in this process, as the yardstick beside CNAF.

Needs the optional package ``libmodsecurity`` and a folder of the Core Rule Set, version 3 or 4.
Rules for answers are left out, and so is IP reputation, which says nothing about a request. No
set-up file is read: scores and thresholds are the rule set's own defaults.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.models.errors import InputError

if TYPE_CHECKING:
    from cnaf.models.exchange import Request

__all__ = ["BLOCKING_SCORE", "DEBIAN_CRS", "ModSecurity", "available"]

#: Where Debian's package modsecurity-crs puts the rule set.
DEBIAN_CRS = Path("/usr/share/modsecurity-crs")
#: The rule set's default threshold for requests: one critical rule.
BLOCKING_SCORE = 5

_PACKAGE = "libmodsecurity"
_HINT = f"pip install {_PACKAGE}, and the Core Rule Set (Debian: apt install modsecurity-crs)"
#: Sums up scores and refuses the request: its own decision would come as a yes or no.
_LEFT_OUT = ("REQUEST-910-", "REQUEST-949-")
#: What the recommended configuration of ModSecurity sets; the largest body is that of its example.
_ENGINE = """
SecRuleEngine On
SecAuditEngine Off
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 13107200
SecResponseBodyAccess Off
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecDefaultAction "phase:1,nolog,pass"
SecDefaultAction "phase:2,nolog,pass"
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \
  "id:1,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+\\+)?json" \
  "id:2,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:3,phase:1,pass,nolog,t:none,setvar:tx.crs_setup_version=400,\
  setvar:tx.paranoia_level={level},setvar:tx.blocking_paranoia_level={level}"
"""
#: The score leaves the engine as the address of a redirect: messages of rules hold excerpts of
#: the request, which the binding cannot hand over where they are not UTF-8.
_REPORT = """
SecAction "id:4,phase:2,pass,nolog,t:none,setvar:tx.total=0{sums}"
SecAction "id:5,phase:2,redirect:'%{{tx.total}}',status:302,nolog,t:none"
"""


def available(crs: Path = DEBIAN_CRS) -> bool:
    """Whether the binding is installed and ``crs`` holds rules for requests."""
    return importlib.util.find_spec(_PACKAGE) is not None and bool(_rule_files(crs))


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
        import libmodsecurity  # noqa: PLC0415 - optional

        files = _rule_files(crs)
        sums = "".join(
            f",setvar:tx.total=+%{{tx.{name}_pl{level}}}"
            for name in _score_variables(files)
            for level in range(1, paranoia + 1)
        )
        self._engine = libmodsecurity.ModSecurity()
        # Unset, the engine writes each match to the standard error stream.
        self._engine.set_log_callback(_discard)
        self._rules = libmodsecurity.RulesSet()
        self._check(self._rules.load(_ENGINE.format(level=paranoia)), "the configuration")
        for file in files:
            self._check(self._rules.load_from_uri(str(file)), str(file))
        self._check(self._rules.load(_REPORT.format(sums=sums)), "the report")

    def score(self, request: Request) -> float:
        """Return the inbound anomaly score, a whole number from 0; higher is more anomalous."""
        with self._engine.transaction(self._rules) as transaction:
            transaction.process_connection("127.0.0.1", 50000, "127.0.0.1", 80)
            # The binding's annotations say text; it takes bytes, too, and leaves them as they are.
            transaction.process_uri(request.target, request.method, request.version)  # type: ignore[arg-type]
            for name, value in request.headers:
                transaction.add_request_header(name, value)  # type: ignore[arg-type]
            transaction.process_request_headers()
            if request.body:
                transaction.append_request_body(request.body)
            transaction.process_request_body()
            decision = transaction.intervention()
        url = decision.url if decision is not None and decision.url else ""
        # Without our redirect some other rule refused the request before the sum was made.
        return float(url) if url.isdigit() else float(BLOCKING_SCORE)

    def blocks(self, request: Request) -> bool:
        """Whether the rule set's default threshold is reached."""
        return self.score(request) >= BLOCKING_SCORE

    def _check(self, loaded: int, what: str) -> None:
        if loaded < 0:
            reason = self._rules.get_parser_error().strip()
            hint = "use a released Core Rule Set, version 3.3 or 4"
            raise InputError(f"ModSecurity cannot load {what}: {reason}", hint=hint)


def _rule_files(crs: Path) -> list[Path]:
    return [
        file
        for file in sorted((crs / "rules").glob("REQUEST-*.conf"))
        if not file.name.startswith(_LEFT_OUT)
    ]


def _score_variables(files: list[Path]) -> tuple[str, ...]:
    """Version 4 renamed the sums of the levels; a name that is not set would add nothing sound."""
    start = next((f for f in files if f.name.startswith("REQUEST-901-")), None)
    text = start.read_text("utf-8", "replace") if start else ""
    return ("inbound_anomaly_score",) if "inbound_anomaly_score_pl1" in text else ("anomaly_score",)


def _discard(_message: str) -> None:
    """Messages of rules hold excerpts of requests, which belong into no log."""
