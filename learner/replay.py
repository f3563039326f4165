"""Replay one recorded session against a running app, as the client that it was recorded from.

One connection, one cookie jar, requests in their recorded order; what the app issued is carried
over (:mod:`cnaf.learner.carry`). What reached the app, and what it answered, is told by the
recording data plane that every request passes, not by this client.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from cnaf.learner.carry import Carrier
from cnaf.learner.connection import Connection, NoAnswerError
from cnaf.learner.cookies import CookieJar, parse_set_cookie
from cnaf.models.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnaf.dataplane.config import Address
    from cnaf.learner.connection import Answer
    from cnaf.learner.recording import Recorder
    from cnaf.models.exchange import Request

__all__ = ["Outcome", "Rehost", "replay_session"]

#: From here on a status says that the app did not do what it was asked.
REFUSED = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one recorded exchange.

    ``seen`` is the exchange as it passed the data plane, with the recording's id, session and
    label; None where the app gave no answer. ``sent`` is False where the recording holds only a
    part of the body. ``carried`` counts the values that were replaced.
    """

    recorded: Exchange
    seen: Exchange | None = None
    sent: bool = True
    carried: int = 0

    @property
    def status(self) -> int | None:
        """The app's answer."""
        return self.seen.response.status if self.seen and self.seen.response else None

    @property
    def accepted(self) -> bool:
        """Whether the app did what it was asked."""
        return self.status is not None and self.status < REFUSED


@dataclass(frozen=True, slots=True)
class Rehost:
    """Puts the host that the app expects in the place of the recorded one (``host[:port]``)."""

    recorded: bytes
    expected: bytes

    def request(self, request: Request) -> Request:
        """Return the request with Host, Origin, Referer and links to the host rewritten."""
        if self.recorded == self.expected:
            return request
        headers = tuple((name, self._header(name, value)) for name, value in request.headers)
        target, body = self._links(request.target), self._links(request.body)
        return replace(request, headers=headers, target=target, body=body, body_size=len(body))

    def _header(self, name: bytes, value: bytes) -> bytes:
        if name == b"host":
            return self.expected if value == self.recorded else value
        return self._links(value) if name in (b"origin", b"referer") else value

    def _links(self, text: bytes) -> bytes:
        """Rewrite links as text, inside of JSON and inside of other URLs."""
        old, new = self.recorded, self.expected
        text = text.replace(b"//" + old, b"//" + new).replace(rb"\/\/" + old, rb"\/\/" + new)
        return text.replace(b"%2F%2F" + _quote(old), b"%2F%2F" + _quote(new))


def replay_session(
    exchanges: Sequence[Exchange],
    address: Address,
    client: str,
    recorder: Recorder,
    rehost: Rehost,
    timeout_s: float,
) -> Iterator[Outcome]:
    """Send the requests of one session from the local address ``client``; yield what came of each.

    Every recorded exchange gives one outcome, in order. A request that the app refuses is tried
    again with other values where the app offered any, unless it was refused in the recording, too.
    """
    with Connection(address, client, timeout_s) as connection:
        session = _Session(connection, client, recorder)
        session.cookies_recorded = any(e.request.header(b"cookie") for e in exchanges)
        for exchange in exchanges:
            if exchange.request.body_size > len(exchange.request.body):
                yield Outcome(exchange, sent=False)
            else:
                yield session.replay(exchange, rehost.request(exchange.request))


class _Session:
    """The state of one client."""

    def __init__(self, connection: Connection, client: str, recorder: Recorder) -> None:
        self._connection = connection
        self._client = client
        self._recorder = recorder
        self._jar = CookieJar()
        self._carrier = Carrier()
        #: Where the recorder kept cookies, a request without them was sent without them.
        self.cookies_recorded = False

    def replay(self, exchange: Exchange, request: Request) -> Outcome:
        path = request.target.partition(b"?")[0]
        if exchange.response:
            self._jar.expect(
                parse_set_cookie(value)[0] for value in _cookies(exchange.response.headers)
            )
        first = None
        for draft in self._carrier.drafts(request):
            outcome = self._send(exchange, draft.request, path, len(draft.carried))
            if outcome.accepted:
                self._carrier.accepted(draft)
                return outcome
            first = first or outcome
            if outcome.status is None or _was_refused(exchange):
                break
        return first or Outcome(exchange)

    def _send(self, exchange: Exchange, request: Request, path: bytes, carried: int) -> Outcome:
        try:
            answer = self._connection.ask(self._with_cookies(request, path))
        except NoAnswerError:
            answer = None
        exchanged = self._recorder.take(self._client)
        if answer is None or exchanged is None:
            return Outcome(exchange)
        self._learn(answer, path)
        sent, response = exchanged
        return Outcome(exchange, replace(exchange, request=sent, response=response), True, carried)

    def _learn(self, answer: Answer, path: bytes) -> None:
        self._jar.store(answer.headers, path)
        for name, value in answer.headers:
            # Double-submit tokens come in a cookie and go back in a header or a form.
            key, text = parse_set_cookie(value)[:2] if name == b"set-cookie" else (name, value)
            self._carrier.offer(key, text)
        self._carrier.learn(answer.header(b"location"), b"", path)
        if answer.status < REFUSED:
            self._carrier.learn(answer.body, answer.header(b"content-type"), path)

    def _with_cookies(self, request: Request, path: bytes) -> Request:
        recorded = request.header(b"cookie")
        if recorded is None and self.cookies_recorded:
            return request
        value = self._jar.header(path, recorded or b"")
        headers = [pair for pair in request.headers if pair[0] != b"cookie"]
        if value:
            at = next(
                (i for i, (n, _) in enumerate(request.headers) if n == b"cookie"), len(headers)
            )
            headers.insert(at, (b"cookie", value))
        return replace(request, headers=tuple(headers))


def _was_refused(exchange: Exchange) -> bool:
    return exchange.response is not None and exchange.response.status >= REFUSED


def _cookies(headers: tuple[tuple[bytes, bytes], ...]) -> list[bytes]:
    return [value for name, value in headers if name == b"set-cookie"]


def _quote(host: bytes) -> bytes:
    return quote(host, safe="").encode()
