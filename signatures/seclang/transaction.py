"""One request as rules see it: variables and collections, filled phase by phase.

Names and values are bytes. Collections are lists of pairs in wire order, duplicates kept. What
rules change, the TX collection above all, lives here too and dies with the request.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

from cnaf.signatures.seclang.json_body import flatten_json
from cnaf.signatures.seclang.multipart import Multipart, parse_multipart
from cnaf.signatures.seclang.transformations import TRANSFORMATIONS
from cnaf.signatures.seclang.xml_body import read_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.models.exchange import Request, Response
    from cnaf.signatures.seclang.actions import Exclusions
    from cnaf.signatures.seclang.limits import EngineLimits
    from cnaf.signatures.seclang.outcome import Interruption, Match

__all__ = ["HeaderField", "Pairs", "Transaction", "read_field"]

Pairs = list[tuple[bytes, bytes]]

_HEX = re.compile(rb"%([0-9a-fA-F]{2})")
_SPACES = b" \t\n\v\f\r"
_INVALID_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")
_URL_DECODE = TRANSFORMATIONS["urldecode"].apply
_EMPTY_PARTS = Multipart()


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


def _uri_decode(value: bytes) -> bytes:
    return _HEX.sub(_byte, value) if b"%" in value else value


class HeaderField:
    """One header field: its name in lower case, the pair as it came, and what it holds.

    ``candidates`` are the rules, by phase and number, that may match it, None where that is not
    known.
    """

    __slots__ = ("candidates", "cookies", "name", "pair", "processor")

    def __init__(self, name: bytes, pair: tuple[bytes, bytes]) -> None:
        self.name, self.pair = name, pair
        self.cookies: tuple[tuple[bytes, bytes], ...] = ()
        self.processor = b""
        self.candidates: tuple[tuple[int, int], ...] | None = None


def read_field(pair: tuple[bytes, bytes]) -> HeaderField:
    """Return a header field, read."""
    field = HeaderField(pair[0].lower(), pair)
    if field.name == b"cookie":
        field.cookies = _cookies(pair[1])
    elif field.name == b"content-type":
        kind = pair[1][:33].lower()
        if kind.startswith(b"multipart/form-data"):
            field.processor = b"MULTIPART"
        elif kind.startswith(b"application/x-www-form-urlencoded"):
            field.processor = b"URLENCODED"
    return field


def _cookies(value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    pieces = value.split(b";")
    if not pieces[-1]:
        pieces.pop()
    if pieces:
        pieces[-1] = pieces[-1].rstrip(_SPACES)
    cookies = []
    for piece in pieces:
        key, _, content = piece.partition(b"=")
        key = key.lstrip(_SPACES)
        if key:
            cookies.append((key, content))
    return tuple(cookies)


class Transaction:
    """The state of one request. Attributes are read by :mod:`.variables`, written by actions."""

    __slots__ = (
        "allow", "args", "args_combined_size", "args_get", "args_post", "body", "body_access",
        "collections", "cookies", "engine_mode", "exclusions", "failed_at",
        "files_combined_size", "force_body_variable", "found", "header_pairs", "headers",
        "highest_severity", "inbound_data_error", "interruption", "is_limited", "limits",
        "marker", "matched", "matches", "method", "multipart", "path", "pcre_errors", "peer",
        "processor", "protocol", "query", "reqbody_error", "reqbody_error_message",
        "request_line", "response_headers", "response_protocol", "response_status", "started",
        "steps", "target", "tx", "tx_fixed", "unique", "uri", "urlencoded_error",
        "xml_attributes", "xml_text",
    )  # fmt: skip

    args: Pairs
    args_combined_size: int
    body: bytes
    files_combined_size: int
    highest_severity: int
    inbound_data_error: bool
    method: bytes
    multipart: Multipart
    path: bytes
    pcre_errors: int
    peer: bytes
    processor: bytes
    protocol: bytes
    query: bytes
    reqbody_error: bool
    reqbody_error_message: bytes
    request_line: bytes
    response_protocol: bytes
    response_status: bytes
    started: float
    target: bytes
    uri: bytes
    urlencoded_error: bool

    def __init__(
        self, request: Request, fields: Sequence[HeaderField], peer: str, limits: EngineLimits
    ) -> None:
        self.limits = limits
        self.peer = peer.encode("latin-1", "replace")
        self.started = time.perf_counter()
        self.unique = b""
        self._rules_state()
        self._line(request)
        self._headers(fields)
        self.body = request.body[: limits.body_bytes]
        self.inbound_data_error = len(request.body) > limits.body_bytes
        self.reqbody_error = False
        self.reqbody_error_message = b""
        self.xml_text: list[bytes] = []
        self.xml_attributes: list[bytes] = []
        self.multipart = _EMPTY_PARTS
        self.files_combined_size = 0
        self.response_status = b""
        self.response_protocol = b""
        self.response_headers: Pairs = []

    def _rules_state(self) -> None:
        self.tx: dict[bytes, bytes] = {}
        self.collections: dict[tuple[str, bytes], bytes] = {}
        self.exclusions: Exclusions | None = None
        self.matched: Pairs = []
        #: What the operator found in the value that matched last.
        self.found: bytes | None = None
        self.highest_severity = 255
        self.marker: str | None = None
        self.failed_at = 0
        #: How many TX variables were set in advance: they come first.
        self.tx_fixed = 0
        self.steps = self.pcre_errors = 0
        self.is_limited = False
        self.allow = ""
        self.interruption: Interruption | None = None
        self.engine_mode = ""
        self.body_access = True
        self.force_body_variable = False
        self.matches: list[Match] = []

    def _line(self, request: Request) -> None:
        target = request.target
        method = request.method.encode("latin-1", "replace")
        version = request.version.encode("latin-1", "replace")
        self.method, self.target = method, target
        self.protocol = b"HTTP/" + version
        self.request_line = b"%b %b HTTP/%b" % (method, target, version)
        whole = target.partition(b"#")[0] if b"#" in target else target
        path, mark, query = whole.partition(b"?")
        self.query = query
        self.path = _uri_decode(path)
        decoded = self.path + mark + _uri_decode(query) if mark else self.path
        self.uri = decoded if decoded[:1] == b"/" else _without_host(decoded)
        self.urlencoded_error = False
        self.args_combined_size = 0
        self.args_get = self._arguments(query, []) if query else []
        self.args = list(self.args_get)
        self.args_post: Pairs = []

    def _headers(self, fields: Sequence[HeaderField]) -> None:
        headers: dict[bytes, list[tuple[bytes, bytes]]] = {}
        repeated: list[list[tuple[bytes, bytes]]] = []
        self.cookies: Pairs = []
        self.processor = b""
        for field in fields:
            name = field.name
            if name in headers:
                same = headers[name]
                if len(same) == 1:
                    repeated.append(same)
                same.append(field.pair)
            else:
                headers[name] = [field.pair]
            if field.cookies:
                self.cookies += field.cookies
            elif field.processor:
                self.processor = field.processor
        for same in repeated:
            same.reverse()
        #: By name, the latest field of a name first: so libmodsecurity tries them.
        self.headers = headers
        self.header_pairs = [field.pair for field in fields]

    def _arguments(self, text: bytes, present: Pairs) -> Pairs:
        """Read ``a=b&c=d``; no more than the cap allows beside those present."""
        pieces = text.split(b"&")
        if not pieces[-1]:
            pieces.pop()
        room = self.limits.arguments - len(present)
        if len(pieces) > room:
            pieces = pieces[: max(room, 0)]
            self.is_limited = True
        decode = b"%" in text or b"+" in text
        pairs: Pairs = []
        size = 0
        for piece in pieces:
            key, _, value = piece.partition(b"=")
            if decode:
                if b"%" in value and _INVALID_ESCAPE.search(value):
                    self.urlencoded_error = True
                key, value = _URL_DECODE(key), _URL_DECODE(value)
            size += len(key) + len(value)
            pairs.append((key, value))
        self.args_combined_size += size
        return pairs

    # The body -------------------------------------------------------------------------------

    def read_body(self, json_depth: int) -> None:
        """Read the body with the processor that headers or rules have chosen."""
        processor = self.processor
        if processor == b"URLENCODED":
            self.args_post = self._arguments(self.body, self.args)
            self.args += self.args_post
        elif processor == b"MULTIPART":
            self._read_multipart()
        elif processor == b"JSON":
            self._read_json(json_depth)
        elif processor == b"XML":
            self.xml_text, self.xml_attributes, problem = read_xml(self.body, self.limits.xml_bytes)
            self._problem(problem, b"XML")

    def _read_json(self, depth: int) -> None:
        room = self.limits.arguments - len(self.args)
        leaves, problem = flatten_json(self.body, depth, max(room, 0))
        self.args += leaves
        self.args_combined_size += sum(len(key) + len(value) for key, value in leaves)
        if len(leaves) >= room:
            self.is_limited = True
        self._problem(problem if self.body else None, b"JSON")

    def _read_multipart(self) -> None:
        header = self.headers.get(b"content-type")
        parts = self.multipart = parse_multipart(header[0][1] if header else b"", self.body)
        self.args_post = parts.arguments[: self.limits.arguments]
        self.args += self.args_post
        self.files_combined_size = sum(size for _, size in parts.file_sizes)
        problem = None if parts.problem is None else f"Multipart: {parts.problem}"
        self._problem(problem, b"Multipart")

    def _problem(self, problem: str | None, where: bytes) -> None:
        self.reqbody_error = problem is not None
        if problem is not None:
            self.reqbody_error_message = (
                where + b" parsing error: " + problem.encode("latin-1", "replace")
            )

    def set_response(self, response: Response) -> None:
        """Take what is known of the answer."""
        self.response_status = b"%d" % response.status
        self.response_protocol = self.protocol
        self.response_headers = list(response.headers)

    def unique_id(self) -> bytes:
        """Return an identifier of the request, made when a rule first asks for it."""
        if not self.unique:
            self.unique = uuid.uuid4().hex.encode("ascii")
        return self.unique


def _without_host(uri: bytes) -> bytes:
    """Take scheme and host off an absolute address."""
    colon = uri.find(b":")
    if uri[colon + 1 : colon + 3] != b"//":
        return uri
    path = uri.find(b"/", colon + 3)
    return uri if path < 0 else uri[path:]
