"""Chains of rules, compiled: what one rule does to a transaction.

A rule tests every value of its targets, not only the first that matches: each match counts for
scores, as in libmodsecurity. A link that matches carries out its assignments even where a later
link of its chain does not.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.actions import (
    compile_control,
    compile_setvar,
    parse_setvar,
    severity_of,
)
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.macros import compile_text
from cnaf.signatures.seclang.operators import Matcher, compile_operator
from cnaf.signatures.seclang.outcome import MAX_SHOWN, Interruption, Match
from cnaf.signatures.seclang.pipelines import Pipeline, pipeline_names
from cnaf.signatures.seclang.scanner import WORD_BYTES
from cnaf.signatures.seclang.settling import Readers, key_of
from cnaf.signatures.seclang.variables import compile_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnaf.signatures.seclang.program import Chain, Settings
    from cnaf.signatures.seclang.syntax import Action, Place, SecRule, Variable
    from cnaf.signatures.seclang.transaction import Transaction

__all__ = ["CompiledRule", "Link"]

_DISRUPTIVE = frozenset(("allow", "deny", "drop", "redirect"))
_STATUS = {"deny": 403, "drop": 403, "redirect": 302}


#: Variables that no rule changes and that take few values, so that all of a rule's are known soon.
_FEW_VALUES = frozenset((
    "FILES", "FILES_NAMES", "MULTIPART_PART_HEADERS", "REMOTE_ADDR", "REQBODY_ERROR",
    "REQUEST_BODY_LENGTH", "REQUEST_HEADERS", "REQUEST_METHOD", "REQUEST_PROTOCOL",
))  # fmt: skip
#: Collections whose values come again with the next request: what failed once is remembered.
_REMEMBERED = _FEW_VALUES | {
    "ARGS", "ARGS_NAMES", "REQUEST_COOKIES", "REQUEST_COOKIES_NAMES", "REQUEST_FILENAME",
}  # fmt: skip
_MAX_REMEMBERED = 512
_MAX_REMEMBERED_BYTES = 512


_NUMBERS = tuple(b"%d" % number for number in range(10))


class Link:
    """One rule of a chain."""

    __slots__ = (
        "_apply", "_assignments", "_captures", "_controls", "_multi", "_remembers", "_skips_words",
        "child", "failed", "index", "marker", "matcher", "pipeline", "severity", "targets",
    )  # fmt: skip

    def __init__(
        self,
        rule: SecRule,
        defaults: Sequence[Action],
        meta: dict[str, str],
        read_lines: Callable[[str, Place], list[str]],
        child: Link | None,
        index: int,
    ) -> None:
        place, actions = rule.place, rule.actions
        excluded = [v for v in rule.variables if v.is_exclusion]
        self.targets = [
            (
                v.collection,
                _label(v).encode("latin-1"),
                compile_target(v, [e for e in excluded if e.collection == v.collection], place),
            )
            for v in rule.variables
            if not v.is_exclusion
        ]
        self.matcher = (
            None if rule.operator is None else compile_operator(rule.operator, place, read_lines)
        )
        if self.matcher is not None and not self.targets:
            raise SecLangError(place.file, place.line, "a rule without a target")
        self.pipeline = Pipeline(pipeline_names(actions, defaults, place))
        self._apply = self.pipeline.apply
        names = {action.name for action in actions}
        self._captures, self._multi = "capture" in names, "multimatch" in names
        self._assignments = [
            compile_setvar(parse_setvar(a.argument, place), place, meta)
            for a in actions
            if a.name == "setvar"
        ]
        controls = [compile_control(a.argument, place) for a in actions if a.name == "ctl"]
        self._controls = [control for control in controls if control is not None]
        #: Values that did not match, of collections whose values come again.
        self.failed: set[bytes] = set()
        matcher = self.matcher
        self._remembers = (
            matcher is not None and matcher.is_pure and not (matcher.negated and self._captures)
        )
        #: Values that are words cannot match, and stay words.
        self._skips_words = (
            matcher is not None
            and bool(matcher.harmless)
            and not matcher.negated
            and self.pipeline.spares_words
        )
        self.severity = _last(actions, "severity")
        self.marker = _last(actions, "skipafter")
        self.child, self.index = child, index

    def run(self, t: Transaction, rule: CompiledRule) -> bool:
        """Test, act, and go on with the chain; whether all of it matched."""
        matcher = self.matcher
        if matcher is None:
            for assign in self._assignments:
                assign(t)
        elif not self._test(t, matcher, rule):
            t.matched = []
            t.failed_at = self.index
            return False
        if self.child is not None and not self.child.run(t, rule):
            return False
        self._finish(t)
        return True

    def guard(self) -> Callable[[Transaction], bool] | None:
        """Return a quick test that says no only where the link cannot match, or None.

        There is one where all targets are known when a phase starts and take few values.
        """
        if not self._remembers or any(c not in _FEW_VALUES for c, _, _ in self.targets):
            return None
        fetches = [fetch for _, _, fetch in self.targets]
        failed = self.failed
        if len(fetches) == 1:
            only = fetches[0]
            return lambda t: any(value not in failed for _, value in only(t))
        return lambda t: any(value not in failed for fetch in fetches for _, value in fetch(t))

    def pipelines(self) -> Iterable[tuple[str, ...]]:
        """Return the transformations behind which values are tested."""
        return self.pipeline.prefixes() if self._multi else (self.pipeline.names,)

    def may_match(self, t: Transaction) -> bool:
        """Whether any target of the transaction matches, as far as this can be told beforehand."""
        matcher = self.matcher
        if matcher is None or not matcher.is_pure:
            return True
        for _, _, fetch in self.targets:
            for _, value in fetch(t):
                seen = self.pipeline.stages(value) if self._multi else (self.pipeline.apply(value),)
                if any((matcher.test(v, t) is None) == matcher.negated for v in seen):
                    return True
        return False

    def _test(self, t: Transaction, matcher: Matcher, rule: CompiledRule) -> bool:
        found = False
        hidden: Sequence[Callable[[str, bytes | None], bool]] = ()
        if t.exclusions is not None and self is rule.link and not rule.is_shortened:
            hidden = t.exclusions.hidden(rule.id, rule.tag_set)
        failed = self.failed
        skips_words = self._skips_words
        for collection, label, fetch in self.targets:
            remembers = self._remembers and collection in _REMEMBERED
            for name, value in fetch(t):
                if remembers and value in failed:
                    continue
                if skips_words and not value.translate(None, WORD_BYTES):
                    continue
                if hidden and any(test(collection, name) for test in hidden):
                    continue
                errors = t.pcre_errors
                if self._test_value(t, matcher, label, name, value):
                    found = True
                elif remembers and errors == t.pcre_errors and not t.is_limited:
                    self._remember(value)
        return found

    def _remember(self, value: bytes) -> None:
        if len(self.failed) >= _MAX_REMEMBERED:
            self.failed.clear()
        if len(value) <= _MAX_REMEMBERED_BYTES:
            self.failed.add(value)

    def _test_value(
        self, t: Transaction, matcher: Matcher, label: bytes, name: bytes | None, value: bytes
    ) -> bool:
        if self._multi:
            stages = self.pipeline.stages(value)
            # Each stage that matches counts: no stopping at the first.
            results = [self._test_seen(t, matcher, label, name, s) for s in stages]
            return True in results
        return self._test_seen(t, matcher, label, name, self._apply(value))

    def _test_seen(
        self, t: Transaction, matcher: Matcher, label: bytes, name: bytes | None, seen: bytes
    ) -> bool:
        """Test one transformed value; captures count also where the sign turns the result."""
        t.steps += 1
        if t.steps > t.limits.confirmations:
            t.is_limited = True
            return False
        captures = matcher.test(seen, t)
        if captures is None:
            if not matcher.negated:
                return False
        else:
            if self._captures:
                for index, group in enumerate(captures):
                    if group is not None:
                        t.tx[_NUMBERS[index] if index < 10 else b"%d" % index] = group
            if matcher.negated:
                return False
        t.matched.append((label if name is None else label + b":" + name, seen))
        t.found = captures[0] if captures else None
        for assign in self._assignments:
            assign(t)
        return True

    def _finish(self, t: Transaction) -> None:
        for control in self._controls:
            control(t)
        if self.marker is not None:
            t.marker = self.marker


def _label(variable: Variable) -> str:
    """Return what a target without a name of its own is called: XML and counts as they stand."""
    if variable.collection == "XML" or variable.is_count:
        return variable.label()
    return variable.collection


class CompiledRule:
    """A chain, ready to run. ``link`` is its first rule.

    ``key`` is what the rule depends on, None where that is too much (see :mod:`.settling`).
    """

    __slots__ = (
        "_disruptive", "_is_quiet", "_is_settled_whole", "_logdata", "_logs", "_message", "_place",
        "_readers", "_settled", "_severity", "_status", "_url", "id", "is_shortened",
        "key", "link", "phase", "tag_set", "tags",
    )  # fmt: skip

    def __init__(
        self,
        chain: Chain,
        settings: Settings,
        read_lines: Callable[[str, Place], list[str]],
        readers: Readers,
        known: Iterable[bytes],
    ) -> None:
        head, place = chain.head, chain.head.place
        self.id, self.phase, self.is_shortened = chain.id, chain.phase, chain.is_shortened
        defaults = settings.defaults(chain.phase)
        meta = {a.name: a.argument for a in head.actions if a.name in _META}
        link: Link | None = None
        for index in reversed(range(len(chain.links))):
            link = Link(chain.links[index], defaults, meta, read_lines, link, index)
        assert link is not None
        self.link = link
        self.tags = chain.tags()
        self.tag_set = frozenset(self.tags)
        self._place = place
        actions = [a for r in chain.links for a in r.actions]
        self._message = compile_text(_first(actions, "msg") or "", place, meta)
        self._logdata = compile_text(_first(actions, "logdata") or "", place, meta)
        level = _first(actions, "severity")
        self._severity = severity_of(level, place) if level else None
        self._logs = _logs(head.actions, defaults)
        self._disruptive = _disruptive(head.actions, defaults, place)
        status = _last(head.actions, "status") or _last(defaults, "status")
        self._status = int(status) if status and status.isdigit() else None
        url = self._disruptive[1] if self._disruptive[0] == "redirect" else ""
        self._url = compile_text(url, place, meta)
        #: Whether a match does nothing but set variables.
        self._is_quiet = not (
            self._logs
            or self._disruptive[0]
            or self._severity is not None
            or any(a.name in {"ctl", "skipafter"} for a in actions)
        )
        self.key = key_of(chain, known)
        self._is_settled_whole = self.key is not None and self.key.depth == len(chain.links)
        self._settled: set[tuple[object, ...]] = set()
        self._readers = readers

    def guard(self) -> Callable[[Transaction], bool] | None:
        """Return a quick test, sound for a whole phase, that says no where a run does nothing."""
        key, settled = self.key, self._settled
        if key is None:
            return self.link.guard()
        if key.has_tx:
            return None
        of = key.of
        return lambda t: of(t) not in settled

    def run(self, t: Transaction) -> bool:
        """Run the chain, and what its first rule does when all of it matched."""
        if t.exclusions is not None and t.exclusions.removes(self.id, self.tag_set):
            return False
        key = self.key
        if key is None:
            return self._run(t)
        before = key.of(t)
        if before in self._settled:
            return False
        if t.exclusions is not None and t.exclusions.hidden(self.id, self.tag_set):
            return self._run(t)
        size, errors = len(t.tx), t.pcre_errors
        matched = self._run(t)
        if (
            (self._is_quiet and self._is_settled_whole if matched else t.failed_at < key.depth)
            and key.of(t) == before
            and t.pcre_errors == errors
            and not t.is_limited
            and not any(self._readers.reads(name, self.id) for name in islice(t.tx, size, None))
        ):
            self._settle(before)
        return matched

    def _settle(self, key: tuple[object, ...]) -> None:
        if len(self._settled) >= _MAX_REMEMBERED:
            self._settled.clear()
        if sum(len(part) for part in key if isinstance(part, bytes)) <= _MAX_REMEMBERED_BYTES:
            self._settled.add(key)

    def _run(self, t: Transaction) -> bool:
        if not self.link.run(t, self):
            return False
        if self._severity is not None and self._severity < t.highest_severity:
            t.highest_severity = self._severity
        if self._logs:
            t.matches.append(self._match(t))
        if self._disruptive[0]:
            self._disrupt(t)
        return True

    def _match(self, t: Transaction) -> Match:
        variable, value = t.matched[-1] if t.matched else (b"", b"")
        start = max(value.find(t.found), 0) if t.found else 0
        cut = max(start - MAX_SHOWN // 4, 0) if len(value) > MAX_SHOWN else 0
        shown = value[cut : cut + MAX_SHOWN]
        start -= cut
        end = min(start + len(t.found), len(shown)) if t.found else len(shown)
        return Match(
            self.id,
            self._message(t).decode("utf-8", "replace"),
            self.tags,
            self._severity,
            self.phase,
            variable.decode("utf-8", "replace"),
            shown,
            start,
            end,
            self._logdata(t)[:MAX_SHOWN].decode("utf-8", "replace"),
            self._place.file,
            self._place.line,
            tuple(dict.fromkeys(name.decode("utf-8", "replace") for name, _ in t.matched)),
        )

    def _disrupt(self, t: Transaction) -> None:
        if t.engine_mode != "On":
            return
        action, argument = self._disruptive
        if action == "allow":
            t.allow = argument or "all"
            return
        status = self._status or _STATUS[action]
        url = self._url(t).decode("utf-8", "replace")
        t.interruption = Interruption(self.id, action, status, url)


_META = frozenset(("id", "msg", "rev", "severity", "ver"))


def _first(actions: Iterable[Action], name: str) -> str | None:
    return next((action.argument for action in actions if action.name == name), None)


def _last(actions: Iterable[Action], name: str) -> str | None:
    found = [action.argument for action in actions if action.name == name]
    return found[-1] if found else None


def _logs(actions: Sequence[Action], defaults: Sequence[Action]) -> bool:
    """Whether a match is reported: the last word of the rule, else of SecDefaultAction."""
    for source in (actions, defaults):
        words = [a.name for a in source if a.name in {"log", "nolog", "auditlog"}]
        if "nolog" in words:
            return False
        if words:
            return True
    return True


def _disruptive(
    actions: Sequence[Action], defaults: Sequence[Action], place: Place
) -> tuple[str, str]:
    """Return name and argument of what ends the request, empty where nothing does."""
    word = [a for a in actions if a.name in _DISRUPTIVE | {"block", "pass"}]
    if word and word[-1].name == "block":
        word = [a for a in defaults if a.name in _DISRUPTIVE]
    if not word or word[-1].name not in _DISRUPTIVE:
        return "", ""
    action = word[-1]
    if action.name == "allow" and action.argument.lower() not in {"", "phase", "request"}:
        raise SecLangError(
            place.file, place.line, f"allow:{action.argument} is not supported",
            supported="allow, allow:phase, allow:request",
        )  # fmt: skip
    return action.name, action.argument
