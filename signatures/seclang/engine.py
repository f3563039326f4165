"""Run a rule set over requests.

    rules = compile_rules([...], {"blocking_paranoia_level": "1"})
    outcome = Engine(rules).evaluate(request)

Values are scanned once for what rules imply; only rules of which something was found, and those
that imply nothing, are then run in their order, phase by phase. ``prefilter=False`` runs all rules:
the outcome is the same, which tests prove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.signatures.seclang.candidates import Candidates
from cnaf.signatures.seclang.header_memo import HeaderMemo
from cnaf.signatures.seclang.outcome import Outcome
from cnaf.signatures.seclang.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.models.exchange import Request, Response
    from cnaf.signatures.seclang.rule_set import RuleSet
    from cnaf.signatures.seclang.transaction import HeaderField

__all__ = ["Engine"]

_SCORES = tuple(
    tuple(b"%b_pl%d" % (name, level) for level in (1, 2, 3, 4))
    for name in (b"inbound_anomaly_score", b"anomaly_score")
)


class Engine:
    """A rule set with the scratch space to run it.

    Not thread-safe: each worker has its own. Outcomes depend on the request alone.
    """

    def __init__(self, rules: RuleSet, *, prefilter: bool = True) -> None:
        self.rules = rules
        self._every = [tuple(range(len(phase.rules))) for phase in rules.phases]
        self._candidates = Candidates(rules) if prefilter else None
        self._memo = HeaderMemo(self._candidates.of_header if self._candidates else _none)

    def evaluate(
        self, request: Request, peer: str = "127.0.0.1", response: Response | None = None
    ) -> Outcome:
        """Return what the rules say about a request, and its answer where one is given.

        No request raises: what cannot be read or takes too long is part of the outcome.
        """
        rules = self.rules
        if rules.settings.engine == "Off":
            return Outcome()
        fields = self._memo.fields(request.headers)
        t = Transaction(request, fields, peer, rules.limits)
        t.tx = dict(rules.initial)
        t.tx_fixed = rules.tx_fixed
        t.engine_mode = rules.settings.engine
        found: set[tuple[int, int]] = set()
        if self._candidates is not None:
            found = self._candidates.early(t, fields)
        self._run(t, 0, found)
        if t.interruption is None and t.engine_mode != "Off":
            self._body(t, found)
        if response is not None and t.interruption is None and t.engine_mode != "Off":
            t.set_response(response)
            self._run(t, 2, found)
            if rules.settings.response_body_access and t.interruption is None:
                self._run(t, 3, found)
        return Outcome(
            tuple(t.matches),
            _score(t),
            t.interruption,
            t.steps,
            t.is_limited,
            t.pcre_errors,
            len(found),
        )

    def _body(self, t: Transaction, found: set[tuple[int, int]]) -> None:
        t.read_body(self.rules.limits.json_depth)
        if self._candidates is not None and t.body:
            found |= self._candidates.late(t)
        if self.rules.settings.request_body_access and t.body_access:
            self._run(t, 1, found)

    def _run(self, t: Transaction, number: int, found: set[tuple[int, int]]) -> None:
        """Run the rules of a phase that may match."""
        if t.allow in {"all", "request"} and (t.allow == "all" or number < 2):
            return
        t.allow = ""
        phase = self.rules.phases[number]
        order: Sequence[int]
        if self._candidates is None:
            order = self._every[number]
        else:
            order = [n for n, guard in phase.always if guard is None or guard(t)]
            if found:
                order = sorted({*order, *(n for p, n in found if p == number)})
        start = 0
        if t.marker is not None:
            start = self._behind(t, number, 0)
        rules = phase.rules
        for position in order:
            if position < start:
                continue
            rule = rules[position]
            t.matched = []
            if not rule.run(t):
                continue
            if t.interruption is not None or t.allow:
                return
            if t.marker is not None:
                start = self._behind(t, number, position + 1)

    def _behind(self, t: Transaction, number: int, start: int) -> int:
        """Return the rule behind the marker that is skipped to, else the end of the phase.

        A marker in front of ``start`` is not there: what skips to it skips on into later phases.
        """
        phase = self.rules.phases[number]
        assert t.marker is not None
        position = phase.markers.get(t.marker)
        if position is None or position < start:
            return len(phase.rules)
        t.marker = None
        return position


def _score(t: Transaction) -> int:
    """Sum up the levels, under the names that versions 4 and 3 of the Core Rule Set give them."""
    for names in _SCORES:
        if names[0] in t.tx:
            return sum(_number(t.tx.get(name, b"")) for name in names)
    return 0


def _number(value: bytes) -> int:
    return int(value) if value.lstrip(b"-").isdigit() else 0


def _none(_field: HeaderField) -> tuple[tuple[int, int], ...]:
    return ()
