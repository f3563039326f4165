from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from cnaf.enforcer.alerts import alert_to_dict, make_alert
from cnaf.enforcer.scrub import Scrubber, is_secret_name, scrub_target, scrub_text
from cnaf.models.exchange import Request
from cnaf.models.explain import excerpt_around
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Action, Confidence, Detector, Evidence, Verdict
from hypothesis import given, settings
from hypothesis import strategies as st

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJlLW9m"
FORM = ((b"content-type", b"application/x-www-form-urlencoded"),)
JSON = ((b"content-type", b"application/json"),)
XML = ((b"content-type", b"text/xml"),)
LIMIT = Limits().excerpt_bytes
#: None of which stands eight times in a row in what an alert says by itself.
CHARACTERS = string.ascii_uppercase + string.digits


def get(target: str, *headers: tuple[str, str]) -> Request:
    return Request("GET", target.encode(), tuple((n.encode(), v.encode()) for n, v in headers))


def post(headers: tuple[tuple[bytes, bytes], ...], body: str) -> Request:
    return Request("POST", b"/submit", headers, body.encode(), len(body.encode()))


def multipart(name: str, value: str) -> Request:
    body = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--b--\r\n'
    return post(((b"content-type", b"multipart/form-data; boundary=b"),), body)


def quoted_by(request: Request, label: str, start: int, end: int) -> Evidence:
    """What a signature would say that matched this part of the first field of that label."""
    value = next(f.value for f in RequestParser().parse(request).fields if f.label == label)
    start, end = min(start, len(value)), min(end, len(value))
    excerpt, marks = excerpt_around(value, start, end, LIMIT)
    matched = value[start:end][:64].decode("utf-8", "replace")
    return Evidence(
        Detector.SIGNATURE, "sqli-1", "looks like SQL", label, excerpt, "no SQL", f"{matched!r}",
        Confidence.HIGH, start, end, marks, None, ("sqli",),
    )  # fmt: skip


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


#: Where a secret is told by its place, whatever characters it is made of.
PLACES: dict[str, Callable[[str], Request]] = {
    "query": lambda s: get(f"/a?x=1&access_token={quote(s)}&y=2"),
    "query of an odd name": lambda s: get(f"/a?user%5Fpass%5B%5D={quote(s)}"),
    "form": lambda s: post(FORM, f"log=admin&pwd={quote(s)}&submit=1"),
    "reset key": lambda s: get(f"/wp-login.php?action=rp&key={quote(s)}&login=admin"),
    "JSON": lambda s: post(JSON, json.dumps({"user": {"name": "x", "password": s}})),
    "JSON in a list": lambda s: post(JSON, json.dumps({"api_keys": [s, s]})),
    "JSON in a form": lambda s: post(FORM, "data=" + quote(json.dumps({"a": 1, "secret": s}))),
    "JSON in a cookie": lambda s: get("/", ("cookie", "a=b; prefs=" + quote(json.dumps({"p": s})))),
    "JSON that is cut off": lambda s: post(JSON, f'{{"a": 1, "password": {json.dumps(s)}, "b'),
    "XML": lambda s: post(XML, f"<u><n>x</n><password>{quote(s)}</password></u>"),
    "XML that is cut off": lambda s: post(XML, f"<u><n>x</n><password>{quote(s)}</passw"),
    "XML-RPC": lambda s: post(
        XML,
        "<methodCall><methodName>wp.getPosts</methodName><params><param><value><string>admin"
        f"</string></value></param><param><value><string>{quote(s)}</string></value></param>"
        "</params></methodCall>",
    ),
    "multipart": lambda s: multipart("user_pass", s),
    "multipart without boundary": lambda s: post(
        ((b"content-type", b"multipart/form-data"),), multipart("user_pass", s).body.decode()
    ),
    "cookie": lambda s: get("/", ("cookie", f"lang=en; wordpress_logged_in_abc={quote(s)}")),
    "authorization": lambda s: get("/", ("authorization", s)),
    "proxy-authorization": lambda s: get("/", ("proxy-authorization", f"Basic {s}")),
    "x-api-key": lambda s: get("/", ("x-api-key", s)),
    "nonce header": lambda s: get("/", ("x-wp-nonce", s)),
}
#: Where it is told by the words before it or by its form, and ends where such texts end.
WORDS: dict[str, Callable[[str, str], Request]] = {
    "URL in a query": lambda s, pad: get(f"/a?next={quote(f'/login?{pad}&token={s}&z={pad}')}"),
    "URL in a referer": lambda s, pad: get("/", ("referer", f"https://a/?{pad}&session={s}&b=1")),
    "URL with credentials": lambda s, pad: post(FORM, f"url=https://{'bob'}:{s}@host/{pad}"),
    "path": lambda s, pad: get(f"/a;jsessionid={s}/{pad}"),
    "sentence": lambda s, pad: post(FORM, f"text={pad} password: {s} {pad}"),
    "bearer": lambda s, pad: post(FORM, f"text={pad} Bearer {s} {pad}"),
    "header in a text": lambda s, pad: post(FORM, f"text={pad} Authorization: Digest x {s}"),
    "JSON in a longer text": lambda s, pad: post(FORM, f'text={pad} "token": "{s}", "{pad}'),
    "escaped JSON": lambda s, pad: post(FORM, f'text={pad} {{\\"token\\":\\"{s}\\",{pad}'),
    "serialised PHP": lambda s, pad: post(FORM, f'text={pad}"password";s:{len(s)}:"{s}";{pad}'),
    "XML in a text": lambda s, pad: post(FORM, f"text={pad}<api_key kind='x'>{s}</api_key>{pad}"),
    "JWT": lambda s, pad: post(FORM, f"text={pad} eyJhbGciOi.{s}.{s} {pad}"),
    "name of a field": lambda s, pad: get(f"/a?token%3D{s}=1&q={pad}"),
}


def assert_kept_secret(request: Request, secret: str, data: st.DataObject) -> None:
    """Let a detector quote any part of every field, and look for any 8 characters of the secret."""
    evidence = []
    for field in RequestParser().parse(request).fields:
        start = data.draw(st.integers(0, len(field.value)))
        end = data.draw(st.integers(start, len(field.value)))
        evidence.append(quoted_by(request, field.label, start, end))
    verdict = Verdict(Action.BLOCK, tuple(evidence), 9.0, 0.001, "POST /submit")
    alert = make_alert(
        "id", datetime.now(UTC), request, "192.0.2.1", verdict, image="shop", subject=""
    )
    told = "\n".join(strings(alert_to_dict(alert)))
    for start in range(len(secret) - 7):
        assert secret[start : start + 8] not in told
    for one in alert.evidence:
        assert all(0 <= a < b <= len(one.excerpt) for a, b in one.marks)
        assert len(one.excerpt.encode()) <= LIMIT


@pytest.mark.parametrize("place", PLACES)
@given(
    secret=st.text(CHARACTERS + " '\"=;<>/&,{}\\", min_size=12).filter(lambda s: s == s.strip()),
    data=st.data(),
)
@settings(deadline=None, max_examples=25)
def test_no_secret_of_a_place_is_told(place: str, secret: str, data: st.DataObject) -> None:
    assert_kept_secret(PLACES[place](secret), secret, data)


@pytest.mark.parametrize("place", WORDS)
@given(
    secret=st.text(CHARACTERS, min_size=12, max_size=300),
    pad=st.integers(0, 300).map(lambda n: "~" * n),
    data=st.data(),
)
@settings(deadline=None, max_examples=25)
def test_no_secret_of_known_words_is_told(
    place: str, secret: str, pad: str, data: st.DataObject
) -> None:
    assert_kept_secret(WORDS[place](secret, pad), secret, data)


def test_an_attack_inside_of_a_password_is_still_explained() -> None:
    request = post(FORM, "log=admin&pwd=hunter2' OR 1=1 --")
    told = Scrubber(request).evidence(quoted_by(request, "form:pwd", 7, 14))
    assert told.excerpt == "[scrubbed, 18 bytes: letters, digits, spaces, ', -, =]"
    assert told.seen == "7 bytes: letters, digits, spaces, ', ="
    assert told.marks == ((0, len(told.excerpt)),)
    assert (told.rule, told.message, told.expected) == ("sqli-1", "looks like SQL", "no SQL")
    assert (told.field, told.tags, told.confidence) == ("form:pwd", ("sqli",), Confidence.HIGH)


@pytest.mark.parametrize("name", ["lang", "session_id", "cookie"])
def test_the_name_of_a_secret_field_stays(name: str) -> None:
    request = get("/", ("cookie", f"{name}=1' OR 1=1"))
    told = Scrubber(request).evidence(quoted_by(request, f"cookie:{name}", 1, 5))
    assert told.field == f"cookie:{name}"
    assert told.excerpt == "[scrubbed, 9 bytes: letters, digits, spaces, ', =]"


def test_marks_move_with_what_is_scrubbed_before_them() -> None:
    request = get(f"/a?next={quote('/x?token=abcdef&id=1 UNION SELECT')}")
    value = b"/x?token=abcdef&id=1 UNION SELECT"
    start = value.index(b"UNION")
    told = Scrubber(request).evidence(quoted_by(request, "query:next", start, len(value)))
    assert told.excerpt == "/x?token=[scrubbed, 6 bytes]&id=1 UNION SELECT"
    ((begin, end),) = told.marks
    assert told.excerpt[begin:end] == "UNION SELECT"


def test_the_words_of_the_model_and_names_of_fields_stay() -> None:
    request = get("/a?password=x")
    unseen = Evidence(
        Detector.MODEL, "unseen-field", "never showed a field of this name", "query:password",
        "password", "known names", "query field 'password'", Confidence.LOW,
    )  # fmt: skip
    assert Scrubber(request).evidence(unseen) == unseen


def test_nothing_is_scrubbed_from_ordinary_evidence() -> None:
    request = get("/a?author=7&orderby=id%27%20UNION%20SELECT%20user_pass%20FROM%20wp_users")
    evidence = quoted_by(request, "query:orderby", 2, 15)
    assert Scrubber(request).evidence(evidence) == evidence


@pytest.mark.parametrize(
    "name",
    ["pwd", "pass1", "user_pass", "Password", "passwd", "_wpnonce", "csrf-token", "XSRF-TOKEN",
     "PHPSESSID", "JSESSIONID", "connect.sid", "x-api-key", "apiKey", "access_token",
     "client_secret", "Authorization", "X-Amz-Signature", "userPin", "otp", "cvc", "key",
     "cookie", "oauth", "rp_key", "card_number"],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["author", "authors", "passage", "passenger", "compare", "assess", "spinner", "meta_key",
     "side", "design", "notification", "keyword", "orderby", "testcookie", "q", ""],
)  # fmt: skip
def test_ordinary_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("card 4111 1111 1111 1111 please", "card [scrubbed, 19 bytes] please"),
        ("4111111111111111", "[scrubbed, 16 bytes]"),
        ("3782-822463-10005", "[scrubbed, 17 bytes]"),
        ("4111 1111 1111 1111 123", "[scrubbed, 23 bytes]"),
        ("4111111111111112", "4111111111111112"),
        ("1700000000000 and 20240501123456", "1700000000000 and 20240501123456"),
        (JWT, f"[scrubbed, {len(JWT)} bytes]"),
        ("Basic dXNlcjpwYXNz", "Basic [scrubbed, 12 bytes]"),
        ("basic rules", "basic rules"),
        ("https://bob:hunter2@host/", "https://bob:[scrubbed, 7 bytes]@host/"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("AKIAIOSFODNN7EXAMPLE", "[scrubbed, 20 bytes]"),
        ("a=1; Cookie: x=y; z=w", "a=1; Cookie:[scrubbed, 9 bytes]"),
        ("-----BEGIN PRIVATE KEY-----\nMII\n-----END", "-----BEGIN PRIVATE KEY-----"
         "[scrubbed, 5 bytes]-----END"),
        ('{"pin":1234,"q":"x"}', '{"pin":[scrubbed, 5 bytes]"q":"x"}'),
        (r'{"pwd":"a\"b","q":"x"}', r'{"pwd":"[scrubbed, 4 bytes]","q":"x"}'),
        ("kim@example.test wrote to 192.0.2.1", "kim@example.test wrote to 192.0.2.1"),
        ("pin: 7", "pin: [scrubbed, 1 byte]"),
        ("", ""),
    ],
)  # fmt: skip
def test_texts(text: str, shown: str) -> None:
    assert scrub_text(text) == shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/a%20b?q=%27+OR&page=2", "/a%20b?q=%27+OR&page=2"),
        (b"/a?", "/a?"),
        (b"/a?token", "/a?token"),
        (b"/a?token=&x", "/a?token=&x"),
        (b"/a?%74oken=%61b", "/a?%74oken=[scrubbed, 2 bytes]"),
        (b"/a?n=%2Fx%3Ftoken%3Dabc", "/a?n=/x?token=[scrubbed, 3 bytes]"),
        (b"/x%253Ftoken%253Dabc", "/x?token=[scrubbed, 3 bytes]"),
        (b"/a?b=\xff", "/a?b=\ufffd"),
    ],
)
def test_targets(target: bytes, shown: str) -> None:
    assert scrub_target(target, 1024) == shown


@given(st.binary(max_size=400), st.integers(0, 400))
@settings(deadline=None, max_examples=100)
def test_any_target_is_taken(target: bytes, cap: int) -> None:
    scrub_target(target, cap).encode()
