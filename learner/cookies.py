"""The cookies of one replayed session: what the app set, told apart from what only was recorded.

Follows RFC 6265 as far as one host needs it: name, path, Max-Age, Expires. The domain is not
looked at, because a session talks to one app, and Secure is not, because TLS ends before it.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnaf.models.exchange import Headers

__all__ = ["CookieJar", "parse_set_cookie"]

#: Browsers keep some hundred cookies of a site; an app that sets more is only filling memory.
_MAX_COOKIES = 256
_MAX_COOKIE_BYTES = 8192


class CookieJar:
    """Cookies by name and path; values are the bytes that the app sent."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[bytes, bytes], bytes] = {}
        self._issued: set[bytes] = set()

    def store(self, headers: Headers, request_path: bytes) -> None:
        """Take the Set-Cookie headers of one response into account."""
        for name, value in headers:
            if name == b"set-cookie" and len(value) <= _MAX_COOKIE_BYTES:
                self._set(value, request_path)

    def expect(self, names: Iterable[bytes]) -> None:
        """Say that the app issues these cookies, so that a recorded value of them is stale."""
        self._issued.update(names)

    def header(self, path: bytes, recorded: bytes) -> bytes:
        """Return the Cookie header for a request to ``path``, empty for none.

        Recorded cookies keep their place. One that the app issues has the app's value or is left
        out; one that the app never set (a script did) is sent as it was recorded.
        """
        current = {
            name: value for (name, scope), value in self._cookies.items() if _in(path, scope)
        }
        pairs = []
        for pair in filter(None, (part.strip() for part in recorded.split(b";"))):
            name = pair.partition(b"=")[0].strip()
            if name in current:
                pairs.append(name + b"=" + current.pop(name))
            elif name not in self._issued:
                pairs.append(pair)
        pairs += [name + b"=" + value for name, value in current.items()]
        return b"; ".join(pairs)

    def _set(self, cookie: bytes, request_path: bytes) -> None:
        name, value, settings = parse_set_cookie(cookie)
        if not name:
            return
        path = settings.get(b"path", b"")
        if not path.startswith(b"/"):
            path = request_path.rpartition(b"/")[0] or b"/"
        self._issued.add(name)
        if _expired(settings):
            self._cookies.pop((name, path), None)
        elif len(self._cookies) < _MAX_COOKIES or (name, path) in self._cookies:
            self._cookies[name, path] = value


def parse_set_cookie(cookie: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    """Return name, value and attributes (lower-case names) of a Set-Cookie header.

    >>> parse_set_cookie(b"id=7; Path=/; HttpOnly")
    (b'id', b'7', {b'path': b'/', b'httponly': b''})
    """
    pair, *attributes = cookie.split(b";")
    name, _, value = pair.partition(b"=")
    settings = (attribute.partition(b"=") for attribute in attributes)
    return name.strip(), value.strip(), {k.strip().lower(): v.strip() for k, _, v in settings}


def _in(path: bytes, scope: bytes) -> bool:
    # RFC 6265, 5.1.4
    return path == scope or path.startswith(scope if scope.endswith(b"/") else scope + b"/")


def _expired(settings: dict[bytes, bytes]) -> bool:
    if b"max-age" in settings:
        try:
            return int(settings[b"max-age"]) <= 0
        except ValueError:
            return False
    try:
        expires = parsedate_to_datetime(settings[b"expires"].decode("latin-1"))
        return expires.timestamp() <= time.time()
    except (KeyError, ValueError, OverflowError):
        return False
