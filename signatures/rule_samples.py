r"""Values that a rule must fire on, and values that it must not: data beside the rules.

Samples stand in TOML files, a table a rule:

    [cnaf-sqli-001]
    must_fire = ["-1' union select 1,2 from users-- -", { value = "…", in = "cookie:cart" }]
    must_not_fire = ["the union select committee met on Monday", "select your union"]

A value is written as canonical bytes, as Latin-1 where they are not ASCII (``"\u00e5"`` is the byte
E5). ``in`` is the field as evidence names it (``header:user-agent``, ``path``); without it, the
value stands in a form, else in the first place that its rule looks at.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

from cnaf.models.errors import InputError
from cnaf.models.fields import SEPARATOR, Field, Location, ParsedRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from importlib.resources.abc import Traversable

    from cnaf.signatures.engine import SignatureMatch
    from cnaf.signatures.rule import Rule, Targets

__all__ = [
    "FailedSample", "RuleSamples", "Sample", "SampleError", "built_in_samples", "failed_samples",
    "read_samples",
]  # fmt: skip

#: Samples that a rule must bring of either kind.
MIN_SAMPLES: Final = 2
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024
_KINDS: Final = ("must_fire", "must_not_fire")
_LOCATIONS: Final = {location.label: location for location in Location}


class SampleError(InputError):
    """Samples that cannot be used: the message names the file, the rule and the key."""

    def __init__(self, file: str, rule: str, problem: str) -> None:
        where = f"{file}: {rule}" if rule else file
        super().__init__(f"{where}: {problem}", hint="cnaf.signatures.rule_samples says how")
        self.file, self.rule, self.problem = file, rule, problem


@dataclass(frozen=True, slots=True)
class Sample:
    """A canonical value that a rule must, or must not, fire on, and the field it stands in."""

    value: bytes
    location: Location
    name: str = ""

    def request(self) -> ParsedRequest:
        """Return a request of this field alone."""
        return request_of([Field(self.location, self.name, self.value)])


@dataclass(frozen=True, slots=True)
class RuleSamples:
    """The samples of one rule."""

    must_fire: tuple[Sample, ...]
    must_not_fire: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class FailedSample:
    """A sample on which its rule did not do what it must."""

    rule: str
    sample: Sample
    must_fire: bool


class Matcher(Protocol):
    """The one verb of an engine that is used."""

    def match(self, request: ParsedRequest) -> Sequence[SignatureMatch]:
        """Return what matches."""


def request_of(fields: Sequence[Field]) -> ParsedRequest:
    """Return a request of the given fields, laid out as the parser lays them out."""
    values = [field.value for field in fields]
    starts = list(accumulate((len(value) + 1 for value in values), initial=0))[:-1]
    return ParsedRequest("GET", "/", list(fields), [], SEPARATOR.join(values), starts, 0)


def built_in_samples(rules: Sequence[Rule]) -> dict[str, RuleSamples]:
    """Return the samples that come with the product, by the names of the built-in ``rules``."""
    folder = resources.files("cnaf.signatures") / "rules" / "samples"
    return read_samples((f for f in folder.iterdir() if f.name.endswith(".toml")), rules)


def read_samples(files: Iterable[Traversable], rules: Sequence[Rule]) -> dict[str, RuleSamples]:
    """Return the samples of several files by the name of their rule, in the order of the rules.

    Raises SampleError where a file cannot be used, and where a rule has too few samples.
    """
    by_name = {rule.id: rule for rule in rules}
    found: dict[str, RuleSamples] = {}
    for file in sorted(files, key=lambda item: item.name):
        for name, table in _tables(file).items():
            if name not in by_name or name in found:
                raise SampleError(file.name, name, "no rule of that name, or given before")
            reader = _Reader(file.name, name, by_name[name].targets)
            found[name] = reader.samples(table)
    for name, rule in by_name.items():
        if name not in found:
            raise SampleError(rule.place.file, name, "no samples")
    return {name: found[name] for name in by_name}


def failed_samples(engine: Matcher, samples: Mapping[str, RuleSamples]) -> Iterator[FailedSample]:
    """Yield the samples on which rules do not do what they must, in order."""
    for name, of_rule in samples.items():
        for must_fire, kind in ((True, of_rule.must_fire), (False, of_rule.must_not_fire)):
            for sample in kind:
                fires = any(match.rule.id == name for match in engine.match(sample.request()))
                if fires is not must_fire:
                    yield FailedSample(name, sample, must_fire)


def _tables(file: Traversable) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise SampleError(file.name, "", f"more than {_MAX_FILE_BYTES} bytes")
        return tomllib.loads(data.decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SampleError(file.name, "", f"cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SampleError(file.name, "", f"not TOML: {error}") from None


class _Reader:
    """Reads the table of one rule, and knows what to call it in an error."""

    def __init__(self, file: str, rule: str, targets: Targets) -> None:
        self.file, self.rule = file, rule
        self.usual = _usual_place(targets)

    def samples(self, table: object) -> RuleSamples:
        if not isinstance(table, dict) or table.keys() != set(_KINDS):
            raise self.wrong(f"a table of {' and '.join(_KINDS)}")
        return RuleSamples(*(self._list(kind, table[kind]) for kind in _KINDS))

    def wrong(self, expected: str) -> SampleError:
        return SampleError(self.file, self.rule, f"expected {expected}")

    def _list(self, kind: str, items: object) -> tuple[Sample, ...]:
        if not isinstance(items, list) or len(items) < MIN_SAMPLES:
            raise self.wrong(f"{kind}: a list of at least {MIN_SAMPLES} samples")
        return tuple(self._sample(kind, item) for item in items)

    def _sample(self, kind: str, item: object) -> Sample:
        text, place = item, None
        if isinstance(item, dict):
            if item.keys() != {"value", "in"}:
                raise self.wrong(f"{kind}: samples with the keys value and in")
            text, place = item["value"], str(item["in"])
        if not isinstance(text, str) or not text:
            raise self.wrong(f"{kind}: samples that are texts and not empty")
        try:
            value = text.encode("latin-1")
        except UnicodeEncodeError:
            raise self.wrong(f"{kind}: bytes, written as U+0000 to U+00FF") from None
        if place is None:
            return Sample(value, *self.usual)
        label, _, name = place.partition(":")
        if label not in _LOCATIONS:
            raise self.wrong(f"{kind}: one of {', '.join(_LOCATIONS)} in {place!r}")
        return Sample(value, _LOCATIONS[label], name)


def _usual_place(targets: Targets) -> tuple[Location, str]:
    """Where a sample stands that does not say: a form, else the first place that is targeted."""
    if Location.FORM in targets.locations:
        return Location.FORM, "sample"
    if targets.locations:
        return min(targets.locations), "sample"
    return min(targets.names)
