"""Take out of requests what only the making of a data set explains.

Whoever wrote the attacks sent them with another client than the benign requests were recorded
with; some publishers left all headers out. Every request therefore gets one and the same client,
the recorded host becomes a neutral name wherever it stands, and attacks that were written without
cookies get those of a benign visitor. A header that carries an attack itself stays.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from cnaf.datasets.split import request_key
from cnaf.models.exchange import Exchange, Label, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Neutraliser"]

HOST = b"site.example"
#: An ordinary browser; what a rule set asks of every client is there.
_CLIENT = (
    (b"connection", b"keep-alive"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"*/*"),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br"),
)
_DESCRIBES_CLIENT = re.compile(
    rb"user-agent|accept(?:-language|-encoding)?|sec-.*|upgrade-insecure-requests|connection"
    rb"|cache-control|dnt|priority|pragma|te"
)
#: What clients write of themselves: words, versions, lists, weights, and remarks in brackets.
_ORDINARY = re.compile(rb"(?:[\w.,;:=+*/#?\"@~ -]|\((?=[^()])[^()'<>`${}|\\%]*\))*")


class Neutraliser:
    """Neutralises the requests of one application.

    ``benign`` are requests of it: they tell the host that was recorded, and lend their cookies.
    """

    def __init__(self, benign: Sequence[Exchange]) -> None:
        hosts = Counter(e.request.header(b"host") for e in benign)
        self._host = next((host for host, _ in hosts.most_common(1) if host), b"")
        found = (e.request.header(b"cookie") for e in benign)
        self._cookies = sorted({cookie for cookie in found if cookie})

    def neutral(self, exchanges: Iterable[Exchange]) -> tuple[Exchange, ...]:
        """Return the exchanges, neutral, in their order; equal input gives equal output."""
        return tuple(replace(e, request=self._neutral(e)) for e in exchanges)

    def _neutral(self, exchange: Exchange) -> Request:
        request = self._renamed(exchange.request)
        kept = [header for header in request.headers if not _is_template(*header)]
        names = {name for name, _ in kept}
        client = [header for header in _CLIENT if header[0] not in names]
        if b"host" not in names:
            client.insert(0, (b"host", HOST))
        if exchange.label is Label.ATTACK and b"cookie" not in names and self._cookies:
            lent = int.from_bytes(hashlib.sha256(request_key(request)).digest()[:8], "big")
            kept.append((b"cookie", self._cookies[lent % len(self._cookies)]))
        return replace(request, headers=(*client, *kept))

    def _renamed(self, request: Request) -> Request:
        if not self._host:
            return request
        encoded = self._host.replace(b":", b"%3A")

        def rename(text: bytes) -> bytes:
            return text.replace(self._host, HOST).replace(encoded, HOST)

        body = rename(request.body)
        size = request.body_size + len(body) - len(request.body)
        length = str(size).encode()
        headers = tuple(
            (name, length if name == b"content-length" else rename(value))
            for name, value in request.headers
        )
        target = rename(request.target)
        return replace(request, target=target, headers=headers, body=body, body_size=size)


def _is_template(name: bytes, value: bytes) -> bool:
    return bool(_DESCRIBES_CLIENT.fullmatch(name) and _ORDINARY.fullmatch(value))
