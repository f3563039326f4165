"""Our rule files are SecLang for others, too: libmodsecurity loads them and finds what they name.

Every sample is sent as a request: what a rule must fire on fires there, what it must not does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

import orjson
import pytest
from cnaf.evaluation.rule_engines import LibModSecurity
from cnaf.models.exchange import Request
from cnaf.models.fields import Location
from cnaf.signatures.rule_files import built_in_files, built_in_rules
from cnaf.signatures.rule_samples import built_in_samples

if TYPE_CHECKING:
    from cnaf.signatures.rule import Rule
    from cnaf.signatures.rule_samples import Sample

#: What an engine needs that does not know our fields: bodies by their type, files on disk.
SET_UP = """
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecTmpSaveUploadedFiles On
SecUploadDir {folder}
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \
    "id:1,phase:1,pass,nolog,t:none,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/xml" \
    "id:2,phase:1,pass,nolog,t:none,ctl:requestBodyProcessor=XML"
"""
BOUNDARY = b"----a-part-ends-here"
RULES = built_in_rules()
SAMPLES = built_in_samples(RULES)


@dataclass(frozen=True, slots=True)
class Own:
    set_up: str
    files: tuple[Path, ...]
    report: str = ""


@pytest.fixture(scope="module")
def modsecurity(tmp_path_factory: pytest.TempPathFactory) -> LibModSecurity:
    set_up = SET_UP.format(folder=tmp_path_factory.mktemp("uploads"))
    return LibModSecurity(Own(set_up, tuple(Path(str(file)) for file in built_in_files())))


def encoded(value: bytes) -> bytes:
    return quote_from_bytes(value, safe="/").encode()


def pair(sample: Sample) -> bytes:
    if sample.name == "(name)":
        return encoded(sample.value) + b"=1"
    return encoded(sample.name.encode()) + b"=" + encoded(sample.value)


def part(sample: Sample) -> bytes:
    """A part of a multipart body: a field, a file, or a file of that name."""
    value = sample.value
    filename = {Location.FILENAME: value, Location.FILE: b"a.bin"}.get(sample.location)
    attribute = b"" if filename is None else b'; filename="%s"' % filename
    content = b"content" if sample.location is Location.FILENAME else value
    head = b'Content-Disposition: form-data; name="%s"%s' % (sample.name.encode(), attribute)
    return b"--%s\r\n%s\r\n\r\n%s\r\n--%s--\r\n" % (BOUNDARY, head, content, BOUNDARY)


def request(sample: Sample) -> Request:
    """Return a request that carries the sample in its place."""
    value, place = sample.value, sample.location
    if place is Location.PATH:
        return get(encoded(value))
    if place is Location.QUERY:
        return get(b"/?" + pair(sample))
    if place is Location.HEADER:
        return get(b"/", (sample.name.encode(), value))
    if place is Location.COOKIE:
        return get(b"/", (b"cookie", pair(sample)))
    if place is Location.FORM:
        return post(b"application/x-www-form-urlencoded", pair(sample))
    if place is Location.JSON:
        return post(b"application/json", orjson.dumps({sample.name: value.decode("ascii")}))
    if place is Location.XML:
        attribute = "@" in sample.name
        return post(b"application/xml", (b"<a b='%s'/>" if attribute else b"<a>%s</a>") % value)
    if place is Location.BODY:
        return post(b"text/plain", value)
    return post(b"multipart/form-data; boundary=" + BOUNDARY, part(sample))


def get(target: bytes, *headers: tuple[bytes, bytes]) -> Request:
    return Request("GET", target, (*headers, (b"accept", b"*/*")), b"")


def post(content_type: bytes, body: bytes) -> Request:
    length = str(len(body)).encode()
    headers = ((b"content-type", content_type), (b"content-length", length))
    return Request("POST", b"/", headers, body)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_another_engine_finds_the_same(modsecurity: LibModSecurity, rule: Rule) -> None:
    samples = SAMPLES[rule.id]
    for sample in samples.must_fire:
        assert rule.number in modsecurity.evaluate(request(sample)).ids, sample
    for sample in samples.must_not_fire:
        assert rule.number not in modsecurity.evaluate(request(sample)).ids, sample


def test_what_another_engine_logs(modsecurity: LibModSecurity) -> None:
    lines = modsecurity.log(get(b"/?id=1%27%20or%20%271%27%3D%271")).splitlines()
    assert lines[0] == (
        '[id "4309002"] [msg "SQL: a closed string, then a condition that is always true or false"]'
        " [data \"' or '1'='1 in ARGS:id; expected a value of the application, which does not go on"
        ' as an SQL statement"]'
    )
