"""Traffic files that no reader may fall over: each with the words that its refusal must hold.

``CASES`` is for tests (load it with ``runpy.run_path``); run as a script with a folder, it writes
all of them there, for trying the command line by hand. They are made and not stored, because some
are large and others are no text.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Case(NamedTuple):
    """A file: its name, what makes its content, and words of the error (in any case)."""

    file: str
    content: Callable[[], bytes]
    words: str


def _entry(**request: object) -> dict[str, object]:
    made = {"method": "GET", "url": "http://shop.test/", "headers": [], **request}
    return {"request": made, "response": {"status": 200, "headers": []}}


def _har(*entries: object) -> bytes:
    return json.dumps({"log": {"entries": list(entries)}}).encode()


def _line(**request: object) -> bytes:
    made = {"method": "GET", "target": "/", "headers": [], **request}
    record = {"id": "1", "session": "s", "label": "benign", "request": made}
    return json.dumps(record).encode() + b"\n"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("visit.har", _har(_entry()))
    return buffer.getvalue()


def _bomb(size: int) -> bytes:
    """A gzip file of ``size`` MiB of zeros, a thousandth of it on disk."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        for _ in range(size):
            stream.write(b"0" * (1 << 20))
    return buffer.getvalue()


CASES: dict[str, Case] = {
    "an empty HAR file": Case("empty.har", lambda: b"", "is not json"),
    "an empty JSONL file": Case("empty.jsonl", lambda: b"", "hold no exchange"),
    "a HAR file without entries": Case("none.har", _har, "hold no exchange"),
    "a HAR file without log": Case("nolog.har", lambda: b"{}", "log is missing"),
    "HAR entries of a wrong type": Case("types.har", lambda: _har(1, "a", None), "3 of 3 records"),
    "a HAR file cut short": Case("cut.har", lambda: _har(_entry())[:-3], "is not json"),
    "a HAR file of failures": Case(
        "failed.har", lambda: _har({**_entry(), "response": {"status": 0}}), "1 skipped"
    ),
    "deep JSON as HAR": Case("deep.har", lambda: b"[" * 1_000_000, "is not json"),
    "deep JSON as JSONL": Case("deep.jsonl", lambda: b"[" * 1_000_000, "1 of 1 records"),
    "NaN in HAR": Case("nan.har", lambda: b'{"log": {"entries": [NaN]}}', "is not json"),
    "NaN in JSONL": Case("nan.jsonl", lambda: b'{"id": NaN}\n', "1 of 1 records"),
    "invalid UTF-8 in HAR": Case("utf8.har", lambda: b'{"log": "\xff"}', "is not json"),
    "invalid UTF-8 in JSONL": Case("utf8.jsonl", lambda: b'{"id": "\xff"}\n', "1 of 1 records"),
    "UTF-16": Case("utf16.har", lambda: _har(_entry()).decode().encode("utf-16"), "utf-16 text"),
    "a zip archive named gz": Case("zip.har.gz", _zip, "is a zip archive"),
    "an xz file named gz": Case("xz.jsonl.gz", lambda: lzma.compress(_line()), "xz-compressed"),
    "a gzip file cut short": Case(
        "cut.jsonl.gz", lambda: gzip.compress(_line())[:-9], "damaged gzip"
    ),
    "a gzip bomb as HAR": Case("bomb.har.gz", lambda: _bomb(129), "after decompression"),
    "countless empty arrays": Case("many.har", lambda: b"[]," * 5_000_000, "json values"),
    "one huge line": Case("line.jsonl", lambda: _line(body="x" * (9 << 20)), "longer than"),
    "an executable": Case("elf.har", lambda: b"\x7fELF" + bytes(range(256)) * 40, "is not json"),
    "a line end in a header": Case(
        "split.jsonl", lambda: _line(headers=[["a", "b\r\nc: d"]]), "holds a line end"
    ),
    "a second request in a target": Case(
        "smuggle.jsonl", lambda: _line(target="/ HTTP/1.1\r\n\r\nGET /"), "space or control"
    ),
    "a web page": Case("page.jsonl", lambda: b"<!doctype html>\n<p>x\n", "2 of 2 records"),
    "another format": Case("traffic.pcap", lambda: b"\xd4\xc3\xb2\xa1", "no known traffic format"),
}


def main(folder: Path) -> None:
    """Write every case into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES.values():
        (folder / case.file).write_bytes(case.content())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
