"""``cnaf rules rehearse``: recorded traffic under other rules, before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from cnaf.ci_plugin.options import CorpusPaths, RegistryUrl, RulesDir, TargetFpr
from cnaf.ci_plugin.output import err, out, plain, print_json_line
from cnaf.datasets.corpus import open_corpus
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.enforcer.rule_rehearsal import RuleRehearsal, rehearsal_markdown, rehearse
from cnaf.models.errors import InputError
from cnaf.models.exchange import Label
from cnaf.models.registry_url import open_registry
from cnaf.models.request_model import RequestModel
from cnaf.models.stored_model import load_model
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.sets.matching import load_rules
from cnaf.signatures.sets.registered import Mode, RegisteredSet
from cnaf.signatures.sets.sources import Sources, read_sources
from cnaf.signatures.sets.store import RuleStore, checked_sources, default_rules_dir
from rich.table import Table

__all__ = ["rehearse_rules"]

_Loaded = tuple[RegisteredSet, Sources]
_SHOWN = 20


def rehearse_rules(
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="Folder or file of other rules, or a set's name.")
    ],
    corpus: CorpusPaths = None,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="The set that NEW would take the place of.")
    ] = None,
    paranoia: Annotated[int | None, typer.Option(min=1, max=4, help="Level of NEW.")] = None,
    threshold: Annotated[int | None, typer.Option(min=1, help="Threshold of NEW.")] = None,
    mode: Annotated[Mode | None, typer.Option(help="Mode of NEW; needs --image.")] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE|DIGEST", help="Decide with this model, as the node does."),
    ] = None,
    registry: RegistryUrl = None,
    rules_dir: RulesDir = None,
    target_fpr: TargetFpr = 0.001,
    max_new_blocks: Annotated[
        int | None, typer.Option(min=0, help="More benign requests newly blocked: exit code 1.")
    ] = None,
    max_lost_blocks: Annotated[
        int | None, typer.Option(min=0, help="More attacks blocked no more: exit code 1.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report there, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Replay recorded requests under old and new rules; show what is newly blocked, and lost.

    Without --image the sets decide alone, as in mode block.
    """
    if not corpus:
        raise InputError("nothing to rehearse on", hint="give --corpus")
    old, changed = _sides(RuleStore(rules_dir or default_rules_dir()), new, against)
    known, sources = changed
    known = replace(
        known,
        paranoia=paranoia or known.paranoia,
        threshold=threshold or known.threshold,
        mode=mode or known.mode,
    )
    model = load_model(open_registry(registry), image).model if image else None
    before, after = (_inspector([side], model, target_fpr) for side in (old, (known, sources)))
    rehearsal = rehearse(open_corpus(corpus), before, after)
    title = f"{_title(old[0])} → {_title(known)}"
    if markdown is not None:
        _write(markdown, rehearsal_markdown(rehearsal, title))
    if as_json:
        print_json_line({"old": old[0].to_dict(), "new": known.to_dict(), **rehearsal.to_dict()})
    else:
        _print(rehearsal, title)
    _gate(rehearsal, max_new_blocks, max_lost_blocks)


def _sides(store: RuleStore, new: str, against: str | None) -> tuple[_Loaded, _Loaded]:
    """Return the set as it is, and as it would be, with their files."""
    path = Path(new)
    is_path = "/" in new or path.suffix == ".conf" or path.is_dir()
    old = store.get(against) if against else _only(store) if is_path else store.get(new)
    kept = checked_sources(old)
    if is_path:
        full = path.absolute()
        sources = read_sources(old.kind, (full,))
        version = sources.version or sources.sha256[:12]
        changed = replace(old, paths=(full,), version=version, sha256=sources.sha256)
        return (old, kept), (changed, sources)
    known = store.get(new)
    return (old, kept), (known, checked_sources(known))


def _only(store: RuleStore) -> RegisteredSet:
    sets = store.list()
    if len(sets) != 1:
        names = ", ".join(one.name for one in sets) or "none"
        raise InputError(
            f"which set would it take the place of? Registered: {names}", hint="give --against NAME"
        )
    return sets[0]


def _inspector(sets: Sequence[_Loaded], model: RequestModel | None, target_fpr: float) -> Inspector:
    if model is None:
        alone = [(replace(known, mode=Mode.BLOCK), sources) for known, sources in sets]
        return Inspector(Policy(model=False), None, None, load_rules(alone))
    running = [one for one in sets if one[0].mode is not Mode.OFF]
    policy = Policy(target_fpr=target_fpr)
    return Inspector(policy, SignatureEngine.load(), model, load_rules(running))


def _title(known: RegisteredSet) -> str:
    return f"{known.name} {known.version} level {known.paranoia} threshold {known.threshold}"


def _print(rehearsal: RuleRehearsal, title: str) -> None:
    table = Table(title=plain(title), title_justify="left", box=None)
    for name in ("Label", "Requests", "Blocked before", "After", "New", "Lost"):
        table.add_column(name, justify="left" if name == "Label" else "right")
    for label, count in rehearsal.requests.items():
        counts = (rehearsal.blocked_before, rehearsal.blocked_after, rehearsal.new_total,
                  rehearsal.lost_total)  # fmt: skip
        table.add_row(label.value, f"{count:,}", *(f"{c.get(label, 0):,}" for c in counts))
    out.print(table)
    if not rehearsal.by_rule:
        return
    rules = Table(box=None)
    for name in ("Rule", "Endpoint", "Label", "New", "Lost"):
        rules.add_column(name, overflow="fold")
    for change in rehearsal.by_rule[:_SHOWN]:
        row = (change.rule, change.endpoint, change.label.value, change.new, change.lost)
        rules.add_row(*map(plain, row))
    out.print(rules)
    if len(rehearsal.by_rule) > _SHOWN:
        err.print(f"{len(rehearsal.by_rule) - _SHOWN} more lines: --json or --markdown shows all.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _gate(rehearsal: RuleRehearsal, most_new: int | None, most_lost: int | None) -> None:
    new = rehearsal.new_total.get(Label.BENIGN, 0)
    lost = rehearsal.lost_total.get(Label.ATTACK, 0)
    for what, count, most in (
        ("benign requests are newly blocked", new, most_new),
        ("attacks are blocked no more", lost, most_lost),
    ):
        if most is not None and count > most:
            err.print(f"{count:,} {what}; at most {most:,} may be.", highlight=False)
            raise typer.Exit(1)
