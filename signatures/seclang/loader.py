"""Read rule files, with what they include, into a program; refuse by name what is not supported.

Whatever a directive asks for that this engine does not do is an error with file and line, but for
those that concern ModSecurity's own logs and stores: they are taken note of.
"""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.program import Chain, Exceptions, Marker, Program, Settings
from cnaf.signatures.seclang.reader import (
    MAX_FILE_BYTES,
    parse_actions,
    parse_rule,
    parse_variables,
    read_directives,
)
from cnaf.signatures.seclang.syntax import Action, Directive, Place, SecRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Loader", "load_program"]

_MAX_DEPTH = 8
_MAX_FILES = 1024
_MAX_RULES = 20_000
_PHASES = {"request": 2, "response": 4, "logging": 5}

#: Directives of ModSecurity's logs, stores and processes: CNAF has its own, so they do nothing.
_WITHOUT_EFFECT = frozenset(name.lower() for name in (
    "SecAuditEngine", "SecAuditLog", "SecAuditLog2", "SecAuditLogDirMode", "SecAuditLogFileMode",
    "SecAuditLogFormat", "SecAuditLogParts", "SecAuditLogRelevantStatus", "SecAuditLogStorageDir",
    "SecAuditLogType", "SecCollectionTimeout", "SecDataDir", "SecDebugLog", "SecDebugLogLevel",
    "SecPcreMatchLimit", "SecPcreMatchLimitRecursion", "SecRequestBodyInMemoryLimit",
    "SecRequestBodyLimitAction", "SecResponseBodyLimit", "SecResponseBodyLimitAction",
    "SecResponseBodyMimeType", "SecResponseBodyMimeTypesClear", "SecRulePerfTime", "SecSensorId",
    "SecServerSignature", "SecStatusEngine", "SecTmpDir", "SecTmpSaveUploadedFiles",
    "SecUnicodeMapFile", "SecUploadDir", "SecUploadFileLimit", "SecUploadFileMode",
    "SecUploadKeepFiles", "SecWebAppId",
))  # fmt: skip


def load_program(files: Iterable[Path | str]) -> Program:
    """Read files in the order given; raises SecLangError, also for files that cannot be read."""
    loader = Loader()
    for file in files:
        loader.read(Path(file))
    return loader.program()


class Loader:
    """Collects what files say. One use: read each file, then ask for the program.

    ``read`` gives the text of a file, as Latin-1; it raises SecLangError.
    """

    def __init__(self, read: Callable[[Path, Place], str] | None = None) -> None:
        self._read = read or read_file
        self._units: list[Chain | Marker] = []
        self._ids: dict[int, Place] = {}
        self._links: list[SecRule] = []
        self._exceptions = Exceptions()
        self._settings = Settings()
        self._notes: list[str] = []
        self._files = 0
        self.digest = hashlib.sha256()

    def read(self, path: Path, depth: int = 0, place: Place | None = None) -> None:
        """Read one file and what it includes; raises SecLangError."""
        text = self._text(path, place or Place(str(path), 1))
        if depth > _MAX_DEPTH:
            raise SecLangError(str(path), 1, f"included deeper than {_MAX_DEPTH} files")
        for directive in read_directives(text, str(path)):
            self._directive(directive, path, depth)
        self._end()

    def read_text(self, text: str, name: str) -> None:
        """Read rules from a text; files that they name are sought in the current folder."""
        self.digest.update(text.encode("latin-1", "replace"))
        for directive in read_directives(text, name):
            self._directive(directive, Path(name), 0)
        self._end()

    def _end(self) -> None:
        """No chain goes on in the next file."""
        if self._links:
            last = self._links[-1].place
            raise SecLangError(last.file, last.line, "a chain ends without its last rule")

    def program(self) -> Program:
        """Return what was read, updates and removals applied."""
        units = self._exceptions.apply(_without_skips(self._units))
        return Program(units, self._settings, tuple(self._notes))

    def _text(self, path: Path, place: Place) -> str:
        self._files += 1
        if self._files > _MAX_FILES:
            raise SecLangError(place.file, place.line, f"more than {_MAX_FILES} files")
        text = self._read(path, place)
        self.digest.update(f"{path.name}\0{len(text)}\0".encode())
        self.digest.update(text.encode("latin-1"))
        return text

    def _directive(self, directive: Directive, path: Path, depth: int) -> None:
        name = directive.name.lower()
        if name in {"secrule", "secaction"}:
            self._rule(parse_rule(directive))
            return
        if self._links:
            raise _wrong(directive, "a chain is interrupted")
        if name in {"include", "includeoptional"}:
            self._include(directive, path, depth)
        elif name in _HANDLERS:
            _HANDLERS[name](self, directive)
        elif name in _WITHOUT_EFFECT:
            where = f"{directive.place.file}:{directive.place.line}"
            self._notes.append(f"{where}: {directive.name} has no effect here")
        else:
            raise SecLangError(
                directive.place.file,
                directive.place.line,
                f"the directive {directive.name} is not supported",
                supported="SecRule, SecAction, Include, " + ", ".join(sorted(_HANDLERS)),
            )

    def _include(self, directive: Directive, path: Path, depth: int) -> None:
        pattern = _argument(directive)
        full = pattern if os.path.isabs(pattern) else str(path.parent / pattern)
        found = sorted(glob.glob(full))
        if not found and not (set(pattern) & set("*?[")) and directive.name.lower() == "include":
            raise _wrong(directive, f"there is no file {full}")
        for file in found:
            if not os.path.isdir(file):
                self.read(Path(file), depth + 1, directive.place)

    # Rules ----------------------------------------------------------------------------------

    def _rule(self, rule: SecRule) -> None:
        self._links.append(rule)
        if any(action.name == "chain" for action in rule.actions):
            return
        links, self._links = tuple(self._links), []
        chain = self._chain(links)
        known = self._ids.setdefault(chain.id, chain.head.place)
        if known is not chain.head.place:
            place = chain.head.place
            problem = f"rule {chain.id} is there already, in {known.file}:{known.line}"
            raise SecLangError(place.file, place.line, problem)
        if len(self._ids) > _MAX_RULES:
            raise SecLangError(known.file, known.line, f"more than {_MAX_RULES} rules")
        self._units.append(chain)

    def _chain(self, links: tuple[SecRule, ...]) -> Chain:
        place = links[0].place
        actions = {action.name: action.argument for action in links[0].actions}
        number = actions.get("id", "")
        if not number.isdigit() or not 0 < int(number) < 2**53:
            raise SecLangError(place.file, place.line, f"a rule needs an id, found {number!r}")
        defaults = {a.name: a.argument for a in self._settings.defaults(2)}
        phase = actions.get("phase", defaults.get("phase", "2")).lower()
        phase = str(_PHASES.get(phase, phase))
        if phase not in {"1", "2", "3", "4", "5"}:
            raise SecLangError(place.file, place.line, f"no phase: {phase!r}", supported="1 to 5")
        for link in links[1:]:
            _check_link(link)
        return Chain(int(number), int(phase), links)

    def marker(self, directive: Directive) -> None:
        """Take a SecMarker."""
        self._units.append(Marker(_argument(directive)))

    def default_action(self, directive: Directive) -> None:
        """Take a SecDefaultAction."""
        actions = parse_actions(_argument(directive), directive.place)
        phase = next((a.argument for a in actions if a.name == "phase"), "2")
        if phase not in {"1", "2", "3", "4", "5"}:
            raise _wrong(directive, f"no phase: {phase!r}")
        kept = tuple(d for d in self._settings.default_actions if d[0] != int(phase))
        self._settings = replace(self._settings, default_actions=(*kept, (int(phase), actions)))

    # Exceptions -----------------------------------------------------------------------------

    def remove_by_id(self, directive: Directive) -> None:
        """Take a SecRuleRemoveById: ids and ranges."""
        ranges = [_id_range(w, directive) for a in directive.arguments for w in a.split()]
        self._exceptions.removed.append(
            lambda chain: any(low <= chain.id <= high for low, high in ranges)
        )

    def remove_by_tag(self, directive: Directive) -> None:
        """Take a SecRuleRemoveByTag."""
        tag = _argument(directive)
        self._exceptions.removed.append(lambda chain: tag in chain.tags())

    def remove_by_message(self, directive: Directive) -> None:
        """Take a SecRuleRemoveByMsg."""
        message = _argument(directive)
        self._exceptions.removed.append(lambda chain: chain.argument("msg") == message)

    def update_target_by_id(self, directive: Directive) -> None:
        """Take a SecRuleUpdateTargetById."""
        first, variables = self._update(directive)
        low, high = _id_range(first, directive)
        self._exceptions.targets.append((lambda chain: low <= chain.id <= high, variables))

    def update_target_by_tag(self, directive: Directive) -> None:
        """Take a SecRuleUpdateTargetByTag."""
        tag, variables = self._update(directive)
        self._exceptions.targets.append((lambda chain: tag in chain.tags(), variables))

    def update_target_by_message(self, directive: Directive) -> None:
        """Take a SecRuleUpdateTargetByMsg."""
        message, variables = self._update(directive)
        self._exceptions.targets.append((lambda chain: chain.argument("msg") == message, variables))

    def update_action_by_id(self, directive: Directive) -> None:
        """Take a SecRuleUpdateActionById."""
        if len(directive.arguments) != 2:
            raise _wrong(directive, f"{directive.name} takes an id and actions")
        low, high = _id_range(directive.arguments[0], directive)
        if low != high:
            raise _wrong(directive, "actions of one rule are updated at a time, no range")
        actions = parse_actions(directive.arguments[1], directive.place)
        if any(a.name in {"id", "phase", "chain"} for a in actions):
            raise _wrong(directive, "id, phase and chain of a rule cannot be updated")
        self._exceptions.actions.append((low, actions))

    def _update(self, directive: Directive) -> tuple[str, tuple]:  # type: ignore[type-arg]
        if len(directive.arguments) != 2:
            raise _wrong(directive, f"{directive.name} takes a rule and targets")
        text = directive.arguments[1].replace(",", "|")
        return directive.arguments[0], parse_variables(text, directive.place)

    # Settings -------------------------------------------------------------------------------

    def signature(self, directive: Directive) -> None:
        """Take a SecComponentSignature: what rules call themselves."""
        added = (*self._settings.signatures, _argument(directive))
        self._settings = replace(self._settings, signatures=added)

    def setting(self, field: str, value: object) -> None:
        """Set one field of the settings."""
        self._settings = replace(self._settings, **{field: value})  # type: ignore[arg-type]


def _number_setting(field: str) -> Callable[[Loader, Directive], None]:
    def handle(loader: Loader, directive: Directive) -> None:
        text = _argument(directive)
        if not text.isdigit() or int(text) > 2**40:
            raise _wrong(directive, f"{directive.name} takes a number, found {text!r}")
        loader.setting(field, int(text))

    return handle


def _switch(field: str) -> Callable[[Loader, Directive], None]:
    def handle(loader: Loader, directive: Directive) -> None:
        loader.setting(field, _choice(directive, "On", "Off") == "On")

    return handle


def _engine(loader: Loader, directive: Directive) -> None:
    loader.setting("engine", _choice(directive, "On", "Off", "DetectionOnly"))


def _only(*allowed: str) -> Callable[[Loader, Directive], None]:
    """Return a handler of a directive of which one way is supported, that of the default."""

    def handle(_loader: Loader, directive: Directive) -> None:
        _choice(directive, *allowed)

    return handle


def _choice(directive: Directive, *allowed: str) -> str:
    text = _argument(directive)
    for value in allowed:
        if value.lower() == text.lower():
            return value
    raise SecLangError(
        directive.place.file,
        directive.place.line,
        f"{directive.name} {text} is not supported",
        supported=", ".join(allowed),
    )


_HANDLERS: dict[str, Callable[[Loader, Directive], None]] = {
    "secargumentseparator": _only("&"),
    "secargumentslimit": _number_setting("arguments"),
    "seccomponentsignature": Loader.signature,
    "seccookieformat": _only("0"),
    "secdefaultaction": Loader.default_action,
    "secmarker": Loader.marker,
    "secrequestbodyaccess": _switch("request_body_access"),
    "secrequestbodyjsondepthlimit": _number_setting("json_depth"),
    "secrequestbodylimit": _number_setting("body_limit"),
    "secrequestbodynofileslimit": _number_setting("no_files_limit"),
    "secresponsebodyaccess": _switch("response_body_access"),
    "secruleengine": _engine,
    "secruleremovebyid": Loader.remove_by_id,
    "secruleremovebymsg": Loader.remove_by_message,
    "secruleremovebytag": Loader.remove_by_tag,
    "secruleupdateactionbyid": Loader.update_action_by_id,
    "secruleupdatetargetbyid": Loader.update_target_by_id,
    "secruleupdatetargetbymsg": Loader.update_target_by_message,
    "secruleupdatetargetbytag": Loader.update_target_by_tag,
    "secxmlexternalentity": _only("Off"),
}


def read_file(path: Path, place: Place) -> str:
    """Return a file's bytes as Latin-1 text; raises SecLangError."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SecLangError(
            place.file, place.line, f"{path} cannot be read: {error.strerror}"
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise SecLangError(place.file, place.line, f"{path} has more than {MAX_FILE_BYTES} bytes")
    return data.decode("latin-1")


def _argument(directive: Directive) -> str:
    if len(directive.arguments) != 1:
        raise _wrong(directive, f"{directive.name} takes one argument")
    return directive.arguments[0]


def _id_range(text: str, directive: Directive) -> tuple[int, int]:
    low, _dash, high = text.strip("\"'").partition("-")
    if not low.isdigit() or not (high or low).isdigit() or int(low) > int(high or low):
        raise _wrong(directive, f"no rule id or range: {text!r}")
    return int(low), int(high or low)


#: Actions that only the first rule of a chain may have.
_HEAD_ONLY = frozenset(("allow", "deny", "drop", "id", "msg", "phase", "redirect", "skip"))


def _check_link(link: SecRule) -> None:
    for action in link.actions:
        if action.name in _HEAD_ONLY - {"msg"}:
            problem = f"{action.name} may stand on the first rule of a chain only"
            raise SecLangError(link.place.file, link.place.line, problem)


def _without_skips(units: list[Chain | Marker]) -> list[Chain | Marker]:
    """Turn ``skip:2`` into a marker behind the second rule of the same phase that follows."""
    out: list[Chain | Marker] = []
    open_skips: list[list[object]] = []
    for unit in units:
        out.append(unit)
        if isinstance(unit, Marker):
            continue
        for pending in open_skips:
            if pending[1] == unit.phase:
                pending[2] -= 1  # type: ignore[operator]
        out += [Marker(str(p[0])) for p in open_skips if p[2] == 0]
        open_skips = [p for p in open_skips if p[2] != 0]
        count = unit.argument("skip")
        if count is not None:
            name = f"skip of {unit.id}"
            if not count.isdigit() or int(count) < 1:
                place = unit.head.place
                raise SecLangError(place.file, place.line, f"skip takes a number, found {count!r}")
            out[-1] = replace(unit, links=(_skipping(unit.head, name), *unit.links[1:]))
            open_skips.append([name, unit.phase, int(count)])
    return out + [Marker(str(p[0])) for p in open_skips]


def _skipping(rule: SecRule, marker: str) -> SecRule:
    kept = tuple(a for a in rule.actions if a.name != "skip")
    return replace(rule, actions=(*kept, Action("skipafter", marker)))


def _wrong(directive: Directive, problem: str) -> SecLangError:
    return SecLangError(directive.place.file, directive.place.line, problem)
