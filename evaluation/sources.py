"""What there is to evaluate on: the data sets that are found under the paths given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.datasets.corpus import open_corpus
from cnaf.evaluation.cassettes import read_cassettes
from cnaf.evaluation.crs_tests import read_crs_tests
from cnaf.evaluation.csic import read_csic
from cnaf.evaluation.data_set import DataSet
from cnaf.evaluation.httpparams import read_httpparams
from cnaf.evaluation.payloads import Payload, PayloadSet, read_gotestwaf, read_libinjection
from cnaf.models.errors import InputError
from cnaf.models.exchange import Label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CURVES", "RECORDED", "Part", "Sources", "find_sources"]

#: The recorded corpus of a checkout; an installed package has none.
RECORDED = Path(__file__).parents[1] / "datasets" / "wordpress"
#: Payloads of one file of libinjection, which has 14,000 in one and four in another.
_PER_FILE = 150


class Part(StrEnum):
    """What an evaluation consists of: data sets, and experiments on them."""

    WORDPRESS = "wordpress"
    CSIC = "csic2010"
    HTTPPARAMS = "httpparams"
    OCTOKIT = "octokit"
    GOTESTWAF = "gotestwaf"
    CRS_TESTS = "crs-tests"
    LIBINJECTION = "libinjection"
    ABLATION = "ablation"
    SMALL_CORPORA = "small-corpora"
    POISONING = "poisoning"
    ROBUSTNESS = "robustness"
    SPEED = "speed"


#: Data sets that the curves of small corpora are drawn for.
CURVES = (Part.WORDPRESS, Part.CSIC)
_DATA_SETS: dict[Part, tuple[str, Callable[[Path], DataSet]]] = {
    Part.CSIC: ("csic2010", read_csic),
    Part.HTTPPARAMS: ("httpparams", read_httpparams),
    Part.OCTOKIT: ("octokit", lambda path: replace(read_cassettes(path), name="octokit")),
}
_PAYLOADS: dict[Part, tuple[str, Callable[[Path], PayloadSet]]] = {
    Part.GOTESTWAF: ("gotestwaf", read_gotestwaf),
    Part.CRS_TESTS: ("crs_tests", read_crs_tests),
    Part.LIBINJECTION: ("libinjection_data", read_libinjection),
}


@dataclass(frozen=True, slots=True)
class Sources:
    """What was found, and what was looked for in vain.

    ``data_sets`` are applications; ``payloads`` go into the fields of the WordPress one.
    """

    data_sets: Mapping[Part, DataSet]
    payloads: Mapping[Part, PayloadSet]
    missing: tuple[str, ...]


def find_sources(
    data: Path | None, wordpress: Path | None, attacks: Path | None, parts: Iterable[Part]
) -> Sources:
    """Read what the parts need and the paths hold.

    ``wordpress`` is a corpus of benign sessions, ``attacks`` one of attacks (either may hold both);
    by default the recorded one of the checkout. Raises InputError where there is nothing at all,
    and CorpusError where something is not in the form of its publisher.
    """
    wanted = frozenset(parts)
    if data is not None and not data.is_dir():
        raise InputError(f"{data} is not a folder", hint="pass the folder that holds the data sets")
    missing: list[str] = []
    found: dict[Part, DataSet] = {}
    corpora = [path for path in (wordpress or RECORDED, attacks) if path is not None]
    if wordpress is not None or RECORDED.is_dir():
        # The other parts need it, too.
        if wanted - _DATA_SETS.keys():
            found[Part.WORDPRESS] = _recorded(corpora)
    else:
        missing.append("wordpress: name its folder with --wordpress")
    payloads: dict[Part, PayloadSet] = {}
    for part, (name, read) in _DATA_SETS.items():
        needed = part in wanted or (part in CURVES and Part.SMALL_CORPORA in wanted)
        if needed and (path := _path(data, name, missing)):
            found[part] = read(path)
    for part, (name, read_payloads) in _PAYLOADS.items():
        if part in wanted and (path := _path(data, name, missing)):
            payloads[part] = _capped(read_payloads(path))
    if not found:
        names = ", ".join(name for name, _ in (*_DATA_SETS.values(), *_PAYLOADS.values()))
        raise InputError(
            "there is nothing to evaluate on",
            hint=f"--wordpress names a recorded corpus, --data a folder with any of {names}",
        )
    return Sources(found, payloads, tuple(missing))


def _recorded(paths: list[Path]) -> DataSet:
    everything = list(open_corpus(paths))
    return DataSet(
        "WordPress",
        tuple(e for e in everything if e.label is Label.BENIGN),
        tuple(e for e in everything if e.label is Label.ATTACK),
    )


def _path(data: Path | None, name: str, missing: list[str]) -> Path | None:
    if data is not None:
        for path in (data / name, data / f"{name}.tar.xz", data / f"{name}.tar"):
            if path.exists():
                return path
    missing.append(f"{name}: not found" if data else f"{name}: name its folder with --data")
    return None


def _capped(found: PayloadSet) -> PayloadSet:
    """Return the set with at most so many payloads of a file, those of the lowest hashes."""
    if found.name != "libinjection":
        return found
    by_file: dict[str, list[Payload]] = {}
    for payload in found.attacks:
        by_file.setdefault(payload.source, []).append(payload)
    kept = [
        payload
        for payloads in by_file.values()
        for payload in sorted(payloads, key=lambda p: sha256(p.value).digest())[:_PER_FILE]
    ]
    dropped = {f"beyond {_PER_FILE} of one file": len(found.attacks) - len(kept)}
    return PayloadSet(found.name, tuple(kept), found.benign, {**found.left_out, **dropped})
