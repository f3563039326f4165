"""A registered set, compiled: set-up, plugins, exclusions and rules in the order that they need.

Rules decide as in a server with ``SecRuleEngine On``: those of the Core Rule Set add to the anomaly
score, and its own last rule ends the request at the threshold; in other sets ``block`` denies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.models.limits import Limits
from cnaf.signatures.seclang.cache import Text, load_rules
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.loader import Loader
from cnaf.signatures.sets.exclusions import text_after, text_before
from cnaf.signatures.sets.registered import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from cnaf.signatures.seclang.program import Program
    from cnaf.signatures.seclang.rule_set import RuleSet
    from cnaf.signatures.sets.registered import RegisteredSet
    from cnaf.signatures.sets.sources import Sources

__all__ = ["LoadedSet", "SetTexts", "load_set", "read_program", "set_sources", "set_texts"]

#: Ids of the set-up's own rules; no other set's are so high.
_FIRST_ID = 899_000_000
_BASE = """\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecArgumentsLimit {arguments}
SecDefaultAction "phase:1,log,auditlog,{block}"
SecDefaultAction "phase:2,log,auditlog,{block}"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application(?:/soap\\+|/)|text/)xml" \\
    "id:{id}1,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/(?:[a-z0-9.-]+\\+)?json" \\
    "id:{id}2,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"""
_ACTION = 'SecAction "id:{id}3,phase:1,pass,nolog,t:none{settings}"\n'
_INCLUDE = re.compile(r"^[ \t]*(Include(?:Optional)?)\b", re.I | re.M)
#: A rule that looks at the client's address, or at the clock, does not depend on the request alone.
_CLIENT = re.compile(r"^[^#\n]*\bREMOTE_(?:ADDR|HOST)\b", re.M)
_CLOCK = re.compile(r"^[^#\n]*(?:\bSecRule\s+\S*|%\{)TIME(?:_[A-Z]+)?\b", re.M)


@dataclass(frozen=True, slots=True)
class SetTexts:
    """What is loaded besides the set's own files: before them, behind its set-up, after them."""

    before: str
    between: str
    after: str


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """A set that is ready to run.

    ``by_client`` and ``by_clock`` say that some rule looks at the client's address, or the time.
    """

    registered: RegisteredSet
    rules: RuleSet
    by_client: bool
    by_clock: bool


def set_texts(registered: RegisteredSet) -> SetTexts:
    """Return the SecLang that a registration stands for."""
    exclusions = registered.exclusions
    block = "pass" if registered.kind is Kind.CRS else "deny,status:403"
    settings = dict(registered.settings)
    if registered.kind is Kind.CRS:
        settings |= _core_settings(registered)
    shown = "".join(f",setvar:'tx.{name}={value}'" for name, value in settings.items())
    action = _ACTION.format(id=_FIRST_ID // 10, settings=shown) if shown else ""
    return SetTexts(
        _BASE.format(id=_FIRST_ID // 10, block=block, arguments=Limits().fields),
        action + text_before(exclusions),
        text_after(exclusions),
    )


def _core_settings(registered: RegisteredSet) -> dict[str, str]:
    level, threshold = str(registered.paranoia), str(registered.threshold)
    version = re.sub(r"\D", "", registered.version)[:4]
    # Version 3 knows the level by the first name, version 4 by the second.
    return {
        "crs_setup_version": version or "400",
        "paranoia_level": level,
        "blocking_paranoia_level": level,
        "inbound_anomaly_score_threshold": threshold,
    }


def set_sources(registered: RegisteredSet, sources: Sources) -> list[Text]:
    """Return all that is loaded, in order; raises SecLangError for an inclusion."""
    texts = set_texts(registered)
    files = [Text(path, text) for path, text in sources.files]
    for file in files:
        _refuse_inclusion(file.content, file.name)
    return [
        Text("set-up", texts.before),
        *files[: sources.first],
        Text("exclusions", texts.between),
        *files[sources.first :],
        Text("exclusions", texts.after),
    ]


def read_program(registered: RegisteredSet, sources: Sources) -> Program:
    """Read a set's rules with everything that belongs to them; raises SecLangError."""
    loader = Loader(sources.text)
    for source in set_sources(registered, sources):
        loader.read_text(source.content, source.name)
    return loader.program()


def load_set(registered: RegisteredSet, sources: Sources, cache: Path | None = None) -> LoadedSet:
    """Compile a set, or read what was compiled before in ``cache``; raises SecLangError."""
    rules = load_rules(set_sources(registered, sources), cache=cache, read=sources.text)
    texts = [text for _, text in sources.files]
    return LoadedSet(
        registered, rules, any(map(_CLIENT.search, texts)), any(map(_CLOCK.search, texts))
    )


def _refuse_inclusion(text: str, path: str) -> None:
    if found := _INCLUDE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise SecLangError(
            path, line, f"{found[1]} is not followed in a registered set",
            supported="a set of several files: repeat --path in load order, or give their folder",
        )  # fmt: skip
