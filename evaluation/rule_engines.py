"""Engines for SecLang behind one interface: a request in, the rules that fired and the score out.

:class:`LibModSecurity` is the yardstick, in this process through its binding; the optional package
``libmodsecurity`` holds both. Its rule messages are read one by one: a message with an excerpt that
is not UTF-8 cannot be handed over by the binding, but its rule's number can.
"""

from __future__ import annotations

import importlib.util
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import platformdirs
from cnaf.evaluation.core_rules import REPORT_IDS, read_score
from cnaf.models.errors import InputError
from cnaf.signatures.seclang.cache import Text, load_rules
from cnaf.signatures.seclang.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cnaf.models.exchange import Request

__all__ = ["LibModSecurity", "Outcome", "RuleEngine", "RuleSource", "SecLangEngine", "log_line"]

_PACKAGE = "libmodsecurity"
_UNPRINTABLE = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an engine says about a request.

    ``ids`` are the rules that fired and log, each once, in rising order. ``scores`` are the inbound
    anomaly scores after phases 1 and 2, summed over the paranoia levels.
    """

    ids: tuple[int, ...]
    scores: tuple[int, int]


class RuleSource(Protocol):
    """What an engine loads: a text, files, and another text, in this order."""

    @property
    def set_up(self) -> str:
        """SecLang."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Rule files, with data files beside them."""

    @property
    def report(self) -> str:
        """SecLang."""


class RuleEngine(Protocol):
    """A loaded rule set."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def evaluate(self, request: Request) -> Outcome:
        """Return what fires."""

    def inspect(self, request: Request) -> None:
        """Run the rules, and read nothing of what they say: what a proxy pays at least."""

    def log(self, request: Request) -> str:
        """Return a line a rule that fires, with ``[id "…"] [msg "…"] [data "…"]``.

        Characters that do not print in ASCII are written as ``\\x0d``.
        """


class LibModSecurity:
    """ModSecurity 3. Not thread-safe.

    Raises InputError where the binding is missing or rules cannot be loaded.
    """

    name = "libmodsecurity"

    def __init__(self, rules: RuleSource) -> None:
        if importlib.util.find_spec(_PACKAGE) is None:
            raise InputError("no ModSecurity in this environment", hint=f"pip install {_PACKAGE}")
        import libmodsecurity  # noqa: PLC0415 - optional

        self._new = libmodsecurity.Transaction
        self._engine = libmodsecurity.ModSecurity()
        # Unset, the engine writes each match to the standard error stream.
        self._engine.set_log_callback(_discard)
        self._rules = libmodsecurity.RulesSet()
        self._check(self._rules.load(rules.set_up), "the set-up")
        for file in rules.files:
            self._check(self._rules.load_from_uri(str(file)), str(file))
        self._check(self._rules.load(rules.report), "the report")

    def evaluate(self, request: Request) -> Outcome:
        """Return what fires; any bytes are taken."""
        ids = set()
        scores = dict.fromkeys(REPORT_IDS, 0)
        for message in self._messages(request):
            number = message.rule_id
            if number in scores:
                scores[number] = read_score(message.message)
            else:
                ids.add(number)
        return Outcome(tuple(sorted(ids)), (scores[REPORT_IDS[0]], scores[REPORT_IDS[1]]))

    def inspect(self, request: Request) -> None:
        """Run the rules."""
        with _silent_xml(request):
            self._run(request)

    def log(self, request: Request) -> str:
        """Return the messages; parts that are not UTF-8 are left out."""
        return "\n".join(
            log_line(message.rule_id, _text(message, "message"), _text(message, "data"))
            for message in self._messages(request)
            if message.rule_id not in REPORT_IDS
        )

    def _messages(self, request: Request) -> Iterable[Any]:
        with _silent_xml(request):
            messages: list[Any] = self._run(request).get_rule_messages()
            return messages

    def _run(self, request: Request) -> Any:
        # The binding's annotations say text; it takes bytes, too, and leaves them as they are.
        transaction: Any = self._new(self._engine, self._rules)
        transaction.process_connection("127.0.0.1", 50000, "127.0.0.1", 80)
        transaction.process_uri(request.target, request.method, request.version)
        for name, value in request.headers:
            transaction.add_request_header(name, value)
        transaction.process_request_headers()
        if request.body:
            transaction.append_request_body(request.body)
        transaction.process_request_body()
        return transaction

    def _check(self, loaded: int, what: str) -> None:
        if loaded < 0:
            reason = self._rules.get_parser_error().strip()
            raise InputError(
                f"ModSecurity cannot load {what}: {reason}",
                hint="use a released Core Rule Set, version 3.3 or 4",
            )


class SecLangEngine:
    """The engine of :mod:`cnaf.signatures.seclang`.

    ``prefilter`` is off where every rule shall be tried. Raises SecLangError where rules cannot be
    loaded.
    """

    name = "cnaf"

    def __init__(self, rules: RuleSource, *, prefilter: bool = True) -> None:
        texts = Text("set-up", rules.set_up), Text("report", rules.report)
        compiled = load_rules([texts[0], *rules.files, texts[1]], cache=_cache())
        self._engine = Engine(compiled, prefilter=prefilter)

    def evaluate(self, request: Request) -> Outcome:
        """Return what fires; any bytes are taken."""
        ids = set()
        scores = dict.fromkeys(REPORT_IDS, 0)
        for match in self._engine.evaluate(request).matches:
            if match.rule in scores:
                scores[match.rule] = read_score(match.message)
            else:
                ids.add(match.rule)
        return Outcome(tuple(sorted(ids)), (scores[REPORT_IDS[0]], scores[REPORT_IDS[1]]))

    def inspect(self, request: Request) -> None:
        """Run the rules."""
        self._engine.evaluate(request)

    def log(self, request: Request) -> str:
        """Return the messages."""
        return "\n".join(
            log_line(match.rule, match.message, match.logdata)
            for match in self._engine.evaluate(request).matches
            if match.rule not in REPORT_IDS
        )


@contextmanager
def _silent_xml(request: Request) -> Iterator[None]:
    """Let libxml2 write what it thinks of a document to nowhere: it writes to file 2 itself."""
    if b"xml" not in (request.header(b"content-type") or b"").lower():
        yield
        return
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def log_line(number: int, message: str, data: str) -> str:
    """Return a line as ModSecurity writes it, without what the rule files say of themselves."""
    line = f'[id "{number}"] [msg "{message}"] [data "{data}"]'
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", line)


def _text(message: object, name: str) -> str:
    try:
        return str(getattr(message, name))
    except UnicodeDecodeError:
        return ""


def _cache() -> Path:
    """Compiling the Core Rule Set takes some ten seconds, loading what was compiled a tenth."""
    return platformdirs.user_cache_path("cnaf") / "rules"


def _discard(_message: str) -> None:
    """Messages of rules hold excerpts of requests, which belong into no log."""
