"""Make a request smaller for as long as it still shows what it shows.

Delta debugging by hand: first whole pieces go (headers, parameters, cookies, lines of the body),
then values are halved and thinned out, until no single step keeps the property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cnaf.evaluation.request_mutations import with_body
from cnaf.models.exchange import Request

__all__ = ["shrink"]

#: Requests tried for one example; a step costs two evaluations.
_TRIES = 600


def shrink(request: Request, shows: Callable[[Request], bool], tries: int = _TRIES) -> Request:
    """Return a request for which ``shows`` holds and that no step makes smaller.

    ``request`` itself must hold. Ends after so many tries, with the smallest that was found.
    """
    left = tries
    progress = True
    while progress and left > 0:
        progress = False
        for smaller in _steps(request):
            left -= 1
            if shows(smaller):
                request, progress = smaller, True
                break
            if left <= 0:
                break
    return request


def _steps(request: Request) -> Iterator[Request]:
    """Yield smaller requests, the largest steps first."""
    yield from _without_parts(request)
    yield from _with_shorter_texts(request)
    if request.method not in ("GET", "POST"):
        yield replace(request, method="GET")


def _without_parts(request: Request) -> Iterator[Request]:
    if request.body:
        yield with_body(request, b"")
    for at in range(len(request.headers)):
        yield replace(request, headers=request.headers[:at] + request.headers[at + 1 :])
    path, mark, query = request.target.partition(b"?")
    if mark:
        yield replace(request, target=path)
    if len(path) > 1:
        yield replace(request, target=path[:1] + mark + query)
    for smaller in _pieces(query, b"&"):
        yield replace(request, target=path + mark + smaller)
    for separator in (b"\r\n--", b"&", b"\r\n", b"\n"):
        for smaller in _pieces(request.body, separator):
            yield with_body(request, smaller)


def _with_shorter_texts(request: Request) -> Iterator[Request]:
    path, mark, query = request.target.partition(b"?")
    for smaller in _cuts(query):
        yield replace(request, target=path + mark + smaller)
    for smaller in _cuts(path[1:]):
        yield replace(request, target=path[:1] + smaller + mark + query)
    for smaller in _cuts(request.body):
        yield with_body(request, smaller)
    for at, (name, value) in enumerate(request.headers):
        for smaller in _cuts(value):
            header = (name, smaller)
            yield replace(
                request, headers=(*request.headers[:at], header, *request.headers[at + 1 :])
            )


def _pieces(text: bytes, separator: bytes) -> Iterator[bytes]:
    parts = text.split(separator)
    if len(parts) > 1:
        for at in range(len(parts)):
            yield separator.join(parts[:at] + parts[at + 1 :])


def _cuts(text: bytes) -> Iterator[bytes]:
    """Yield the text without a run of it: halves, then quarters, down to single bytes."""
    size = len(text)
    while size > 1:
        size //= 2
        for at in range(0, len(text), size):
            yield text[:at] + text[at + size :]
