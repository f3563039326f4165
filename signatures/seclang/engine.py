"""Run a rule set over requests.

    rules = compile_rules([...], {"blocking_paranoia_level": "1"})
    outcome = Engine(rules).evaluate(request)

Values are scanned once for what rules imply; only rules of which something was found, and those
that imply nothing, are then run in their order, phase by phase. ``prefilter=False`` runs all rules:
the outcome is the same, which tests prove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnaf.signatures.seclang.outcome import Outcome
from cnaf.signatures.seclang.pipelines import Pipeline
from cnaf.signatures.seclang.transaction import Transaction
from cnaf.signatures.seclang.transformations import traits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnaf.models.exchange import Request, Response
    from cnaf.signatures.seclang.rule_set import RuleSet

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
        self._scanner = _Scanner(rules) if prefilter else None
        self._every = [tuple(range(len(phase.rules))) for phase in rules.phases]

    def evaluate(
        self, request: Request, peer: str = "127.0.0.1", response: Response | None = None
    ) -> Outcome:
        """Return what the rules say about a request, and its answer where one is given.

        No request raises: what cannot be read or takes too long is part of the outcome.
        """
        rules = self.rules
        t = Transaction(request, peer, rules.limits)
        t.tx = dict(rules.initial)
        t.engine_mode = rules.settings.engine
        if t.engine_mode == "Off":
            return Outcome()
        found: list[set[int]] = [set(), set()]
        if self._scanner is not None:
            self._scanner.scan(self._scanner.early(t), found)
        self._run(t, 0, found[0])
        if t.interruption is None and t.engine_mode != "Off":
            self._body(t, found)
        if response is not None and t.interruption is None and t.engine_mode != "Off":
            t.set_response(response)
            self._run(t, 2, set())
            if rules.settings.response_body_access and t.interruption is None:
                self._run(t, 3, set())
        return self._outcome(t, found)

    def _body(self, t: Transaction, found: list[set[int]]) -> None:
        t.read_body(self.rules.limits.json_depth)
        if self._scanner is not None and (t.body or t.processor):
            self._scanner.scan(self._scanner.late(t), found)
        if not (self.rules.settings.request_body_access and t.body_access):
            return
        self._run(t, 1, found[1])

    def _run(self, t: Transaction, number: int, found: set[int]) -> None:
        """Run the rules of a phase that may match."""
        if t.allow in {"all", "request"} and (t.allow == "all" or number < 2):
            return
        t.allow = ""
        phase = self.rules.phases[number]
        order: Sequence[int] = phase.always
        if self._scanner is None:
            order = self._every[number]
        elif found:
            order = sorted({*order, *found})
        start = 0
        if t.marker is not None:
            start = self._behind(t, number)
        last = -2
        rules = phase.rules
        for position in order:
            if position < start:
                continue
            rule = rules[position]
            if position != last + 1 or not rule.keeps_matched:
                t.matched = []
            if not rule.run(t):
                continue
            last = position
            if t.interruption is not None or t.allow:
                return
            if t.marker is not None:
                start = self._behind(t, number)

    def _behind(self, t: Transaction, number: int) -> int:
        """Return the rule behind the marker that is skipped to, else the end of the phase."""
        phase = self.rules.phases[number]
        assert t.marker is not None
        position = phase.markers.get(t.marker)
        if position is None:
            return len(phase.rules)
        t.marker = None
        return position

    def _outcome(self, t: Transaction, found: list[set[int]]) -> Outcome:
        return Outcome(
            tuple(t.matches),
            _score(t),
            t.interruption,
            t.steps,
            t.is_limited,
            t.pcre_errors,
            sum(map(len, found)),
        )


def _score(t: Transaction) -> int:
    """Sum up the levels, under the names that versions 4 and 3 of the Core Rule Set give them."""
    for names in _SCORES:
        if names[0] in t.tx:
            return sum(_number(t.tx.get(name, b"")) for name in names)
    return 0


def _number(value: bytes) -> int:
    return int(value) if value.lstrip(b"-").isdigit() else 0


class _Scanner:
    """Finds candidates: joins values, transforms them, scans each distinct outcome once."""

    def __init__(self, rules: RuleSet) -> None:
        self._scan = rules.database.scan
        self._pipelines = [Pipeline(names) for names in rules.pipelines]
        self._index = [_by_pipeline(entries) for entries in rules.index]
        self._collections = frozenset(collection for collection, _ in rules.slots)
        self._headers = frozenset(
            name.encode("latin-1") for c, name in rules.slots if c == "REQUEST_HEADERS"
        )
        self._hits: list[int] = []
        self._on_hit = _collector(self._hits)
        self._plans: dict[int, tuple[list[int], list[int]]] = {}

    def early(self, t: Transaction) -> set[bytes]:
        """Return the values that are known before the first phase."""
        wanted = self._collections
        values: set[bytes] = set()
        for key, value in t.args_get:
            values.add(key)
            values.add(value)
        for key, value in t.cookies:
            values.add(key)
            values.add(value)
        every = b"" in self._headers
        for key, pairs in t.headers.items():
            if every or key in self._headers:
                values.update(value for _, value in pairs)
        if "REQUEST_HEADERS_NAMES" in wanted:
            values.update(t.headers)
        for name, value in (
            ("REQUEST_URI", t.uri),
            ("REQUEST_URI_RAW", t.target),
            ("REQUEST_LINE", t.request_line),
            ("REQUEST_FILENAME", t.path),
            ("QUERY_STRING", t.query),
        ):
            if name in wanted:
                values.add(value)
        if "REQUEST_BASENAME" in wanted:
            values.add(t.path[max(t.path.rfind(b"/"), t.path.rfind(b"\\")) + 1 :])
        return values

    def late(self, t: Transaction) -> set[bytes]:
        """Return the values that the body adds."""
        values: set[bytes] = set()
        for key, value in t.args[len(t.args_get) :]:
            values.add(key)
            values.add(value)
        parts = t.multipart
        for pairs in (parts.files, parts.part_headers):
            for key, value in pairs:
                values.add(key)
                values.add(value)
        values.update(t.xml_text)
        values.update(t.xml_attributes)
        if "REQUEST_BODY" in self._collections:
            values.add(t.body)
        return values

    def scan(self, values: Iterable[bytes], found: list[set[int]]) -> None:
        """Add the rules of both phases that something was found of."""
        values = list(values)
        raw = b"\n".join(values)
        traits = traits_of(raw)
        plan = self._plans.get(traits)
        if plan is None:
            plan = self._plan(traits)
        unchanged, changed = plan
        buffers: dict[bytes, list[int]] = {raw: list(unchanged)}
        for number in changed:
            apply = self._pipelines[number].apply
            buffers.setdefault(b"\n".join([apply(v) for v in values]), []).append(number)
        hits = self._hits
        for buffer, pipelines in buffers.items():
            if not pipelines:
                continue
            try:
                self._scan(buffer, self._on_hit)
                for hit in hits:
                    by_pipeline = self._index[hit]
                    for number in pipelines:
                        for phase, rule in by_pipeline.get(number, ()):
                            found[phase].add(rule)
            finally:
                hits.clear()

    def _plan(self, traits: int) -> tuple[list[int], list[int]]:
        """Part the pipelines by whether they can change values with these traits."""
        changed = [n for n, p in enumerate(self._pipelines) if p.acts_on & traits]
        unchanged = [n for n, p in enumerate(self._pipelines) if not p.acts_on & traits]
        self._plans[traits] = plan = (unchanged, changed)
        return plan


def _by_pipeline(
    entries: Sequence[tuple[int, int, int]],
) -> dict[int, tuple[tuple[int, int], ...]]:
    grouped: dict[int, list[tuple[int, int]]] = {}
    for phase, number, pipeline in entries:
        grouped.setdefault(pipeline, []).append((phase, number))
    return {pipeline: tuple(rules) for pipeline, rules in grouped.items()}


def _collector(hits: list[int]):  # type: ignore[no-untyped-def]
    append = hits.append

    def on_hit(number: int, _start: int, _end: int, _flags: int, _context: object) -> None:
        append(number)

    return on_hit
