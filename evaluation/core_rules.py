"""One configuration of the OWASP Core Rule Set, for every engine that is held against another.

What is loaded, in this order: a set-up text, the rule files for requests, and a report: rules that
write the anomaly score into their own message at the end of phases 1 and 2. An engine that can
load SecLang and say which rules fired, with their messages, needs nothing else to be compared.

Everything that fires is logged and nothing is refused (``DetectionOnly``), so that one rule never
hides another. Rules for answers are left out, and IP reputation, which needs a list of addresses.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEBIAN_CRS", "REGRESSION", "REPORT_IDS", "CoreRules", "find_core_rules", "read_score"]

#: Where Debian's package modsecurity-crs puts the rule set.
DEBIAN_CRS = Path("/usr/share/modsecurity-crs")
#: Names a folder of another release.
ENVIRONMENT = "CRS4_DIR"
#: Settings that the rule set's own regression tests are written for, by their README.
REGRESSION: Mapping[str, int] = {
    "crs_validate_utf8_encoding": 1, "arg_name_length": 100, "arg_length": 400,
    "total_arg_length": 64000, "max_num_args": 255, "max_file_size": 64100,
    "combined_file_sizes": 65535,
}  # fmt: skip
#: The report's rules, of phases 1 and 2.
REPORT_IDS = (9_900_001, 9_900_002)
#: Of a body, in bytes: the largest of ModSecurity's recommended configuration.
BODY_LIMIT = 13_107_200

_LEFT_OUT = ("REQUEST-910-",)
_VERSION = re.compile(r'(?m)^SecComponentSignature "OWASP_CRS/([0-9A-Za-z.-]{1,40})"')
_LEVELS = (1, 2, 3, 4)
# The recommended configuration sets the body processors and refuses what they cannot read.
_SET_UP = """
SecRuleEngine DetectionOnly
SecAuditEngine Off
SecRequestBodyAccess On
SecRequestBodyLimit {limit}
SecRequestBodyNoFilesLimit {limit}
SecResponseBodyAccess Off
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap\\+|/)|text/)xml" \
  "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.-]+\\+)?json" \
  "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" \
  "id:200002,phase:2,t:none,pass,log,msg:'Unreadable body',logdata:'%{{reqbody_error_msg}}'"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" \
  "id:200003,phase:2,t:none,pass,log,msg:'Multipart body failed strict checks'"
SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" \
  "id:200004,phase:2,t:none,pass,log,msg:'Multipart body with an unmatched boundary'"
SecAction "id:900990,phase:1,pass,nolog,t:none,setvar:tx.crs_setup_version={version}{settings}"
"""
_REPORT = """
SecAction "id:{id},phase:{phase},pass,log,t:none,msg:'{sums}'"
"""


@dataclass(frozen=True, slots=True)
class CoreRules:
    """The rule set of a folder at a paranoia level (1 to 4), with settings (``tx.`` variables).

    ``removed`` are rules that are taken out again after all are loaded.
    Raises InputError where the folder holds no rules for requests.
    """

    folder: Path
    paranoia: int = 1
    settings: tuple[tuple[str, int], ...] = ()
    removed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.paranoia not in _LEVELS:
            raise ValueError(f"paranoia level {self.paranoia} is not 1 to 4")
        if not self.files:
            raise InputError(
                f"{self.folder} holds no rules/REQUEST-*.conf",
                hint="pass the folder of a released Core Rule Set (Debian: modsecurity-crs)",
            )

    @property
    def files(self) -> tuple[Path, ...]:
        """The rule files for requests, in the order in which they are loaded."""
        found = sorted((self.folder / "rules").glob("REQUEST-*.conf"))
        return tuple(file for file in found if not file.name.startswith(_LEFT_OUT))

    @property
    def version(self) -> str:
        """What the rules say of themselves, as in ``3.3.4``; ``unknown`` where they do not."""
        found = _VERSION.search(self.files[0].read_text("utf-8", "replace"))
        return found[1] if found else "unknown"

    @property
    def set_up(self) -> str:
        """What is loaded before the files."""
        level = self.paranoia
        # Version 3 knows the level by the first name, version 4 by the second.
        settings = {"paranoia_level": level, "blocking_paranoia_level": level}
        settings |= dict(self.settings)
        return _SET_UP.format(
            limit=BODY_LIMIT,
            version=re.sub(r"\D", "", self.version) or "400",
            settings="".join(f",setvar:tx.{name}={value}" for name, value in settings.items()),
        )

    @property
    def report(self) -> str:
        """What is loaded after the files: rules whose messages :func:`read_score` reads."""
        name = "inbound_anomaly_score" if self._renamed else "anomaly_score"
        sums = " ".join(f"%{{tx.{name}_pl{level}}}" for level in _LEVELS)
        removed = "".join(f"\nSecRuleRemoveById {number}\n" for number in self.removed)
        return removed + "".join(
            _REPORT.format(id=number, phase=phase, sums=sums)
            for phase, number in enumerate(REPORT_IDS, start=1)
        )

    @property
    def _renamed(self) -> bool:
        """Version 4 gave the sums of the levels another name."""
        start = next((f for f in self.files if f.name.startswith("REQUEST-901-")), None)
        return start is not None and "inbound_anomaly_score_pl1" in start.read_text(
            "utf-8", "replace"
        )


def find_core_rules(paranoia: int = 1, settings: Mapping[str, int] | None = None) -> CoreRules:
    """Return the rule set of the folder that ``CRS4_DIR`` names, else Debian's.

    Raises InputError where there is none.
    """
    folder = Path(os.environ.get(ENVIRONMENT) or DEBIAN_CRS)
    return CoreRules(folder, paranoia, tuple((settings or {}).items()))


def read_score(message: str) -> int:
    """Return the anomaly score that a message of the report says: the sum over the levels."""
    return sum(int(number) for number in message.split())
