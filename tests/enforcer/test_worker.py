"""The handler behind HAProxy: alerts before answers, and nothing remembered that may not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cnaf.dataplane.handler import PASS
from cnaf.enforcer import worker
from cnaf.enforcer.pipeline import Inspector, Policy
from cnaf.enforcer.spool import SpoolWriter, read_alerts
from cnaf.enforcer.worker import InspectionHandler, warm
from cnaf.models.exchange import Request, Response
from cnaf.models.verdict import Action
from cnaf.signatures.engine import SignatureEngine

from tests.support.shop import request, shop_fit

ATTACK = request(target="/search?q=" + "%27%20UNION%20SELECT%20password%20FROM%20users--%20")
CLIENT = "192.0.2.7"


class Counting(Inspector):
    """The pipeline, and how often it ran."""

    runs = 0

    def inspect(self, request: Request, client: str = ""):  # type: ignore[no-untyped-def]
        self.runs += 1
        return super().inspect(request, client)


@pytest.fixture(scope="module")
def engine() -> SignatureEngine:
    return SignatureEngine.load()


@pytest.fixture
def inspector(engine: SignatureEngine) -> Counting:
    return Counting(Policy(action=Action.BLOCK), engine, shop_fit().model)


@pytest.fixture
def handler(inspector: Counting, tmp_path: Path) -> Iterator[InspectionHandler]:
    with SpoolWriter(tmp_path, worker="test") as spool:
        yield InspectionHandler(inspector, spool, image="shop:1", subject="")


def test_an_attack_is_in_the_spool_before_it_is_answered(
    handler: InspectionHandler, tmp_path: Path
) -> None:
    decision = handler.on_request(ATTACK, CLIENT, "id-1")
    (alert,) = read_alerts(tmp_path)
    assert decision.block
    assert (alert.event_id, alert.client, alert.action) == (
        decision.event_id, CLIENT, Action.BLOCK,
    )  # fmt: skip


def test_what_passed_twice_is_not_inspected_a_third_time(
    handler: InspectionHandler, inspector: Counting
) -> None:
    for _ in range(5):
        again = Request("GET", b"/search?q=hat", ((b"host", b"shop"),))
        assert handler.on_request(again, CLIENT, "id") is PASS
    assert inspector.runs == 2


@pytest.mark.parametrize(
    "changed",
    [
        Request("POST", b"/search?q=hat", ((b"host", b"shop"),)),
        Request("GET", b"/search?q=hat%27%20OR%201=1--", ((b"host", b"shop"),)),
        Request("GET", b"/search?q=hat", ((b"host", b"shop"), (b"x-original-url", b"/admin"))),
        Request("GET", b"/search?q=hat", ((b"host", b"shop"),), b"a=../../etc/passwd", 18),
    ],
)
def test_another_request_is_inspected(
    changed: Request, handler: InspectionHandler, inspector: Counting
) -> None:
    for _ in range(3):
        handler.on_request(Request("GET", b"/search?q=hat", ((b"host", b"shop"),)), CLIENT, "id")
    runs = inspector.runs
    handler.on_request(changed, CLIENT, "id")
    assert inspector.runs == runs + 1


def test_every_attack_alerts_however_often_it_comes(
    handler: InspectionHandler, tmp_path: Path
) -> None:
    for _ in range(4):
        assert handler.on_request(ATTACK, CLIENT, "id").block
    assert len({alert.event_id for alert in read_alerts(tmp_path)}) == 4


def test_memory_is_bounded(handler: InspectionHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_SEEN", 8)
    monkeypatch.setattr(worker, "_REMEMBERED", 4)
    for number in range(50):
        for _ in range(2):
            made = Request("GET", b"/products?page=%d&sort=name" % (number % 25 + 1), ())
            assert handler.on_request(made, CLIENT, "id") is PASS
        assert len(handler._seen) <= 8
        assert len(handler._passed) <= 4


def test_the_answer_to_an_alerted_request_is_noted(
    engine: SignatureEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_AWAITED", 2)
    inspector = Inspector(Policy(action=Action.ALERT), engine, None)
    with SpoolWriter(tmp_path, worker="test") as spool:
        handler = InspectionHandler(inspector, spool, image="shop:1", subject="")
        for number in range(3):
            decision = handler.on_request(ATTACK, CLIENT, f"id-{number}")
            assert decision.watch
            assert not decision.block
        for number in range(3):
            handler.on_response(f"id-{number}", Response(500))
        handler.on_response("never asked", Response(200))
    # The oldest had to make room.
    assert [alert.status for alert in read_alerts(tmp_path)] == [None, 500, 500]


def test_warming_explains_and_writes_nothing(inspector: Counting, tmp_path: Path) -> None:
    warm(inspector)
    assert inspector.runs == 1
    assert not list(tmp_path.iterdir())
