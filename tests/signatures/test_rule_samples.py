"""Samples are data: read whole or refused, and run by whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cnaf.models.fields import Location
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.rule_files import built_in_rules, parse_rules
from cnaf.signatures.rule_samples import (
    FailedSample,
    RuleSamples,
    Sample,
    SampleError,
    built_in_samples,
    failed_samples,
    read_samples,
)

if TYPE_CHECKING:
    from pathlib import Path

RULES = parse_rules(
    r"""
SecRule ARGS_POST "@rx (?i-m)ab" "id:1,phase:2,pass,t:none,t:urlDecodeUni,t:htmlEntityDecode,\
    msg:'m',logdata:'%{TX.0} in %{MATCHED_VAR_NAME}; expected e',severity:'NOTICE',ver:'1',\
    tag:'cnaf-test-1',tag:'attack-test',tag:'CWE-1',tag:'cnaf/confidence/low'"
""",
    "own.conf",
)
GOOD = """
[cnaf-test-1]
must_fire = ["ab", "xabx"]
must_not_fire = ["a", { value = "\\u00e5b", in = "header:Referer" }]
"""


def read(folder: Path, text: str) -> dict[str, RuleSamples]:
    (folder / "own.toml").write_text(text)
    return read_samples(folder.iterdir(), RULES)


def test_a_whole_file(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == {
        "cnaf-test-1": RuleSamples(
            (Sample(b"ab", Location.FORM, "sample"), Sample(b"xabx", Location.FORM, "sample")),
            (
                Sample(b"a", Location.FORM, "sample"),
                Sample(b"\xe5b", Location.HEADER, "Referer"),
            ),
        )
    }


REFUSED = {
    "not TOML": ("[", "own.toml: not TOML"),
    "no samples": ("", "own.conf: cnaf-test-1: no samples"),
    "of no rule": (GOOD + "[cnaf-test-2]\n", "own.toml: cnaf-test-2: no rule of that name"),
    "no table": ("cnaf-test-1 = 1", "expected a table of must_fire and must_not_fire"),
    "an unknown key": (GOOD + "other = 1", "expected a table of must_fire and must_not_fire"),
    "one sample": (GOOD.replace('"ab", ', ""), "must_fire: a list of at least 2"),
    "an empty sample": (GOOD.replace('"ab"', '""'), "must_fire: samples that are texts"),
    "a number": (GOOD.replace('"ab"', "1"), "must_fire: samples that are texts"),
    "beyond a byte": (GOOD.replace("00e5", "20ac"), "must_not_fire: bytes, written as U+0000"),
    "no place": (GOOD.replace(", in =", ", at ="), "samples with the keys value and in"),
    "an unknown place": (GOOD.replace("header:Referer", "uri:x"), "one of path, query"),
}


@pytest.mark.parametrize("title", REFUSED)
def test_refused(tmp_path: Path, title: str) -> None:
    text, problem = REFUSED[title]
    with pytest.raises(SampleError) as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)
    assert caught.value.hint


def test_a_rule_twice(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    with pytest.raises(SampleError, match=r"own\.toml: cnaf-test-1: .* given before"):
        read(tmp_path, GOOD)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"none\.toml: cannot be read"):
        read_samples([tmp_path / "none.toml"], RULES)
    (tmp_path / "a.toml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(SampleError, match=r"a\.toml: more than 4194304 bytes"):
        read_samples(tmp_path.iterdir(), RULES)
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(SampleError, match=r"a\.toml: cannot be read"):
        read_samples(tmp_path.iterdir(), RULES)


def test_what_fails_is_named(tmp_path: Path) -> None:
    engine = SignatureEngine(RULES)
    assert not list(failed_samples(engine, read(tmp_path, GOOD)))
    wrong = GOOD.replace('"xabx"', '"xbx"').replace('"a"', '"ab"')
    assert list(failed_samples(engine, read(tmp_path, wrong))) == [
        FailedSample("cnaf-test-1", Sample(b"xbx", Location.FORM, "sample"), must_fire=True),
        FailedSample("cnaf-test-1", Sample(b"ab", Location.FORM, "sample"), must_fire=False),
    ]


def test_built_in_rules_pass_their_own(engine: SignatureEngine) -> None:
    samples = built_in_samples(built_in_rules())
    assert list(samples) == [rule.id for rule in built_in_rules()]
    assert not list(failed_samples(engine, samples))
