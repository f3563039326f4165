"""Bodies of every format, sound and hostile, as raw fields."""

from __future__ import annotations

import gzip
import zlib

import pytest
from cnaf.models.bodies import (
    BodyError,
    CodingError,
    DepthError,
    DoctypeError,
    body_fields,
    plain_body,
)
from cnaf.models.fields import Location
from cnaf.models.limits import Limits
from hypothesis import given, settings
from hypothesis import strategies as st

JSON, XML, FORM = b"application/json", b"application/xml", b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=B"


def read(
    content_type: bytes, body: bytes, limits: Limits | None = None
) -> list[tuple[str, str, bytes]]:
    found = body_fields(content_type, body, limits or Limits())
    return [(field.location.label, field.name, field.value) for field in found]


def part(name: str, value: bytes, extra: bytes = b"") -> bytes:
    head = f'--B\r\nContent-Disposition: form-data; name="{name}"'.encode()
    return head + extra + b"\r\n\r\n" + value + b"\r\n"


class TestJson:
    def test_leaves_come_in_order_under_their_path(self) -> None:
        body = b'{"user": {"name": "Ann", "age": 7}, "tags": ["a", null], "ok": true, "n": 1.5}'
        assert read(JSON, body) == [
            ("json", "user.name", b"Ann"),
            ("json", "user.age", b"7"),
            ("json", "tags[]", b"a"),
            ("json", "tags[]", b"null"),
            ("json", "ok", b"true"),
            ("json", "n", b"1.5"),
        ]

    def test_empty_containers_still_show_their_names(self) -> None:
        assert read(JSON, b'{"<b>": {}, "c": []}') == [("json", "<b>", b""), ("json", "c", b"")]

    def test_bare_values(self) -> None:
        assert read(JSON, b'"x"') == [("json", "", b"x")]
        assert read(JSON, b"[[1]]") == [("json", "[][]", b"1")]

    def test_utf_16(self) -> None:
        assert read(JSON, '{"a": "\u00e9"}'.encode("utf-16")) == [("json", "a", "\u00e9".encode())]

    @pytest.mark.parametrize("depth", [33, 1000, 1025, 10_000, 1_000_000])
    def test_any_depth_past_the_cap_is_told_as_depth(self, depth: int) -> None:
        with pytest.raises(DepthError):
            read(JSON, b"[" * depth + b"1" + b"]" * depth)

    def test_the_cap_itself_passes(self) -> None:
        assert read(JSON, b"[" * 32 + b"1" + b"]" * 32)[0][2] == b"1"

    def test_a_long_key_is_a_value_and_is_not_multiplied(self) -> None:
        key = "k" * 30_000 + "' OR 1=1"
        found = read(JSON, b'{"%s": [%s0]}' % (key.encode(), b"0," * 9_999))
        assert found[0] == ("json", "(name)", key.encode())
        assert sum(len(name) for _, name, _ in found) < 300 * len(found)

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"nul", b'{"a": "\xff"}', b'{"a": 1} x', b'{"a": "\\ud800"}', b"{'a': 1}"],
    )
    def test_what_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises(BodyError, match="not JSON"):
            read(JSON, body)


class TestMultipart:
    def test_fields_and_files(self) -> None:
        file = b'; filename="a.php"\r\nContent-Type: text/plain'
        body = part("title", b"Hello\r\n--Goodbye") + part("file", b"<?php", file) + b"--B--\r\n"
        assert read(MULTIPART, body) == [
            ("multipart", "title", b"Hello\r\n--Goodbye"),
            ("filename", "file", b"a.php"),
            ("file", "file", b"<?php"),
        ]

    def test_files_are_seen_up_to_a_prefix(self) -> None:
        body = part("f", b"x" * 10_000, b'; filename="f"')
        assert len(read(MULTIPART, body)[-1][2]) == 4096

    def test_a_body_without_an_end_gives_what_it_holds(self) -> None:
        assert read(MULTIPART, part("a", b"1") + b'--B\r\nX: y\r\n\r\ncut')[1] == (
            "multipart", "", b"cut"
        )  # fmt: skip

    def test_preamble_is_no_part(self) -> None:
        assert read(MULTIPART, b"Hello\r\n" + part("a", b"1") + b"--B--") == [
            ("multipart", "a", b"1")
        ]

    def test_a_nested_multipart_is_one_value(self) -> None:
        inner = b'--C\r\nContent-Disposition: file; filename="x"\r\n\r\n1\r\n--C--'
        extra = b"\r\nContent-Type: multipart/mixed; boundary=C"
        body = part("a", inner, extra) + b"--B--"
        assert read(MULTIPART, body) == [("multipart", "a", inner)]

    @pytest.mark.parametrize("boundary", [b'"a b"', b'"x;y"', b"'q'", b"=_Part.1"])
    def test_odd_boundaries(self, boundary: bytes) -> None:
        body = (part("a", b"1") + b"--B--").replace(b"--B", b"--" + boundary.strip(b'"'))
        assert read(b"multipart/form-data; boundary=" + boundary, body) == [
            ("multipart", "a", b"1")
        ]

    def test_bare_newlines(self) -> None:
        body = b'--B\nContent-Disposition: form-data; name="a"\n\nPAYLOAD\r\n\r\nrest\n--B--\n'
        assert read(MULTIPART, body) == [("multipart", "a", b"PAYLOAD\r\n\r\nrest")]

    def test_a_boundary_inside_of_a_line_divides_nothing(self) -> None:
        body = part("a", b"1' UNION--B\r\n\r\nSELECT") + b"--B--"
        assert read(MULTIPART, body) == [("multipart", "a", b"1' UNION--B\r\n\r\nSELECT")]

    def test_only_its_own_header_makes_a_part_a_file(self) -> None:
        body = part("a", b"1' OR 1", b'\r\nX-Note: x; filename="x"') + b"--B--"
        assert read(MULTIPART, body) == [("multipart", "a", b"1' OR 1")]

    def test_a_starred_filename_leaves_a_field_that_some_apps_read(self) -> None:
        body = part("a", b"1' OR 1", b"; filename*=utf-8''x") + b"--B--"
        assert read(MULTIPART, body) == [
            ("filename", "a", b"utf-8''x"),
            ("multipart", "a", b"1' OR 1"),
        ]

    @pytest.mark.parametrize(
        ("content_type", "body", "says"),
        [
            (b"multipart/form-data", part("a", b"1"), "without one"),
            (b"multipart/form-data; boundary=A; boundary=B", part("a", b"1"), "several boundaries"),
            (MULTIPART, b"", "not in the body"),
            (MULTIPART, b"--C\r\n\r\n1", "not in the body"),
            (MULTIPART, b"--B\r\nContent-Disposition: x", "without an end to its headers"),
            (MULTIPART, part("a", b"1") + b"--Bx\r\n\r\n2", "other text on its line"),
            (MULTIPART, part("a", b"1") + b"--B--\r\nid=2", "after the closing"),
            (MULTIPART, b"--B--\r\n" + part("a", b"1"), "after the closing"),
            (
                MULTIPART,
                part("a", b"1", b'\r\nContent-Disposition: form-data; name="b"'),
                "several Content-Disposition",
            ),
        ],
    )
    def test_what_readers_would_read_differently_is_refused(
        self, content_type: bytes, body: bytes, says: str
    ) -> None:
        with pytest.raises(BodyError, match=says):
            read(content_type, body)


class TestXml:
    def test_texts_and_attributes(self) -> None:
        body = b'<order id="7"><item sku="x">Hat &amp; <![CDATA[<glove>]]></item>\n</order>'
        assert read(XML, body) == [
            ("xml", "order@id", b"7"),
            ("xml", "order.item@sku", b"x"),
            ("xml", "order.item", b"Hat & <glove>"),
        ]

    def test_a_long_text_or_one_with_comments_is_one_field(self) -> None:
        text = b"x" * 20_000 + b"UNI<!-- -->ON"
        assert read(XML, b"<a>" + text + b"</a>") == [("xml", "a", b"x" * 20_000 + b"UNION")]

    def test_long_tags_are_not_multiplied(self) -> None:
        tag = b"t" * 20_000
        found = read(XML, b"<%s>%s</%s>" % (tag, b"<b>1</b>" * 2_000, tag))
        assert len(found) == 2_000
        assert sum(len(name) for _, name, _ in found) < 300 * len(found)

    @pytest.mark.parametrize(
        "body",
        [
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            b'<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><lolz>&b;</lolz>',
            b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
            b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://x/"> %p;]><a/>',
            b'<?xml version="1.0"?>\n<!DOCTYPE html><a/>',
            '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
        ],
    )
    def test_a_document_type_is_refused(self, body: bytes) -> None:
        with pytest.raises(DoctypeError, match="document type"):
            read(XML, body)

    @pytest.mark.parametrize("depth", [33, 10_000])
    def test_depth(self, depth: int) -> None:
        with pytest.raises(DepthError):
            read(XML, b"<a>" * depth + b"</a>" * depth)

    @pytest.mark.parametrize(
        "body", [b"", b"<a>", b"<a></b>", b"<a>\xff</a>", b"text", b"<a>&nope;</a>", b"<a/>\x00"]
    )
    def test_what_is_no_xml_is_refused(self, body: bytes) -> None:
        with pytest.raises(BodyError, match="not XML"):
            read(XML, body)

    @pytest.mark.parametrize("name", ["foo", "utf-7", "rot13", "big5", "idna", "base64", "cp037"])
    def test_encodings_that_the_parser_chokes_on_are_refused(self, name: str) -> None:
        with pytest.raises(BodyError, match="not XML"):
            read(XML, f'<?xml version="1.0" encoding="{name}"?><a>b</a>'.encode())


class TestChoice:
    @pytest.mark.parametrize(
        ("content_type", "body", "location"),
        [
            (b"", b"a=1&b=2", "form"),
            (b"text/plain", b"a%5B0%5D=1", "form"),
            (b"", b' {"a": 1}', "json"),
            (b"text/plain", b"[1]", "json"),
            (b"application/vnd.api+json; charset=utf-8", b"[1]", "json"),
            (b"APPLICATION/JSON", b"[1]", "json"),
            (b"", b'<?xml version="1.0"?><a>1</a>', "xml"),
            (b"application/soap+xml", b"<a>1</a>", "xml"),
            (b"text/plain", b"just some text", "body"),
            (b"text/html", b"<!DOCTYPE html><p>1</p>", "body"),
            (b"application/octet-stream", b"\x89PNG\r\n\x00\xff\xfe", "file"),
            (b"application/octet-stream", b"x" * 4095 + "\u20ac".encode(), "body"),
            (FORM, b'{"a": 1}', "form"),
        ],
    )
    def test_content_type_then_first_bytes(
        self, content_type: bytes, body: bytes, location: str
    ) -> None:
        assert {field[0] for field in read(content_type, body)} == {location}

    def test_a_doctype_is_seen_without_a_content_type(self) -> None:
        with pytest.raises(DoctypeError):
            read(b"text/plain", b'<!DOCTYPE a [<!ENTITY b "c">]><a/>')

    @settings(deadline=None, max_examples=300)
    @given(
        st.sampled_from([JSON, XML, FORM, MULTIPART, b"", b"text/plain", b"a/b+xml", b"\xff;;="]),
        st.binary(max_size=80)
        | st.lists(
            st.sampled_from(
                [b"--B", b"\r\n", b"\n", b"--", b"{", b"}", b'"', b":", b"[", b"]", b"<a", b">",
                 b"</a>", b'Content-Disposition: x; name="', b"filename=", b"&", b"1", b"<!DOCTYPE"]
            ),
            max_size=20,
        ).map(b"".join),
    )  # fmt: skip
    def test_only_body_errors_come_out(self, content_type: bytes, body: bytes) -> None:
        try:
            found = read(content_type, body)
        except BodyError:
            return
        assert all(isinstance(value, bytes) for _, _, value in found)
        assert {location for location, _, _ in found} <= {item.label for item in Location}


class TestCoding:
    @pytest.mark.parametrize(
        ("coding", "body"),
        [
            (b"", b"a=1"),
            (b"identity", b"a=1"),
            (b"gzip", gzip.compress(b"a=1", mtime=0)),
            (b" X-GZIP ", gzip.compress(b"a=1", mtime=0)),
            (b"deflate", zlib.compress(b"a=1")),
        ],
    )
    def test_known_codings_are_undone(self, coding: bytes, body: bytes) -> None:
        assert plain_body(coding, body, 100) == (b"a=1", True)

    def test_a_bomb_ends_at_the_cap(self) -> None:
        plain, whole = plain_body(b"gzip", gzip.compress(bytes(50_000_000)), 1000)
        assert (len(plain), whole) == (1000, False)

    def test_a_cut_body_gives_what_it_holds(self) -> None:
        plain, whole = plain_body(b"deflate", zlib.compress(b"abc" * 1000)[:-6], 10_000)
        assert plain.startswith(b"abcabc")
        assert not whole

    def test_a_second_member_is_not_passed_over(self) -> None:
        body = gzip.compress(b"a=1", mtime=0) + gzip.compress(b"b=2")
        assert plain_body(b"gzip", body, 100) == (b"a=1", False)

    @pytest.mark.parametrize("coding", [b"br", b"gzip, gzip", b"\xff", b"gzip"])
    def test_others_are_refused(self, coding: bytes) -> None:
        with pytest.raises(CodingError):
            plain_body(coding, b"not compressed", 100)
