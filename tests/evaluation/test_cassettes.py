from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest
from cnaf.evaluation.cassettes import read_cassettes
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Label


def interaction(uri: str = "https://api.shop.test/carts?page=1", **request: object) -> object:
    return {
        "request": {
            "method": "post",
            "uri": uri,
            "body": {"encoding": "UTF-8", "string": ""},
            "headers": {"Accept": ["application/json"], "Authorization": ["token <TOKEN>"]},
            **request,
        },
        "response": {"status": {"code": 201, "message": "Created"}, "headers": {}},
    }


def write(folder: Path, **cassettes: object) -> Path:
    for name, interactions in cassettes.items():
        file = folder / f"Client_{name}" / "works.json"
        file.parent.mkdir(parents=True)
        file.write_bytes(orjson.dumps({"http_interactions": interactions}))
    return folder


def test_an_interaction_is_a_benign_exchange_and_a_cassette_a_session(tmp_path: Path) -> None:
    text = base64.encodebytes(b'{"name":"<NAME>"}').decode()
    body = {"encoding": "ASCII-8BIT", "base64_string": text}
    data = read_cassettes(write(tmp_path, carts=[interaction(), interaction(body=body)], users=[
        interaction("<<HOSTNAME>>admin/users#top", method="GET")
    ]))  # fmt: skip
    first, second, third = data.benign
    assert (first.id, first.session, first.label) == (
        "Client_carts/works#001", "Client_carts/works", Label.BENIGN,
    )  # fmt: skip
    assert first.session == second.session != third.session
    assert (first.request.method, first.request.target) == ("POST", b"/carts?page=1")
    assert first.request.headers == ((b"accept", b"application/json"),)
    assert first.response is not None
    assert first.response.status == 201
    assert second.request.body == b'{"name":"<NAME>"}'
    assert third.request.target == b"/admin/users"
    assert not data.attacks


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (interaction("https://shop.test/a b"), "target holds a space"),
        (interaction(body={"base64_string": "a"}), "request.body is not base64"),
        (interaction(method="no token"), "is not a token"),
        (interaction(headers={"Accept": "text"}), "header Accept is of type str"),
        ({"request": None}, "request is missing"),
    ],
)
def test_what_no_client_can_have_sent_is_counted_by_its_reason(
    tmp_path: Path, broken: object, reason: str
) -> None:
    data = read_cassettes(write(tmp_path, carts=[broken, interaction()]))
    assert len(data.benign) == 1
    [(told, count)] = data.left_out.items()
    assert reason in told
    assert count == 1


@pytest.mark.parametrize("content", [b"no json", b"[]", b'{"interactions":[]}'])
def test_a_file_that_is_no_cassette_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "works.json").write_bytes(content)
    with pytest.raises(CorpusError, match=r"works\.json is no cassette"):
        read_cassettes(tmp_path)


def test_cassettes_without_an_interaction_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no interaction"):
        read_cassettes(write(tmp_path, carts=[]))
