"""Whatever a file holds, a reader gives exchanges or a CorpusError, and nothing else."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cnaf.datasets.corpus import open_corpus
from cnaf.datasets.har import read_har
from cnaf.datasets.jsonl import decode_exchange, encode_exchange
from cnaf.datasets.problems import ProblemLog
from cnaf.datasets.wire import BrokenError
from cnaf.models.errors import CorpusError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

GENERATOR = Path(__file__).parents[1] / "data" / "hostile_corpora" / "generate.py"
CASES = runpy.run_path(str(GENERATOR))["CASES"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_with_a_reason_and_a_next_step(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = tmp_path / case.file
    path.write_bytes(case.content())
    with pytest.raises(CorpusError) as caught:
        list(open_corpus([path]))
    assert case.words in caught.value.message.lower()
    assert case.file in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 1000


def spoil(document: object, data: st.DataObject) -> object:
    """Replace one node of a document by junk."""
    document = copy.deepcopy(document)
    node: Any = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            node[key] = data.draw(junk)
            return document
        node = inner


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_wrong_type_anywhere_in_an_entry(
    entry: Callable[..., dict[str, object]], tmp_path: Path, data: st.DataObject
) -> None:
    params = [{"name": "a", "value": "1", "fileName": "x", "contentType": "y"}]
    post = {"mimeType": "multipart/form-data; boundary=B", "params": params}
    good = entry({"_label": "benign", "_tag": "t"}, method="POST", postData=post, bodySize=3)
    path = tmp_path / "x.har"
    path.write_bytes(orjson.dumps({"log": {"entries": [good, spoil(good, data)]}}))
    log = ProblemLog()
    exchanges = list(read_har(path, problems=log))
    assert len(exchanges) + log.count == 2
    for exchange in exchanges:
        assert decode_exchange(encode_exchange(exchange)) == exchange


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_wrong_type_anywhere_in_a_line(
    line: Callable[..., dict[str, object]], data: st.DataObject
) -> None:
    answer = {"status": 200, "headers": [["a", "b"]]}
    top: dict[str, object] = {"response": answer, "meta": {"class": "x"}}
    record = spoil(line(top, version="1.1", headers=[["a", {"base64": "YQ=="}]]), data)
    try:
        exchange = decode_exchange(orjson.dumps(record))
    except BrokenError:
        return
    assert decode_exchange(encode_exchange(exchange)) == exchange


@given(st.binary(max_size=60))
def test_any_bytes_as_a_line(raw: bytes) -> None:
    with pytest.raises(BrokenError):
        decode_exchange(raw)
