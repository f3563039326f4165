"""Modes: what a finding is worth, and what the pipeline makes of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.enforcer.settings import WorkerSettings, read_rules, read_settings, write_settings
from cnaf.enforcer.spool import SpoolWriter, read_alerts
from cnaf.enforcer.weighing import weigh
from cnaf.enforcer.worker import InspectionHandler
from cnaf.models.errors import InputError
from cnaf.models.exchange import Request
from cnaf.models.fields import Field
from cnaf.models.parsing import RequestParser
from cnaf.models.request_model import RequestModel
from cnaf.models.verdict import Action, Confidence, Detector
from cnaf.signatures.sets.registered import Mode

from tests.support.rule_sets import CUSTOM, SCORED, engine, find, get, made
from tests.support.shop import request, shop_fit

XSS, SQL = "attack-xss", "attack-sqli"
HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
MARKUP = request(target="/search?q=%3Cb%3Ehat")
#: Nothing but the sets decides: no anomaly of a shop's model reaches these rates.
QUIET = Policy(target_fpr=1e-9, alert_fpr=1e-9)


@pytest.fixture(scope="module")
def model() -> RequestModel:
    return shop_fit().model


def marking(model: RequestModel, name: str, *rules: str) -> RequestModel:
    profiles = (
        replace(p, marks=p.marks | set(rules)) if p.name == name else p for p in model.profiles
    )
    return replace(model, profiles=tuple(profiles))


def worth(
    folder: Path,
    made: Request,
    marked: Collection[tuple[str, str]] = (),
    text: str = SCORED,
    **changed: object,
) -> tuple[Confidence, list[tuple[str, str]]]:
    parsed = RequestParser().parse(made)

    def is_marked(rule: str, field: Field) -> bool:
        return (rule, field.label) in marked

    (finding,) = find(engine(folder, text, **changed), made)
    weighed = weigh(finding, parsed, is_marked)
    return weighed.strongest, [(r, parsed.fields[i].label) for r, i in weighed.candidates]


@pytest.mark.parametrize(
    ("mode", "confidence", "candidates"),
    [
        (Mode.BLOCK, HIGH, []),
        (Mode.WEIGH, MEDIUM, [(XSS, "query:q")]),
        (Mode.ALERT, MEDIUM, []),
    ],
)
def test_modes(
    mode: Mode, confidence: Confidence, candidates: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert worth(tmp_path, get("/?q=%3Cb%3E"), mode=mode) == (confidence, candidates)


@pytest.mark.parametrize("mode", [Mode.BLOCK, Mode.WEIGH, Mode.ALERT])
def test_below_the_threshold_a_score_says_little(mode: Mode, tmp_path: Path) -> None:
    assert worth(tmp_path, get("/?q=union"), mode=mode) == (LOW, [])


@pytest.mark.parametrize("mode", [Mode.BLOCK, Mode.WEIGH, Mode.ALERT])
def test_rules_that_only_log_alert(mode: Mode, tmp_path: Path) -> None:
    found = worth(tmp_path, get("/?note=tell+me"), text=CUSTOM, mode=mode)
    assert found == (MEDIUM, [])


@pytest.mark.parametrize(
    ("target", "marked", "expected"),
    [
        ("/?q=%3Cb%3E", {(XSS, "query:q")}, (LOW, [])),
        ("/?q=%3Cb%3E", {(XSS, "query:other")}, (MEDIUM, [(XSS, "query:q")])),
        ("/?q=%3Cb%3E", {(SQL, "query:q")}, (MEDIUM, [(XSS, "query:q")])),
        # What is known in one field hides nothing in another, whichever matched last.
        ("/?q=%3Cb%3E&p=%3Cb%3E", {(XSS, "query:q")}, (MEDIUM, [(XSS, "query:p")])),
        ("/?p=%3Cb%3E&q=%3Cb%3E", {(XSS, "query:q")}, (MEDIUM, [(XSS, "query:p")])),
        # 5 points and 3: with the 5 taken out the rest is below the threshold.
        ("/?q=%3Cb%3E&p=union", {(XSS, "query:q")}, (LOW, [])),
        ("/?q=%3Cb%3E&p=union", {(SQL, "query:p")}, (MEDIUM, [(XSS, "query:q")])),
        # 3 points in each of two fields are enough.
        ("/?q=%3Cb%3E&a=union&b=union", {(XSS, "query:q")},
         (MEDIUM, [(SQL, "query:b"), (SQL, "query:a")])),
    ],
)  # fmt: skip
def test_marks_are_taken_out_of_the_score(
    target: str,
    marked: set[tuple[str, str]],
    expected: tuple[Confidence, list[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    assert worth(tmp_path, get(target), marked, mode=Mode.WEIGH) == expected


def test_marks_silence_a_rule_that_denies(tmp_path: Path) -> None:
    made = get("/?coupon=free-1")
    for known, confidence in (({("9001", "query:coupon")}, LOW), (set(), MEDIUM)):
        assert worth(tmp_path, made, known, CUSTOM, mode=Mode.WEIGH)[0] is confidence


class TestPipeline:
    @pytest.mark.parametrize(
        ("mode", "action"),
        [(Mode.BLOCK, Action.BLOCK), (Mode.WEIGH, Action.BLOCK), (Mode.ALERT, Action.ALERT)],
    )
    def test_a_field_whose_benign_values_never_set_the_rule_off(
        self, mode: Mode, action: Action, model: RequestModel, tmp_path: Path
    ) -> None:
        rules = engine(tmp_path, SCORED, mode=mode)
        assert Inspector(QUIET, None, model, rules).inspect(MARKUP).action is action

    @pytest.mark.parametrize(
        ("mode", "action"),
        [(Mode.BLOCK, Action.BLOCK), (Mode.WEIGH, Action.PASS), (Mode.ALERT, Action.ALERT)],
    )
    def test_a_field_whose_benign_values_do(
        self, mode: Mode, action: Action, model: RequestModel, tmp_path: Path
    ) -> None:
        rules = engine(tmp_path, SCORED, mode=mode)
        known = marking(model, "q", XSS)
        assert Inspector(QUIET, None, known, rules).inspect(MARKUP).action is action

    def test_without_a_model_weigh_alerts_and_block_blocks(self, tmp_path: Path) -> None:
        for mode, action in ((Mode.WEIGH, Action.ALERT), (Mode.BLOCK, Action.BLOCK)):
            rules = engine(tmp_path, SCORED, mode=mode)
            assert Inspector(Policy(), None, None, rules).inspect(MARKUP).action is action

    def test_a_policy_that_alerts_alerts(self, tmp_path: Path) -> None:
        rules = engine(tmp_path, SCORED, mode=Mode.BLOCK)
        policy = Policy(action=Action.ALERT)
        assert Inspector(policy, None, None, rules).inspect(MARKUP).action is Action.ALERT

    def test_evidence_shows_rule_set_field_and_excerpt(self, tmp_path: Path) -> None:
        rules = engine(tmp_path, CUSTOM, mode=Mode.BLOCK)
        verdict = Inspector(Policy(), None, None, rules).inspect(get("/?coupon=a+free-7"))
        assert verdict.action is Action.PASS
        verdict = Inspector(Policy(), None, None, rules).inspect(get("/?coupon=free-7"))
        (evidence,) = verdict.evidence
        assert (evidence.detector, evidence.rule, evidence.field) == (
            Detector.SIGNATURE, "9001", "query:coupon",
        )  # fmt: skip
        assert evidence.message == "A coupon that nobody issued"
        assert evidence.tags == ("shop", "CWE-840")
        assert evidence.source == f"shop Shop rules/2.1 (sha256:{rules.sets[0].sha256[:12]})"
        start, end = evidence.marks[0]
        assert evidence.excerpt[start:end] == "free-"
        assert evidence.confidence is HIGH

    def test_the_score_is_told(self, tmp_path: Path) -> None:
        rules = engine(tmp_path, SCORED, mode=Mode.BLOCK)
        (evidence,) = Inspector(Policy(), None, None, rules).inspect(MARKUP).evidence
        assert evidence.expected == "an anomaly score below 5; the request has 5"
        assert evidence.excerpt[slice(*evidence.marks[0])] == "<b>"

    def test_work_at_its_cap_alerts(self, tmp_path: Path) -> None:
        rules = engine(tmp_path, SCORED, mode=Mode.BLOCK)
        many = "&".join(f"a{number}=x" for number in range(2100)).encode()
        made = request("POST", "/", many)
        verdict = Inspector(Policy(), None, None, rules).inspect(made)
        assert verdict.action is Action.ALERT
        assert "rule-work" in {evidence.rule for evidence in verdict.evidence}

    def test_signatures_off_means_these_too(self, tmp_path: Path) -> None:
        rules = engine(tmp_path, SCORED, mode=Mode.BLOCK)
        policy = Policy(signatures=False)
        assert Inspector(policy, None, None, rules).inspect(MARKUP).action is Action.PASS


class TestWorker:
    def handled(self, folder: Path, text: str, *clients: str) -> list[bool]:
        inspector = Inspector(Policy(), None, None, engine(folder, text, mode=Mode.BLOCK))
        with SpoolWriter(folder / "spool", worker="test") as spool:
            handler = InspectionHandler(inspector, spool, image="shop:1", subject="")
            return [handler.on_request(get("/"), client, "id").block for client in clients]

    def test_what_passed_for_one_client_is_not_remembered_for_another(self, tmp_path: Path) -> None:
        text = 'SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:1,phase:1,deny,t:none,msg:\'m\'"'
        good, bad = "198.51.100.1", "192.0.2.1"
        found = self.handled(tmp_path, text, good, good, good, bad, good)
        assert found == [False, False, False, True, False]
        (alert,) = read_alerts(tmp_path / "spool")
        assert alert.evidence[0].source.startswith("shop ")

    def test_nothing_is_remembered_where_the_clock_counts(self, tmp_path: Path) -> None:
        rules = engine(tmp_path, 'SecRule TIME_YEAR "@eq 1" "id:1,phase:1,deny"')
        with SpoolWriter(tmp_path / "spool", worker="test") as spool:
            handler = InspectionHandler(
                Inspector(Policy(), None, None, rules), spool, image="", subject=""
            )
            for _ in range(3):
                handler.on_request(get("/"), "192.0.2.1", "id")
        assert not handler._passed

    def test_a_restart_needs_neither_registry_nor_rule_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        registered, sources = made(tmp_path / "source", CUSTOM)
        told = WorkerSettings(tmp_path, "shop:1", "", tmp_path / "spool", Policy())
        path = write_settings(told, None, [(registered, sources)])
        registered.paths[0].unlink()
        rules = read_rules(read_settings(path))
        assert rules is not None
        assert rules.sets == (registered,)
        assert find(rules, get("/?coupon=free-1"))

    def test_no_sets_are_none(self, tmp_path: Path) -> None:
        told = WorkerSettings(tmp_path, "shop:1", "", tmp_path / "spool", Policy())
        assert read_rules(read_settings(write_settings(told, None))) is None

    @pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'[{"set": {}, "sources": {}}]'])
    def test_damaged_rules_are_refused(self, content: bytes, tmp_path: Path) -> None:
        told = WorkerSettings(tmp_path, "shop:1", "", tmp_path / "spool", Policy())
        path = write_settings(told, None)
        (tmp_path / "rules.json").write_bytes(content)
        if content == b"{}":
            assert read_rules(read_settings(path)) is None
            return
        with pytest.raises(InputError, match=r"rules\.json"):
            read_rules(read_settings(path))
