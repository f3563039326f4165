"""``cnaf learn``: from an image and its traffic to a model in the registry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import orjson
import typer
from cnaf.ci_plugin.options import CorpusPaths, MorePaths, RegistryUrl, RulesDir, TargetFpr
from cnaf.ci_plugin.output import err, out, print_json_line
from cnaf.ci_plugin.progress import progress_bars
from cnaf.ci_plugin.report_view import report_view
from cnaf.dataplane.containers import resolve_image_digest
from cnaf.datasets.corpus import Corpus, open_corpus
from cnaf.learner.learn import Learned, learn
from cnaf.learner.plots import write_plots
from cnaf.learner.profiler import ProfileOptions, profile_image
from cnaf.learner.report import Source, report_markdown, report_to_dict
from cnaf.models.digest import Digest, ImageReference
from cnaf.models.errors import ImageError, InputError
from cnaf.models.exchange import Exchange, Label
from cnaf.models.registry_url import open_registry
from cnaf.signatures.sets.matching import load_rules
from cnaf.signatures.sets.store import sets_for

__all__ = ["learn_image"]

_Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class _Traffic:
    source: Source
    exchanges: Iterable[Exchange]


def learn_image(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Image name or digest.")],
    more: MorePaths = None,
    corpus: CorpusPaths = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Believe the recorded answers; start no image.")
    ] = False,
    compose: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compose file that starts the image.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="The image's service in that file.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="KEY=VALUE", help="Environment of the image; repeatable."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port that the app listens on.")
    ] = None,
    max_sessions: Annotated[
        int | None, typer.Option(min=1, help="Replay at most so many sessions.")
    ] = None,
    ready_timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long the image may take to answer.")
    ] = 120.0,
    registry: RegistryUrl = None,
    rules_dir: RulesDir = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write report.json, report.md and plots there."),
    ] = None,
    target_fpr: TargetFpr = 0.001,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Learn the request model of an image and store it under the image's digest."""
    reference = ImageReference.parse(image)
    if not recorded and reference.repository == "":
        raise InputError(
            "a bare digest cannot be started", hint="give the image's name, or add --recorded"
        )
    store = open_registry(registry)
    rules = load_rules(sets_for(image, rules_dir))
    files = open_corpus([*(corpus or []), *(more or [])])
    with progress_bars(err) as progress:
        if recorded:
            traffic = _recorded(reference, files, progress)
        else:
            options = ProfileOptions(
                compose=compose, service=service, port=port, env=_environment(env or []),
                max_sessions=max_sessions, ready_timeout_s=ready_timeout,
            )  # fmt: skip
            traffic = _replayed(image, files, options, progress)
        learned = learn(
            traffic.exchanges, traffic.source, target_fpr=target_fpr, created=_now(),
            progress=progress, rules=rules,
        )  # fmt: skip
        store.push(
            learned.files,
            subject=Digest.parse(traffic.source.subject),
            image=traffic.source.image,
        )
    if report is not None:
        _write(learned, report)
    if as_json:
        print_json_line(report_to_dict(learned.report))
    else:
        out.print(report_view(learned.report, files.problems, report))


def _environment(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            # Not the value: it may be a secret.
            raise InputError(f"--env {name[:40]!r} has no value", hint="write KEY=VALUE")
        found[name] = value
    return found


def _recorded(reference: ImageReference, corpus: Corpus, progress: _Progress) -> _Traffic:
    exchanges = _read(corpus, progress)
    subject, vouched = _subject(reference)
    return _Traffic(_source(reference, subject, vouched, corpus, exchanges), exchanges)


def _replayed(image: str, corpus: Corpus, options: ProfileOptions, progress: _Progress) -> _Traffic:
    recorded = _read(corpus, progress)
    profile = profile_image(image, recorded, options, progress)
    # Refused and labelled ones go along: selection sets them aside and counts them.
    attacks = [exchange for exchange in recorded if exchange.label is Label.ATTACK]
    exchanges = [*profile.exchanges, *profile.set_aside, *attacks]
    source = _source(ImageReference.parse(image), profile.subject, "engine", corpus, exchanges)
    source = replace(
        source,
        exchanges=profile.sent + len(attacks),
        replayed=True,
        unanswered=profile.failed,
        incomplete=profile.incomplete,
        carried=profile.carried,
    )
    return _Traffic(source, exchanges)


def _read(corpus: Corpus, progress: _Progress) -> list[Exchange]:
    exchanges: list[Exchange] = []
    for exchange in corpus:
        exchanges.append(exchange)
        if len(exchanges) % 500 == 0:
            progress("Reading traffic", len(exchanges), 0)
    progress("Reading traffic", len(exchanges), len(exchanges))
    return exchanges


def _source(
    reference: ImageReference, subject: Digest, vouched: str, corpus: Corpus, read: list[Exchange]
) -> Source:
    facts = corpus.facts
    return Source(
        image=str(replace(reference, digest=None)) if reference.repository else str(subject),
        subject=str(subject),
        subject_source=vouched,
        corpus_sha256=facts.sha256,
        exchanges=facts.exchanges,
        sessions=len({exchange.session for exchange in read}),
        unreadable=facts.broken,
        skipped=facts.skipped,
    )


def _subject(reference: ImageReference) -> tuple[Digest, str]:
    """Return the digest to learn under, and who vouches for it."""
    if reference.digest is not None:
        return reference.digest, "given"
    try:
        return resolve_image_digest(str(reference)), "engine"
    except ImageError:
        # No engine, or it does not have the image. The name still finds the model, and its
        # stand-in digest is the same on every machine.
        stand_in = sha256(f"cnaf: no digest is known for {reference}".encode()).hexdigest()
        return Digest(f"sha256:{stand_in}"), "name"


def _now() -> datetime:
    """Return the time of the run, or SOURCE_DATE_EPOCH, which makes artifacts reproducible."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return datetime.fromtimestamp(int(fixed), UTC) if fixed else datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"SOURCE_DATE_EPOCH is {fixed!r}", hint="give Unix seconds") from error


def _write(learned: Learned, directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        described = orjson.dumps(report_to_dict(learned.report), option=orjson.OPT_INDENT_2)
        (directory / "report.json").write_bytes(described + b"\n")
        (directory / "report.md").write_text(report_markdown(learned.report), "utf-8")
        write_plots(learned.report, learned.held_out, directory)
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {directory}: {error.strerror or error}",
            hint="the model is stored; name a directory that can be written",
        ) from error
