"""Profile an image: run it, replay its test traffic through the data plane, record what passed.

What comes back is what the data plane saw and what this very image answered, so that the model is
learned from the same view that the enforcer will have. Recorded attacks are never sent, and what
the app refused is set aside and counted.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cnaf.learner.containers import Launch, running_app
from cnaf.learner.recording import recording, session_address
from cnaf.learner.replay import Outcome, Rehost, replay_session
from cnaf.models.errors import CorpusError, ImageError
from cnaf.models.exchange import Exchange, Label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from cnaf.dataplane.config import Address
    from cnaf.learner.containers import RunningApp
    from cnaf.learner.recording import Recorder
    from cnaf.models.digest import Digest

__all__ = ["Profile", "ProfileOptions", "profile_image"]

_STARTING, _REPLAYING = "Starting the image", "Replaying traffic"
#: How often the caller hears of progress.
_TELL_EVERY_S = 0.2
#: An app that leaves so many requests in a row without an answer has stopped working.
_PATIENCE = 20
_DEFAULT_HOST = b"localhost"


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """How to start an image and how to replay its traffic.

    ``compose`` and ``service`` start the image in its place among other services; otherwise it runs
    alone. ``port`` is the app's TCP port where the image does not expose it. The app is ready when
    ``ready_path`` answers with less than 500.
    """

    compose: Path | None = None
    service: str | None = None
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 120.0
    ready_path: str = "/"
    #: Longest wait for one answer.
    answer_timeout_s: int = 30
    #: Sessions at the same time; requests within one keep their order.
    concurrency: int = 4
    #: A sample of so many sessions, spread evenly over the corpus; all of them by default.
    max_sessions: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What an image did with its test traffic.

    ``exchanges`` are those that the app accepted, in the order of the corpus. ``sent`` counts
    recorded requests that were sent = ``accepted`` + refused (``refused`` by status) + ``failed``
    (no answer). ``set_aside`` are the refused ones, ``changed`` counts accepted ones with another
    status than recorded, ``carried`` the values carried over. Not sent: ``attacks``, and
    ``incomplete`` requests, of whose body the recording kept only a part.
    """

    subject: Digest
    image: str
    exchanges: list[Exchange]
    set_aside: list[Exchange]
    sent: int
    accepted: int
    refused: Counter[int]
    failed: int
    carried: int
    changed: int
    attacks: int
    incomplete: int


def profile_image(
    image: str,
    corpus: Iterable[Exchange],
    options: ProfileOptions | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Profile:
    """Run ``image``, replay the benign exchanges of ``corpus`` against it and return what passed.

    ``progress`` is called with a stage in words, what is done and what there is to do. Raises
    CorpusError where there is nothing to replay, InputError for options that do not fit,
    ImageError where the image does not start, stops answering or accepts nothing, and
    DataplaneError where the recording data plane cannot be set up.
    """
    options = options or ProfileOptions()
    sessions, attacks = _sessions(corpus, options.max_sessions)
    host = _recorded_host(sessions)
    progress(_STARTING, 0, 1)
    launch = Launch(
        options.compose,
        options.service,
        options.port,
        options.env,
        options.ready_timeout_s,
        options.ready_path,
        host.decode("latin-1"),
    )
    with running_app(image, launch) as app:
        progress(_STARTING, 1, 1)
        rehost = Rehost(host, _expected_host(app, host))
        with recording(app.address, options.answer_timeout_s) as (address, recorder):
            replay = _Replay(address, recorder, rehost, options, app)
            outcomes = replay.run(sessions, progress)
        app.check()
        return _profile(app, outcomes, attacks)


class _Replay:
    """Sessions on several threads, and the way to stop them."""

    def __init__(
        self,
        address: Address,
        recorder: Recorder,
        rehost: Rehost,
        options: ProfileOptions,
        app: RunningApp,
    ) -> None:
        self._address = address
        self._recorder = recorder
        self._rehost = rehost
        self._options = options
        self._app = app
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._done = 0
        self._unanswered = 0

    def run(
        self, sessions: Sequence[Sequence[Exchange]], progress: Callable[[str, int, int], None]
    ) -> list[Outcome]:
        """Return the outcomes of all sessions, in their order."""
        total = sum(map(len, sessions))
        with ThreadPoolExecutor(max(1, self._options.concurrency), "cnaf-replay") as pool:
            try:
                futures = [pool.submit(self._session, *item) for item in enumerate(sessions)]
                waiting: set[Future[list[Outcome]]] = set(futures)
                while waiting:
                    done, waiting = wait(waiting, _TELL_EVERY_S, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    progress(_REPLAYING, self._done, total)
            except BaseException:
                # Threads look at this between two requests; the pool waits for them.
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [outcome for future in futures for outcome in future.result()]

    def _session(self, index: int, exchanges: Sequence[Exchange]) -> list[Outcome]:
        outcomes = []
        for outcome in replay_session(
            exchanges,
            self._address,
            session_address(index),
            self._recorder,
            self._rehost,
            self._options.answer_timeout_s,
        ):
            outcomes.append(outcome)
            self._count(outcome)
            if self._stop.is_set():
                break
        return outcomes

    def _count(self, outcome: Outcome) -> None:
        with self._lock:
            self._done += 1
            if outcome.sent:
                self._unanswered = 0 if outcome.seen else self._unanswered + 1
            if self._unanswered < _PATIENCE:
                return
        self._app.check()
        raise ImageError(
            f"{self._app.image} stopped answering: {_PATIENCE} requests in a row had no answer "
            f"within {self._options.answer_timeout_s} s",
            hint="see what the last recorded requests do to it; fewer sessions at once may help",
        )


def _sessions(corpus: Iterable[Exchange], most: int | None) -> tuple[list[list[Exchange]], int]:
    """Group the benign exchanges by session, and count the others."""
    grouped: dict[str, list[Exchange]] = {}
    attacks = 0
    for exchange in corpus:
        if exchange.label is Label.BENIGN:
            grouped.setdefault(exchange.session, []).append(exchange)
        else:
            attacks += 1
    if not grouped:
        raise CorpusError(
            f"the corpus holds no benign exchange to replay ({attacks} attacks)",
            hint="give the traffic of your tests; attacks are never sent to the image",
        )
    sessions = list(grouped.values())
    if most is not None and 0 < most < len(sessions):
        sessions = [sessions[index * len(sessions) // most] for index in range(most)]
    return sessions, attacks


def _recorded_host(sessions: Sequence[Sequence[Exchange]]) -> bytes:
    hosts = Counter(e.request.header(b"host") or b"" for session in sessions for e in session)
    return hosts.most_common(1)[0][0] or _DEFAULT_HOST


def _expected_host(app: RunningApp, recorded: bytes) -> bytes:
    """Return the recorded host, or the one that the app sends its visitors on to."""
    location = urlsplit(app.location).netloc.encode("latin-1", "replace")
    return location or recorded


def _profile(app: RunningApp, outcomes: Sequence[Outcome], attacks: int) -> Profile:
    sent = [outcome for outcome in outcomes if outcome.sent]
    accepted = [outcome for outcome in sent if outcome.accepted]
    refused = [outcome for outcome in sent if outcome.seen and not outcome.accepted]
    if not accepted:
        statuses = Counter(outcome.status or "no answer" for outcome in sent).most_common(3)
        told = ", ".join(f"{status} {count} times" for status, count in statuses)
        raise ImageError(
            f"{app.image} accepted none of {len(sent)} requests ({told})",
            hint="was the corpus recorded with this app, under this host, with these accounts?",
        )
    return Profile(
        subject=app.digest,
        image=app.image,
        exchanges=[outcome.seen for outcome in accepted if outcome.seen],
        set_aside=[outcome.seen for outcome in refused if outcome.seen],
        sent=len(sent),
        accepted=len(accepted),
        refused=Counter(outcome.status for outcome in refused if outcome.status),
        failed=len(sent) - len(accepted) - len(refused),
        carried=sum(outcome.carried for outcome in accepted),
        changed=sum(_changed(outcome) for outcome in accepted),
        attacks=attacks,
        incomplete=len(outcomes) - len(sent),
    )


def _changed(outcome: Outcome) -> bool:
    recorded = outcome.recorded.response
    return recorded is not None and recorded.status != outcome.status
