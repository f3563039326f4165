"""What is learned and inspected for each application: folds, injected payloads, mutations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from cnaf.evaluation.data_set import DataSet, Kind
from cnaf.evaluation.injection import Injector
from cnaf.evaluation.neutral import Neutraliser
from cnaf.evaluation.payloads import PayloadSet
from cnaf.evaluation.rewriting import kind_of, mutate_exchange, rewrite
from cnaf.evaluation.sources import Part, Sources
from cnaf.evaluation.trials import Trial, split
from cnaf.models.exchange import Exchange

__all__ = ["MUTATED", "REWRITTEN", "Plan", "make_plan"]

#: Attacks written anew with nothing changed, and mutated.
REWRITTEN, MUTATED = "rewritten", "mutated"
_MUTATIONS = 3
#: Requests of each label that a quick trial inspects.
_QUICK = 4_000
#: Fields of WordPress that take rich text or code by design.
_RICH_TEXT = (
    "* form:content", "* form:excerpt", "* form:newcontent", "* form:customized",
    "* form:description", "* json:content", "* json:excerpt", "* json:*.raw.content",
    "* json:requests[].body.content",
)  # fmt: skip
#: Parts that need the trials of the WordPress corpus.
_ON_WORDPRESS = {
    Part.GOTESTWAF, Part.CRS_TESTS, Part.LIBINJECTION, Part.ABLATION, Part.ROBUSTNESS
}  # fmt: skip
#: Folds of what its publisher did not split; learned on half and on half, as it is asked for.
_HALVES = {Part.OCTOKIT: 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """Trials, the neutral data sets, and what was left out of each with the reason."""

    trials: tuple[Trial, ...]
    data_sets: Mapping[Part, DataSet]
    left_out: Mapping[str, Mapping[str, int]]


def make_plan(sources: Sources, parts: frozenset[Part], *, folds: int, quick: bool) -> Plan:
    """Return the trials; a quick plan has the first of each data set's folds, and less of it."""
    data_sets = {part: _neutral(found) for part, found in sources.data_sets.items()}
    left_out = {found.name: Counter(found.left_out) for found in data_sets.values()}
    left_out |= {found.name: Counter(found.left_out) for found in sources.payloads.values()}
    trials = []
    for part, data_set in data_sets.items():
        if part not in parts and not (part is Part.WORDPRESS and parts & _ON_WORDPRESS):
            continue
        splits = split(data_set, _HALVES.get(part, folds))
        for fold, (train, benign, attacks) in enumerate(splits[: 1 if quick else None]):
            held_out, wrong = (_some(benign), _some(attacks)) if quick else (benign, attacks)
            named = [(_name(data_set, e), e) for e in wrong]
            if part is Part.WORDPRESS:
                for payloads in sources.payloads.values():
                    named += _injected(payloads, benign, fold, folds, left_out[payloads.name])
                if Part.ROBUSTNESS in parts:
                    named += _mutated(attacks)
            ablated = part is Part.WORDPRESS and Part.ABLATION in parts
            trials.append(Trial(data_set.name, train, held_out, tuple(named), ablated))
    return Plan(tuple(trials), data_sets, left_out)


def _some(exchanges: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    ranked = sorted(exchanges, key=lambda e: sha256(e.id.encode()).digest())
    return tuple(ranked[:_QUICK])


def _neutral(found: DataSet) -> DataSet:
    neutraliser = Neutraliser(found.train + found.benign)
    return replace(
        found,
        train=neutraliser.neutral(found.train),
        benign=neutraliser.neutral(found.benign),
        attacks=neutraliser.neutral(found.attacks),
    )


def _name(data_set: DataSet, attack: Exchange) -> str:
    kind = attack.meta.get("kind", Kind.ATTACK)
    return data_set.name if kind == Kind.ATTACK else f"{data_set.name}, {kind}"


def _injected(
    payloads: PayloadSet,
    benign: tuple[Exchange, ...],
    fold: int,
    folds: int,
    left_out: Counter[str],
) -> Iterator[tuple[str, Exchange]]:
    """Each payload goes into one fold's requests."""
    injector = Injector(benign, ambiguous=_RICH_TEXT)
    for payload in payloads.attacks:
        if int.from_bytes(sha256(payload.value).digest()[:8], "big") % folds != fold:
            continue
        injected = injector.inject(payload)
        if injected is None:
            left_out["no field can carry it"] += 1
        else:
            left_out["in a field of rich text or code"] += bool(injected.meta.get("ambiguous"))
            yield payloads.name, injected


def _mutated(attacks: tuple[Exchange, ...]) -> Iterator[tuple[str, Exchange]]:
    for attack in attacks:
        kind = kind_of(attack)
        if kind is None or attack.meta.get("ambiguous"):
            continue
        request = rewrite(attack.request, kind, lambda text: text)
        mutations = [m for seed in range(_MUTATIONS) if (m := mutate_exchange(attack, seed=seed))]
        if request is None or not mutations:
            continue
        meta = {**attack.meta, "class": kind.value}
        yield REWRITTEN, replace(attack, id=f"{attack.id}~0", request=request, meta=meta)
        for mutation in mutations:
            yield MUTATED, replace(mutation, meta=meta)
