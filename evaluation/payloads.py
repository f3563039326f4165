"""Published attack strings, each once, as what an application would get: decoded, by class."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

import yaml
from cnaf.datasets.wire import BrokenError, as_dict, as_list, as_str
from cnaf.evaluation.packed import read_folder
from cnaf.models.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Payload", "PayloadSet", "collect", "load_yaml", "read_gotestwaf", "read_libinjection"]

_NONE: Mapping[str, int] = MappingProxyType({})


class _GoLoader(yaml.SafeLoader):
    r"""Reads ``\'`` in double quotes, which is no YAML, but which Go's reader takes."""

    # The stubs call it final.
    ESCAPE_REPLACEMENTS = MappingProxyType(  # type: ignore[misc, assignment]
        {**yaml.SafeLoader.ESCAPE_REPLACEMENTS, "'": "'"}
    )


#: The C loader is ten times as fast; it is missing where PyYAML was built without libyaml.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Payload(NamedTuple):
    """One attack value (decoded bytes), its class (``sqli``), and the file that it is from."""

    value: bytes
    attack_class: str
    source: str


@dataclass(frozen=True, slots=True)
class PayloadSet:
    """Attack strings of one origin, and the benign ones that its authors collected.

    No value comes twice, and none is in both. ``left_out`` counts the others, by the reason.
    """

    name: str
    attacks: tuple[Payload, ...]
    benign: tuple[Payload, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=lambda: _NONE)


def read_gotestwaf(path: Path) -> PayloadSet:
    """Read the test cases of GoTestWAF (YAML), a folder or tar archive, plain or .xz.

    Payloads are taken raw, before the encoders; only where a file writes them as they stand in a
    URL are they decoded. The folder ``false-pos`` is benign. Raises CorpusError for another format.
    """
    attacks: list[Payload] = []
    benign: list[Payload] = []
    left_out: Counter[str] = Counter()
    for name, raw in read_folder(path, (".yml", ".yaml")):
        try:
            case = as_dict(load_yaml(raw, _GoLoader), "document")
            values = [as_str(v, "a payload") for v in as_list(case.get("payload"), "payload")]
            encoders = as_list(case.get("encoder"), "encoder")
            places = {str(next(iter(p)) if isinstance(p, dict) and p else p)
                      for p in as_list(case.get("placeholder"), "placeholder")}  # fmt: skip
        except BrokenError as error:
            raise CorpusError(
                f"{path}: {name} is no test case of GoTestWAF: {error}",
                hint="expected YAML with payload, encoder and placeholder",
            ) from None
        reason = next((_NO_VALUE[place] for place in places if place in _NO_VALUE), None)
        if reason is not None:
            left_out[reason] += len(values)
            continue
        raw_values = [value.encode("utf-8", "surrogatepass") for value in values]
        if places == {"URLPath"} and encoders == ["Plain"]:
            raw_values = [unquote_to_bytes(value) for value in raw_values]
        kind = _SIZE.sub("", str(case.get("type") or "")).lower().replace(" ", "-")
        into = benign if "false-pos" in name.split("/") else attacks
        into += [Payload(value, kind, name) for value in raw_values]
    return collect("GoTestWAF", attacks, benign, left_out)


#: Placeholders whose payload is no value of a field.
_NO_VALUE = {
    "UserAgent": "names a scanner in the User-Agent",
    "GraphQL": "is a whole GraphQL document",
}
#: Padded variants say their size in their type.
_SIZE = re.compile(r"^[0-9]+KB ")


def read_libinjection(path: Path) -> PayloadSet:
    """Read libinjection's sample files, a folder or tar archive, plain or .xz.

    The class is the beginning of a file's name; ``false_positives.txt`` is benign. As the samples'
    own description has it, lines are percent-encoded and those with ``#`` in front are comments.
    Many lines are plain text all the same: where one holds a blank, ``+`` is a plus.
    """
    attacks: list[Payload] = []
    benign: list[Payload] = []
    left_out: Counter[str] = Counter()
    for name, raw in read_folder(path, (".txt",)):
        file = name.rpartition("/")[2]
        lines = [line.rstrip(b"\r") for line in raw.split(b"\n")]
        values = [_plain(line) for line in lines if line.strip() and not line.startswith(b"#")]
        kind = file.partition("-")[0]
        if file == "false_positives.txt":
            benign += [Payload(value, "", name) for value in values]
        elif kind in ("sqli", "xss"):
            attacks += [Payload(value, kind, name) for value in values]
        else:
            left_out[f"{file} is neither sqli nor xss"] += len(values)
    return collect("libinjection", attacks, benign, left_out)


def collect(
    name: str, attacks: Iterable[Payload], benign: Iterable[Payload], left_out: Counter[str]
) -> PayloadSet:
    """Return each value once, the first time it comes; raises CorpusError where no attack is left.

    What is in both is what the authors disagree with themselves about: it counts as neither.
    """
    first_attacks = _first(attacks, left_out)
    first_benign = _first(benign, left_out)
    both = first_attacks.keys() & first_benign.keys()
    if both:
        left_out["is both an attack and benign"] += len(both)
    if not first_attacks:
        raise CorpusError(f"{name} holds no attack", hint="pass the folder as it was published")
    return PayloadSet(
        name,
        tuple(p for value, p in first_attacks.items() if value not in both),
        tuple(p for value, p in first_benign.items() if value not in both),
        dict(left_out),
    )


def load_yaml(raw: bytes, loader: type[yaml.SafeLoader] = _Loader) -> object:
    """Return a YAML document of plain values; raises BrokenError where it is none."""
    try:
        return yaml.load(raw, loader)  # noqa: S506 - safe loaders only, see the type
    # ValueError and RecursionError: dates that do not exist, nesting without end.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BrokenError(f"not YAML: {str(error)[:200]}") from None


def _first(payloads: Iterable[Payload], left_out: Counter[str]) -> dict[bytes, Payload]:
    found: dict[bytes, Payload] = {}
    for payload in payloads:
        if not payload.value:
            left_out["is empty"] += 1
        elif found.setdefault(payload.value, payload) is not payload:
            left_out["repeats another value"] += 1
    return found


def _plain(line: bytes) -> bytes:
    return unquote_to_bytes(line if b" " in line else line.replace(b"+", b" "))
