"""The regression tests of the OWASP Core Rule Set: the requests that a rule must fire on.

A test is a whole request, of which one value carries the attack. It is taken to be the one with
the most characters that ordinary values do not hold; where no value has any (``?x=ping``), nothing
tells an attack from honest input in another field, and the test is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from cnaf.datasets import wire
from cnaf.datasets.wire import BrokenError, as_dict, as_list, as_str
from cnaf.evaluation.packed import read_folder
from cnaf.evaluation.payloads import Payload, PayloadSet, collect, load_yaml
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Request
from cnaf.models.fields import Location
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_crs_tests"]

#: Rules about values, by the first digits of their numbers; the others are about methods, scanners,
#: framing, header syntax, where a session comes from, and answers.
_CLASSES = {
    "930": "lfi",
    "931": "rfi",
    "932": "rce",
    "933": "php",
    "934": "generic",
    "941": "xss",
    "942": "sqli",
    "943100": "session-fixation",
    "944": "java",
}
#: Headers that say how a test is sent; an attack in them is about their syntax.
_FRAMING = frozenset(
    "header:" + name
    for name in ("host", "accept", "accept-encoding", "accept-language", "accept-charset",
                 "content-type", "content-encoding", "cache-control", "pragma", "range")
)  # fmt: skip
_TEST_CLIENT = re.compile(rb"OWASP (?:CRS|ModSecurity)[\w ()/.:+-]*", re.IGNORECASE)
_ORDINARY = re.compile(rb"[\w \-]")
#: Values as the carrier has them, decoded once: further layers are part of the attack.
_ONCE = Limits(decode_rounds=0)


def read_crs_tests(path: Path) -> PayloadSet:
    """Read the tests (YAML), a folder or tar archive, plain or .xz, in the schema of go-ftw.

    Stages that expect no rule to fire are passed over. Raises CorpusError for another format.
    """
    parser = RequestParser(_ONCE)
    found: list[Payload] = []
    left_out: Counter[str] = Counter()
    for name, raw in read_folder(path, (".yaml", ".yml")):
        try:
            stages = list(_stages(load_yaml(raw)))
        except BrokenError as error:
            raise CorpusError(
                f"{path}: {name} is no test of the Core Rule Set: {error}",
                hint="expected YAML with tests, stages, input and output",
            ) from None
        number = name.rpartition("/")[2]
        attack_class = next(
            (c for digits, c in _CLASSES.items() if number.startswith(digits)), None
        )
        for stage in stages:
            if attack_class is None:
                left_out["is not about a value"] += 1
                continue
            try:
                value = _attacking_value(parser, _request(stage))
            except BrokenError:
                left_out["is no request that an HTTP client can send"] += 1
                continue
            if value is None:
                left_out["no value that differs from ordinary ones"] += 1
            else:
                found.append(Payload(value, attack_class, name))
    return collect("CRS tests", found, (), left_out)


def _stages(document: object) -> Iterator[dict[str, object]]:
    """Yield the ``input`` of the stages that must fire."""
    if document is None:  # a file that is all comments
        return
    for item in as_list(as_dict(document, "document").get("tests"), "tests"):
        test = as_dict(item, "a test")
        for outer in as_list(test.get("stages"), "stages"):
            stage = as_dict(outer, "a stage")
            stage = as_dict(stage.get("stage", stage), "a stage")
            output = as_dict(stage.get("output"), "output")
            log = as_dict(output.get("log") or {}, "output.log")
            if log.get("expect_ids") or output.get("expect_ids"):
                yield as_dict(stage.get("input"), "input")


def _request(sent: dict[str, object]) -> Request:
    if "encoded_request" in sent:
        raise BrokenError("raw bytes")
    headers = as_dict(sent.get("headers") or {}, "headers")
    body = wire.encode(as_str(sent.get("data") or "", "data"), "data")
    if body and not any(name.lower() == "content-type" for name in headers):
        # The test runner's own default.
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    return Request(
        method=wire.method(sent.get("method", "GET")),
        # Tests write characters into targets that a client would encode, a blank among them.
        target=wire.encode(as_str(sent.get("uri", "/"), "uri"), "uri").partition(b"#")[0],
        headers=wire.headers([(str(name), str(value)) for name, value in headers.items()]),
        body=body,
        body_size=len(body),
    )


def _attacking_value(parser: RequestParser, request: Request) -> bytes | None:
    values = []
    for field in parser.parse(request).fields:
        if field.location is Location.FILE or field.label in _FRAMING:
            continue
        if field.location is Location.PATH:
            values += field.value.split(b"/")
        elif not (field.location is Location.HEADER and _TEST_CLIENT.fullmatch(field.value)):
            values.append(field.value)
    oddness = [(len(_ORDINARY.sub(b"", value)), value) for value in values]
    most, value = max(oddness, key=lambda pair: pair[0], default=(0, b""))
    return value.strip(b"\r\n") if most else None
