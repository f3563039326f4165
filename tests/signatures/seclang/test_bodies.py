"""Bodies become arguments as libmodsecurity makes them, also where they are broken."""

from __future__ import annotations

import json

import pytest
from cnaf.signatures.seclang.json_body import flatten_json
from cnaf.signatures.seclang.multipart import parse_multipart
from cnaf.signatures.seclang.xml_body import read_xml
from hypothesis import given, settings
from hypothesis import strategies as st

JSON = [
    (b'{"a":[{"b":1},-2.5e3,[true,{"c":null}]],"":"x"}',
     [("json.a.array_0.b", "1"), ("json.a.array_1", "-2.5e3"), ("json.a.array_2.array_0", "true"),
      ("json.a.array_2.array_1.c", ""), ("json.empty-key", "x")], True),
    (b' "\\u00e9\\ud83d\\ude00\\n\\/" ', [("json", "é😀\n/")], True),
    (b'{"a":1,"a":2}', [("json.a", "1"), ("json.a", "2")], True),
    (b"[]", [], True),
    (b'{"a":1', [("json.a", "1")], False),
    (b'{"a":1}x', [("json.a", "1")], False),
    (b"[1,]", [("json.array_0", "1")], False),
    (b"[01]", [("json.array_0", "0")], False),
    (b'["\n"]', [], False),
    (b"", [], False),
    (b'["\xc3\x28"]', [], False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "leaves", "sound"), JSON)
def test_json(body: bytes, leaves: list[tuple[str, str]], sound: bool) -> None:
    found, problem = flatten_json(body, 32, 100)
    assert [(key.decode(), value.decode()) for key, value in found] == leaves
    assert (problem is None) == sound


def test_json_caps() -> None:
    assert flatten_json(b"[" * 32 + b"]" * 32, 32, 100)[1] is None
    assert flatten_json(b"[" * 33 + b"]" * 33, 32, 100) == ([], "nested too deep")
    found, problem = flatten_json(b"[" + b"1," * 200, 32, 100)
    assert len(found) == 100
    assert problem is not None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(values)
def test_all_leaves_of_sound_json_are_found(value: object) -> None:
    def leaves(item: object) -> int:
        if isinstance(item, dict):
            return sum(map(leaves, item.values()))
        return sum(map(leaves, item)) if isinstance(item, list) else 1

    found, problem = flatten_json(json.dumps(value).encode(), 100, 1000)
    assert problem is None
    assert len(found) == leaves(value)


XML = [
    (b'<a b="c" xmlns:x="n" x:d="e">f<g>h<!-- i --><![CDATA[j]]></g></a>',
     ["fhj"], ["c", "e"], True),
    ("<a>é</a>".encode("utf-16"), ["é"], [], True),
    (b"<a b='c'>d<e", ["d"], ["c"], False),
    (b"<s", [""], [], False),
    (b"text", [], [], False),
    (b"", [], [], False),
    (b'<?xml version="1.0" encoding="none-such"?><a/>', [""], [], False),
    (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>b&x;c</a>', ["bc"], [], True),
    # Declarations count within and behind parameter entities, too.
    (b"""<!DOCTYPE a [<!ENTITY % e "<!ENTITY x 'b'>">%e;]><a>&x;</a>""", ["b"], [], True),
    (b'<!DOCTYPE a [<!ENTITY % e SYSTEM "e">%e;<!ENTITY x "b">]><a c="&x;">&x;</a>',
     ["b"], ["b"], True),
    (b'<!DOCTYPE a SYSTEM "e" [<!ENTITY x "b">]><a>&x;</a>', ["b"], [], True),
    (b'<!DOCTYPE a [%e;<!ENTITY x "b">]><a>&x;</a>', [""], [], False),
    (b'<!DOCTYPE a [<!ENTITY % e SYSTEM "e">' + b"%e;" * 1000 + b"]><a/>", [], [], False),
    (b"<a>" * 300, [""], [], False),
    (b"<a>x" * 257 + b"</a>" * 257, ["x" * 257], [], True),
    (b"<a>x" * 258 + b"</a>" * 258, ["x" * 257], [], False),
    # A lenient reader behind the engine may take what breaks off: it stays in sight.
    (b"<a>b<![CDATA[c]]>d<![CDATA[e", ["bcde"], [], False),
    (b"<a>b<![CDATA[c\x01]]>", ["bc"], [], False),
    (b'<?xml version="1."?><a/>', [""], [], True),
    (b'<?xml version="1"?><a b="c">d</a>', ["d"], ["c"], False),
    (b'<?xml version="2.0"?><a b="c">d</a>', ["d"], ["c"], False),
    (b'<?xml version=""?><a b="c">d', ["d"], ["c"], False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "text", "attributes", "sound"), XML)
def test_xml(body: bytes, text: list[str], attributes: list[str], sound: bool) -> None:
    found, values, problem = read_xml(body, 10_000)
    assert [item.decode() for item in found] == text
    assert [item.decode() for item in values] == attributes
    assert (problem is None) == sound


def test_entities_that_multiply_are_stopped() -> None:
    levels = b"".join(b'<!ENTITY e%d "&e%d;&e%d;">' % (n, n - 1, n - 1) for n in range(1, 30))
    body = b'<!DOCTYPE a [<!ENTITY e0 "xxxxxxxx">' + levels + b"]><a>&e29;</a>"
    text, _, problem = read_xml(body, 10_000)
    assert problem is not None
    assert len(text[0]) <= 10_000


def part(head: bytes, data: bytes = b"d") -> bytes:
    return b"--x\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


NAMED = b'Content-Disposition: form-data; name="a"'
KIND = b"multipart/form-data; boundary=x"
MULTIPART = [
    (KIND, part(NAMED) + b"--x--\r\n", [("a", "d")], [], None, set()),
    (KIND, part(NAMED) + b"--x--", [("a", "d")], [], None, set()),
    # Without its line end, this would be an entity that stands for a tag.
    (KIND, part(NAMED, b"&#x3\r\nCon: d\n--e") + b"--x--\r\n", [("a", "&#x3\r\nCon: d\n--e")],
     [], None, set()),
    (KIND, part(NAMED + b'; filename="f.txt"') + b"--x--\r\n", [], [("a", "f.txt")], None, set()),
    (b'multipart/form-data; boundary="x"', part(NAMED) + b"--x--\r\n", [("a", "d")], [], None,
     {"boundary_quoted"}),
    (b"multipart/form-data boundary=x", part(NAMED) + b"--x--\r\n", [("a", "d")], [], None,
     {"missing_semicolon"}),
    (KIND, b"before\r\n" + part(NAMED) + b"--x--\r\nafter", [("a", "d")], [], None,
     {"data_before", "data_after"}),
    (KIND, part(NAMED).replace(b"\r\n", b"\n") + b"--x--\n", [("a", "d")], [], None, {"lf_line"}),
    (KIND, part(b"X-A: b\r\n c\r\n" + NAMED) + b"--x--\r\n", [("a", "d")], [], None,
     {"header_folding"}),
    (KIND, part(NAMED.replace(b'"', b"'")) + b"--x--\r\n", [("a", "d")], [], None,
     {"invalid_quoting"}),
    (KIND, part(NAMED), [], [], "Final boundary missing.", set()),
    (KIND, b"nothing", [], [], "No boundaries found in payload.", set()),
    (b"multipart/form-data", b"--x", [], [], "Boundary not found in C-T.", {"error"}),
    (b"multipart/form-data; boundary=", b"", [], [], None, set()),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "arguments", "files", "problem", "flags"), MULTIPART)
def test_multipart(
    kind: bytes,
    body: bytes,
    arguments: list[tuple[str, str]],
    files: list[tuple[str, str]],
    problem: str | None,
    flags: set[str],
) -> None:
    found = parse_multipart(kind, body)
    assert [(a.decode(), b.decode()) for a, b in found.arguments] == arguments
    assert [(a.decode(), b.decode()) for a, b in found.files] == files
    assert found.problem == problem
    assert found.flags == flags
    assert found.strict == bool(flags)


def test_part_headers_are_kept_line_by_line() -> None:
    found = parse_multipart(KIND, part(b"Content-Type: text/plain\r\n" + NAMED) + b"--x--\r\n")
    assert found.part_headers == [(b"a", b"Content-Type: text/plain"), (b"a", NAMED)]
    assert found.part_names == [b"a"]


LINES = [
    b"--x\r\n", b"--x--\r\n", b"--x\n", NAMED + b"\r\n", b"\r\n", b"\n", b"data\r\n", b"--y\r\n",
    b'Content-Disposition: form-data; name="', b" folded\r\n", b":\r\n", b"\x00\r\n", b"z" * 5000,
]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=10).map(b"".join))
def test_any_body_is_read(body: bytes) -> None:
    found = parse_multipart(KIND, body)
    assert found.problem is None or found.problem
    assert sum(len(value) for _, value in found.arguments) <= len(body)
