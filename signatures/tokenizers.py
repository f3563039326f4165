"""libinjection behind a guard: is a value, read as SQL or as HTML, an injection?

libinjection is C and takes text. It is given at most 4 KiB of text that is certainly encodable,
without NUL bytes, and only values that a rule's patterns let through. It knows what a parser would
make of a value, which no pattern does, and is known to take some prose for SQL: the rules that
rest on it are of medium confidence at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libinjection
from cnaf.signatures.rule import Syntax

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["is_injection"]

#: Both tokenizers decide on the first few tokens; the cap bounds their time, in bytes.
_INSPECTED = 4096


def is_injection(syntax: Syntax, value: bytes) -> bool:
    """Return whether the value reads as an injection in the given syntax."""
    return _CHECKS[syntax](value[:_INSPECTED].replace(b"\x00", b" ").decode("utf-8", "replace"))


def _sql(text: str) -> bool:
    return bool(libinjection.is_sql_injection(text)["is_sqli"])


def _html(text: str) -> bool:
    return bool(libinjection.is_xss(text)["is_xss"])


_CHECKS: dict[Syntax, Callable[[str], bool]] = {Syntax.SQL: _sql, Syntax.HTML: _html}
