from __future__ import annotations

from cnaf.evaluation.shrinking import shrink
from cnaf.models.exchange import Request

LARGE = Request(
    "PUT", b"/a/very/long/path?x=1&needle=abcdefghij&y=2",
    ((b"host", b"shop.example"), (b"cookie", b"theme=dark; kept=yes"), (b"content-length", b"20")),
    b"one=1&two=2&three=33", 20,
)  # fmt: skip


def test_what_does_not_matter_goes() -> None:
    found = shrink(LARGE, lambda request: b"needle" in request.target)
    assert found == Request("GET", b"/?needle", ())


def test_everything_that_matters_stays() -> None:
    def shows(request: Request) -> bool:
        return b"kept" in (request.header(b"cookie") or b"") and b"33" in request.body

    found = shrink(LARGE, shows)
    assert shows(found)
    assert found.headers == ((b"cookie", b"kept"),)
    assert (found.body, found.body_size) == (b"33", 2)


def test_a_length_stays_right() -> None:
    found = shrink(LARGE, lambda r: r.header(b"content-length") == str(len(r.body)).encode())
    assert found.header(b"content-length") == str(len(found.body)).encode()


def test_it_ends_after_so_many_tries() -> None:
    tries: list[Request] = []
    shrink(LARGE, lambda request: bool(tries.append(request)), tries=7)
    assert len(tries) == 7
