"""Whole profiles of a real app, started by the test in the place of a container.

Starting images is the business of tests/e2e/test_docker.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from cnaf.learner import profiler
from cnaf.learner.containers import Launch, RunningApp
from cnaf.learner.profiler import Profile, ProfileOptions, profile_image
from cnaf.models.digest import Digest
from cnaf.models.errors import CorpusError, ImageError
from cnaf.models.exchange import Exchange, Label, Request, Response

from tests.support.guestbook import Guestbook, guestbook, record_visit

DIGEST = Digest("sha256:" + "7" * 64)
OPTIONS = ProfileOptions(answer_timeout_s=1)


@dataclass
class Container:
    """The in-memory twin of a container, as far as a running app looks at it."""

    status: str = "running"

    def reload(self) -> None:
        pass

    @property
    def attrs(self) -> dict[str, object]:
        return {"State": {"Status": self.status, "ExitCode": 137}}

    def logs(self, tail: int) -> bytes:
        return b"\x1b[31mout of memory\n"


@dataclass
class Stage:
    """An app that stands where the image's would."""

    app: Guestbook
    container: Container = field(default_factory=Container)
    location: str = ""
    launches: list[Launch] = field(default_factory=list)


@pytest.fixture(scope="module")
def recorded() -> list[Exchange]:
    with guestbook("theirs", 40) as app:
        return [e for number in range(6) for e in record_visit(app, f"visit-{number}")]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with guestbook("ours", 700) as app:
        made = Stage(app)

        @contextmanager
        def running_app(image: str, launch: Launch) -> Iterator[RunningApp]:
            made.launches.append(launch)
            yield RunningApp(image, DIGEST, app.address, made.location, made.container)

        monkeypatch.setattr(profiler, "running_app", running_app)
        yield made


def one(target: str, label: Label = Label.BENIGN, session: str = "s") -> Exchange:
    request = Request("GET", target.encode(), ((b"host", b"shop.test"),))
    return Exchange(f"{session}{target}", session, label, request, Response(200))


def test_a_profile_counts_everything_once(stage: Stage, recorded: list[Exchange]) -> None:
    cut = replace(recorded[1], id="cut", request=replace(recorded[1].request, body_size=7))
    corpus = [*recorded, one("/drop"), one("/?or=1=1", Label.ATTACK), cut]
    told: list[tuple[str, int, int]] = []
    profile = profile_image("shop", corpus, OPTIONS, lambda *step: told.append(step))
    assert profile == Profile(
        subject=DIGEST,
        image="shop",
        exchanges=profile.exchanges,
        set_aside=profile.set_aside,
        sent=49,
        accepted=42,
        refused=Counter({404: 6}),
        failed=1,
        # A visit's login has one, its draft, its publication and its deletion two each.
        carried=6 * 7,
        changed=0,
        attacks=1,
        incomplete=1,
    )
    assert [exchange.request.target for exchange in profile.set_aside] == [b"/no-such-page"] * 6
    assert told[:2] == [("Starting the image", 0, 1), ("Starting the image", 1, 1)]
    assert told[-1] == ("Replaying traffic", 50, 50)


def test_exchanges_come_in_the_order_of_the_corpus(stage: Stage, recorded: list[Exchange]) -> None:
    profile = profile_image("shop", recorded, replace(OPTIONS, concurrency=6))
    accepted = [e.id for e in recorded if e.response and e.response.status < 400]
    assert [exchange.id for exchange in profile.exchanges] == accepted


def test_a_sample_of_sessions_is_spread_over_the_corpus(
    stage: Stage, recorded: list[Exchange]
) -> None:
    profile = profile_image("shop", recorded, replace(OPTIONS, max_sessions=2))
    assert {exchange.session for exchange in profile.exchanges} == {"visit-0", "visit-3"}


def test_attacks_are_never_sent(stage: Stage) -> None:
    with pytest.raises(CorpusError, match="no benign exchange to replay \\(2 attacks\\)"):
        profile_image("shop", [one("/?a", Label.ATTACK), one("/?b", Label.ATTACK)], OPTIONS)
    assert stage.launches == []


def test_the_recorded_host_stays_unless_the_app_sends_it_elsewhere(stage: Stage) -> None:
    profile_image("shop", [one("/")], OPTIONS)
    assert stage.launches[0].host == "shop.test"
    assert stage.app.hosts == {"shop.test"}
    stage.location = "https://shop.example:8443/welcome"
    profile_image("shop", [one("/")], OPTIONS)
    assert stage.app.hosts == {"shop.test", "shop.example:8443"}


def test_an_app_that_accepts_nothing(stage: Stage) -> None:
    with pytest.raises(ImageError, match="accepted none of 2 requests \\(404 2 times\\)"):
        profile_image("shop", [one("/x"), one("/y")], OPTIONS)


def test_an_app_that_stops_answering(stage: Stage) -> None:
    corpus = [one("/"), *(one(f"/drop?{number}") for number in range(40))]
    with pytest.raises(ImageError, match="shop stopped answering: 20 requests in a row"):
        profile_image("shop", corpus, OPTIONS)
    assert stage.app.requests < 40


def test_an_app_that_ends_shows_its_log(stage: Stage) -> None:
    stage.container.status = "exited"
    with pytest.raises(ImageError, match="shop ended with status 137") as error:
        profile_image("shop", [one("/")], OPTIONS)
    assert "\n  [31mout of memory\n" in error.value.message


def test_an_interrupt_ends_the_threads(stage: Stage, recorded: list[Exchange]) -> None:
    def interrupt(step: str, done: int, total: int) -> None:
        if step == "Replaying traffic":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile_image("shop", recorded, replace(OPTIONS, concurrency=1), interrupt)
