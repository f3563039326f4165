"""The verdict pipeline: the fusion table, its actions and evidence, hostile requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.models.calibration import (
    CATEGORIES,
    STEPS,
    Calibration,
    MondrianCalibration,
    category_of,
)
from cnaf.models.exchange import Request
from cnaf.models.fields import Location
from cnaf.models.kernels import SURPRISE_CAP
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel, Scorer
from cnaf.models.structure import News
from cnaf.models.value_types import ValueType
from cnaf.models.verdict import Action, Confidence, Detector, Verdict
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.rule import Pattern, Rule, Severity, Targets
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shop import request, shop_fit, shop_traffic
from tests.support.tails import tail_of

PASS, ALERT, BLOCK = Action.PASS, Action.ALERT, Action.BLOCK
#: A rate so small that none of these requests is so odd.
_NONE = 1e-9
#: Marks that a rule of this confidence fires on; ordinary words to the model.
WORDS = {Confidence.HIGH: "wooolll", Confidence.MEDIUM: "cotttt", Confidence.LOW: "silkkk"}


def rule(confidence: Confidence, word: str) -> Rule:
    return Rule(
        f"test-{confidence}", "a test word", "other words", Severity.HIGH, confidence, ("CWE-1",),
        (Pattern(word),), Targets(frozenset((Location.QUERY, Location.FORM))),
    )  # fmt: skip


RULES = tuple(rule(confidence, word) for confidence, word in WORDS.items())


@pytest.fixture(scope="module")
def engine() -> SignatureEngine:
    return SignatureEngine(RULES)


@pytest.fixture(scope="module")
def model() -> RequestModel:
    return shop_fit().model


def search(text: str) -> Request:
    return request(target="/search?q=" + text.replace(" ", "+"))


def policy_at(model: RequestModel, made: Request, level: str, action: Action = BLOCK) -> Policy:
    """A policy under which the request's own score is in the given band."""
    scorer, parsed = Scorer(model), RequestParser().parse(made)
    score = scorer.score(parsed)
    reached = scorer.blockable(parsed, score)
    thresholds = model.calibration.thresholds
    # Of rates that are promised, the least one that this request would be blocked under.
    rates = np.geomspace(1e-8, 0.9, 600).tolist()
    beyond = next(rate for rate in rates if thresholds(rate)[score.category] <= reached)
    assert thresholds(_NONE)[score.category] > reached
    target, told = {
        "block": (beyond, beyond), "alert": (_NONE, beyond), "ordinary": (_NONE, _NONE),
    }[level]  # fmt: skip
    return Policy(action, target_fpr=target, alert_fpr=told)


def knowing(model: RequestModel, name: str, **known: object) -> RequestModel:
    """The model with something else known of a field."""
    profiles = (replace(p, **known) if p.name == name else p for p in model.profiles)  # type: ignore[arg-type]
    return replace(model, profiles=tuple(profiles))


MEDIUM = f"test-{Confidence.MEDIUM}"


@pytest.mark.parametrize(
    ("confidence", "level", "action"),
    [
        (Confidence.HIGH, "ordinary", BLOCK),
        (Confidence.HIGH, "block", BLOCK),
        # The benign values of this field set the rule off.
        (Confidence.MEDIUM, "ordinary", ALERT),
        (Confidence.MEDIUM, "alert", ALERT),
        (Confidence.MEDIUM, "block", BLOCK),
        (Confidence.LOW, "ordinary", PASS),
        (Confidence.LOW, "alert", ALERT),
        (Confidence.LOW, "block", BLOCK),
        (None, "ordinary", PASS),
        (None, "alert", ALERT),
        (None, "block", BLOCK),
    ],
)
def test_fusion(
    engine: SignatureEngine,
    model: RequestModel,
    confidence: Confidence | None,
    level: str,
    action: Action,
) -> None:
    model = knowing(model, "q", marks=frozenset({MEDIUM}))
    made = search(f"red {WORDS[confidence]} - hatt" if confidence else "red - hatt 1")
    verdict = Inspector(policy_at(model, made, level), engine, model).inspect(made)
    assert verdict.action is action
    assert bool(verdict.evidence) == (action is not PASS or confidence is not None)
    # Under an alert policy the same decision is told, and nothing is blocked.
    alerting = Inspector(policy_at(model, made, level, ALERT), engine, model).inspect(made)
    assert alerting.action is (ALERT if action is BLOCK else action)
    assert alerting.evidence == verdict.evidence


class TestMediumEvidence:
    """What a rule of medium confidence means where no score reaches a threshold."""

    POLICY = Policy(target_fpr=_NONE, alert_fpr=_NONE)

    def action(self, engine: SignatureEngine, model: RequestModel, made: Request) -> Action:
        return Inspector(self.POLICY, engine, model).inspect(made).action

    def test_blocks_where_benign_values_never_set_it_off(
        self, engine: SignatureEngine, model: RequestModel
    ) -> None:
        assert self.action(engine, model, search("cotttt")) is BLOCK

    def test_alerts_where_they_did(self, engine: SignatureEngine, model: RequestModel) -> None:
        marked = knowing(model, "q", marks=frozenset({MEDIUM}))
        assert self.action(engine, marked, search("cotttt")) is ALERT
        assert self.action(engine, marked, search("cotttt <|;$(x)")) is ALERT

    @pytest.mark.parametrize("target", ["/search?q=hat&new=cotttt", "/nowhere/at-all?q=cotttt"])
    def test_blocks_in_a_new_field_or_endpoint_of_an_image_that_is_known_well(
        self, engine: SignatureEngine, model: RequestModel, target: str
    ) -> None:
        made = request(target=target)
        assert self.action(engine, model, made) is BLOCK
        # Where names are new all the time, a new one says nothing.
        assert self.action(engine, replace(model, names=News(40, 30)), made) is ALERT

    def test_needs_an_odd_value_where_few_sessions_know_the_field(
        self, engine: SignatureEngine, model: RequestModel
    ) -> None:
        thin = knowing(model, "q", sessions=1)
        assert self.action(engine, thin, search("cotttt")) is ALERT
        assert self.action(engine, thin, search("cotttt <|;$(x)")) is BLOCK

    def test_or_an_odd_request(self, engine: SignatureEngine, model: RequestModel) -> None:
        """Few sessions know the field, its value is plain, and something else is odd."""
        thin = knowing(model, "sort", sessions=1)
        made = request(target="/products?page=1'--&sort=cotttt")
        for level, action in (("alert", BLOCK), ("ordinary", ALERT)):
            policy = policy_at(thin, made, level)
            assert Inspector(policy, engine, thin).inspect(made).action is action

    def test_what_is_normal_in_one_field_is_not_in_another(
        self, engine: SignatureEngine, model: RequestModel
    ) -> None:
        marked = knowing(model, "sort", marks=frozenset({MEDIUM}))
        assert self.action(engine, marked, request(target="/products?page=1&sort=cotttt")) is ALERT
        assert self.action(engine, marked, request(target="/search?q=cotttt")) is BLOCK

    def test_needs_more_sessions_where_markup_is_normal(self, model: RequestModel) -> None:
        parsed = RequestParser().parse(search("cotttt"))
        field = next(f for f in parsed.fields if f.name == "q")
        for kind, sessions, said in (
            (ValueType.MARKUP, 10, None), (ValueType.MARKUP, 30, True),
            (ValueType.CODE, 19, None), (ValueType.TEXT, 10, True), (ValueType.TEXT, 2, None),
        ):  # fmt: skip
            scorer = Scorer(knowing(model, "q", kind=kind, sessions=sessions))
            assert scorer.speaks_against(MEDIUM, field, scorer.score(parsed)) is said

    def test_an_article_may_quote_an_attack(
        self, engine: SignatureEngine, model: RequestModel
    ) -> None:
        thin = knowing(model, "text", sessions=1)
        short, long = (
            request("POST", "/reviews", b"rating=3&title=nice&text=cotttt+%3C|;$(x)" + b"+red" * n)
            for n in (1, 200)
        )
        assert self.action(engine, thin, short) is BLOCK
        assert self.action(engine, thin, long) is ALERT


class TestMediumSanity:
    """What is wrong with a request itself, by a fact of medium confidence."""

    NUL = request(target="/search?q=red%00hat")

    @pytest.mark.parametrize(("level", "action"), [("ordinary", ALERT), ("alert", BLOCK)])
    def test_blocks_with_an_odd_request_and_else_alerts(
        self, model: RequestModel, level: str, action: Action
    ) -> None:
        verdict = Inspector(policy_at(model, self.NUL, level), None, model).inspect(self.NUL)
        assert verdict.evidence[0].detector is Detector.PROTOCOL
        assert verdict.evidence[0].confidence is Confidence.MEDIUM
        assert verdict.action is action

    def test_alerts_without_a_model(self) -> None:
        assert Inspector(Policy(), None, None).inspect(self.NUL).action is ALERT


class TestThresholds:
    #: One request of each category that a shop without free text in its queries shows.
    MADE = (
        search("red - hatt 1"),
        request("POST", "/reviews", b"rating=3'-&title=red+-+hatt+1&text=<p>red</p>"),
        request("POST", "/reviews", b"rating=3&title=nice&text=%3Cp%3E%3Bx%7C%28y%29"),
        request(target="/products?page=1&sort=name&why=%3Cp%3E%3Cb+x%3D(y)%3E%3Cu%3E"),
    )

    def test_each_category_has_its_own(self, model: RequestModel) -> None:
        """A score between two thresholds blocks the one kind and not the others."""
        parser, scorer = RequestParser(), Scorer(model)
        shown = set()
        for made in self.MADE:
            parsed = parser.parse(made)
            score = scorer.score(parsed)
            shown.add(score.category)
            reached = scorer.blockable(parsed, score)
            assert reached > 0
            for lowest in range(len(CATEGORIES)):
                limits = [reached + 0.5] * len(CATEGORIES)
                limits[lowest] = reached - 1e-3
                own = replace(model, calibration=MondrianCalibration(tuple(map(_from, limits))))
                for policy, decided in (
                    (Policy(target_fpr=0.01, alert_fpr=_NONE), BLOCK),
                    (Policy(target_fpr=_NONE, alert_fpr=0.01), ALERT),
                ):
                    verdict = Inspector(policy, None, own).inspect(made)
                    assert verdict.category == score.category
                    assert verdict.action is (decided if lowest == score.category else PASS)
        assert shown == {category_of(False, False), category_of(False, True),
                         category_of(True, False), category_of(True, True)}  # fmt: skip

    def test_what_may_block_is_worth_an_alert_whatever_the_rates_say(
        self, model: RequestModel
    ) -> None:
        made = self.MADE[0]
        beyond = policy_at(model, made, "block").target_fpr
        policy = Policy(ALERT, target_fpr=beyond, alert_fpr=_NONE)
        assert Inspector(policy, None, model).inspect(made).action is ALERT

    def test_the_p_value_is_that_of_the_category(self, model: RequestModel) -> None:
        for made in self.MADE:
            parsed = RequestParser().parse(made)
            scorer = Scorer(model)
            score = scorer.score(parsed)
            verdict = Inspector(policy_at(model, made, "block"), None, model).inspect(made)
            own = model.calibration.categories[score.category]
            assert verdict.p_value == own.p_value(scorer.blockable(parsed, score))


def _from(threshold: float) -> Calibration:
    """A calibration that calls what is beyond this score one in a hundred thousand."""
    nothing = np.zeros(0, np.float32)
    return Calibration(nothing, nothing.astype(np.int32), 0, tail_of([threshold] * STEPS, 4.0))


class TestThinEndpoints:
    NEW = (request("POST", "/search?q=hat"), request("DELETE", "/"), request(target="/contact"))

    @pytest.mark.parametrize("made", NEW)
    def test_being_new_alone_passes(self, model: RequestModel, made: Request) -> None:
        parsed, scorer = RequestParser().parse(made), Scorer(model)
        score = scorer.score(parsed)
        assert score.endpoint is None
        firm = scorer.blockable(parsed, score)
        # With its newness counted the request is beyond this rate, so it would block.
        rate = model.calibration.categories[score.category].p_value((firm + score.score) / 2)
        assert firm < model.calibration.thresholds(rate)[score.category] < score.score
        verdict = Inspector(Policy(target_fpr=rate, alert_fpr=rate), None, model).inspect(made)
        assert verdict == Verdict(
            PASS, (), score.score, None, f"{score.method} {score.template}", score.category
        )

    def test_what_is_new_where_nothing_ever_is_blocks(self, model: RequestModel) -> None:
        """An image that answers so many visits by two methods only does not know a third."""
        endpoints = tuple(replace(e, sessions=1_000 * e.sessions) for e in model.endpoints)
        settled, made = replace(model, endpoints=endpoints), request("DELETE", "/")
        verdict = Inspector(Policy(target_fpr=0.01), None, settled).inspect(made)
        assert verdict.action is BLOCK
        assert "unseen-method" in {item.rule for item in verdict.evidence}
        assert Inspector(Policy(target_fpr=0.01), None, model).inspect(made).action is PASS

    def test_an_attack_on_a_new_page_blocks(self, model: RequestModel) -> None:
        policy = Policy(target_fpr=0.01)
        made = request(target="/about-us?id=%27%20OR%201=1;<script>alert(1)</script>--")
        assert Inspector(policy, None, model).inspect(made).action is BLOCK


class TestParts:
    def test_without_a_model_signatures_decide(self, engine: SignatureEngine) -> None:
        inspector = Inspector(Policy(), engine, None)
        verdicts = {c: inspector.inspect(search(word)) for c, word in WORDS.items()}
        assert [v.action for v in verdicts.values()] == [BLOCK, ALERT, PASS]
        assert all(v.score is None and v.p_value is None for v in verdicts.values())
        assert inspector.p_value(verdicts[Confidence.HIGH]) is None

    def test_without_signatures_the_model_decides(self, model: RequestModel) -> None:
        inspector = Inspector(Policy(target_fpr=0.01), None, model)
        verdict = inspector.inspect(search("<script>alert(1)</script>"))
        assert verdict.action is BLOCK
        assert {item.detector for item in verdict.evidence} == {Detector.MODEL}
        assert verdict.endpoint == "GET /search"

    def test_without_both_the_protocol_does(self) -> None:
        inspector = Inspector(Policy(), None, None)
        assert inspector.inspect(search("<script>alert(1)</script>")) == Verdict(PASS)
        assert inspector.inspect(Request("TRACE", b"/", ())).action is BLOCK

    def test_a_policy_turns_parts_off(self, engine: SignatureEngine, model: RequestModel) -> None:
        policy = Policy(signatures=False, model=False)
        made = search(WORDS[Confidence.HIGH] + "<script>")
        assert Inspector(policy, engine, model).inspect(made) == Verdict(PASS)

    def test_a_rate_that_the_model_cannot_promise_blocks_nothing(self, model: RequestModel) -> None:
        """Held-out requests of each kind reach the highest score."""
        odd = np.full(9, SURPRISE_CAP, np.float32)
        calibrations = tuple(
            replace(c, scores=odd, ranks=np.full(9, 9, np.int32), total=9)
            for c in model.calibration.categories
        )
        lost = replace(model, calibration=MondrianCalibration(calibrations))
        policy = Policy(target_fpr=0.01, alert_fpr=0.01)
        for made in (search("<script>alert(1)</script>"), *TestThresholds.MADE):
            assert Inspector(policy, None, lost).inspect(made).action is PASS
        assert Inspector(policy, None, model).inspect(made).action is not PASS

    def test_benign_traffic_passes(self, engine: SignatureEngine, model: RequestModel) -> None:
        inspector = Inspector(Policy(target_fpr=0.002, alert_fpr=0.01), engine, model)
        verdicts = [inspector.inspect(e.request) for e in shop_traffic(20, seed=5)]
        assert sum(v.action is BLOCK for v in verdicts) <= len(verdicts) * 0.01
        assert sum(v.action is PASS for v in verdicts) >= len(verdicts) * 0.95

    def test_the_p_value_of_a_pass_is_asked_for(self, model: RequestModel) -> None:
        inspector = Inspector(Policy(), None, model)
        verdict = inspector.inspect(search("hat"))
        assert (verdict.action, verdict.p_value) == (PASS, None)
        p_value = inspector.p_value(verdict)
        assert p_value is not None
        assert p_value > 0.005


class TestEvidence:
    def test_a_signature_shows_what_it_matched(self, engine: SignatureEngine) -> None:
        (found,) = Inspector(Policy(), engine, None).inspect(search("a wooolll hat")).evidence
        assert (found.detector, found.rule) == (Detector.SIGNATURE, "test-high")
        assert (found.field, found.seen, found.expected) == ("query:q", "'wooolll'", "other words")
        ((start, end),) = found.marks
        assert found.excerpt[start:end] == "wooolll"
        assert (found.start, found.end, found.tags) == (2, 9, ("CWE-1",))

    def test_it_is_capped_and_what_decided_comes_first(self, engine: SignatureEngine) -> None:
        noise = "&".join(f"{letter}=%ff" for letter in "abcdefghijklmnopqrst")
        made = request(target=f"/search?{noise}&q={WORDS[Confidence.HIGH]}")
        verdict = Inspector(Policy(), engine, None).inspect(made)
        assert verdict.action is BLOCK
        assert len(verdict.evidence) == 12
        assert verdict.evidence[0].rule == "test-high"

    def test_model_evidence_is_not_crowded_out(
        self, engine: SignatureEngine, model: RequestModel
    ) -> None:
        noise = "&".join(f"{letter}=%ff" for letter in "abcdefghijklmnopqrst")
        made = request(target=f"/search?{noise}&q=<script>alert(1)</script>")
        verdict = Inspector(Policy(target_fpr=0.01), engine, model).inspect(made)
        assert verdict.action is BLOCK
        assert verdict.evidence[0].detector is Detector.MODEL

    def test_excerpts_keep_to_the_policy(
        self, engine: SignatureEngine, model: RequestModel
    ) -> None:
        policy = Policy(target_fpr=0.5, limits=replace(Limits(), excerpt_bytes=32))
        made = search("wooolll " + "<script>" * 50)
        for item in Inspector(policy, engine, model).inspect(made).evidence:
            assert len(item.excerpt) <= 32


methods = st.sampled_from(["GET", "POST", "PUT", "x", ""])
headers = st.lists(
    st.tuples(
        st.sampled_from([b"cookie", b"content-type", b"content-encoding", b"host", b"x-a"]),
        st.sampled_from(
            [b"application/json", b"text/xml", b"gzip", b"multipart/form-data; boundary=B"]
        )
        | st.binary(max_size=60),
    ),
    max_size=5,
).map(tuple)  # fmt: skip
hostile = st.builds(
    Request, methods, st.binary(max_size=150), headers, st.binary(max_size=300), st.integers(0, 999)
)


@settings(deadline=None, max_examples=250)
@given(hostile, st.booleans(), st.booleans(), st.sampled_from([ALERT, BLOCK]))
def test_any_request_gets_a_verdict(
    made: Request, with_engine: bool, with_model: bool, action: Action
) -> None:
    inspector = Inspector(
        Policy(action, target_fpr=0.3, alert_fpr=0.5),
        SignatureEngine(RULES) if with_engine else None,
        shop_fit().model if with_model else None,
    )
    verdict = inspector.inspect(made)
    assert verdict.action in (PASS, ALERT, action)
    assert len(verdict.evidence) <= 12
    assert verdict.evidence or verdict.action is PASS
    assert (verdict.score is None) == (not with_model)
    # No state: the same request gets the same verdict.
    assert inspector.inspect(made) == verdict


@pytest.mark.parametrize(
    "made",
    [
        Request("GET", b"/?" + b"a=1&" * 10_000, ()),
        request("POST", "/", b"[" * 30_000 + b"]" * 30_000, b"application/json"),
        request("POST", "/", b"<a>" * 9_000, b"text/xml"),
        request(
            "POST", "/",
            b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>', b"text/xml",
        ),
        request("POST", "/", b"\xff\xfe" * 30_000, b"application/json"),
        request("POST", "/", b"--B\r\n" * 10_000, b"multipart/form-data; boundary=B"),
        request("POST", "/", b"%" * 60_000),
        request("POST", "/", b"a=" + b"%25" * 20_000 + b"27"),
        request("POST", "/", b"q=" + b"&amp;" * 12_000),
        request("GET", "/" + "a/" * 8_000),
        request("GET", "/", b"", b"", (b"cookie", b";" * 9_000 + b"=" * 9_000)),
        request("POST", "/", b"{" + b'"k' * 20_000, b""),
        request("POST", "/", b"q=" + b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    ],
)  # fmt: skip
def test_large_hostile_requests_get_a_verdict(
    engine: SignatureEngine, model: RequestModel, made: Request
) -> None:
    verdict = Inspector(Policy(), engine, model).inspect(made)
    assert verdict.evidence or verdict.action is PASS
    assert all(len(item.excerpt) <= 256 for item in verdict.evidence)
