"""Small data sets in the forms of their publishers, made of the shop's traffic."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import orjson
from cnaf.datasets.jsonl import write_jsonl
from cnaf.models.exchange import Exchange, Label

from tests.support.shop import request, shop_traffic

PAYLOADS = (
    "1' UNION SELECT user, password FROM users -- ", "<script>alert(document.cookie)</script>",
    "../../../../etc/passwd", ";cat /etc/passwd", "' or sleep(5)='", "<svg/onload=alert(1)>",
)  # fmt: skip


def shop_attacks() -> tuple[Exchange, ...]:
    """Attacks on the shop in its search field, one ambiguous one and one that fails in a header."""
    made = [
        Exchange(
            f"attack-{i}", f"attack-{i}", Label.ATTACK,
            request("GET", f"/search?q={payload}".replace(" ", "+")),
            meta={"class": kind, "technique": "cmd" if kind == "rce" else "plain"},
        )
        for i, (payload, kind) in enumerate(
            zip(PAYLOADS, ("sqli", "xss", "lfi", "rce", "sqli", "xss"), strict=True)
        )
    ]  # fmt: skip
    unclear = replace(made[0], id="unclear", session="unclear", meta={"ambiguous": True})
    return (*made, unclear)


def write_shop(folder: Path, sessions: int = 40) -> Path:
    """Write a corpus of benign sessions, and attacks beside it; return its folder."""
    folder.mkdir(parents=True)
    write_jsonl(folder / "benign.jsonl", shop_traffic(sessions))
    write_jsonl(folder / "attacks.jsonl", shop_attacks())
    return folder


def write_published(folder: Path) -> Path:
    """Write HttpParams, libinjection's samples and cassettes; return their folder."""
    words = random.Random(0)
    benign = [f"word{words.randint(0, 10**6)}" for _ in range(300)]
    rows = [f"{value},{len(value)},norm,norm" for value in benign]
    rows += [f'"{value}",{len(value)},sqli,anom' for value in PAYLOADS]
    (folder / "httpparams").mkdir(parents=True)
    text = "payload,length,attack_type,label\n" + "\n".join(rows) + "\n"
    (folder / "httpparams" / "payload_full.csv").write_text(text, "utf-8")
    (folder / "libinjection_data").mkdir()
    (folder / "libinjection_data" / "sqli-few.txt").write_text("\n".join(PAYLOADS), "utf-8")
    many = "\n".join(f"1 or {i}={i}" for i in range(200))
    (folder / "libinjection_data" / "sqli-many.txt").write_text(many, "utf-8")
    (folder / "octokit").mkdir()
    for number in range(12):
        (folder / "octokit" / f"case{number}.json").write_bytes(_cassette(number))
    return folder


def _cassette(number: int) -> bytes:
    interactions = [
        {
            "request": {
                "method": "get", "uri": f"https://api.example/repos/{number}/issues?page={page}",
                "body": {"encoding": "UTF-8", "string": ""}, "headers": {"Accept": ["*/*"]},
            },
            "response": {"status": {"code": 200, "message": "OK"}},
        }
        for page in range(4)
    ]  # fmt: skip
    return orjson.dumps({"http_interactions": interactions})
