"""Secrets out of alerts: what a client says in confidence never leaves the process.

A secret is known by its place, by the words before it, or by its form:

- place: cookies, ``Authorization`` and its kin, fields whose name says password, token, session,
  nonce and the like, the positional parameters of XML-RPC, and a body that nobody could take
  apart but that names a secret. There the whole value goes; its length and the kinds of its
  characters stay, so that an attack inside of a password is still explained;
- words: ``token=…``, ``"password": "…"``, ``<secret>…`` or ``https://user:…@`` inside of any value;
- form: JSON web tokens, bearer and basic credentials, private keys, access keys of the great
  providers, and card numbers (ISO/IEC 7812, by their check digit).

An excerpt is a window on a value. What is secret is decided on the value around the window, so a
secret that the window cuts into goes as a whole, too. User names, e-mail and client addresses
stay: without them nobody can tell who was attacked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from cnaf.models.decoding import canonical, decode_carrier
from cnaf.models.exchange import Request
from cnaf.models.fields import Location
from cnaf.models.limits import Limits
from cnaf.models.ngrams import SYMBOLS, token_name
from cnaf.models.parsing import RequestParser, decode_path
from cnaf.models.verdict import Detector, Evidence

__all__ = ["Scrubber", "is_secret_name", "scrub_target", "scrub_text"]

Spans = list[tuple[int, int]]

#: Characters on either side of an excerpt that are searched for secrets reaching into it; most
#: tokens are shorter, and a client that sends many long values must not keep the agent busy.
_CONTEXT: Final = 2048
#: Kinds of characters that a description lists.
_MAX_KINDS: Final = 12
#: Rules whose excerpt is a field's name, not its value.
_NAMING_RULES: Final = frozenset(("unseen-field",))
_DECODE_ROUNDS: Final = Limits().decode_rounds
#: Bytes of one part of a target that are looked at; far more than an alert shows of it.
_MAX_PART: Final = 4096

_WORD: Final = (
    r"(?:passw|passphrase|pass(?![a-z])|pwd|kennwort|contrase|senha|secret|token|session|sessid"
    r"|nonce|csrf|xsrf|jwt|credential|authoriz|signature|cvv|cvc|card[-_.]?num"
    r"|(?:api|access|private|auth|activation|reset|rp|licen[cs]e|master|encryption|ssh)[-_.]?key"
    r"|(?<![a-z])(?:pw|o?auth|sid|sess|otp|pin|sig|ssn)(?![a-z])"
    r"|(?-i:(?<=[a-z])(?:Auth|Sid|Otp|Pin)(?![a-z])))"
)
#: Lower-case pieces, one of which is in every secret word: the cheap way to find that none is.
_PIECES: Final = (
    "pass", "pw", "kennwort", "contrase", "senha", "secret", "token", "sess", "nonce", "srf",
    "jwt", "credential", "auth", "signature", "cv", "num", "key", "sid", "otp", "pin", "sig", "ssn",
)  # fmt: skip
_SECRET_NAME = re.compile(rf"{_WORD}|\Akey\Z|\A(?:set-)?cookie\Z|\Amethodcall\.params", re.I)
_SECRET_WORD = re.compile(_WORD, re.I)
#: What may stand between a secret's name and its value, and the value: quoted as in JSON (escaped
#: or not) and in PHP's serialised form, after an equals sign, after a colon, inside of an element.
_ASSIGNED: Final = (
    _WORD + r"[\w.\[\]$-]{0,64}+(?:[\"'\\\]]{0,4}+\s{0,4}+(?:"
    r"(?:=>?|:|;s:\d{1,6}:)\s{0,4}(?P<quote>\\{0,3}[\"'])"
    r"(?P<quoted>(?:(?!(?P=quote))(?:\\.|.))+)"
    r"|=>?\s{0,4}(?P<pair>[^\s&\"'\\][^\s&]*)"
    r"|:\s{0,4}(?P<entry>[^\s\"'\\{}\[\]][^\s\"'{}\]]*)"
    r")|(?:\s[^<>]{0,128}+)?+>(?:<!\[CDATA\[)?(?P<element>[^<]+)(?=<))"
)
#: Each pattern with the lower-case texts without one of which it cannot match; its last group is
#: what is secret.
_PATTERNS: Final = tuple(
    (pieces, re.compile(pattern, flags))
    for pieces, pattern, flags in (
        (_PIECES, _ASSIGNED, re.I | re.S),
        (("authorization", "cookie"), r"(?:authorization|cookie)\s{0,4}:([^\r\n]+)", re.I),
        (("bearer",), r"bearer\s{1,4}([\w.~+/=-]{4,})", re.I),
        (("basic",), r"basic\s{1,4}([a-z0-9+/]{8,}={0,2})", re.I),
        (("://",), r"://[^\s/?#@:]{0,256}:([^\s/?#@]{1,256})@", 0),
        (("eyj",), r"(eyJ[\w-]{6,}\.[\w-]*(?:\.[\w-]*){0,3})", 0),
        (("private key",), r"PRIVATE KEY-----([^-]+)", 0),
        (("akia", "asia"), r"((?:AKIA|ASIA)[A-Z0-9]{16})", 0),
        (("aiza",), r"(AIza[\w-]{35})", 0),
        (("ghp_", "gho_", "ghs_", "ghu_", "ghr_"), r"(gh[opsur]_\w{20,})", 0),
        (("glpat-", "github_pat_"), r"((?:glpat-|github_pat_)[\w-]{10,})", 0),
        (("xox", "k_live_", "k_test_"), r"((?:xox[abeprs]-|[rs]k_(?:live|test)_)[\w-]{10,})", 0),
    )
)
# Contiguous, or in the groups that are printed on cards: 4-4-4-4(-3), 4-6-5 and 4-6-4.
_CARD = re.compile(
    r"(?<!\d)(?:[2-6]\d{12,18}|[2-6]\d{3}(?:[ .-]\d{4}){3}(?:[ .-]\d{3})?"
    r"|3\d{3}[ .-]\d{6}[ .-]\d{4,5})(?!\d)",
    re.ASCII,
)


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret.

    >>> [is_secret_name(n) for n in ("user_pass", "_wpnonce", "X-Api-Key", "author", "compare")]
    [True, True, True, False, False]
    """
    return _SECRET_NAME.search(name) is not None


def scrub_text(text: str) -> str:
    """Return the text without the secrets that words or form tell.

    >>> scrub_text("GET /a?token=abc123&page=2")
    'GET /a?token=[scrubbed, 6 bytes]&page=2'
    """
    return _blank(text, _spans(text), ())[0]


def scrub_target(target: bytes, cap: int) -> str:
    """Return path and query for display, without secrets, at most about ``cap`` characters.

    It stays percent-encoded as it came, save for a value that something was scrubbed from.

    >>> scrub_target(b"/login?user=a%20b&pwd=hunter2", 100)
    '/login?user=a%20b&pwd=[scrubbed, 7 bytes]'
    """
    path, mark, query = target.partition(b"?")
    shown = _shown(path, decode_path(path)) + mark.decode()
    for index, pair in enumerate(query.split(b"&") if mark else ()):
        if len(shown) > cap:
            break
        raw_name, equals, raw_value = pair.partition(b"=")
        name, value = decode_carrier(raw_name), decode_carrier(raw_value)
        shown += "&" * bool(index) + _shown(raw_name, name) + equals.decode()
        if raw_value and is_secret_name(_text(canonical(name, _DECODE_ROUNDS)[0])):
            shown += _scrubbed(canonical(value, _DECODE_ROUNDS)[0])
        else:
            shown += _shown(raw_value, value)
    return shown


class Scrubber:
    """Scrubs the evidence on one request, whose values it looks at again."""

    def __init__(self, request: Request) -> None:
        self._values: dict[str, list[bytes]] = {}
        self._cookies: set[str] = set()
        for field in RequestParser().parse(request).fields:
            self._values.setdefault(field.label, []).append(field.value)
            if field.location is Location.COOKIE:
                self._cookies.add(field.name)

    def evidence(self, evidence: Evidence) -> Evidence:
        """Return the evidence without secrets; its marks fit the new excerpt.

        What a detector says in its own words (rule, message, expected) stays.
        """
        excerpt, marks = evidence.excerpt, evidence.marks
        if self._is_secret(evidence.field) and evidence.rule not in _NAMING_RULES:
            spans = [(0, len(excerpt))] if excerpt else []
            text, marks = _blank(excerpt, spans, marks, kinds=True)
        else:
            spans = self._spans_within(evidence)
            text, marks = _blank(excerpt, spans, marks)
        seen = evidence.seen
        if spans and evidence.detector is not Detector.MODEL:
            # Detectors other than the model quote the value; the model describes it.
            seen = _description(_bytes("".join(excerpt[a:b] for a, b in evidence.marks)))
        location, colon, name = evidence.field.partition(":")
        return replace(
            evidence,
            field=location + colon + scrub_text(name),
            excerpt=text,
            marks=marks,
            seen=scrub_text(seen),
        )

    def _is_secret(self, label: str) -> bool:
        location, _, name = label.partition(":")
        if location == Location.COOKIE.label or is_secret_name(name):
            return True
        if location == Location.JSON.label:
            return name.partition(">")[0] in self._cookies
        if location == Location.BODY.label:
            return any(_SECRET_WORD.search(_text(v)) for v in self._values.get(label, ()))
        return False

    def _spans_within(self, evidence: Evidence) -> Spans:
        """Return the secret spans of the excerpt, found in the value that it is a window on."""
        excerpt = evidence.excerpt
        # The window's ends may cut a character in two; the decoder shows that as U+FFFD.
        core = excerpt.strip("\ufffd")
        lead = excerpt.find(core)
        for value in self._values.get(evidence.field, ()):
            start, end = evidence.start, evidence.end
            text = "".join(map(_text, (value[:start], value[start:end], value[end:])))
            at = text.find(core)
            if core and at >= 0:
                first = max(0, at - _CONTEXT)
                offset = first - at + lead
                found = _spans(text[first : at + len(core) + _CONTEXT])
                clipped = ((max(0, a + offset), min(len(excerpt), b + offset)) for a, b in found)
                return [(a, b) for a, b in clipped if a < b]
        return _spans(excerpt)


def _spans(text: str) -> Spans:
    """Return what is secret in a text: disjoint (start, end) pairs in order."""
    lower = text.lower()
    found = [
        match.span(match.lastindex or 0)
        for pieces, pattern in _PATTERNS
        if any(piece in lower for piece in pieces)
        for match in pattern.finditer(text)
    ]
    found += [match.span() for match in _CARD.finditer(text) if _is_card(match[0])]
    merged: Spans = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _blank(
    text: str, spans: Spans, marks: tuple[tuple[int, int], ...], *, kinds: bool = False
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the text with the spans replaced, and the marks where they are then."""
    pieces: list[str] = []
    # (start, end) in the old text, (start, end) in the new one.
    moved: list[tuple[int, int, int, int]] = []
    done = size = 0
    for start, end in spans:
        word = _scrubbed(_bytes(text[start:end]), kinds=kinds)
        pieces += text[done:start], word
        size += start - done
        moved.append((start, end, size, size + len(word)))
        done, size = end, size + len(word)
    pieces.append(text[done:])

    def position(old: int, *, is_end: bool) -> int:
        shift = 0
        for start, end, new_start, new_end in moved:
            if old <= start:
                break
            if old < end:
                return new_end if is_end else new_start
            shift = new_end - end
        return old + shift

    shifted = tuple((position(a, is_end=False), position(b, is_end=True)) for a, b in marks)
    return "".join(pieces), shifted


def _scrubbed(value: bytes, *, kinds: bool = False) -> str:
    return f"[scrubbed, {_description(value) if kinds else _size(value)}]"


def _description(value: bytes) -> str:
    """Return length and kinds of character: ``12 bytes: letters, spaces, ', =``."""
    names = [token_name(symbol) for symbol in sorted({int(SYMBOLS[byte]) for byte in value})]
    return _size(value) + (f": {', '.join(names[:_MAX_KINDS])}" if names else "")


def _size(value: bytes) -> str:
    return f"{len(value)} byte" + "s" * (len(value) != 1)


def _shown(raw: bytes, decoded: bytes) -> str:
    """Return the raw text where nothing in it is secret, else its scrubbed canonical form."""
    raw, decoded = raw[:_MAX_PART], decoded[:_MAX_PART]
    text = _text(canonical(decoded, _DECODE_ROUNDS)[0])
    clean = scrub_text(text)
    if clean != text:
        return clean
    return text if raw == decoded == _bytes(text) else scrub_text(_text(raw))


def _is_card(number: str) -> bool:
    # Three digits after four groups are part of a long number, or a verification code.
    return _passes_luhn(number) or _passes_luhn(number[:19])


def _passes_luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right counts twice."""
    digits = [int(char) for char in reversed(number) if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
