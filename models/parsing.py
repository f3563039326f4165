"""Take a request apart into fields, once, for every detector.

The shape of the work: the target gives path and query fields, headers give header and cookie
fields, the body gives what its content type (or, where that lies, its first bytes) says. Each body
format is a generator of raw fields in :mod:`cnaf.models.bodies`; this module counts, caps and
canonicalises. Nothing here raises on hostile input: what cannot be parsed becomes a problem and a
raw ``body`` field.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from cnaf.models.bodies import (
    ODD_NAME,
    BodyError,
    CodingError,
    DepthError,
    DoctypeError,
    body_fields,
    plain_body,
)
from cnaf.models.decoding import canonical, decode_carrier
from cnaf.models.fields import SEPARATOR, Field, Location, ParsedRequest, Problem, ProblemKind
from cnaf.models.limits import Limits

if TYPE_CHECKING:
    from cnaf.models.exchange import Headers, Request

__all__ = ["RequestParser", "fold_name"]

# Numbers that stand for themselves in a name: indices, ids, versions.
_NUMBER = re.compile(r"(?:(?<=[-_\[.])|^)\d+(?=[-_\].]|$)", re.ASCII)
# Digests in a name: WordPress puts the site's into its cookies, so they differ from site to site.
_DIGEST = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{16,64}(?![0-9a-zA-Z])")
# A name outside of this alphabet is looked at as a value, too: payloads hide in names. So is one
# that a database or runtime takes for an instruction: user[$ne], __proto__, class.classLoader.
_PLAIN_NAME = re.compile(
    r"(?!.*(?:[\[.]\$|__proto__|constructor|classloader))[\w.\-\[\]:@$]*",
    re.ASCII | re.IGNORECASE,
)
#: A site's name and port; whatever else a client writes there is no name.
_HOST = re.compile(rb"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
#: Base64 that may hold text, and the three parts of a JWT; shorter values are words.
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}(?:\.[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]*)?)?")
_SHORTEST_BASE64 = 24
#: What the name of a field ends in that was read out of base64; once is enough.
_WRAPPED = ">base64"
_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_NAME_CAP = 128
#: Characters of a raw name that are folded; more could only fill the cache of folded names.
_RAW_NAME_CAP = 4 * _NAME_CAP
#: Headers and cookies that are kept decoded; those of a browser repeat on every request.
_HEADER_CACHE_ENTRIES = 4096
_HEADER_CACHE_ENTRY_BYTES = 512

#: Whole header blocks that are kept: a browser sends the same one for each picture of a page.
_BLOCK_CACHE_ENTRIES = 256

# Framing and routing belong to the proxy, and say nothing about what the client wants of the app.
_TRANSPORT = frozenset(
    (b"connection", b"content-length", b"transfer-encoding", b"te", b"keep-alive")
)


def fold_name(name: str) -> str:
    """Return a field name with its numbers and digests folded, capped in length.

    >>> fold_name("meta[12][key]"), fold_name("wp-settings-time-1")
    ('meta[#][key]', 'wp-settings-time-#')
    """
    return _fold_name(name[:_RAW_NAME_CAP])


@lru_cache(maxsize=8192)
def _fold_name(name: str) -> str:
    return _DIGEST.sub("{hex}", _NUMBER.sub("#", name))[:_NAME_CAP]


def _text_of_base64(value: bytes) -> bytes | None:
    """Return what base64 (of either alphabet, padded or not) holds, where that is text."""
    plain = value.rstrip(b"=").translate(_STANDARD_ALPHABET)
    try:
        decoded = a2b_base64(plain + b"=" * (-len(plain) % 4))
        text = decoded.decode("utf-8")
    except ValueError:
        return None
    return decoded if text.replace("\n", "").replace("\r", "").isprintable() else None


class RequestParser:
    """Turns requests into fields, with the caps of ``limits``.

    An instance holds bounded caches of decoded headers and is not thread-safe.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._headers: dict[tuple[bytes, bytes], tuple[Field, ...]] = {}
        self._block = lru_cache(_BLOCK_CACHE_ENTRIES)(self._decode_block)

    def parse(self, request: Request) -> ParsedRequest:
        """Return the request's fields and what is wrong with it; never raises on its content."""
        limits = self._limits
        problems: list[Problem] = []
        raw_path, _, query = request.target.partition(b"?")
        path_value, rounds = self._canonical(decode_path(raw_path))
        fields = [Field(Location.PATH, "", path_value, rounds)]
        if query:
            self._pairs(Location.QUERY, query, fields)
        block, host = self._block(request.headers)
        fields += block
        has_body = request.body or request.body_size
        body_bytes = self._body(request, fields, problems) if has_body else 0
        if len(fields) > limits.fields:
            fields = self._cap(fields, problems)
        values = [field.value for field in fields]
        buffer = SEPARATOR.join(values)
        if len(buffer) > limits.value_bytes:
            # Only where a cap may have been passed is each value measured.
            buffer, values = self._cap_values(fields, problems)
        if not buffer.isascii():
            self._check_text(fields, problems)
        if buffer.count(SEPARATOR) >= len(fields):
            self._check_nul(fields, problems)
        starts = [0]
        at = 0
        for value in values:
            at += len(value) + 1
            starts.append(at)
        starts.pop()
        path = path_value.decode("utf-8", "replace")
        return ParsedRequest(
            request.method, path, fields, problems, buffer, starts, body_bytes, host
        )

    def _canonical(self, value: bytes) -> tuple[bytes, int]:
        return canonical(value, self._limits.decode_rounds)

    def _pairs(self, location: Location, text: bytes, fields: list[Field]) -> None:
        """Split ``a=b&c=d`` and append a field a pair, until there are too many.

        Empty pairs do not count: a run of ampersands would hide what comes after it.
        """
        encoded = b"%" in text or b"+" in text
        for pair in filter(None, text.split(b"&")):
            if len(fields) > self._limits.fields:
                break
            raw_name, _, raw_value = pair.partition(b"=")
            if encoded:
                raw_name, raw_value = decode_carrier(raw_name), decode_carrier(raw_value)
            self._add(location, raw_name.decode("utf-8", "replace"), raw_value, fields)

    def _add(
        self, location: Location, name: str, value: bytes, fields: list[Field], prefix: str = ""
    ) -> None:
        if name != ODD_NAME and not _PLAIN_NAME.fullmatch(name):
            decoded, rounds = self._canonical(name.encode("utf-8", "replace"))
            fields.append(Field(location, prefix + ODD_NAME, decoded, rounds))
        value, rounds = self._canonical(value)
        folded = prefix + fold_name(name)
        fields.append(Field(location, folded, value, rounds))
        if value[:1] in (b"{", b"[") and _MAY_NEST[location]:
            self._nested(folded, value, fields)
        elif len(value) >= _SHORTEST_BASE64 and _MAY_WRAP[location] and _BASE64.fullmatch(value):
            self._wrapped(location, folded, value, fields)

    def _nested(self, name: str, value: bytes, fields: list[Field]) -> None:
        """JSON inside of a form or query value: its leaves are fields, too."""
        leaves = body_fields(b"application/json", value, self._limits)
        found: list[Field] = []
        try:
            for leaf in islice(leaves, self._limits.fields):
                self._add(leaf.location, leaf.name, leaf.value, found, f"{name}>")
        except BodyError:
            return
        fields.extend(found)

    def _wrapped(self, location: Location, name: str, value: bytes, fields: list[Field]) -> None:
        """Text inside of base64, or of the readable parts of a JWT: a field of its own.

        Few tokens that a machine drew decode to text by chance (one of ten million at 24 letters).
        """
        if _WRAPPED in name:
            return
        for part in value.split(b".")[:2]:
            text = _text_of_base64(part)
            if text is None:
                continue
            text, rounds = self._canonical(text)
            inner = name + _WRAPPED
            fields.append(Field(location, inner, text, rounds))
            if text[:1] in (b"{", b"["):
                self._nested(inner, text, fields)

    def _decode_block(self, headers: Headers) -> tuple[tuple[Field, ...], bytes]:
        fields: list[Field] = []
        host = b""
        for header in headers:
            name, value = header
            if name != b"cookie":
                fields += self._header(header)
                if name == b"host" and not host and _HOST.fullmatch(value):
                    host = value
                continue
            # Cookies come in one header and change one by one.
            for pair in value.split(b";", self._limits.fields + 1):
                fields += self._header((name, pair.strip()))
        return tuple(fields), host

    def _header(self, header: tuple[bytes, bytes]) -> tuple[Field, ...]:
        """Return the fields of one header, or of one cookie."""
        cache = self._headers
        made = cache.get(header)
        if made is None:
            made = tuple(self._header_fields(*header))
            if len(header[0]) + len(header[1]) <= _HEADER_CACHE_ENTRY_BYTES:
                if len(cache) >= _HEADER_CACHE_ENTRIES:
                    # A full clear keeps the bound without an LRU's bookkeeping on the hot path.
                    cache.clear()
                cache[header] = made
        return made

    def _header_fields(self, name: bytes, value: bytes) -> list[Field]:
        fields: list[Field] = []
        if name == b"cookie":
            key, _, raw = value.partition(b"=")
            if key or raw:
                cookie_name = decode_path(key).decode("utf-8", "replace")
                self._add(Location.COOKIE, cookie_name, decode_path(raw), fields)
        elif name not in _TRANSPORT:
            text = name.decode("latin-1")[:_NAME_CAP]
            fields.append(Field(Location.HEADER, text, *self._canonical(value)))
        return fields

    def _body(self, request: Request, fields: list[Field], problems: list[Problem]) -> int:
        """Append the fields of the body's inspected prefix; returns the prefix's length."""
        limits = self._limits
        body, size = request.body[: limits.body_bytes], max(request.body_size, len(request.body))
        truncated = size > len(body)
        if truncated:
            detail = f"{size} bytes, of which the first {len(body)} were seen"
            problems.append(Problem(ProblemKind.BODY_TRUNCATED, "body", detail))
        if not body:
            return 0
        try:
            coding = request.header(b"content-encoding")
            if coding is not None:
                body, whole = plain_body(coding, body, limits.body_bytes)
                if not (whole or truncated):
                    truncated = True
                    detail = f"compressed, of which the first {len(body)} bytes were seen"
                    problems.append(Problem(ProblemKind.BODY_TRUNCATED, "body", detail))
            for raw in body_fields(request.header(b"content-type") or b"", body, limits):
                if len(fields) > limits.fields:
                    break
                if raw.location is Location.FORM:
                    self._pairs(Location.FORM, raw.value, fields)
                elif raw.location is Location.FILE:
                    fields.append(raw._replace(name=fold_name(raw.name)))
                else:
                    self._add(raw.location, raw.name, raw.value, fields)
        except BodyError as error:
            kind = _KINDS.get(type(error), ProblemKind.BODY_MALFORMED)
            if not (kind is ProblemKind.BODY_MALFORMED and truncated):
                # A body cut at the inspection limit is told as truncated, not as malformed.
                problems.append(Problem(kind, "body", str(error)))
            value, rounds = self._canonical(body)
            fields.append(Field(Location.BODY, "", value, rounds))
        return len(body)

    def _cap(self, fields: list[Field], problems: list[Problem]) -> list[Field]:
        limit = self._limits.fields
        detail = f"more than {limit} fields; the rest was not inspected"
        problems.append(Problem(ProblemKind.TOO_MANY_FIELDS, "request", detail))
        return fields[:limit]

    def _cap_values(
        self, fields: list[Field], problems: list[Problem]
    ) -> tuple[bytes, list[bytes]]:
        limit = self._limits.value_bytes
        for index, field in enumerate(fields):
            size = len(field.value)
            if size > limit:
                detail = f"{size} bytes, of which the first {limit} were inspected"
                problems.append(Problem(ProblemKind.VALUE_TRUNCATED, field.label, detail))
                fields[index] = field._replace(value=field.value[:limit])
        values = [field.value for field in fields]
        return SEPARATOR.join(values), values

    @staticmethod
    def _check_text(fields: list[Field], problems: list[Problem]) -> None:
        for field in fields:
            if field.location is Location.FILE or field.value.isascii():
                continue
            try:
                field.value.decode("utf-8")
            except UnicodeDecodeError as error:
                # A value cut at a cap may end inside of a character: that is our doing.
                if error.reason != "unexpected end of data":
                    detail = f"byte {error.start} is not UTF-8"
                    problems.append(Problem(ProblemKind.INVALID_UTF8, field.label, detail))

    @staticmethod
    def _check_nul(fields: list[Field], problems: list[Problem]) -> None:
        for field in fields:
            # Whole bodies and files may well be binary.
            if field.location not in (Location.FILE, Location.BODY) and SEPARATOR in field.value:
                detail = f"byte {field.value.index(SEPARATOR)} is NUL"
                problems.append(Problem(ProblemKind.NUL_BYTE, field.label, detail))


def decode_path(raw: bytes) -> bytes:
    """Decode the percent-encoding of a path or cookie, where ``+`` is a plus."""
    if b"%" not in raw:
        return raw
    return decode_carrier(raw.replace(b"+", b"%2B"))


# A table by number: hashing an enum member costs more than splitting the pair did.
_MAY_NEST = tuple(
    location in (Location.QUERY, Location.FORM, Location.MULTIPART, Location.COOKIE)
    for location in Location
)
_KINDS: dict[type[BodyError], ProblemKind] = {
    DoctypeError: ProblemKind.XML_DOCTYPE,
    DepthError: ProblemKind.TOO_DEEP,
    CodingError: ProblemKind.BODY_CODING,
}
_MAY_WRAP = tuple(_MAY_NEST[location] or location is Location.JSON for location in Location)
