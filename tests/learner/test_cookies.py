"""Cookies of a session: what RFC 6265 says, and what is sent of the recorded ones."""

from __future__ import annotations

import pytest
from cnaf.learner.cookies import CookieJar
from hypothesis import given, settings
from hypothesis import strategies as st


def jar(*cookies: bytes, page: bytes = b"/shop/login") -> CookieJar:
    made = CookieJar()
    made.store(tuple((b"set-cookie", cookie) for cookie in cookies), page)
    return made


# What the app set, the path of the next request, what was recorded there, what is sent.
SENT = {
    "set by the app": ((b"a=1; Path=/",), b"/", b"", b"a=1"),
    "the app's value in the recorded place": (
        (b"b=2; path=/", b"c=3; path=/"),
        b"/",
        b"x=0; b=9; y=1",
        b"x=0; b=2; y=1; c=3",
    ),
    "another path": ((b"a=1; Path=/admin",), b"/", b"a=9", b""),
    "below its path": ((b"a=1; Path=/admin",), b"/admin/x", b"", b"a=1"),
    "beside its path": ((b"a=1; Path=/admin",), b"/administrator", b"", b""),
    "path of the page": ((b"a=1",), b"/shop/cart", b"", b"a=1"),
    "path that is none": ((b"a=1; Path=x",), b"/other", b"", b""),
    "replaced": ((b"a=1; Path=/", b"a=2; Path=/"), b"/", b"", b"a=2"),
    "deleted by age": ((b"a=1; Path=/", b"a=; Path=/; Max-Age=0"), b"/", b"a=9", b""),
    "deleted by date": (
        (b"a=1; Path=/", b"a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        b"/",
        b"",
        b"",
    ),
    "age counts more than date": (
        (b"a=1; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",),
        b"/",
        b"",
        b"a=1",
    ),
    "attributes that are none": ((b"a=1; Path=/; Max-Age=x; Expires=y; ; =",), b"/", b"", b"a=1"),
    "no cookie": ((b"", b"=", b";;", b"=1; Path=/"), b"/", b"", b""),
    "too long": ((b"a=" + b"1" * 9_000 + b"; Path=/",), b"/", b"", b""),
    "equals in the value": ((b"a=b=c==; Path=/",), b"/", b"", b"a=b=c=="),
}


@pytest.mark.parametrize(("cookies", "path", "recorded", "sent"), SENT.values(), ids=SENT)
def test_cookies(cookies: tuple[bytes, ...], path: bytes, recorded: bytes, sent: bytes) -> None:
    assert jar(*cookies).header(path, recorded) == sent


def test_a_recorded_value_of_what_the_app_issues_is_stale() -> None:
    made = CookieJar()
    made.expect([b"session"])
    assert made.header(b"/", b"session=old; theme=dark") == b"theme=dark"


def test_an_app_cannot_fill_the_memory() -> None:
    made = jar(*(b"c%d=1; Path=/" % number for number in range(1_000)))
    assert made.header(b"/", b"").count(b"=") == 256


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=80), max_size=5), st.binary(max_size=20), st.binary(max_size=80))
def test_nothing_makes_the_jar_fail(cookies: list[bytes], path: bytes, recorded: bytes) -> None:
    made = jar(*cookies, page=path)
    made.header(path, recorded)
