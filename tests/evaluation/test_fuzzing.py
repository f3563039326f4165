from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from cnaf.evaluation.fuzz_seeds import Seeds, find_seeds
from cnaf.evaluation.fuzzing import Fuzzer
from cnaf.evaluation.payload_lists import read_payload_lists
from cnaf.evaluation.request_mutations import OPERATORS, mutate_request
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_rules import write_stages
from tests.support.published import PAYLOADS, write_published
from tests.support.shop import shop_traffic

SHOP = tuple(exchange.request for exchange in shop_traffic(5))
SEEDS = Seeds({"shop": SHOP}, {"few": [payload.encode() for payload in PAYLOADS]})


def test_a_seed_and_a_number_make_a_request() -> None:
    first, second, other = Fuzzer(SEEDS, 1), Fuzzer(SEEDS, 1), Fuzzer(SEEDS, 2)
    made = [first.request(number) for number in range(60)]
    assert [second.request(number) for number in reversed(range(60))] == made[::-1]
    assert [other.request(number) for number in range(60)] != made
    assert len(set(made)) > 50


def test_strings_reach_every_kind_of_place() -> None:
    fuzzer = Fuzzer(Seeds({"shop": SHOP}, {"one": [b"needle"]}))
    made = [fuzzer.request(number) for number in range(900)]
    found = set()
    for request in made:
        found |= {"path"} if b"needle" in request.target.partition(b"?")[0] else set()
        found |= {"query"} if b"needle" in request.target.partition(b"?")[2] else set()
        found |= {name.decode("latin-1") for name, value in request.headers if b"needle" in value}
        if b"needle" in request.body:
            media_type = (request.header(b"content-type") or b"").partition(b";")[0]
            found.add(media_type.decode("latin-1"))
    assert found >= {
        "path", "query", "cookie", "referer", "user-agent", "application/json", "text/xml",
        "application/x-www-form-urlencoded", "multipart/form-data",
    }  # fmt: skip


REQUESTS = st.builds(
    lambda target, headers, body: Request("POST", b"/" + target, headers, body, len(body)),
    st.binary(max_size=50).filter(lambda target: not set(b"\r\n\0") & set(target)),
    st.tuples(st.tuples(st.just(b"content-type"), st.sampled_from([
        b"application/json", b"text/xml", b"multipart/form-data; boundary=b", b"",
    ]))),
    st.binary(max_size=50),
)  # fmt: skip


@pytest.mark.parametrize("at", range(len(OPERATORS)))
@settings(deadline=None, max_examples=20)
@given(request=REQUESTS, seed=st.integers(0, 1000))
def test_every_change_gives_a_request(at: int, request: Request, seed: int) -> None:
    changed = OPERATORS[at](request, Random(seed))
    assert changed.target
    assert not set(b"\r\n\0") & set(changed.target)
    assert not any(set(b"\r\n\0") & set(value) for _, value in changed.headers)
    assert changed.body_size == len(changed.body) <= 65_536
    assert changed == OPERATORS[at](request, Random(seed))


def test_rounds_change_more() -> None:
    request = SHOP[0]
    assert mutate_request(request, Random(1), 0) == request
    assert mutate_request(request, Random(1), 20) != request


def test_seeds_are_whatever_is_found(tmp_path: Path) -> None:
    data = write_published(tmp_path)
    write_stages(data / "crs_tests")
    lists = data / "payloadsallthethings" / "SQL Injection"
    lists.mkdir(parents=True)
    (lists / "words.txt").write_text("' or 1=1\n\n' or 2=2\n", "utf-8")
    found = find_seeds(data)
    assert {"crs-tests", "httpparams, attacks", "octokit, benign"} <= found.requests.keys()
    assert {"libinjection", "payload lists", "recorded attacks"} == found.payloads.keys()


def test_the_recorded_corpus_is_enough() -> None:
    found = find_seeds(None)
    assert found.requests.keys() == {"wordpress, benign", "wordpress, attacks"}
    assert len(found.payloads["recorded attacks"]) > 100


def test_nothing_to_make_requests_of_is_said() -> None:
    with pytest.raises(CorpusError, match="no requests, or no attack strings"):
        Seeds({"shop": SHOP}, {})


def test_word_lists_are_read_by_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lists" / "XSS"
    folder.mkdir(parents=True)
    (tmp_path / "lists" / "LFI").mkdir()
    (tmp_path / "lists" / "LFI" / "a.txt").write_text("../x\n" + "y" * 3000, "utf-8")
    (folder / "README.md").write_text("prose\n```js\nalert(1)\n```\nmore prose\n", "utf-8")
    (folder / "a.svg").write_text("<svg\nonload=alert(1)>", "utf-8")
    found = read_payload_lists(tmp_path / "lists")
    assert [(p.attack_class, p.value) for p in found.attacks] == [
        ("LFI", b"../x"), ("XSS", b"alert(1)"), ("XSS", b"<svg\nonload=alert(1)>"),
    ]  # fmt: skip
    assert found.left_out == {"is longer than 2048 bytes": 1}
