"""The engine equals a plain reference, and hostile input neither stops nor confuses it."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest
from cnaf.models.exchange import Request
from cnaf.models.fields import Field, Location
from cnaf.models.parsing import RequestParser
from cnaf.models.verdict import Confidence
from cnaf.signatures import compiler
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.rule import Pattern, Rule, Severity, Syntax, Targets
from cnaf.signatures.rule_files import built_in_rules
from cnaf.signatures.rule_samples import built_in_samples
from cnaf.signatures.seclang.errors import SecLangError
from cnaf.signatures.seclang.syntax import Place
from cnaf.signatures.tokenizers import is_injection
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cnaf.models.fields import ParsedRequest

    MakeRequest = Callable[[Sequence[Field]], ParsedRequest]

RULES = built_in_rules()
STEPS = [Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH]
FLAGS = re.IGNORECASE | re.DOTALL
COMPILED = {
    rule.id: [re.compile(p.body.encode("ascii"), FLAGS) for p in rule.patterns] for rule in RULES
}


def says(rule: Rule, field: Field) -> Confidence | None:
    """The reference: each pattern of a rule searched in each piece of one value."""
    if field.location in rule.targets.locations:
        aimed = (field.location, field.name.lower()) not in rule.targets.exceptions
    else:
        aimed = (field.location, field.name.lower()) in rule.targets.names
    found = aimed and any(
        re.search(
            f"{'^' * p.at_start}(?:{p.body}){chr(92) + 'Z' if p.at_end else ''}".encode("ascii"),
            piece,
            FLAGS,
        )
        for p in rule.patterns
        for piece in field.value.split(b"\x00")
    )
    if not found or (rule.syntax is not None and not is_injection(rule.syntax, field.value)):
        return None
    quoted = (field.location, field.name.lower()) in rule.targets.prose
    if not quoted and not 0 < rule.max_length < len(field.value):
        return rule.confidence
    return Confidence.MEDIUM if rule.confidence is Confidence.HIGH else Confidence.LOW


SAMPLES = [s for o in built_in_samples(RULES).values() for s in (*o.must_fire, *o.must_not_fire)]
PLACES = sorted({(s.location, s.name) for s in SAMPLES} | {(Location.FORM, "content")})


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """Whole samples, halves of them, NULs, line ends and noise, joined."""
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        sample = draw(st.sampled_from(SAMPLES)).value
        cut = draw(st.integers(0, len(sample)))
        pieces.append(draw(st.sampled_from((sample, sample[:cut], sample[cut:]))))
        pieces.append(draw(st.sampled_from((b"", b"", b" ", b"\x00", b"\n", b"x", b"1", b"\xff"))))
    return b"".join(pieces)


FIELDS = st.lists(
    st.builds(lambda place, value: Field(*place, value), st.sampled_from(PLACES), values()),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=150)
@given(fields=FIELDS)
def test_equals_a_search_of_each_value_by_each_rule(
    engine: SignatureEngine, make_request: MakeRequest, fields: list[Field]
) -> None:
    expected = {}
    for rule in RULES:
        said = {i: c for i, field in enumerate(fields) if (c := says(rule, field)) is not None}
        if said:
            # The field in which it says most, the first of them.
            best = max(said, key=lambda i: (STEPS.index(said[i]), -i))
            expected[rule.id] = best, said[best]
    matches = engine.match(make_request(fields))
    assert {m.rule.id: (m.field_index, m.confidence) for m in matches} == expected
    for match in matches:
        value = fields[match.field_index].value
        assert 0 <= match.start < match.end <= len(value)
        # The part that is shown is a match by itself.
        shown = value[match.start : match.end]
        assert any(e.fullmatch(shown) for e in COMPILED[match.rule.id])


def make_rule(*patterns: Pattern, **entries: object) -> Rule:
    place = Location.QUERY
    known: dict[str, object] = {
        "id": "cnaf-test-1",
        "message": "m",
        "expected": "e",
        "severity": Severity.LOW,
        "confidence": Confidence.LOW,
        "tags": ("CWE-1",),
        "patterns": patterns,
        "targets": Targets(frozenset((place,))),
        "place": Place("own.conf", 7),
    }
    return Rule(**(known | entries))  # type: ignore[arg-type]  # entries are checked by name


def query(*values: bytes) -> list[Field]:
    return [Field(Location.QUERY, "q", value) for value in values]


@pytest.mark.parametrize(
    ("pattern", "values", "span"),
    [
        (Pattern("ab"), (b"xxab",), (0, 2, 4)),
        (Pattern("ab"), (b"a", b"b"), None),
        (Pattern("a[^\\x00]*b"), (b"a", b"b"), None),
        (Pattern("ab", at_start=True), (b"x", b"ab"), (1, 0, 2)),
        (Pattern("ab", at_start=True), (b"xab",), None),
        (Pattern("ab", at_end=True), (b"xab", b"y"), (0, 1, 3)),
        (Pattern("ab", at_end=True), (b"abx", b"y"), None),
        (Pattern("ab", at_end=True), (b"ab\n",), None),
        (Pattern("ab", at_start=True, at_end=True), (b"", b"ab", b""), (1, 0, 2)),
        (Pattern("ab", at_start=True), (b"x\x00aby",), (0, 2, 4)),
        (Pattern("ab", at_end=True), (b"xab\x00y",), (0, 1, 3)),
        (Pattern(r"n\d+"), (b"n = n1234 ",), (0, 4, 9)),
        (Pattern(r"\bor\b"), (b"for or",), (0, 4, 6)),
        (Pattern("AB"), (b"xab",), (0, 1, 3)),
    ],
)
def test_anchors_separators_and_spans(
    make_request: MakeRequest,
    pattern: Pattern,
    values: tuple[bytes, ...],
    span: tuple[int, int, int] | None,
) -> None:
    found = SignatureEngine([make_rule(pattern)]).match(make_request(query(*values)))
    assert [(m.field_index, m.start, m.end) for m in found] == ([] if span is None else [span])


def test_only_targets_that_a_rule_asks_for(make_request: MakeRequest) -> None:
    targets = Targets(
        frozenset((Location.FORM,)),
        frozenset(((Location.HEADER, "referer"),)),
        frozenset(((Location.FORM, "content"),)),
    )
    engine = SignatureEngine([make_rule(Pattern("ab"), targets=targets)])
    fields = [
        Field(Location.QUERY, "q", b"ab"),
        Field(Location.FORM, "Content", b"ab"),
        Field(Location.HEADER, "user-agent", b"ab"),
        Field(Location.HEADER, "referer", b"--ab"),
        Field(Location.FORM, "title", b"ab"),
    ]
    (match,) = engine.match(make_request(fields))
    assert match.field_index == 3


PROSE = Targets(
    frozenset((Location.FORM, Location.QUERY)), prose=frozenset(((Location.FORM, "content"),))
)


class TestConfidence:
    """A match says one step less in prose, and in a value that is longer than the rule's cap."""

    @pytest.mark.parametrize(
        ("of_rule", "in_prose"),
        [
            (Confidence.HIGH, Confidence.MEDIUM),
            (Confidence.MEDIUM, Confidence.LOW),
            (Confidence.LOW, Confidence.LOW),
        ],
    )
    @pytest.mark.parametrize(
        ("field", "less"),
        [
            (Field(Location.FORM, "Content", b"ab"), True),
            (Field(Location.FORM, "title", b"ab"), False),
            (Field(Location.QUERY, "content", b"ab"), False),
            (Field(Location.FORM, "title", b"abcd"), False),
            (Field(Location.FORM, "title", b"abcde"), True),
            # Both is one step, too.
            (Field(Location.FORM, "content", b"abcde"), True),
        ],
    )
    def test_one_step_less(
        self,
        make_request: MakeRequest,
        of_rule: Confidence,
        in_prose: Confidence,
        field: Field,
        less: bool,
    ) -> None:
        rule = make_rule(Pattern("ab"), confidence=of_rule, targets=PROSE, max_length=4)
        (match,) = SignatureEngine([rule]).match(make_request([field]))
        assert match.confidence is (in_prose if less else of_rule)

    def test_the_field_in_which_it_says_most_is_shown(self, make_request: MakeRequest) -> None:
        rule = make_rule(Pattern("ab"), confidence=Confidence.HIGH, targets=PROSE)
        engine = SignatureEngine([rule])
        quoted, meant = Field(Location.FORM, "content", b"ab"), Field(Location.QUERY, "q", b"ab")
        for fields, index in (
            ([quoted, meant], 1),
            ([meant, quoted], 0),
            ([quoted, quoted], 0),
            ([quoted, meant, meant], 1),
        ):
            (match,) = engine.match(make_request(fields))
            assert match.field_index == index

    def test_built_in_rules_know_what_prose_is(
        self, engine: SignatureEngine, make_request: MakeRequest
    ) -> None:
        attack = b"<script>alert(1)</script>"
        for name, found in (("comment", Confidence.MEDIUM), ("author", Confidence.HIGH)):
            matches = engine.match(make_request([Field(Location.FORM, name, attack)]))
            assert max((m.confidence for m in matches), key=STEPS.index) is found


def test_a_tokenizer_has_the_last_word(make_request: MakeRequest) -> None:
    engine = SignatureEngine([make_rule(Pattern("or"), syntax=Syntax.SQL)])
    assert not engine.match(make_request(query(b"black or white")))
    assert engine.match(make_request(query(b"' or 1=1 -- ")))


def test_a_refused_pattern_names_its_rule() -> None:
    told = r"own\.conf:7: cnaf-test-1: the pattern '\(\?=a\)b' cannot be used: Hyperscan says"
    with pytest.raises(SecLangError, match=told):
        SignatureEngine([make_rule(Pattern("a")), make_rule(Pattern("(?=a)b"))])


@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("body", ["a*", "a|b?", "(a)?"])
def test_a_pattern_that_matches_nothing_is_refused(body: str, at_start: bool, at_end: bool) -> None:
    with pytest.raises(SecLangError, match=r"own\.conf:7: cnaf-test-1: the pattern .* empty"):
        SignatureEngine([make_rule(Pattern(body, at_start, at_end))])


@pytest.mark.parametrize("body", ["(" * 2000 + "a" + ")" * 2000, "a{99999999999}", "a{5,2}", "a**"])
def test_a_pattern_that_nobody_can_compile_is_refused(body: str) -> None:
    with pytest.raises(SecLangError, match=r"own\.conf:7: cnaf-test-1: the pattern .* cannot be"):
        SignatureEngine([make_rule(Pattern(body, at_start=True))])


def test_a_database_is_kept(
    tmp_path: Path, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, attack = [make_rule(Pattern("ab"))], make_request(query(b"xab"))
    before = SignatureEngine(rules, tmp_path).match(attack)
    assert before
    other = [make_rule(Pattern("ab", at_start=True))]
    assert not SignatureEngine(other, tmp_path).match(attack)
    with monkeypatch.context() as patched:
        patched.setattr(compiler, "_compile", None)
        assert SignatureEngine(rules, tmp_path).match(attack) == before
        assert not SignatureEngine(other, tmp_path).match(attack)


def test_a_refused_pattern_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(SecLangError, match="cannot be used"):
            SignatureEngine([make_rule(Pattern("a*"))], tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_no_trace(engine: SignatureEngine, make_request: MakeRequest) -> None:
    attack = make_request(query(b"' union select 1,2,3 from users-- -"))
    spoilt = make_request(query(b"' union select 1,2,3 from users-- -"))
    spoilt.fields.clear()
    before = engine.match(attack)
    assert before
    for _ in range(2):
        with pytest.raises(IndexError):
            engine.match(spoilt)
        assert engine.match(make_request(query(b"plain"))) == ()
        assert engine.match(attack) == before


def test_each_thread_with_an_engine_of_its_own(make_request: MakeRequest) -> None:
    attack = make_request(query(b"' union select 1,2,3 from users-- -"))
    rules = [rule for rule in RULES if rule.id.startswith("cnaf-sqli")]
    found: list[set[str]] = []

    def work() -> None:
        engine = SignatureEngine(rules)
        for _ in range(50):
            found.append({m.rule.id for m in engine.match(attack)})

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 150
    assert all(ids == found[0] != set() for ids in found)


HOSTILE = {
    "an empty request": [b""],
    "64 KiB of one letter": [b"a" * 65_536],
    "64 KiB of quotes": [b"'" * 65_536],
    "64 KiB of brackets": [b"(" * 65_536],
    "64 KiB of steps up": [b"../" * 21_845],
    "64 KiB of opening tags": [b"<script " * 8_192],
    "64 KiB of open templates": [b"${${" * 16_384],
    "64 KiB of conditions": [b"' or 1=1 " * 7_281],
    "2048 empty values": [b""] * 2_048,
    "2048 attacks": [b"' union select 1,2--"] * 2_048,
    "NULs alone": [b"\x00" * 16_384],
    "every byte": [bytes(range(256)) * 64],
    "an attack behind 60 KiB": [b"x" * 60_000 + b"' union select 1,2,3--"],
}


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_sizes(engine: SignatureEngine, make_request: MakeRequest, title: str) -> None:
    values = HOSTILE[title]
    for match in engine.match(make_request(query(*values))):
        assert 0 <= match.start < match.end <= len(values[match.field_index])
    attack = title in ("2048 attacks", "an attack behind 60 KiB")
    ids = {m.rule.id for m in engine.match(make_request(query(*values)))}
    assert ("cnaf-sqli-001" in ids) is attack


def test_parsed_requests(engine: SignatureEngine) -> None:
    headers = ((b"content-type", b"application/x-www-form-urlencoded"),)
    request = Request("POST", b"/a?id=%2527%20OR%201%3D1%23", headers, b"t=%3Cscript%3Ealert(1)%3C")
    parsed = RequestParser().parse(request)
    found = {m.rule.id: parsed.fields[m.field_index].label for m in engine.match(parsed)}
    assert found["cnaf-sqli-002"] == "query:id"
    assert found["cnaf-xss-001"] == "form:t"
