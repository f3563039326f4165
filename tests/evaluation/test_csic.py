from __future__ import annotations

import lzma
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from cnaf.evaluation.csic import read_csic
from cnaf.evaluation.data_set import DataSet, Kind
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Label

SHOP = "http://localhost:8080"
LOGIN = "/shop/login.jsp"
NORMAL = [
    ("GET", "/shop/logo.gif", ""),
    ("POST", LOGIN, "user=ann&city=A+Coru%F1a"),
    ("POST", LOGIN, "user=bob.x&city=L%27Escala"),
]


def raw(method: str, target: str, body: str = "", session: str = "A1", end: str = "\r\n") -> bytes:
    lines = [
        f"{method} {SHOP}{target} HTTP/1.1",
        "User-Agent: Generator/1.0",
        "Host: localhost:9090",
        f"Cookie: JSESSIONID={session}",
    ]
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return (end.join([*lines, "", body]) + end + end * bool(body)).encode()


def write(folder: Path, anomalies: list[bytes], end: str = "\r\n") -> Path:
    normal = b"".join(raw(*request, session=f"N{i}") for i, request in enumerate(NORMAL))
    (folder / "normalTrafficTraining.txt").write_bytes(normal)
    (folder / "normalTrafficTest.txt.xz").write_bytes(lzma.compress(raw(*NORMAL[1], end=end)))
    (folder / "anomalousTrafficTest.txt").write_bytes(b"".join(anomalies))
    return folder


def judged(tmp_path: Path, anomaly: bytes) -> tuple[object, object]:
    [exchange] = read_csic(write(tmp_path, [anomaly])).attacks
    assert exchange.label is Label.ATTACK
    return exchange.meta["kind"], exchange.meta["class"]


def login(**fields: str) -> bytes:
    body = "&".join(
        f"{n}={quote_plus(v, encoding='latin-1')}" for n, v in ({"user": "ann"} | fields).items()
    )
    return raw("POST", LOGIN, body)


def test_requests_become_exchanges_without_what_the_generator_made(tmp_path: Path) -> None:
    data = read_csic(write(tmp_path, [login(user="<b>"), raw("GET", "/.old")], end="\n"))
    assert isinstance(data, DataSet)
    assert [len(part) for part in (data.train, data.benign, data.attacks)] == [3, 1, 2]
    assert [e.session for e in data.train] == ["N0", "N1", "N2"]
    [held_out] = data.benign
    assert held_out.request.method == "POST"
    assert held_out.request.target == LOGIN.encode()
    assert held_out.request.body == b"user=ann&city=A+Coru%F1a"
    assert held_out.request.headers == (
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"24"),
    )
    everything = data.train + data.benign + data.attacks
    assert len({e.id for e in everything}) == len(everything)


def test_the_same_parameters_twice_in_a_row_are_one_session(tmp_path: Path) -> None:
    query = raw("GET", f"{LOGIN}?user=ann", session="A")
    body = raw("POST", LOGIN, "user=ann", session="B")
    other = raw("POST", LOGIN, "user=bob", session="C")
    sessions = [e.session for e in read_csic(write(tmp_path, [query, body, other])).attacks]
    assert sessions == ["A", "A", "C"]
    three = [raw("GET", f"{LOGIN}?user=ann", session=name) for name in ("A", "B", "C")]
    sessions = [e.session for e in read_csic(write(tmp_path, three)).attacks]
    assert sessions == ["A", "A", "C"]


def test_what_follows_the_port_is_the_path(tmp_path: Path) -> None:
    anomaly = raw("GET", ".old")
    [exchange] = read_csic(write(tmp_path, [anomaly])).attacks
    assert exchange.request.target == b"/.old"


@pytest.mark.parametrize(
    ("anomaly", "kind", "attack_class"),
    [
        (raw("GET", "/shop/logo.gif.bak"), Kind.ATTACK, "forced-browsing"),
        (raw("PUT", LOGIN, "user=ann&city=Lugo"), Kind.ATTACK, "method"),
        (login(city="<script>"), Kind.ATTACK, "injection"),
        (login(city="x' OR 1"), Kind.ATTACK, "injection"),
        (login(city="x' DELETE FROM users"), Kind.ATTACK, "injection"),
        (login(city="x'--"), Kind.ATTACK, "injection"),
        (login(city="%00"), Kind.ATTACK, "injection"),
        (login(city="a" * 200), Kind.ATTACK, "overlong"),
        (login(**{"ci<ty": "Lugo"}), Kind.ATTACK, "injection"),
        (login(cityA="Lugo"), Kind.RENAMED, "renamed"),
        (login(cityA="<script>"), Kind.ATTACK, "injection"),
        (login(city="Lu+g?o"), Kind.TYPO, "typo"),
        (login(city="Carrer d' Entença"), Kind.TYPO, "typo"),
        (login(user="an'n/"), Kind.TYPO, "typo"),
    ],
)
def test_attacks_typos_and_renamed_fields_are_told_apart(
    tmp_path: Path, anomaly: bytes, kind: Kind, attack_class: str
) -> None:
    assert judged(tmp_path, anomaly) == (kind, attack_class)


def test_attacks_of_one_kind_can_be_asked_for(tmp_path: Path) -> None:
    data = read_csic(write(tmp_path, [login(city="<b>"), login(cityA="Lugo"), login(city="L?")]))
    assert [len(data.attacks_of(kind)) for kind in Kind] == [1, 1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GET /relative HTTP/1.1\r\nHost: x\r\n\r\n", "request 1 at byte 0 is no raw HTTP/1"),
        (raw("GET", "/") + b"<html>", "request 2 at byte"),
        (raw("POST", LOGIN, "user=ann")[:-8], "cut short"),
        (raw("POST", LOGIN, "user=ann").replace(b": 8", b": -8"), "is no number"),
    ],
)
def test_what_is_no_raw_request_is_refused_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    write(tmp_path, [content])
    with pytest.raises(CorpusError, match=message):
        read_csic(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="normalTrafficTraining"):
        read_csic(tmp_path)
