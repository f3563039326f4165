"""Read rules from TOML files and refuse, by name, whatever is not one.

A file is one class of attack. Its ``[defaults]`` fill in what a ``[[rule]]`` leaves out, and a
pattern may hold ``(?&name)`` where the file's ``[fragments]`` define that piece once; nothing in it
matches a NUL, and a negated class need not say so. Samples are strings of canonical bytes, as
Latin-1 where they are not ASCII (``"\\u00e5"`` is the byte E5), or tables of ``value`` and ``in``
(``"header:user-agent"``). Targets are locations (``"query"``), named fields (``"header:referer"``),
exceptions (``"!form:content"``), fields of prose, where a match says one step less
(``"~form:content"``), and two short forms: ``"@values"``, all that an app is told, and
``"~@prose"``, where people write texts.

    [[rule]]
    id = "cnaf-sqli-001"          stable, its prefix is the file's class
    message = "..."               what was found, in plain words
    expected = "..."              what belongs there instead
    severity, confidence, tags, patterns, targets, max_length, syntax, must_fire, must_not_fire
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from cnaf.models.errors import InputError
from cnaf.models.fields import Location
from cnaf.models.verdict import Confidence
from cnaf.signatures.rule import PROSE, Pattern, Rule, Sample, Severity, Syntax, Targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum
    from importlib.resources.abc import Traversable

__all__ = ["RuleError", "built_in_rules", "parse_rules", "read_rules"]

_FILE_KEYS = frozenset(("class", "fragments", "defaults", "rule"))
_REQUIRED = ("id", "message", "expected", "severity", "confidence", "tags", "patterns", "targets",
             "must_fire", "must_not_fire")  # fmt: skip
_OPTIONAL = ("max_length", "syntax")
_DEFAULTABLE = frozenset(("expected", "severity", "tags", "targets", "max_length"))
_CLASS = re.compile(r"[a-z][a-z0-9-]{1,30}")
_REFERENCE = re.compile(r"\(\?&([a-z_]+)\)")
_TAG = re.compile(r"CWE-\d{1,5}|CAPEC-\d{1,4}|T\d{4}(?:\.\d{3})?")
#: What Hyperscan and :mod:`re` do not have in common, look for alike, or take for a NUL.
_UNSHARED = re.compile(r"\(\?(?!:)|\\[0-9AZzGKXBv]|\\x00|\{,\d|\[(?!\^)[^\]]*\\[SWD]")
#: Escapes, classes and the dot: the pieces of a pattern that are not what they look like.
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\.", re.DOTALL)
_WITHOUT_NUL = {".": r"[^\x00]", r"\S": r"[^\s\x00]", r"\W": r"[^\w\x00]", r"\D": r"[^\d\x00]"}
_LOCATIONS = {location.label: location for location in Location}
#: Short forms in targets: all places of an app's own values, and texts taken out of them.
_SHORT_TARGETS = {
    "@values": ("path", "query", "form", "json", "xml", "multipart", "cookie", "body",
                "header:user-agent", "header:referer", "header:x-forwarded-for"),
    "~@prose": tuple(f"~{label}:{name}" for label in ("form", "json", "multipart")
                     for name in sorted(PROSE)),
}  # fmt: skip
#: Samples that a rule must bring of either kind.
_MIN_SAMPLES = 2
_MAX_PATTERN = 4096
#: Fragments may use fragments; deeper than this is a loop.
_FRAGMENT_DEPTH = 4

_E = TypeVar("_E", bound="StrEnum")


class RuleError(InputError):
    """A rule that cannot be used: the message names the file, the rule and the key."""

    def __init__(self, file: str, rule: str, key: str, problem: str) -> None:
        where = f"rule {rule}" if rule else "the file"
        super().__init__(
            f"{file}: {where}: {key}: {problem}",
            hint="correct the rule file; its keys are described in cnaf.signatures.rule_files",
        )
        self.file, self.rule, self.key, self.problem = file, rule, key, problem


def built_in_rules() -> tuple[Rule, ...]:
    """Return the rules that come with the product, in the order of their files and lines."""
    folder = resources.files("cnaf.signatures") / "rules"
    return read_rules(item for item in folder.iterdir() if item.name.endswith(".toml"))


def read_rules(files: Iterable[Traversable]) -> tuple[Rule, ...]:
    """Return the rules of several files, sorted by file name.

    Raises RuleError for the first problem: unreadable file, unknown or missing key, wrong type or
    value, an id that came before.
    """
    rules: list[Rule] = []
    origin: dict[str, str] = {}
    for file in sorted(files, key=lambda item: item.name):
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(file.name, "", "file", f"cannot be read: {error}") from None
        for rule in parse_rules(text, file.name):
            if rule.id in origin:
                raise RuleError(file.name, rule.id, "id", f"used before, in {origin[rule.id]}")
            origin[rule.id] = file.name
            rules.append(rule)
    return tuple(rules)


def parse_rules(text: str, file: str) -> tuple[Rule, ...]:
    """Return the rules of one file's text; ``file`` is its name in errors (RuleError)."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(file, "", "file", f"not TOML: {error}") from None
    top = _Reader(file, "", document)
    top.only(_FILE_KEYS)
    prefix = top.text("class")
    if not _CLASS.fullmatch(prefix):
        raise top.wrong("class", "lower-case letters, digits and dashes")
    defaults = top.table("defaults")
    for key in defaults:
        if key not in _DEFAULTABLE:
            raise top.wrong(f"defaults.{key}", f"one of {', '.join(sorted(_DEFAULTABLE))}")
    fragments = top.table("fragments")
    entries = document.get("rule")
    if not isinstance(entries, list) or not entries:
        raise top.wrong("rule", "at least one [[rule]]")
    rules = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise top.wrong("rule", "tables")
        name = entry.get("id")
        reader = _Reader(file, name if isinstance(name, str) else f"number {number}",
                         {**defaults, **entry})  # fmt: skip
        rules.append(_rule(reader, prefix, fragments))
    return tuple(rules)


class _Reader:
    """One table of a file: typed access that knows what to call itself in an error."""

    def __init__(self, file: str, rule: str, values: Mapping[str, object]) -> None:
        self.file, self.rule, self.values = file, rule, values

    def wrong(self, key: str, expected: str) -> RuleError:
        return RuleError(self.file, self.rule, key, f"expected {expected}")

    def only(self, known: Iterable[str]) -> None:
        for key in self.values:
            if key not in known:
                raise RuleError(self.file, self.rule, key, "unknown key")

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "a text that is not empty")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, "a list that is not empty")
        for item in value:
            if not isinstance(item, str) or not item:
                raise self.wrong(key, "texts that are not empty")
        return tuple(value)

    def table(self, key: str) -> Mapping[str, object]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return value

    def choice(self, key: str, kind: type[_E]) -> _E:
        value = self.text(key)
        try:
            return kind(value)
        except ValueError:
            raise self.wrong(key, "one of " + ", ".join(kind)) from None


def _rule(reader: _Reader, prefix: str, fragments: Mapping[str, object]) -> Rule:
    reader.only((*_REQUIRED, *_OPTIONAL))
    rule_id = reader.text("id")
    if not re.fullmatch(rf"cnaf-{prefix}-[a-z0-9]+", rule_id):
        raise reader.wrong("id", f"cnaf-{prefix}- and a number or a word")
    tags = reader.texts("tags")
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise reader.wrong("tags", f"CWE-n, CAPEC-n or an ATT&CK id, found {tag!r}")
    max_length = reader.values.get("max_length", 0)
    if not isinstance(max_length, int) or isinstance(max_length, bool) or max_length < 0:
        raise reader.wrong("max_length", "a number of bytes")
    targets = _targets(reader)
    return Rule(
        id=rule_id,
        message=reader.text("message"),
        expected=reader.text("expected"),
        severity=reader.choice("severity", Severity),
        confidence=reader.choice("confidence", Confidence),
        tags=tags,
        patterns=tuple(_pattern(reader, text, fragments) for text in reader.texts("patterns")),
        targets=targets,
        must_fire=_samples(reader, "must_fire", targets),
        must_not_fire=_samples(reader, "must_not_fire", targets),
        max_length=max_length,
        syntax=reader.choice("syntax", Syntax) if "syntax" in reader.values else None,
    )


def _pattern(reader: _Reader, text: str, fragments: Mapping[str, object]) -> Pattern:
    at_start = text.startswith("^")
    at_end = text.endswith("$") and not text.endswith("\\$")
    body = text[1 if at_start else 0 : -1 if at_end else None]
    for _ in range(_FRAGMENT_DEPTH):
        if not _REFERENCE.search(body):
            break
        body = _REFERENCE.sub(lambda m: _fragment(reader, m[1], fragments), body)
        if len(body) > _MAX_PATTERN:
            raise reader.wrong("patterns", f"at most {_MAX_PATTERN} characters, fragments included")
    if not body.isascii():
        raise reader.wrong("patterns", r"ASCII; write other bytes as \xNN")
    if re.search(r"[\^$]", _PIECE.sub("", body)):
        raise reader.wrong("patterns", f"^ and $ at the ends of a pattern only: {text!r}")
    if _UNSHARED.search(re.sub(r"\\[^0-9A-Za-z]", "_", body)):
        raise reader.wrong(
            "patterns", f"no look-around, back-reference, flag, unknown fragment or NUL: {text!r}"
        )
    body = _PIECE.sub(_spare_nul, body)
    try:
        compiled = re.compile(body.encode("ascii"), re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise reader.wrong("patterns", f"a regular expression, but {text!r}: {error}") from None
    if compiled.fullmatch(b""):
        raise reader.wrong("patterns", f"what cannot match nothing: {text!r}")
    return Pattern(body, at_start, at_end)


def _spare_nul(piece: re.Match[str]) -> str:
    """A dot or a negated class would match the separator behind a value, and run into the next."""
    text = piece[0]
    return r"[^\x00" + text[2:] if text.startswith("[^") else _WITHOUT_NUL.get(text, text)


def _fragment(reader: _Reader, name: str, fragments: Mapping[str, object]) -> str:
    value = fragments.get(name)
    if not isinstance(value, str) or not value:
        raise reader.wrong("patterns", f"a fragment of the file, found {name!r}")
    return f"(?:{value})"


def _targets(reader: _Reader) -> Targets:
    locations: set[Location] = set()
    names: set[tuple[Location, str]] = set()
    exceptions: set[tuple[Location, str]] = set()
    prose: set[tuple[Location, str]] = set()
    texts = chain.from_iterable(_SHORT_TARGETS.get(t, (t,)) for t in reader.texts("targets"))
    for text in texts:
        label, colon, name = text.lstrip("!~").partition(":")
        location = _LOCATIONS.get(label)
        if location is None or (colon and not name) or (text[0] in "!~" and not name):
            raise reader.wrong("targets", f"location, or [!~]location:name: {text!r}")
        if text.startswith("!"):
            exceptions.add((location, name.lower()))
        elif text.startswith("~"):
            prose.add((location, name.lower()))
        elif name:
            names.add((location, name.lower()))
        else:
            locations.add(location)
    return Targets(frozenset(locations), frozenset(names), frozenset(exceptions), frozenset(prose))


def _samples(reader: _Reader, key: str, targets: Targets) -> tuple[Sample, ...]:
    items = reader.values.get(key)
    if not isinstance(items, list) or len(items) < _MIN_SAMPLES:
        raise reader.wrong(key, f"a list of at least {_MIN_SAMPLES} samples")
    return tuple(_sample(reader, key, item, targets) for item in items)


def _sample(reader: _Reader, key: str, item: object, targets: Targets) -> Sample:
    text, place = item, None
    if isinstance(item, dict):
        if item.keys() != {"value", "in"}:
            raise reader.wrong(key, "samples with the keys value and in")
        text, place = item["value"], item["in"]
    if not isinstance(text, str) or not text:
        raise reader.wrong(key, "samples that are texts and not empty")
    try:
        value = text.encode("latin-1")
    except UnicodeEncodeError:
        raise reader.wrong(key, "samples of bytes, written as U+0000 to U+00FF") from None
    if place is None:
        return Sample(value, *_usual_place(targets))
    label, _, name = str(place).partition(":")
    if label not in _LOCATIONS:
        raise reader.wrong(key, f"a known location in {place!r}")
    return Sample(value, _LOCATIONS[label], name)


def _usual_place(targets: Targets) -> tuple[Location, str]:
    """Where a sample stands that does not say: a form, else the first place that is targeted."""
    if Location.FORM in targets.locations:
        return Location.FORM, "sample"
    if targets.locations:
        return min(targets.locations), "sample"
    return min(targets.names)
