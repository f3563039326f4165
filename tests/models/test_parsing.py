"""Requests taken apart: vectors, hostile input, and what holds of every parsed request."""

from __future__ import annotations

import gzip
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote_plus

import orjson
import pytest
from cnaf.models.decoding import canonical
from cnaf.models.exchange import Request
from cnaf.models.fields import SEPARATOR, Location, ParsedRequest, ProblemKind
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser, fold_name
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.shop import FORM, request, shop_traffic

SMALL = Limits(body_bytes=200, fields=8, depth=3, decode_rounds=2, value_bytes=40)
CONTENT_TYPES = (
    FORM, b"application/json", b"application/xml", b"multipart/form-data; boundary=B",
    b"text/plain", b"multipart/form-data", b"\xff", b"",
)  # fmt: skip
PIECES = (
    b"a=1", b"&", b"=", b"%27", b"%2527", b"%00", b"%ff", b"/", b"?", b";", b"{", b"}", b"[", b"]",
    b'"k"', b":", b",", b"1", b"<a>", b"</a>", b"<!DOCTYPE a>", b"--B", b"\r\n", b"\n", b"--",
    b'Content-Disposition: form-data; name="n"', b"; filename=f", b"\x00", b"\xff", b"\xe2\x82",
    b"<b>", b"x" * 50,
    b"PGI+eyI8aT4iOlsxLCIyIl19PC9iPg==", b"eyJhIjoiYiIsImMiOlsxLCIyIl19",
    "\u20ac".encode(), b"+", b"name[12]", b"&lt;",
)  # fmt: skip
blobs = st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join) | st.binary(max_size=60)
requests = st.builds(
    lambda method, target, headers, body, unseen: Request(
        method, target, tuple(headers), body, len(body) + unseen
    ),
    st.sampled_from(["GET", "POST", "", "\u20ac"]),
    blobs,
    st.lists(
        st.tuples(st.sampled_from([b"cookie", b"x-a", b"host", b"", b"\xff"]), blobs)
        | st.tuples(st.just(b"content-type"), st.sampled_from(CONTENT_TYPES))
        | st.tuples(st.just(b"content-encoding"), st.sampled_from([b"gzip", b"br", b"identity"])),
        max_size=4,
    ),
    blobs | blobs.map(lambda blob: gzip.compress(blob, mtime=0)),
    st.sampled_from([0, 0, 1000]),
)


def parse(made: Request, limits: Limits | None = None) -> ParsedRequest:
    return RequestParser(limits).parse(made)


def named(parsed: ParsedRequest, location: Location) -> list[tuple[str, bytes]]:
    return [(f.name, f.value) for f in parsed.fields if f.location is location]


def kinds(parsed: ParsedRequest) -> list[ProblemKind]:
    return [problem.kind for problem in parsed.problems]


def assert_sound(parsed: ParsedRequest, limits: Limits) -> None:
    values = [field.value for field in parsed.fields]
    assert parsed.fields[0].location is Location.PATH
    assert parsed.buffer == SEPARATOR.join(values)
    assert len(parsed.starts) == len(values)
    for start, value in zip(parsed.starts, values, strict=True):
        assert parsed.buffer[start : start + len(value)] == value
    assert len(values) <= limits.fields
    assert all(len(value) <= limits.value_bytes for value in values)
    assert all(0 <= field.rounds <= limits.decode_rounds for field in parsed.fields)
    # A name, that of a nested leaf, and of a leaf inside of its base64.
    assert all(len(field.name) <= 3 * 128 + 10 for field in parsed.fields)
    assert parsed.body_bytes <= limits.body_bytes


@settings(deadline=None, max_examples=500)
@given(requests)
def test_every_request_parses_into_a_sound_whole(made: Request) -> None:
    for limits in (SMALL, Limits()):
        parsed = parse(made, limits)
        assert_sound(parsed, limits)
        if made.body_size > len(made.body) or len(made.body) > limits.body_bytes:
            assert ProblemKind.BODY_TRUNCATED in kinds(parsed)
        if len(parsed.fields) == limits.fields < 20:
            more = parse(made, Limits(200, 20_000, 3, 2, 40))
            assert (len(more.fields) > 8) == (ProblemKind.TOO_MANY_FIELDS in kinds(parsed))


@settings(deadline=None, max_examples=200)
@given(st.lists(requests, min_size=1, max_size=4))
def test_a_parser_keeps_nothing_of_earlier_requests(made: list[Request]) -> None:
    parser = RequestParser(SMALL)
    for one in (*made, *made):
        assert parser.parse(one) == parse(one, SMALL)


def test_benign_traffic_has_no_problems() -> None:
    parser = RequestParser()
    for exchange in shop_traffic(5):
        parsed = parser.parse(exchange.request)
        assert not parsed.problems
        assert not any(field.rounds for field in parsed.fields)
        assert_sound(parsed, Limits())


class TestPlaces:
    def test_path_and_query(self) -> None:
        parsed = parse(request(target="/caf%C3%A9/%2e%2e/a+b?q=x+y%26z&q=2&empty=&bare&%27=1"))
        assert parsed.path == "/caf\u00e9/../a+b"
        assert named(parsed, Location.QUERY) == [
            ("q", b"x y&z"), ("q", b"2"), ("empty", b""), ("bare", b""), ("(name)", b"'"),
            ("'", b"1"),
        ]  # fmt: skip

    def test_double_encoding_is_counted(self) -> None:
        field = parse(request(target="/?q=%2527")).fields[1]
        assert (field.value, field.rounds) == (b"'", 1)

    def test_headers_and_cookies(self) -> None:
        made = request(
            "GET", "/", b"", b"", (b"cookie", b"a=1; b=x%20y+z;; c"), (b"x-api", b"7"),
            (b"connection", b"close"),
        )  # fmt: skip
        parsed = parse(made)
        assert named(parsed, Location.COOKIE) == [("a", b"1"), ("b", b"x y+z"), ("c", b"")]
        assert named(parsed, Location.HEADER) == [
            ("host", b"shop.test"), ("user-agent", b"test/1.0"), ("x-api", b"7"),
        ]  # fmt: skip

    def test_form_and_json_inside_of_a_form(self) -> None:
        nested = b'cart={"items":[{"sku":"x"}],"%3Cb%3E":{"12":"%27"}}&n=1'
        assert [f[:3] for f in parse(request("POST", "/", nested)).fields[4:]] == [
            (Location.FORM, "cart", b'{"items":[{"sku":"x"}],"<b>":{"12":"\'"}}'),
            (Location.JSON, "cart>items[].sku", b"x"),
            (Location.JSON, "cart>(name)", b"<b>.12"),
            (Location.JSON, "cart><b>.#", b"'"),
            (Location.FORM, "n", b"1"),
        ]

    def test_json_keys_that_are_payloads_are_values(self) -> None:
        parsed = parse(request("POST", "/", b'{"1 OR 1=1": 2}', b"application/json"))
        assert named(parsed, Location.JSON) == [("(name)", b"1 OR 1=1"), ("1 OR 1=1", b"2")]

    def test_a_compressed_body_is_looked_into(self) -> None:
        made = request("POST", "/", gzip.compress(b"q=%27"), FORM, (b"content-encoding", b"gzip"))
        assert named(parse(made), Location.FORM) == [("q", b"'")]

    @pytest.mark.parametrize(
        ("name", "folded"),
        [
            ("meta[12][key]", "meta[#][key]"),
            ("1712345678", "#"),
            ("a1b2", "a1b2"),
            ("step2", "step2"),
            ("items.12.x-7_8", "items.#.x-#_#"),
            ("x0123456789abcdef", "x0123456789abcdef"),
            ("wordpress-" + "0123456789abcdef" * 2, "wordpress-{hex}"),
            ("x" * 100_000, "x" * 128),
        ],
    )
    def test_names_fold(self, name: str, folded: str) -> None:
        assert fold_name(name) == folded


def wrapped(text: bytes, *, url_safe: bool = False, padded: bool = True) -> bytes:
    made = (urlsafe_b64encode if url_safe else b64encode)(text)
    return made if padded else made.rstrip(b"=")


class TestBase64:
    """Text inside of base64 is a field of its own; what a machine drew is not."""

    ATTACK = b"1' UNION SELECT user, pass FROM users-- ?>\xc3\xbf~"

    def read(self, value: bytes, name: str = "q") -> list[tuple[str, bytes]]:
        target = f"/?{name}={quote_plus(value)}"
        return named(parse(request(target=target)), Location.QUERY)[1:]

    @pytest.mark.parametrize("url_safe", [False, True])
    @pytest.mark.parametrize("padded", [False, True])
    @pytest.mark.parametrize("more", [b"", b"a", b"ab", b"abc"])
    def test_of_either_alphabet_padded_or_not(
        self, url_safe: bool, padded: bool, more: bytes
    ) -> None:
        value = wrapped(self.ATTACK + more, url_safe=url_safe, padded=padded)
        assert self.read(value) == [("q>base64", self.ATTACK + more)]

    def test_json_inside_has_leaves(self) -> None:
        value = wrapped(b'{"to":"/home","ids":[1,"x\' or"]}')
        found = self.read(value)
        assert found[0] == ("q>base64", b'{"to":"/home","ids":[1,"x\' or"]}')
        parsed = parse(request(target=f"/?q={quote_plus(value)}"))
        assert named(parsed, Location.JSON) == [
            ("q>base64>to", b"/home"), ("q>base64>ids[]", b"1"), ("q>base64>ids[]", b"x' or"),
        ]  # fmt: skip

    def test_of_a_jwt_both_readable_parts(self) -> None:
        parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"ann","role":"<b>"}')
        token = b".".join(wrapped(part, url_safe=True, padded=False) for part in parts)
        token += b"." + bytes(range(65, 91))
        for made in (token, token.rpartition(b".")[0] + b"."):
            cookie = (b"cookie", b"auth=" + made)
            parsed = parse(request("GET", "/", b"", b"", cookie))
            assert named(parsed, Location.COOKIE)[1:] == [("auth>base64", part) for part in parts]
            assert ("auth>base64>role", b"<b>") in named(parsed, Location.JSON)

    def test_it_is_decoded_as_any_value_is(self) -> None:
        made = wrapped(b"%253Cscript%253Ealert(1)%253C/script%253E")
        parsed = parse(request(target=f"/?q={quote_plus(made)}"))
        inner = next(f for f in parsed.fields if f.name == "q>base64")
        assert inner.value == b"<script>alert(1)</script>"
        assert inner.rounds == 2

    def test_in_json_and_forms_and_not_in_headers(self) -> None:
        made = wrapped(self.ATTACK)
        body = orjson.dumps({"a": [made.decode()]})
        parsed = parse(request("POST", "/", body, b"application/json", (b"x-a", made)))
        assert named(parsed, Location.JSON)[-1] == ("a[]>base64", self.ATTACK)
        assert [f.value for f in parsed.fields if f.location is Location.HEADER][-1] == made
        form = parse(request("POST", "/" + made.decode(), b"a=" + quote_plus(made).encode()))
        assert named(form, Location.FORM)[-1] == ("a>base64", self.ATTACK)
        assert all("base64" not in f.name for f in form.fields if f.location is Location.PATH)

    @pytest.mark.parametrize(
        "value",
        [b"aGVsbG8gd29ybGQ", b"d41d8cd98f00b204e9800998ecf8427e", b"A" * 64, b"wordpress" * 5,
         bytes(range(97, 123)), b"aGVsbG8gd29ybGQhIGhlbGxv IHdvcmxkIQ==", b64encode(bytes(48))],
    )  # fmt: skip
    def test_what_is_short_drawn_or_a_word_is_none(self, value: bytes) -> None:
        assert self.read(value) == []

    def test_once_is_enough(self) -> None:
        value = self.ATTACK
        for _ in range(3):
            value = wrapped(value)
        assert [name for name, _ in self.read(value)] == ["q>base64"]

    @pytest.mark.parametrize("key", ["k", "k" * 128])
    def test_nesting_ends_and_so_do_names(self, key: str) -> None:
        value = b"x"
        while len(value) < 40_000:
            value = wrapped(orjson.dumps({key: value.decode()}))
        parsed = parse(request("POST", "/", b"q=" + quote_plus(value).encode()))
        assert_sound(parsed, Limits())
        assert len([f for f in parsed.fields if "base64" in f.name]) == 2

    def test_fields_stay_within_their_limit(self) -> None:
        one = wrapped(orjson.dumps(["a"] * 1_500))
        body = orjson.dumps([one.decode()] * 5)
        parsed = parse(request("POST", "/", body, b"application/json"))
        assert_sound(parsed, Limits())
        assert ProblemKind.TOO_MANY_FIELDS in kinds(parsed)

    @settings(deadline=None, max_examples=200)
    @given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=18, max_size=60))
    def test_any_text_is_found_again(self, text: str) -> None:
        plain = text.encode()
        assert self.read(wrapped(plain)) == self.read(wrapped(plain, url_safe=True, padded=False))
        (first, *_) = self.read(wrapped(plain)) or [("", b"")]
        if text.isprintable() and canonical(plain, Limits().decode_rounds) == (plain, 0):
            assert first == ("q>base64", plain)


class TestProblems:
    def test_ten_thousand_parameters(self) -> None:
        pairs = b"&".join(b"a%d=1" % i for i in range(10_000))
        for made in (request(target=f"/?{pairs.decode()}"), request("POST", "/", pairs[:65_000])):
            parsed = parse(made)
            assert kinds(parsed) == [ProblemKind.TOO_MANY_FIELDS]
            assert_sound(parsed, Limits())

    def test_empty_pairs_hide_nothing(self) -> None:
        parsed = parse(request(target="/?" + "&" * 20_000 + "id=%27"))
        assert named(parsed, Location.QUERY) == [("id", b"'")]
        parsed = parse(request("GET", "/", b"", b"", (b"cookie", b";" * 5_000 + b"id='")))
        assert any(b"id='" in f.value or f.value == b"'" for f in parsed.fields)

    @pytest.mark.parametrize("depth", [40, 10_000])
    @pytest.mark.parametrize(
        ("opened", "closed", "content_type"),
        [(b"[", b"]", b"application/json"), (b"<a>", b"</a>", b"text/xml")],
    )
    def test_depth(self, depth: int, opened: bytes, closed: bytes, content_type: bytes) -> None:
        body = opened * depth + b"1" + closed * depth
        parsed = parse(request("POST", "/", body, content_type))
        assert ProblemKind.TOO_DEEP in kinds(parsed)
        assert parsed.fields[-1].location is Location.BODY

    @pytest.mark.parametrize(
        ("body", "content_type", "kind"),
        [
            (b"{", b"application/json", ProblemKind.BODY_MALFORMED),
            (b"<a>", b"application/xml", ProblemKind.BODY_MALFORMED),
            (b"a=1", b"multipart/form-data", ProblemKind.BODY_MALFORMED),
            (b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', b"text/xml", ProblemKind.XML_DOCTYPE),
            (b"a=%FF", FORM, ProblemKind.INVALID_UTF8),
            (b"a=%E2%82x", FORM, ProblemKind.INVALID_UTF8),
            (b"a=x%00.jpg", FORM, ProblemKind.NUL_BYTE),
        ],
    )
    def test_kinds(self, body: bytes, content_type: bytes, kind: ProblemKind) -> None:
        assert kinds(parse(request("POST", "/", body, content_type))) == [kind]

    def test_a_malformed_body_is_inspected_as_a_whole(self) -> None:
        parsed = parse(request("POST", "/", b'{"a": "%27 OR', b"application/json"))
        assert named(parsed, Location.BODY) == [("", b'{"a": "\' OR')]

    def test_a_truncated_body_is_not_malformed_as_well(self) -> None:
        made = Request("POST", b"/", ((b"content-type", b"application/json"),), b'{"a"', 9)
        assert kinds(parse(made)) == [ProblemKind.BODY_TRUNCATED]

    def test_a_body_over_the_limit_is_cut(self) -> None:
        parsed = parse(request("POST", "/", b"a=" + b"x" * 100_000))
        assert kinds(parsed) == [ProblemKind.BODY_TRUNCATED]
        assert parsed.body_bytes == 65_536
        assert "100002 bytes" in parsed.problems[0].detail

    def test_a_value_over_the_limit_is_cut_and_told(self) -> None:
        parsed = parse(request("POST", "/", b"a=" + b"x" * 50), SMALL)
        assert kinds(parsed) == [ProblemKind.VALUE_TRUNCATED]
        assert parsed.problems[0].field == "form:a"

    def test_a_cut_inside_of_a_character_is_our_doing(self) -> None:
        parsed = parse(request("POST", "/", b"a=" + "\u20ac".encode() * 20), SMALL)
        assert kinds(parsed) == [ProblemKind.VALUE_TRUNCATED]

    def test_compressed_bodies(self) -> None:
        bomb = gzip.compress(b"a=" + bytes(10_000_000))
        parsed = parse(request("POST", "/", bomb, FORM, (b"content-encoding", b"gzip")))
        assert ProblemKind.BODY_TRUNCATED in kinds(parsed)
        assert parsed.body_bytes == 65_536
        parsed = parse(request("POST", "/", b"\x0b\x02", FORM, (b"content-encoding", b"br")))
        assert kinds(parsed)[0] is ProblemKind.BODY_CODING

    def test_binary_uploads_are_no_problem(self) -> None:
        head = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
        body = head + b"\x89PNG\x00\xff" + b"\r\n--B--"
        assert not parse(request("POST", "/", body, b"multipart/form-data; boundary=B")).problems

    def test_names_are_not_multiplied(self) -> None:
        body = orjson.dumps({"k" * 30_000: [0] * 10_000})
        parsed = parse(request("POST", "/", body, b"application/json"))
        assert sum(len(field.name) for field in parsed.fields) < 600_000
