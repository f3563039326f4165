"""What requests are made of: recorded and published ones, and attack strings to put into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnaf.evaluation.crs_stages import read_stages
from cnaf.evaluation.payload_lists import read_payload_lists
from cnaf.evaluation.rewriting import attacking_slot, kind_of
from cnaf.evaluation.sources import Part, find_sources
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cnaf.models.exchange import Exchange, Request

__all__ = ["Seeds", "find_seeds"]

_PARTS = (
    Part.WORDPRESS,
    Part.CSIC,
    Part.HTTPPARAMS,
    Part.OCTOKIT,
    Part.GOTESTWAF,
    Part.LIBINJECTION,
)
_CRS_TESTS = "crs_tests"
_LISTS = "payloadsallthethings"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Requests and attack strings by the name of their corpus; none is empty.

    Raises CorpusError where there are no requests or no strings at all.
    """

    requests: Mapping[str, Sequence[Request]]
    payloads: Mapping[str, Sequence[bytes]]

    def __post_init__(self) -> None:
        if not self.requests or not self.payloads:
            raise CorpusError(
                "there are no requests, or no attack strings, to make requests of",
                hint="--data names the folder with the data sets",
            )


def find_seeds(data: Path | None) -> Seeds:
    """Read whatever is found of the recorded corpus and of the data sets in a folder.

    Raises InputError where there is nothing, CorpusError where something is in no known form.
    """
    sources = find_sources(data, None, None, _PARTS)
    requests: dict[str, tuple[Request, ...]] = {}
    for part, found in sources.data_sets.items():
        requests[f"{part.value}, benign"] = tuple(e.request for e in found.train + found.benign)
        requests[f"{part.value}, attacks"] = tuple(e.request for e in found.attacks)
    payloads = {
        part.value: tuple(payload.value for payload in found.attacks + found.benign)
        for part, found in sources.payloads.items()
    }
    if recorded := sources.data_sets.get(Part.WORDPRESS):
        payloads["recorded attacks"] = tuple(_attacking_values(recorded.attacks))
    for path in _archives(data, _CRS_TESTS):
        requests["crs-tests"] = tuple(stage.request for stage in read_stages(path))
    for path in _archives(data, _LISTS):
        payloads["payload lists"] = tuple(p.value for p in read_payload_lists(path).attacks)
    return Seeds(
        {name: found for name, found in requests.items() if found},
        {name: found for name, found in payloads.items() if found},
    )


def _attacking_values(attacks: Iterable[Exchange]) -> Iterator[bytes]:
    for attack in attacks:
        kind = kind_of(attack)
        slot = attacking_slot(attack.request, kind) if kind is not None else None
        if slot is not None:
            yield slot.text.encode("utf-8", "surrogateescape")


def _archives(data: Path | None, name: str) -> list[Path]:
    names = (name, f"{name}.tar.xz", f"{name}.tar")
    return [path for n in names if data and (path := data / n).exists()][:1]
