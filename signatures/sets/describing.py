"""One rule of a set, for people: where it stands, what it looks at, what keeps it quiet."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cnaf.signatures.seclang.program import Chain
from cnaf.signatures.sets.compiled import read_program
from cnaf.signatures.sets.exclusions import text_after, text_before
from cnaf.signatures.sets.registered import Kind

if TYPE_CHECKING:
    from cnaf.signatures.sets.registered import Exclusion, RegisteredSet
    from cnaf.signatures.sets.sources import Sources

__all__ = ["DescribedRule", "describe_rules"]

_LEVEL = "paranoia-level/"
_MAX_OPERATOR = 400


@dataclass(frozen=True, slots=True)
class DescribedRule:
    """A rule. ``excluded_by`` are sentences and SecLang that keep it from some requests, or all."""

    set: str
    version: str
    rule: int
    message: str
    severity: str
    phase: int
    file: str
    line: int
    targets: tuple[str, ...]
    operator: str
    transformations: tuple[str, ...]
    links: int
    tags: tuple[str, ...]
    excluded_by: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def describe_rules(registered: RegisteredSet, sources: Sources) -> dict[int, DescribedRule]:
    """Return the rules of a set by id, as its files have them; raises SecLangError."""
    bare = replace(registered, exclusions=())
    own = {path for path, _ in sources.files}
    return {
        unit.id: _described(unit, registered)
        for unit in read_program(bare, sources).units
        if isinstance(unit, Chain) and unit.head.place.file in own
    }


def _described(chain: Chain, registered: RegisteredSet) -> DescribedRule:
    head = chain.head
    operator = head.operator
    shown = ""
    if operator is not None:
        shown = f"{'!' if operator.negated else ''}@{operator.name} {operator.argument}".strip()
    return DescribedRule(
        registered.name, registered.version, chain.id, chain.argument("msg") or "",
        (chain.argument("severity") or "").lower(), chain.phase, head.place.file, head.place.line,
        tuple(f"{'!' if v.is_exclusion else '&' if v.is_count else ''}{v.label()}"
              for v in head.variables),
        shown[:_MAX_OPERATOR],
        tuple(action.argument for action in head.actions if action.name == "t"),
        len(chain.links), chain.tags(), _excluded_by(chain, registered),
    )  # fmt: skip


def _excluded_by(chain: Chain, registered: RegisteredSet) -> tuple[str, ...]:
    found = [
        (text_before((one,)) + text_after((one,))).strip()
        for one in registered.exclusions
        if _concerns(one, chain)
    ]
    if registered.kind is Kind.CRS:
        for tag in chain.tags():
            level = tag.removeprefix(_LEVEL)
            if tag != level and level.isdigit() and int(level) > registered.paranoia:
                found.append(f"paranoia level {registered.paranoia}: it runs from {level} on")
    return tuple(found)


def _concerns(exclusion: Exclusion, chain: Chain) -> bool:
    if exclusion.tag:
        return exclusion.tag in chain.tags()
    low, _, high = exclusion.rule.partition("-")
    return int(low) <= chain.id <= int(high or low)
