"""The corpus of ordinary values is reproducible, varied, bounded, and holds no attack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from itertools import islice
from random import Random

import pytest
from cnaf.learner.everyday import (
    KINDS,
    RULES,
    SOURCES,
    ordinary_names,
    ordinary_segments,
    ordinary_values,
)
from cnaf.learner.everyday_documents import paragraphs
from cnaf.learner.everyday_grammar import LOCALES, Draw
from cnaf.models.decoding import canonical
from cnaf.models.fields import SEPARATOR, Field, Location, ParsedRequest
from cnaf.models.limits import Limits
from cnaf.models.parsing import fold_name
from cnaf.models.request_model import VALUE_CAP
from cnaf.models.value_types import ValueType, kind_of
from cnaf.models.verdict import Confidence
from cnaf.signatures.engine import SignatureEngine

SIZE = 20_000
#: What the corpus promises to leave out, as a reader would look for it.
LEFT_OUT = {
    "scripts": rb"(?i)<script|<iframe|<svg|<object|<embed|javascript:|vbscript:",
    "event handlers": rb"(?i)<[^>]*[\s\"'/]on[a-z]{3,20}\s*=",
    "relative paths with dots": rb"(?:^|[^.])\.\.[/\\]",
    "files of the system": rb"(?i)/etc/|/proc/|win\.ini|boot\.ini|web-inf|\.htaccess",
    "placeholders of templates": rb"\$\{|\{\{|<%|#\{|\$\(",
    "loopback and link-local hosts": rb"(?i)//(?:localhost|127\.|0\.0\.0\.0|169\.254\.|\[)",
    "operators in names of JSON": rb"\"\$(?:gt|gte|lt|ne|in|nin|regex|where|or)\"\s*:",
    "tautologies": rb"(?i)['\"\d]\s*\bor\b\s*['\"\d]\w*['\"]?\s*=",
    "comments of SQL": rb"['\")]\s*--\s*$|/\*[^,;]*\*/",
    "document types and entities": rb"(?i)<!doctype|<!entity",
}


@pytest.fixture(scope="module")
def values() -> list[tuple[str, bytes]]:
    return list(ordinary_values(0, SIZE))


def test_equal_seeds_give_equal_values_and_more_of_them_the_same_ones(
    values: list[tuple[str, bytes]],
) -> None:
    few = list(ordinary_values(0, 4_000))
    assert few == list(ordinary_values(0, 4_000))
    assert set(few) <= set(values)
    assert len(set(few) & set(ordinary_values(1, 4_000))) < 1_000


def test_the_hash_seed_of_a_run_decides_nothing() -> None:
    """Sets have another order in each run; nothing may be drawn from one."""
    program = (
        "import hashlib; from cnaf.learner.everyday import ordinary_values; "
        "print(hashlib.sha256(repr(list(ordinary_values(0, 4_000))).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != b""


def test_every_kind_has_about_its_share_of_distinct_values(
    values: list[tuple[str, bytes]],
) -> None:
    assert len(set(values)) == len(values)
    assert 0.97 * SIZE < len(values) < 1.01 * SIZE
    counts = Counter(kind for kind, _ in values)
    assert list(counts) == list(KINDS)
    total = sum(KINDS.values())
    for kind, count in counts.items():
        assert 0 < count <= SIZE * KINDS[kind] / total + 1


def test_values_are_as_an_application_sees_them(values: list[tuple[str, bytes]]) -> None:
    rounds = Limits().decode_rounds
    for _, value in values:
        assert len(value) <= VALUE_CAP
        assert SEPARATOR not in value
        assert canonical(value, rounds)[0] == value
        value.decode("utf-8")


def test_values_take_every_type_and_shape(values: list[tuple[str, bytes]]) -> None:
    """Cases, line ends and scripts that a prior must know; binary data is no field's value."""
    found = {kind_of(value) for _, value in values}
    assert found >= {kind for kind in ValueType if kind <= ValueType.MARKUP} - {ValueType.EMPTY}
    typed = [value for kind, value in values if kind == "text"]
    assert any(b"\r\n" in value for value in typed)
    assert any(b"\n" in value and b"\r" not in value for value in typed)
    assert any(value.isupper() and len(value) > 20 for value in typed)
    for letters in (
        "[д-я]{4}",
        "[β-ω]{4}",
        "[\u0621-\u064a]{4}",
        "[\u4e00-\u9fff]",
        "[\uac00-\ud7a3]",
    ):
        assert any(re.search(letters, value.decode()) for value in typed)


@pytest.mark.parametrize("pattern", LEFT_OUT.values(), ids=LEFT_OUT)
def test_no_attack_is_in_it(values: list[tuple[str, bytes]], pattern: bytes) -> None:
    found = re.compile(pattern).search
    # A manager of passwords may write anything.
    assert [v for kind, v in values if kind != "password" and found(v)] == []


def test_no_signature_of_high_confidence_fires(values: list[tuple[str, bytes]]) -> None:
    engine = SignatureEngine.load()
    sent = [
        *((Location.FORM, value) for _, value in values),
        *((Location.PATH, b"/" + segment) for segment in ordinary_segments(0, 5_000)),
        *((Location.QUERY, name) for name in ordinary_names(0, 5_000)),
    ]
    fired = [
        (match.rule.id, value)
        for location, value in sent
        for match in engine.match(_alone(location, value))
        if match.confidence is Confidence.HIGH
    ]
    assert fired == []


def test_names_are_folded_as_the_parser_folds_them() -> None:
    names = list(ordinary_names(0, 5_000))
    assert len(set(names)) == len(names) > 4_000
    assert names == list(ordinary_names(0, 5_000)) != list(ordinary_names(1, 5_000))
    assert all(fold_name(name.decode()).encode() == name for name in names)
    assert {b"X-Requested-With", b"q", b"$filter", b"@type"} <= set(names)


def test_segments_hold_no_slash() -> None:
    segments = list(ordinary_segments(0, 5_000))
    assert len(set(segments)) == len(segments) > 4_500
    assert segments == list(ordinary_segments(0, 5_000)) != list(ordinary_segments(1, 5_000))
    assert not any(b"/" in segment for segment in segments)
    assert b".well-known" in segments


def test_every_template_can_be_filled() -> None:
    draw = Draw(RULES)
    quote = draw.make("open_quote")
    for rule in RULES.values():
        for template in () if callable(rule) else rule:
            assert "«" not in draw.fill(template).replace(quote, "")


def test_every_language_speaks() -> None:
    draw = Draw(RULES)
    for draw.locale in LOCALES:
        for rule in ("name", "address", "company", "phone", "email", "sentence", "words"):
            assert draw.make(rule)


def test_a_template_s_slots() -> None:
    draw = Draw(
        {"word": ("tea",), "pair": ("«word»=«1..1»",), "loud": lambda d: d.make("word").upper()}
    )
    assert draw.fill("«word», «pair», «loud» «x|x» [«»]") == "tea, tea=1, TEA x []"
    assert re.fullmatch(r"tea(; tea){1,5}", draw.fill("«word*; »"))
    assert re.fullmatch(r"\d{3}", draw.fill("«###»"))
    assert draw.fill("«word»«word»", str.title) == "TeaTea"
    with pytest.raises(KeyError, match="coffee"):
        draw.fill("«coffee»")


def test_documents_are_prose() -> None:
    found = paragraphs()
    assert len(found) > 2_000
    sample = Random(0).sample(found, 200)
    assert all(len(text.split()) > 4 for text in sample)
    assert not any(">>>" in text or "{" in text for text in sample)


def test_sources_are_named() -> None:
    assert {"python", "faker"} <= SOURCES.keys()
    assert all(re.match(r"\d", version) for version in SOURCES.values())


def test_a_part_costs_a_part_only() -> None:
    """Values are made when they are asked for."""
    assert len(list(islice(ordinary_values(0, 10**9), 10))) == 10


def _alone(location: Location, value: bytes) -> ParsedRequest:
    field = Field(location, "value", value)
    return ParsedRequest("POST", "/", [field], [], value + SEPARATOR, [0], len(value))
