"""Which rules depend on little, so that what came of them once need not be worked out again.

Many rules look only at the method, the protocol, some headers and a few TX variables. All of these
together are a rule's key. Where a run with some key did nothing that anyone can see (it did not
match, or matched and changed nothing), a later run with the same key is left out. Of a chain that
goes on to depend on more the first links may be enough, where those already did not match.

TX variables that a rule makes up from what it sees (``tx.header_name_%{tx.0}``) count for nothing
as long as no other rule reads them; captures are the rule's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.actions import parse_setvar
from cnaf.signatures.seclang.macros import macro_variables
from cnaf.signatures.seclang.program import Chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnaf.signatures.seclang.syntax import SecRule, Variable
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = ["Key", "Readers", "key_of"]

_MAX_PARTS = 16
_MATCHED = frozenset(("MATCHED_VAR", "MATCHED_VARS", "MATCHED_VARS_NAMES", "MATCHED_VAR_NAME"))


def _header(name: bytes) -> Callable[[Transaction], object]:
    def values(t: Transaction) -> object:
        pairs = t.headers.get(name)
        if pairs is None:
            return None
        return pairs[0][1] if len(pairs) == 1 else tuple(pairs)

    return values


_PARTS: dict[str, Callable[[Transaction], object]] = {
    "REMOTE_ADDR": lambda t: t.peer,
    "REQBODY_PROCESSOR": lambda t: t.processor,
    "REQUEST_HEADERS_NAMES": lambda t: tuple([pair[0] for pair in t.header_pairs]),
    "REQUEST_METHOD": lambda t: t.method,
    "REQUEST_PROTOCOL": lambda t: t.protocol,
}


@dataclass(frozen=True, slots=True)
class Key:
    """What the first ``depth`` links of a rule depend on; ``has_tx`` says that TX is part of it."""

    of: Callable[[Transaction], tuple[object, ...]]
    has_tx: bool
    depth: int


class Readers:
    """Which TX variables the rules of a program read, by rule."""

    def __init__(self, chains: Iterable[Chain]) -> None:
        self._names: dict[bytes, set[int]] = {}
        self._expressions: list[tuple[int, re.Pattern[str] | None]] = []
        for chain in chains:
            for link in chain.links:
                self._enter(chain.id, link)

    def _enter(self, rule: int, link: SecRule) -> None:
        for variable in _read(link):
            if variable.collection != "TX":
                continue
            if variable.selector and not variable.is_regex:
                name = variable.selector.lower().encode("latin-1")
                self._names.setdefault(name, set()).add(rule)
            else:
                self._expressions.append((rule, _pattern(variable.selector)))

    def reads(self, name: bytes, but: int) -> bool:
        """Whether a rule other than ``but`` reads a TX variable."""
        if self._names.get(name, set()) - {but}:
            return True
        text = name.decode("latin-1")
        return any(
            rule != but and (pattern is None or pattern.search(text) is not None)
            for rule, pattern in self._expressions
        )

    def names(self) -> Iterable[bytes]:
        """Return the names that are read."""
        return self._names


def _pattern(expression: str) -> re.Pattern[str] | None:
    """Compile for Python; what that reads otherwise than PCRE counts as finding everything."""
    if not expression or re.search(r"\(\?|\\[^.wdsWDS]|[{+]", expression):
        return None
    try:
        return re.compile(expression, re.IGNORECASE)
    except re.error:
        return None


def key_of(chain: Chain, known: Iterable[bytes]) -> Key | None:
    """Return the key of a rule's first links, or None where the first one depends on more.

    ``known`` are the names of TX variables that are read or set in advance: names that a rule
    makes up must not meet them.
    """
    parts: dict[str, Callable[[Transaction], object]] = {}
    has_capture = any(a.name == "capture" for link in chain.links for a in link.actions)
    depth = 0
    for index, link in enumerate(chain.links):
        added = _link_parts(link, index > 0, has_capture, known)
        if added is None or len(parts | added) > _MAX_PARTS:
            break
        parts |= added
        depth += 1
    if depth == 0:
        return None
    has_tx = any(part.startswith("TX:") for part in parts)
    return Key(_joined(list(parts.values())), has_tx, depth)


def _link_parts(
    link: SecRule, is_later: bool, has_capture: bool, known: Iterable[bytes]
) -> dict[str, Callable[[Transaction], object]] | None:
    """Return what a link depends on, by name, or None where that is too much."""
    parts: dict[str, Callable[[Transaction], object]] = {}
    for variable in _read(link):
        if not _enter(parts, variable, is_later, has_capture):
            return None
    for action in link.actions:
        if action.name != "setvar":
            continue
        assignment = parse_setvar(action.argument, link.place)
        name = assignment.name.lower().encode("latin-1")
        prefix, macro, _ = name.partition(b"%{")
        if assignment.collection != "TX":
            return None
        if macro and (not prefix or any(k.startswith(prefix) for k in known)):
            return None
        if not macro:
            parts["TX:" + assignment.name.lower()] = _tx(name)
    return parts


def _joined(
    parts: Sequence[Callable[[Transaction], object]],
) -> Callable[[Transaction], tuple[object, ...]]:
    if len(parts) == 1:
        only = parts[0]
        return lambda t: (only(t),)
    if len(parts) == 2:
        first, second = parts
        return lambda t: (first(t), second(t))
    return lambda t: tuple([part(t) for part in parts])


def _tx(name: bytes) -> Callable[[Transaction], object]:
    return lambda t: t.tx.get(name)


def _enter(
    parts: dict[str, Callable[[Transaction], object]],
    variable: Variable,
    is_later: bool,
    has_capture: bool,
) -> bool:
    """Add what a rule reads to its key; False where the key would not hold."""
    collection, selector = variable.collection, variable.selector
    if collection in _PARTS and not selector:
        parts[collection] = _PARTS[collection]
    elif collection == "REQUEST_HEADERS" and selector and not variable.is_regex:
        parts[variable.label().lower()] = _header(selector.lower().encode("latin-1"))
    elif collection == "TX" and selector and not variable.is_regex:
        if selector.isdigit():
            return has_capture
        parts["TX:" + selector.lower()] = _tx(selector.lower().encode("latin-1"))
    elif collection == "TX" and variable.is_regex:
        return is_later and selector.startswith("^")
    else:
        return collection in _MATCHED
    return True


def _read(link: SecRule) -> list[Variable]:
    """Return the variables that a link reads to decide and to act, not those of its message."""
    texts = [] if link.operator is None else [link.operator.argument]
    texts += [a.argument for a in link.actions if a.name in {"setvar", "redirect"}]
    read = [v for text in texts for v in macro_variables(text, link.place)]
    return [*(v for v in link.variables if not v.is_exclusion), *read]
