"""Canonical decoding against a plain reference that walks byte by byte."""

from __future__ import annotations

import string
from html.entities import html5
from itertools import pairwise

import pytest
from cnaf.models.decoding import canonical, decode_carrier
from hypothesis import example, given, settings
from hypothesis import strategies as st

bounded = settings(deadline=None, max_examples=400)
HEX = frozenset(string.hexdigits.encode())
LEGACY = ("lt", "gt", "amp", "quot", "LT", "GT", "AMP", "QUOT")

#: Pieces that escapes are made of; joined at random they nest, overlap and break off.
PIECES = [
    b"%", b"25", b"27", b"3C", b"3c", b"u", b"U", b"0041", b"c0", b"%c0%a7", b"%e0%80%a7", b"da",
    b"%E2%82%AC", b"&", b"lt", b"gt", b"amp", b";", b"#", b"x", b"60", b"x3c", b"0000", b"colon",
    b"\\", b"\\u", b"\\x", b"{", b"}", b"<", b"b", b"=", b"+", b" ", b"\x00", b"\xff", b"\xc0",
    b"\xa7", b"\xef\xbc\x87", "\u00e9".encode(), b"d800", b"110000", b"999999", b"nGt", b"_",
]  # fmt: skip
encoded_values = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)


def is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def character(code: int) -> bytes:
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return "\ufffd".encode()
    return chr(code).encode()


def hex_digits(value: bytes, at: int, most: int) -> bytes:
    end = at
    while end < len(value) and end - at < most and value[end] in HEX:
        end += 1
    return value[at:end]


def percent_bytes(value: bytes) -> bytes:
    out, at = b"", 0
    while at < len(value):
        digits = hex_digits(value, at + 1, 2) if value[at] == 0x25 else b""
        out += bytes([int(digits, 16)]) if len(digits) == 2 else value[at : at + 1]
        at += 3 if len(digits) == 2 else 1
    return out


def percent_u(value: bytes) -> bytes:
    out, at = b"", 0
    while at < len(value):
        digits = hex_digits(value, at + 2, 4) if value[at : at + 2] in (b"%u", b"%U") else b""
        out += character(int(digits, 16)) if len(digits) == 4 else value[at : at + 1]
        at += 6 if len(digits) == 4 else 1
    return out


def percent(value: bytes) -> bytes:
    """Text stays text: then runs of escapes are judged one by one, then byte by byte."""
    decoded = percent_bytes(value)
    if is_text(overlong(decoded)) or not is_text(value):
        return decoded
    out, at = b"", 0
    while at < len(value):
        end = at
        while value[end : end + 1] == b"%" and len(hex_digits(value, end + 1, 2)) == 2:
            end += 3
        if end == at:
            out += value[at : at + 1]
            at += 1
            continue
        run = overlong(percent_bytes(value[at:end]))
        if not is_text(run):
            kept = b"".join(b"%%%02x" % b if b > 0x7F else bytes([b]) for b in run)
            run = value[at:end] if kept == value[at:end].lower() else kept
        out += run
        at = end
    return out


def backslash(value: bytes) -> bytes:
    out, at = b"", 0
    while at < len(value):
        start, size = value[at : at + 2], 0
        if value[at : at + 3] == b"\\u{" and b"}" in value[at:]:
            inner = value[at + 3 : value.index(b"}", at)]
            significant = inner.lstrip(b"0") or inner[-1:]
            if inner and len(significant) <= 6 and set(inner) <= HEX:
                size, code = len(inner) + 4, int(inner, 16)
        elif start in (b"\\u", b"\\x"):
            wanted = 4 if start == b"\\u" else 2
            digits = hex_digits(value, at + 2, wanted)
            if len(digits) == wanted:
                size, code = wanted + 2, int(digits, 16)
        out += character(code) if size else value[at : at + 1]
        at += size or 1
    return out


def reference_at(value: bytes, at: int) -> tuple[bytes, int]:
    """The character reference at an ampersand, and its length; nothing and 0 for none."""
    rest = value[at + 1 :]
    if rest[:1] == b"#":
        wide = rest[1:2] in (b"x", b"X")
        digits = rest[2:] if wide else rest[1:]
        allowed, most = (HEX, 6) if wide else (frozenset(b"0123456789"), 7)
        zeros = len(digits) - len(digits.lstrip(b"0"))
        end = zeros
        while end < len(digits) and end < zeros + most and digits[end] in allowed:
            end += 1
        if end == 0:
            return b"", 0
        size = 2 + wide + end
        return character(int(digits[:end], 16 if wide else 10)), size + (digits[end:][:1] == b";")
    end = 0
    while end < len(rest) and chr(rest[end]) in string.ascii_letters:
        end += 1
    name = rest[:end].decode()
    if 2 <= end <= 8 and rest[end : end + 1] == b";":
        return html5.get(name + ";", f"&{name};").encode(), end + 2
    for legacy in LEGACY:
        if name.startswith(legacy):
            after = rest[len(legacy) :].lstrip(string.ascii_letters.encode() + b"0123456789_")
            if after[:1] != b"=":
                return html5[legacy + ";"].encode(), len(legacy) + 1
    return b"", 0


def entities(value: bytes) -> bytes:
    follows = frozenset(string.ascii_letters.encode() + b"/!?")
    markup = any(a == 0x3C and b in follows for a, b in pairwise(value))
    out, at = b"", 0
    while at < len(value):
        text, size = reference_at(value, at) if value[at] == 0x26 else (b"", 0)
        keep = size == 0 or (markup and text in (b"<", b">", b"&", b'"'))
        size = size or 1
        out += value[at : at + size] if keep else text
        at += size
    return out


def overlong(value: bytes) -> bytes:
    """Two, three and four bytes where one would do."""
    out, at = b"", 0
    while at < len(value):
        for size, low, high in ((2, 0xC0, 0xC1), (3, 0xE0, 0xE0), (4, 0xF0, 0xF0)):
            piece = value[at : at + size]
            tail = [b & 0x3F for b in piece[1:] if 0x80 <= b <= 0xBF]
            if len(tail) == size - 1 and low <= piece[0] <= high:
                code = piece[0] & (0xFF >> (size + 1))
                for bits in tail:
                    code = code << 6 | bits
                if code < 0x80:
                    out += bytes([code])
                    at += size
                    break
        else:
            out += value[at : at + 1]
            at += 1
    return out


def full_width(value: bytes) -> bytes:
    for code in range(0xFF01, 0xFF5F):
        value = value.replace(chr(code).encode(), bytes([code - 0xFEE0]))
    return value


def reference(value: bytes, rounds: int) -> tuple[bytes, int]:
    for done in range(rounds):
        decoded = value
        for step in (percent_u, percent, backslash, entities, overlong, full_width):
            decoded = step(decoded)
        if decoded == value:
            return value, done
        value = decoded
    return value, rounds


@bounded
@given(encoded_values, st.integers(0, 4))
@example(b"%27%20OR%20%da", 3)
@example(b"%c0%a7%da", 3)
@example(b"&ltscript&gt", 3)
@example(b"\\u{000027}\\u{}\\u{1234567}", 3)
def test_equals_the_plain_reference(value: bytes, rounds: int) -> None:
    assert canonical(value, rounds) == reference(value, rounds)


@bounded
@given(st.binary(max_size=60) | encoded_values, st.integers(0, 5))
def test_rounds_and_output_are_bounded(value: bytes, rounds: int) -> None:
    decoded, done = canonical(value, rounds)
    assert 0 <= done <= rounds
    # Of all references &nGt; grows most: five bytes become six.
    assert 5 * len(decoded) <= 6 * len(value)


@bounded
@given(encoded_values)
def test_what_is_fully_decoded_stays(value: bytes) -> None:
    decoded, _ = canonical(value, 64)
    assert canonical(decoded, 64) == (decoded, 0)


@bounded
@given(encoded_values)
def test_text_stays_text(value: bytes) -> None:
    decoded, _ = canonical(value, 3)
    assert is_text(decoded) or not is_text(value)


@bounded
@given(encoded_values)
def test_the_carrier_is_plus_and_percent_once(value: bytes) -> None:
    assert decode_carrier(value) == percent_bytes(value.replace(b"+", b" "))


@pytest.mark.parametrize(
    ("encoded", "decoded", "rounds"),
    [
        (b"plain text", b"plain text", 0),
        (b"%27 OR 1=1", b"' OR 1=1", 1),
        (b"%2527 OR 1=1", b"' OR 1=1", 2),
        (b"%252527", b"'", 3),
        (b"%25252527", b"%27", 3),
        (b"%3cScRiPt%3E", b"<ScRiPt>", 1),
        (b"%u003cscript%U003e", b"<script>", 1),
        (b"&#x3c;script&#X3E;", b"<script>", 1),
        (b"&#60;script&#62", b"<script>", 1),
        (b"&#0000000000000060;b", b"<b", 1),
        (b"&lt;script&gt;", b"<script>", 1),
        (b"&ltscript&gt", b"<script>", 1),
        (b"&amp;lt;script&amp;gt;", b"<script>", 2),
        (b"java&Tab;script&colon;alert(1)", b"java\tscript:alert(1)", 1),
        (b"<a href=java&#115;cript:x>", b"<a href=javascript:x>", 1),
        (b"\\u0027 OR \\x31=1", b"' OR 1=1", 1),
        (b"\\u{27}", b"'", 1),
        (b"%c0%ae%c0%ae/etc/passwd", b"../etc/passwd", 1),
        (b"%e0%80%ae", b".", 1),
        (b"%f0%80%80%ae", b".", 1),
        (b"\xc0\xae", b".", 1),
        ("\uff07 \uff4f\uff52".encode(), b"' or", 1),
        (b"file.php%00.jpg", b"file.php\x00.jpg", 1),
        (b"%26lt;script%26gt;", b"<script>", 1),
    ],
)
def test_evasions_come_out_plain(encoded: bytes, decoded: bytes, rounds: int) -> None:
    assert canonical(encoded, 3) == (decoded, rounds)


@pytest.mark.parametrize(
    "value",
    [
        b"50%da",
        b"100% sure",
        b"100%zz",
        b"%u12",
        b"AT&T",
        b"a &unknown; name",
        b"/list?a=1&gtm_id=2&quote=3&lt=4",
        b"<p>use &lt;b&gt; &amp; &quot;i&quot;</p>",
        b"C:\\users\\xavier",
        "caf\u00e9 \u20ac \U0001f600".encode(),
    ],
)
def test_what_only_looks_encoded_stays(value: bytes) -> None:
    assert canonical(value, 3) == (value, 0)


@pytest.mark.parametrize("shield", [b"%da", b"%ff", b"100%fe"])
def test_one_broken_escape_shields_no_other(shield: bytes) -> None:
    decoded, _ = canonical(b"%27 &#x4f;R 1=1 " + shield, 3)
    assert decoded == b"' OR 1=1 " + shield
    assert canonical(b"%27" + shield, 3)[0].startswith(b"'")


@pytest.mark.parametrize("code", [b"\\u0000", b"&#0;", b"%u0000", b"&#xd800;", b"&#x110000;"])
def test_what_is_no_character_shows_as_one_that_says_so(code: bytes) -> None:
    assert canonical(code, 3)[0].startswith("\ufffd".encode())
