"""multipart/form-data line by line, with the flags that ModSecurity raises on what is odd.

The flags are the point: where two parsers may read one body in two ways, a rule can refuse it. So
this reads as libmodsecurity does, byte for byte, also where a sane parser would not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Multipart", "parse_multipart"]

#: Lines of part headers may be so long; data is taken in pieces of that size.
_BUFFER = 4096
_MAX_CONTENT_TYPE = 1024
_SPACES = b" \t\n\v\f\r"
_BOUNDARY = re.compile(rb"(?:[0-9A-Za-z'()+_,\-./:=?]| (?!\Z))*")
_TOKEN = re.compile(rb"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]*")
_CHARSET = re.compile(rb"[0-9A-Za-z!#$%&+\-^_`{}~]+'[^']*'")
_EXTENDED = re.compile(rb"(?:%[0-9a-fA-F]{2}|[0-9A-Za-z!#$&+\-.^_`~])*")
_BLANK = b"\t "
_FLAGS = (
    "data_before", "data_after", "header_folding", "boundary_quoted", "lf_line",
    "boundary_whitespace", "missing_semicolon", "invalid_quoting", "invalid_part",
    "invalid_header_folding", "error",
)  # fmt: skip


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    last_name: bytes = b""
    last_line: bytes = b""
    name: bytes = b""
    filename: bytes = b""
    is_file: bool = False
    data: list[bytes] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class Multipart:
    """What a body holds. ``flags`` names what was raised; ``problem`` is an error or None."""

    arguments: list[tuple[bytes, bytes]] = field(default_factory=list)
    files: list[tuple[bytes, bytes]] = field(default_factory=list)
    file_names: list[bytes] = field(default_factory=list)
    file_sizes: list[tuple[bytes, int]] = field(default_factory=list)
    part_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    part_names: list[bytes] = field(default_factory=list)
    part_filenames: list[bytes] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    unmatched_boundary: int = 0
    crlf_line: bool = False
    strict: bool = False
    problem: str | None = None


def parse_multipart(content_type: bytes, body: bytes) -> Multipart:
    """Read a body by the boundary that its Content-Type header names."""
    reader = _Reader(content_type)
    if reader.start():
        reader.process(body)
    reader.complete()
    return reader.result


class _Reader:
    def __init__(self, content_type: bytes) -> None:
        self.result = Multipart()
        self.flags = self.result.flags
        self.header = content_type
        self.boundary = b""
        self.parts: list[_Part] = []
        self.part: _Part | None = None
        self.in_data = self.data_read = False
        self.reserve = b""
        self.boundaries = 0
        self.is_complete = self.seen_data = False
        self.rest = b""
        self.rest_is_line = True
        self.crlf_state = self.crlf_state_end = 0

    # The Content-Type header ----------------------------------------------------------------

    def start(self) -> bool:
        """Find the boundary; on failure the problem is noted and nothing is read.

        An empty boundary is no problem that libmodsecurity names: nothing is read all the same.
        """
        problem = self._find_boundary()
        if problem:
            self.flags.add("error")
            self.result.problem = problem
        return problem is None

    def _find_boundary(self) -> str | None:  # noqa: PLR0911
        header = self.header
        if not header:
            return "Content-Type header not available."
        if len(header) > _MAX_CONTENT_TYPE:
            return "Invalid boundary in C-T (length)."
        if header[:19].lower() != b"multipart/form-data":
            return "Invalid MIME type."
        if _count_boundaries(header) > 1:
            return "Multiple boundary parameters in C-T."
        at = header.find(b"boundary")
        if at < 0:
            return "Boundary not found in C-T."
        before = header[19:at].translate(None, _SPACES)
        if before not in {b"", b";"}:
            return "Invalid boundary in C-T (malformed)."
        if not before:
            self.flags.add("missing_semicolon")
        equals = header.find(b"=", at + 8)
        if equals < 0:
            return "Invalid boundary in C-T (malformed)."
        between = header[at + 8 : equals]
        if between.strip(_SPACES):
            return "Invalid boundary in C-T (parameter name)."
        if between:
            self.flags.add("boundary_whitespace")
        return self._read_boundary(header[equals + 1 :])

    def _read_boundary(self, value: bytes) -> str | None:
        if value[:1] and value[:1] in _SPACES:
            self.flags.add("boundary_whitespace")
        if len(value) >= 2 and value[:1] == b'"' == value[-1:]:
            value = value[1:-1]
            if value:
                self.flags.add("boundary_quoted")
        elif value[:1] == b'"' or (len(value) >= 2 and value[-1:] == b'"'):
            return "Invalid boundary in C-T (quote)."
        if not value:
            return ""
        if _count_boundaries(value):
            return "Invalid boundary in C-T (content)."
        if _BOUNDARY.fullmatch(value) is None:
            value = value.split(b";", 1)[0]
        if _BOUNDARY.fullmatch(value) is None:
            return "Invalid boundary in C-T (characters)."
        self.boundary = value
        return None if value else "Invalid boundary in C-T (empty)."

    # The body -------------------------------------------------------------------------------

    def process(self, body: bytes) -> None:
        """Take the body in lines, or pieces where a line is longer than the buffer."""
        if not body:
            return
        self.seen_data = True
        position, size = 0, len(body)
        while position < size:
            end, is_full = _piece(body, position)
            piece = body[position:end]
            ends_line = piece.endswith(b"\n")
            if not ends_line and not is_full:
                self.rest = piece
                return
            if not self._line(piece, is_full):
                self.rest = piece
                return
            position = end
            self.rest_is_line = ends_line
            if ends_line:
                self.crlf_state = 3 if piece.endswith(b"\r\n") else 2
            self.crlf_state_end = self.crlf_state
            if self.is_complete and position < size:
                self.flags.add("data_after")
                return

    def _line(self, line: bytes, is_full: bool) -> bool:
        """Handle one line; False ends the reading."""
        text = line.split(b"\x00", 1)[0]
        if self.rest_is_line and len(text) > 3 and text.startswith(b"--"):
            found = self._maybe_boundary(text)
            if found is not None:
                return found
        elif self.rest_is_line and self.boundary and b"--" + self.boundary in line:
            self.result.unmatched_boundary = 1
        if self.part is None:
            self.flags.add("data_before")
        elif self.in_data:
            self._data(line)
        elif is_full:
            return self._failed(f"Part header line over {_BUFFER} bytes long")
        else:
            self._header_line(line)
        return True

    def _maybe_boundary(self, text: bytes) -> bool | None:
        """Handle a line that starts with two dashes; None where it is data all the same."""
        if text.startswith(self.boundary, 2):
            if self.crlf_state_end == 2:
                self.flags.add("lf_line")
            if not self.data_read and self.boundaries > 0:
                self.flags.add("invalid_part")
                return None
            return self._boundary_line(text)
        after = text[2:].lstrip(_SPACES)
        if "boundary_quoted" in self.flags and text.startswith(b'"' + self.boundary, 2):
            return self._failed("Invalid boundary (quotes).")
        if len(after) < len(text) - 2 and after.startswith(self.boundary):
            return self._failed("Invalid boundary (whitespace).")
        self.result.unmatched_boundary = 1
        return None

    def _boundary_line(self, text: bytes) -> bool:
        if self.boundaries > 0:
            self.result.unmatched_boundary = 2
        rest = text[2 + len(self.boundary) :]
        is_final = rest.startswith(b"--")
        if is_final:
            rest = rest[2:]
        if rest not in {b"\r\n", b"\n"}:
            return self._failed("Invalid boundary")
        if rest == b"\n":
            self.flags.add("lf_line")
        else:
            self.result.crlf_line = True
        self._boundary(is_final)
        self.is_complete = self.is_complete or is_final
        self.boundaries += 1
        return True

    def _boundary(self, is_final: bool) -> None:
        """Finish the part that is open, and open the next one."""
        part, self.part = self.part, None
        if part is not None:
            self.result.part_headers += [(part.name, line) for line in part.lines]
            if part.name:
                self.parts.append(part)
            else:
                self.flags.add("invalid_part")
        if not is_final:
            self.part = _Part()
            self.in_data = self.data_read = False
            self.reserve = b""

    def _failed(self, problem: str) -> bool:
        self.flags.add("error")
        self.result.problem = problem
        return False

    def _data(self, line: bytes) -> None:
        """Keep the line's end back: the last one belongs to the boundary behind it."""
        part = self.part
        assert part is not None
        self.data_read = True
        kept = 2 if line.endswith(b"\r\n") else 1 if line.endswith(b"\n") else 0
        data = line[: len(line) - kept] if kept else line
        if part.is_file:
            part.size += len(data) + len(self.reserve)
        else:
            part.data.append(self.reserve + data)
        self.reserve = line[len(line) - kept :] if kept else b""

    # Headers of a part ----------------------------------------------------------------------

    def _header_line(self, line: bytes) -> None:
        problem = self._header(line)
        if problem is not None:
            self.result.problem = problem

    def _header(self, line: bytes) -> str | None:  # noqa: PLR0911
        part = self.part
        assert part is not None
        if b"\x00" in line:
            return "Nul byte in part headers."
        if line[-2:-1] == b"\r":
            self.result.crlf_line = True
        else:
            self.flags.add("lf_line")
        if line in {b"\r\n", b"\n"}:
            return self._end_of_headers(part)
        if line[:1] in _SPACES:
            return self._folded(part, line)
        _record(part)
        name, colon, value = line.partition(b":")
        if not colon:
            return "Invalid part header (colon missing)"
        if not name:
            return "Invalid part header (header name missing)."
        if any(not 33 <= c <= 126 for c in name):
            return "Invalid part header (contains invalid character)."
        if name.lower() in part.headers:
            return None
        part.last_name = name.lower()
        part.headers[part.last_name] = value.lstrip(_BLANK).rstrip(b"\r\n")
        part.last_line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        return None

    def _folded(self, part: _Part, line: bytes) -> str | None:
        self.flags.add("header_folding")
        stripped = line.lstrip(_SPACES)
        if line[: len(line) - len(stripped)].strip(_BLANK):
            self.flags.add("invalid_header_folding")
        if not part.last_name:
            return "Invalid part header (folding error)."
        value = part.headers[part.last_name] + b" " + stripped.rstrip(b"\r\n")
        part.headers[part.last_name] = value
        if len(value) > _BUFFER:
            return "Part header too long."
        part.last_line = part.last_name + b": " + value
        return None

    def _end_of_headers(self, part: _Part) -> str | None:
        _record(part)
        value = part.headers.get(b"content-disposition")
        if value is None:
            return "Part missing Content-Disposition header."
        if not self._disposition(part, value):
            return "Invalid Content-Disposition header"
        if not part.name:
            return "Content-Disposition header missing name field."
        if part.filename and b"filename=" not in value:
            return "Invalid Content-Disposition header (filename)."
        part.is_file = bool(part.filename)
        self.in_data, self.data_read = True, False
        part.last_name = b""
        return None

    def _disposition(self, part: _Part, value: bytes) -> bool:  # noqa: PLR0911
        """Read ``form-data; name="a"; filename="b"``; False where it is something else."""
        if not value.startswith(b"form-data"):
            return False
        text = value[9:].lstrip(_BLANK)
        if not text:
            return True
        if text[:1] != b";":
            return False
        text = text[1:]
        extended = b""
        while text:
            parameter = self._parameter(text)
            if parameter is None:
                return False
            name, content, quote, text = parameter
            if name == b"filename*":
                if extended:
                    return False
                extended = content
            elif not self._named(part, name, content, quote):
                return False
            text = text.lstrip(_BLANK)
            if text and text[:1] != b";":
                if quote:
                    self.flags.add("invalid_quoting")
                return False
            text = text[1:]
        return not (extended and not part.filename)

    def _named(self, part: _Part, name: bytes, content: bytes, quote: bytes) -> bool:
        if name not in {b"name", b"filename"}:
            return False
        if quote != b'"' and b"'" in content:
            self.flags.add("invalid_quoting")
        if name == b"name":
            self.result.part_names.append(content)
            known, part.name = part.name, part.name or content
        else:
            self.result.part_filenames.append(content)
            known, part.filename = part.filename, part.filename or content
        return not known

    def _parameter(self, text: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
        """Return name, value, its quote and what follows, or None where that is no parameter."""
        text = text.lstrip(_BLANK)
        match = _PARAMETER.match(text)
        if match is None or match.end() == len(text):
            return None
        name, rest = match[1], text[match.end() :]
        if name == b"filename*":
            charset = _CHARSET.match(rest)
            if charset is None:
                return None
            content = _EXTENDED.match(rest, charset.end())
            assert content is not None
            following = rest[content.end() :]
            return (
                None if following and following[:1] != b";" else (name, content[0], b"", following)
            )
        quote = rest[:1]
        if quote in {b'"', b"'"}:
            return self._quoted(name, quote, rest)
        token = _TOKEN.match(rest)
        assert token is not None
        return name, token[0], b"", rest[token.end() :]

    def _quoted(
        self, name: bytes, quote: bytes, rest: bytes
    ) -> tuple[bytes, bytes, bytes, bytes] | None:
        if quote == b"'":
            self.flags.add("invalid_quoting")
        if len(rest) == 1:
            return None
        out = bytearray()
        position = 1
        while position < len(rest) and rest[position : position + 1] != quote:
            if rest[position] == 0x5C:
                if position + 1 == len(rest):
                    return None
                if rest[position + 1 : position + 2] in {quote, b"\\"}:
                    position += 1
            out.append(rest[position])
            position += 1
        if position == len(rest):
            return None
        return name, bytes(out), quote, rest[position + 1 :]

    # The end --------------------------------------------------------------------------------

    def complete(self) -> None:
        """Take the final boundary where no line end followed it, and sum up."""
        result = self.result
        result.strict = any(name in self.flags for name in _FLAGS)
        if self.seen_data and not self.is_complete:
            self._late_boundary()
            if not self.is_complete:
                result.problem = (
                    "Final boundary missing."
                    if self.boundaries
                    else "No boundaries found in payload."
                )
                return
        for part in self.parts:
            if part.is_file:
                result.files.append((part.name, part.filename))
                result.file_names.append(part.name)
                result.file_sizes.append((part.name, part.size))
            else:
                result.arguments.append((part.name, b"".join(part.data)))

    def _late_boundary(self) -> None:
        if not self.boundaries or not self.rest_is_line:
            return
        if self.rest != b"--" + self.boundary + b"--":
            return
        if self.crlf_state_end == 2:
            self.flags.add("lf_line")
            self.result.strict = True
        if not self.data_read:
            self.flags.add("invalid_part")
            self.result.strict = True
        self._boundary(True)
        self.is_complete = True


_PARAMETER = re.compile(rb"([^=\t ]*)[\t ]*=[\t ]*")


def _count_boundaries(text: bytes) -> int:
    lower = text.lower()
    last = lower.rfind(b"=")
    return len(re.findall(rb"boundary(?=.*=)", lower, re.DOTALL)) if last >= 0 else 0


def _record(part: _Part) -> None:
    if part.last_line:
        part.lines.append(part.last_line)
        part.last_line = b""


def _piece(body: bytes, position: int) -> tuple[int, bool]:
    """Return the end of a line, or of a full buffer, and whether it is the latter."""
    newline = body.find(b"\n", position, position + _BUFFER)
    if newline >= 0:
        return newline + 1, newline + 1 - position == _BUFFER
    end = position + _BUFFER
    if end > len(body):
        return len(body), False
    # A carriage return is never the last byte of the buffer: its line feed may follow.
    return (end - 1 if body[end - 1] == 0x0D else end), True
