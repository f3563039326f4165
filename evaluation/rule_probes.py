"""Rules that say how an engine reads a request: every variable, and every transformation.

Each probe always fires and writes what it saw into its message, in hexadecimal, so that any bytes
come through. Two engines that load the probes show by their log lines which variable they read
another way, long before a rule about attacks happens to tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TRANSFORMATIONS", "VARIABLES", "RuleProbes", "read_probes"]

#: What the Core Rule Set looks at in requests.
VARIABLES = (
    "ARGS", "ARGS_NAMES", "ARGS_GET", "ARGS_GET_NAMES", "ARGS_POST", "ARGS_POST_NAMES",
    "ARGS_COMBINED_SIZE", "FILES", "FILES_NAMES", "FILES_COMBINED_SIZE", "MULTIPART_FILENAME",
    "MULTIPART_NAME", "MULTIPART_PART_HEADERS", "MULTIPART_STRICT_ERROR",
    "MULTIPART_UNMATCHED_BOUNDARY", "QUERY_STRING", "REQBODY_ERROR", "REQBODY_PROCESSOR",
    "REQUEST_BASENAME", "REQUEST_BODY", "REQUEST_BODY_LENGTH", "REQUEST_COOKIES",
    "REQUEST_COOKIES_NAMES", "REQUEST_FILENAME", "REQUEST_HEADERS", "REQUEST_HEADERS_NAMES",
    "REQUEST_LINE", "REQUEST_METHOD", "REQUEST_PROTOCOL", "REQUEST_URI", "REQUEST_URI_RAW",
    "SERVER_NAME", "XML:/*", "XML://@*", "&ARGS", "&REQUEST_HEADERS:Host", "&REQUEST_COOKIES",
    "URLENCODED_ERROR", "PATH_INFO",
)  # fmt: skip
#: Those of the Core Rule Set.
TRANSFORMATIONS = (
    "base64Decode", "cmdLine", "compressWhitespace", "cssDecode", "escapeSeqDecode",
    "hexEncode", "htmlEntityDecode", "jsDecode", "length", "lowercase", "md5", "normalisePath",
    "normalizePath", "normalisePathWin", "normalizePathWin", "removeComments",
    "removeCommentsChar", "removeNulls", "removeWhitespace", "replaceComments", "replaceNulls",
    "sha1", "sqlHexDecode", "trim", "uppercase", "urlDecode", "urlDecodeUni", "urlEncode",
    "utf8toUnicode", "base64DecodeExt", "base64Encode", "hexDecode", "parityZero7bit",
)  # fmt: skip
#: Rules of transformations look at this argument.
ARGUMENT = "x"

_VARIABLE = """
SecAction "id:{gather},phase:2,pass,nolog,t:none,setvar:tx.seen={variable}"
SecRule {variable} "@unconditionalMatch" "id:{first},phase:2,pass,nolog,t:none,t:hexEncode,\
setvar:'tx.seen=%{{tx.seen}} %{{MATCHED_VAR_NAME}}/%{{MATCHED_VAR}}'"
SecRule TX:seen "@unconditionalMatch" \
  "id:{id},phase:2,pass,log,t:none,t:hexEncode,msg:'{variable}',logdata:'%{{MATCHED_VAR}}'"
"""
_TRANSFORMATION = """
SecRule ARGS:{argument} "@unconditionalMatch" \
  "id:{id},phase:2,pass,log,t:none,t:{name},t:hexEncode,msg:'{name}',logdata:'%{{MATCHED_VAR}}'"
"""


_LINE = re.compile(r'\[id "[12]\d{3}"\] \[msg "([^"]+)"\] \[data "([0-9a-f]*)"\]')


@dataclass(frozen=True, slots=True)
class RuleProbes:
    """The probes after a set-up, as an engine loads them; ``set_up`` is that of a rule set."""

    set_up: str
    files: tuple[Path, ...] = ()
    variables: tuple[str, ...] = VARIABLES
    transformations: tuple[str, ...] = TRANSFORMATIONS

    @property
    def report(self) -> str:
        """The probes: rules 1000 and up say variables, 2000 and up transformations."""
        return "".join(
            _VARIABLE.format(id=1000 + at, gather=3000 + at, first=4000 + at, variable=variable)
            for at, variable in enumerate(self.variables)
        ) + "".join(
            _TRANSFORMATION.format(id=2000 + at, name=name, argument=ARGUMENT)
            for at, name in enumerate(self.transformations)
        )


def read_probes(log: str) -> dict[str, bytes]:
    """Return what the lines of the probes say: what was seen, by variable or transformation.

    Of a variable it is the name, and then each value behind its own name, in hexadecimal again.
    """
    return {found[1]: bytes.fromhex(found[2]) for found in _LINE.finditer(log)}
