from __future__ import annotations

from pathlib import Path

import pytest
from cnaf.evaluation.payloads import Payload, read_gotestwaf, read_libinjection
from cnaf.models.errors import CorpusError


def case(payloads: str, encoder: str = "URL", place: str = "URLParam", kind: str = "SQLi") -> str:
    return (
        f"payload:\n{payloads}\nencoder:\n  - {encoder}\nplaceholder:\n  - {place}\ntype: {kind}\n"
    )


def write(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        file = folder.joinpath(*name.split("__")).with_suffix(".yml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def values(payloads: tuple[Payload, ...]) -> list[bytes]:
    return [payload.value for payload in payloads]


def test_gotestwaf_gives_raw_payloads_by_class(tmp_path: Path) -> None:
    found = read_gotestwaf(write(
        tmp_path,
        owasp__sql=case("  - \"' or 2>1 --\"\n  - 1%2727\n  - \"' or 2>1 --\""),
        owasp__big=case('  - "AAAA;\\\n    <b>"', kind="8KB XSS"),
        community__crlf=case("  - '%0d%0aX:y'", "Plain", "URLPath", "CRLF Injection"),
    ))  # fmt: skip
    assert [(p.value, p.attack_class, p.source) for p in found.attacks] == [
        (b"\r\nX:y", "crlf-injection", "community/crlf.yml"),
        (b"AAAA;<b>", "xss", "owasp/big.yml"),
        (b"' or 2>1 --", "sqli", "owasp/sql.yml"),
        (b"1%2727", "sqli", "owasp/sql.yml"),
    ]
    assert found.left_out == {"repeats another value": 1}


def test_gotestwafs_false_positives_are_benign_and_nothing_is_both(tmp_path: Path) -> None:
    found = read_gotestwaf(write(
        tmp_path, **{"owasp__rce": case("  - cat b\n  - ;ls"),
                     "false-pos__texts": case("  - ls the cat\n  - cat b")},
    ))  # fmt: skip
    assert values(found.attacks) == [b";ls"]
    assert values(found.benign) == [b"ls the cat"]
    assert found.left_out == {"is both an attack and benign": 1}


def test_payloads_that_are_no_values_are_counted(tmp_path: Path) -> None:
    found = read_gotestwaf(write(
        tmp_path,
        agents=case("  - scanner/1.0", "Plain", "UserAgent"),
        graph=case("  - '{query}'", "Plain", "GraphQL:\n      method: GET"),
        rest=case('  - "\\\'-f(1)//"', "Plain", "JSONRequest"),
    ))  # fmt: skip
    assert values(found.attacks) == [b"'-f(1)//"]
    assert found.left_out == {
        "names a scanner in the User-Agent": 1,
        "is a whole GraphQL document": 1,
    }


@pytest.mark.parametrize(
    "content",
    [
        "- a list",
        "payload: text\nencoder: []\nplaceholder: []",
        "payload: [1]\nencoder: []\nplaceholder: []",
        "a: *unknown",
        "!!python/object/apply:os.getcwd []",
        "d: 2020-13-45",
        "[" * 100_000,
    ],
)
def test_other_yaml_is_refused_and_makes_no_objects(tmp_path: Path, content: str) -> None:
    with pytest.raises(CorpusError, match=r"sql\.yml is no test case"):
        read_gotestwaf(write(tmp_path, sql=content))


def test_libinjections_lines_are_decoded_once(tmp_path: Path) -> None:
    (tmp_path / "sqli-forum.txt").write_bytes(
        b"# from a forum\r\n\r\n1%27+or+1%3D1\r\n1 or 1+1=2 %2523\r\n1%27+or+1%3D1\r\n%00\xff\n"
    )
    (tmp_path / "xss-list.txt").write_text("<b onclick=f()>\n")
    (tmp_path / "tbd-xss.txt").write_text("<c>\n<d>\n")
    (tmp_path / "false_positives.txt").write_text("Union+Street\n")
    found = read_libinjection(tmp_path)
    assert [(p.value, p.attack_class) for p in found.attacks] == [
        (b"1' or 1=1", "sqli"),
        (b"1 or 1+1=2 %23", "sqli"),
        (b"\0\xff", "sqli"),
        (b"<b onclick=f()>", "xss"),
    ]
    assert values(found.benign) == [b"Union Street"]
    assert found.left_out == {
        "tbd-xss.txt is neither sqli nor xss": 2,
        "repeats another value": 1,
    }


def test_a_folder_without_attacks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "false_positives.txt").write_text("Union Street\n")
    with pytest.raises(CorpusError, match="libinjection holds no attack"):
        read_libinjection(tmp_path)
