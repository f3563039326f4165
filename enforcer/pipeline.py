"""The verdict pipeline: one request in, one verdict out; no clock, no socket, no state.

Steps run in order and each leaves evidence: protocol sanity, signatures, learned model, fusion.
`cnaf inspect` and the agent behind HAProxy run this very code.

Fusion, in one table (evidence of the strongest kind decides):

    ================================  ==================================================
    high-confidence evidence          block
    anomaly beyond the target         block (structure alone never: see below)
    medium evidence in a new field    block: no benign value of the image speaks for it
    medium evidence in a plain field  block: its benign values never set the rule off
    the same where few are known      block if value or request is odd, but no article
    medium evidence elsewhere         alert: markup is normal in an editor's article
    anomaly beyond the alert rate     alert
    low evidence                      pass
    ================================  ==================================================

What registered rule sets find (the Core Rule Set, custom rules, virtual patches) is evidence of a
strength that their mode gives it: see :mod:`cnaf.enforcer.weighing`.

What is new about an endpoint with little evidence in CI counts nothing: it is left out of the
score before that is held against a rate, so that a page which the tests forgot still works, while
an attack on it shows in its values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cnaf.enforcer.protocol import protocol_evidence
from cnaf.enforcer.weighing import Weighed, set_evidence, weigh
from cnaf.models.exchange import Request
from cnaf.models.explain import excerpt_around, explain
from cnaf.models.fields import Field, ParsedRequest
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Score, Scorer
from cnaf.models.verdict import Action, Confidence, Detector, Evidence, Verdict
from cnaf.signatures.engine import SignatureEngine, SignatureMatch
from cnaf.signatures.rule import is_prose
from cnaf.signatures.sets.matching import RequestRules

__all__ = ["Inspector", "Policy"]

#: Evidence kept of one request; the rest repeats it.
_MAX_EVIDENCE = 12


@dataclass(frozen=True, slots=True)
class Policy:
    """What a rule asks of the pipeline.

    ``target_fpr`` is the share of benign requests that the model alone may block, ``alert_fpr``
    the share it may alert on.
    """

    action: Action = Action.BLOCK
    signatures: bool = True
    model: bool = True
    target_fpr: float = 0.001
    alert_fpr: float = 0.005
    limits: Limits = Limits()  # noqa: RUF009 - frozen


#: Value score from which on a field is odd enough to support a rule that matched in it. Of the
#: values in held-out benign requests of the recorded corpus, 0.6 % reach it.
_ODD_VALUE = 3.5


#: Bytes of prose from which on an attack may well be quoted in it.
_ARTICLE = 400


@dataclass(frozen=True, slots=True)
class _Thresholds:
    """Scores from which on to block, and to alert, by the category of the request."""

    block: tuple[float, ...]
    alert: tuple[float, ...]


class _Anomaly(NamedTuple):
    """What the model says of a request; for nearly all, nothing."""

    alerts: bool
    blocks: bool


_ORDINARY = _Anomaly(False, False)


class Inspector:
    """Runs the pipeline under one policy, with or without a model. Not thread-safe.

    ``rules`` are the registered sets that apply to the image, None for none.
    """

    def __init__(
        self,
        policy: Policy,
        engine: SignatureEngine | None,
        model: RequestModel | None,
        rules: RequestRules | None = None,
    ) -> None:
        self.policy = policy
        self.rules = rules if policy.signatures else None
        self._parser = RequestParser(policy.limits)
        self._engine = engine if policy.signatures else None
        self._scorer = Scorer(model) if model is not None and policy.model else None
        self._thresholds = _Thresholds((), ())
        if self._scorer is not None:
            calibration = self._scorer.model.calibration
            block = calibration.thresholds(policy.target_fpr)
            alert = calibration.thresholds(policy.alert_fpr)
            # What may be blocked is worth an alert, whatever the two rates say.
            self._thresholds = _Thresholds(block, tuple(map(min, block, alert)))

    def inspect(self, request: Request, client: str = "") -> Verdict:
        """Return the verdict on one request; never raises on its content.

        ``client`` is an address, for registered rules that look at it; empty where none is known.
        """
        parsed = self._parser.parse(request)
        evidence = protocol_evidence(request, parsed)
        matches = self._engine.match(parsed) if self._engine is not None else ()
        score = self._scorer.score(parsed) if self._scorer is not None else None
        anomaly = self._anomaly(parsed, score)
        weighed: tuple[Weighed, ...] = ()
        if self.rules is not None:
            weighed = self._weighed(request, parsed, client)
        if not (evidence or matches or anomaly.alerts or weighed):
            # Nearly all traffic ends here.
            return _verdict(Action.PASS, (), score, None)
        decided = self._decide(evidence, matches, weighed, score, parsed, anomaly)
        return self._explained(decided, evidence, matches, weighed, score, parsed)

    def p_value(self, verdict: Verdict) -> float | None:
        """Return the p-value of a verdict's score; the hot path leaves it out of a pass."""
        if verdict.score is None or self._scorer is None:
            return None
        return self._scorer.model.calibration.categories[verdict.category].p_value(verdict.score)

    def _anomaly(self, parsed: ParsedRequest, score: Score | None) -> _Anomaly:
        """Hold what is firm about a score against the thresholds of its kind of request."""
        if score is None or self._scorer is None:
            return _ORDINARY
        alert = self._thresholds.alert[score.category]
        # The whole score is at least what is firm of it, and nearly always small.
        if score.score < alert:
            return _ORDINARY
        firm = self._scorer.blockable(parsed, score)
        return _Anomaly(firm >= alert, firm >= self._thresholds.block[score.category])

    def _weighed(self, request: Request, parsed: ParsedRequest, client: str) -> tuple[Weighed, ...]:
        """Return what registered sets find, with its worth."""
        assert self.rules is not None
        findings = self.rules.match(request, parsed, client)
        is_marked = self._scorer.is_marked if self._scorer is not None else _never
        return tuple(weigh(finding, parsed, is_marked) for finding in findings)

    def _decide(
        self,
        evidence: list[Evidence],
        matches: tuple[SignatureMatch, ...],
        weighed: tuple[Weighed, ...],
        score: Score | None,
        parsed: ParsedRequest,
        anomaly: _Anomaly,
    ) -> Action:
        best = _strongest(evidence, matches, weighed)
        if anomaly.blocks or best is Confidence.HIGH:
            decided = Action.BLOCK
        elif best is Confidence.MEDIUM:
            sanity = any(e.confidence is Confidence.MEDIUM for e in evidence)
            medium = [(match.rule.id, match.field_index) for match in matches
                      if match.confidence is Confidence.MEDIUM]  # fmt: skip
            medium += [candidate for one in weighed for candidate in one.candidates]
            supported = (sanity and anomaly.alerts) or self._supported(
                medium, score, parsed, anomaly
            )
            decided = Action.BLOCK if supported else Action.ALERT
        else:
            decided = Action.ALERT if anomaly.alerts else Action.PASS
        if decided is Action.BLOCK and self.policy.action is Action.ALERT:
            return Action.ALERT
        return decided

    def _supported(
        self,
        medium: list[tuple[str, int]],
        score: Score | None,
        parsed: ParsedRequest,
        anomaly: _Anomaly,
    ) -> bool:
        """Whether the model, too, speaks against a field that a medium rule matched in.

        ``medium`` are the ids of rules, with the index of the field.
        """
        if score is None or self._scorer is None:
            return False
        values = dict(zip(score.indices, score.values.tolist(), strict=True))
        for rule, index in medium:
            field = parsed.fields[index]
            said = self._scorer.speaks_against(rule, field, score)
            odd = anomaly.alerts or values.get(index, 0.0) >= _ODD_VALUE
            article = is_prose(field) and len(field.value) > _ARTICLE
            if said or (said is None and odd and not article):
                return True
        return False

    def _explained(
        self,
        decided: Action,
        evidence: list[Evidence],
        matches: tuple[SignatureMatch, ...],
        weighed: tuple[Weighed, ...],
        score: Score | None,
        parsed: ParsedRequest,
    ) -> Verdict:
        limit = self.policy.limits.excerpt_bytes
        found = evidence + [_signature_evidence(match, parsed, limit) for match in matches]
        found += [e for one in weighed for e in set_evidence(one, parsed, limit)]
        p_value = None
        if score is not None and self._scorer is not None:
            model = self._scorer.model
            firm = self._scorer.blockable(parsed, score)
            p_value = model.calibration.categories[score.category].p_value(firm)
            if decided is not Action.PASS:
                found.extend(explain(model, parsed, score, limit=limit))
        # What decided comes first, so that a flood of small things cannot push it out.
        found.sort(key=lambda e: _ORDER[e.confidence])
        return _verdict(decided, tuple(found[:_MAX_EVIDENCE]), score, p_value)


_ORDER = {Confidence.HIGH: 0, Confidence.MEDIUM: 1, Confidence.LOW: 2}


def _never(_rule: str, _field: Field) -> bool:
    """Without a model nothing is known of any field."""
    return False


def _strongest(
    evidence: list[Evidence],
    matches: tuple[SignatureMatch, ...],
    weighed: tuple[Weighed, ...],
) -> Confidence | None:
    found = [e.confidence for e in evidence] + [match.confidence for match in matches]
    found += [one.strongest for one in weighed]
    return min(found, key=_ORDER.__getitem__, default=None)


def _verdict(
    action: Action, evidence: tuple[Evidence, ...], score: Score | None, p_value: float | None
) -> Verdict:
    if score is None:
        return Verdict(action, evidence)
    endpoint = f"{score.method} {score.template}"
    return Verdict(action, evidence, score.score, p_value, endpoint, score.category)


def _signature_evidence(match: SignatureMatch, parsed: ParsedRequest, limit: int) -> Evidence:
    field = parsed.fields[match.field_index]
    excerpt, marks = excerpt_around(field.value, match.start, match.end, limit)
    matched = field.value[match.start : match.end][:64].decode("utf-8", "replace")
    rule = match.rule
    return Evidence(
        Detector.SIGNATURE, rule.id, rule.message, field.label, excerpt, rule.expected,
        f"{matched!r}", match.confidence, match.start, match.end, marks, None, tuple(rule.tags),
    )  # fmt: skip
