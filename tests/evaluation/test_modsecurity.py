"""The binding is driven with two small rules in the form of the Core Rule Set, and, where it is
installed, with the rule set itself: what holds for the one holds for the other.
"""

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from cnaf.evaluation.modsecurity import DEBIAN_CRS, ModSecurity, available
from cnaf.models.errors import InputError
from cnaf.models.exchange import Request
from hypothesis import given, settings
from hypothesis import strategies as st

HEADERS = (
    (b"host", b"shop.example"), (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
    (b"accept", b"*/*"),
)  # fmt: skip
RULES = r"""
SecRule ARGS "@rx (?i)union.+select" \
  "id:942100,phase:2,block,msg:'SQL',setvar:tx.{name}_pl1=+5"
SecRule TX:PARANOIA_LEVEL "@lt 2" "id:942013,phase:2,pass,nolog,skipAfter:END"
SecRule ARGS "@rx --" "id:942440,phase:2,block,setvar:tx.{name}_pl2=+5"
SecMarker "END"
SecRule ARGS:stop "@streq 1" "id:942001,phase:2,deny,status:403"
"""
#: Variables of the sums in versions 3 and 4.
NAMES = ("anomaly_score", "inbound_anomaly_score")
UNION = b"/?id=1%27%20union%20all%20select%201,user()--%20-"


def written(folder: Path, name: str = NAMES[0], rules: str = RULES) -> Path:
    (folder / "rules").mkdir(parents=True)
    set_up = (
        f'SecAction "id:901200,phase:1,nolog,pass,setvar:tx.{name}_pl1=0,setvar:tx.{name}_pl2=0"'
    )
    for file, text in (
        ("REQUEST-901-INITIALIZATION.conf", set_up),
        ("REQUEST-942-APPLICATION-ATTACK-SQLI.conf", rules.replace("{name}", name)),
        ("REQUEST-910-IP-REPUTATION.conf", "addresses say nothing about a request"),
        ("RESPONSE-950-DATA-LEAKAGES.conf", "nor are rules for answers"),
    ):
        (folder / "rules" / file).write_text(text, "utf-8")
    return folder


RULE_SETS = [*NAMES, *(["debian"] if available(DEBIAN_CRS) else [])]


@pytest.fixture(params=RULE_SETS)
def crs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return DEBIAN_CRS if request.param == "debian" else written(tmp_path, request.param)


def get(target: bytes) -> Request:
    return Request("GET", target, HEADERS)


def post(body: bytes, content_type: bytes) -> Request:
    length = str(len(body)).encode()
    headers = (*HEADERS, (b"content-type", content_type), (b"content-length", length))
    return Request("POST", b"/", headers, body, len(body))


def test_a_plain_request_scores_nothing_and_an_attack_is_blocked(crs: Path) -> None:
    engine = ModSecurity(crs)
    assert engine.score(get(b"/shop?id=12")) == 0
    assert not engine.blocks(get(b"/shop?id=12"))
    assert engine.score(get(UNION)) >= 5
    assert engine.blocks(get(UNION))


def test_a_higher_paranoia_level_scores_more(crs: Path) -> None:
    assert ModSecurity(crs, 2).score(get(UNION)) > ModSecurity(crs, 1).score(get(UNION))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=1&id=1+union+all+select+1", b"application/x-www-form-urlencoded"),
        (b'{"a": {"id": "1 union all select 1"}}', b"application/json"),
        (b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\nunion select\r\n--b--\r\n',
         b"multipart/form-data; boundary=b"),
    ],
    ids=["form", "json", "multipart"],
)  # fmt: skip
def test_bodies_are_read(body: bytes, content_type: bytes, crs: Path) -> None:
    engine = ModSecurity(crs)
    assert engine.blocks(post(body, content_type))
    harmless = body.replace(b"union", b"apple")
    assert not engine.blocks(post(harmless, content_type))


def test_the_verdict_on_a_request_does_not_depend_on_others(crs: Path) -> None:
    engine = ModSecurity(crs)
    first = [engine.score(get(target)) for target in (UNION, b"/", UNION, b"/")]
    assert first[0] == first[2] > 0
    assert first[1] == first[3] == 0


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_have_a_score(target: bytes, header: bytes, body: bytes) -> None:
    made = post(body, b"application/x-www-form-urlencoded")
    made = replace(made, target=b"/" + target, headers=(*made.headers, (b"x-name", header)))
    assert _shared().score(made) >= 0


_ENGINES: list[ModSecurity] = []


def _shared() -> ModSecurity:
    if not _ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            _ENGINES.append(ModSecurity(written(Path(folder) / "crs")))
    return _ENGINES[0]


def test_a_refusal_by_another_rule_changes_no_score(tmp_path: Path) -> None:
    assert ModSecurity(written(tmp_path)).score(get(b"/?stop=1")) == 0


def test_nothing_is_written_to_the_terminal(crs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ModSecurity(crs).blocks(get(UNION))
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert not available(tmp_path)
    with pytest.raises(InputError, match=r"no ModSecurity with the rule set of .*modsecurity-crs"):
        ModSecurity(tmp_path)
    with pytest.raises(ValueError, match="paranoia level 5"):
        ModSecurity(tmp_path, 5)


def test_a_rule_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    crs = written(tmp_path, rules="SecNonsense on")
    with pytest.raises(InputError, match=r"cannot load .*REQUEST-942"):
        ModSecurity(crs)
