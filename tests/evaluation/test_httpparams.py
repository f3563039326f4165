from __future__ import annotations

import csv
import io
import lzma
from pathlib import Path

import pytest
from cnaf.evaluation.httpparams import read_httpparams
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Label
from cnaf.models.fields import Location
from cnaf.models.limits import Limits
from cnaf.models.parsing import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

HEAD = '"payload","length","attack_type","label"\n'
ROWS = (
    '"calle mayor 3","13","norm","norm"\n'
    '"1\' or 1=1 -- ","13","sqli","anom"\n'
    '"calle mayor 3","13","norm","norm"\n'
    '"say ""hi"" \\\\o/","12","xss","anom"\n'
)


def values(path: Path) -> list[bytes]:
    data = read_httpparams(path)
    parser = RequestParser(Limits(decode_rounds=0))
    parsed = [parser.parse(e.request).fields for e in (*data.benign, *data.attacks)]
    return [f.value for fields in parsed for f in fields if f.location is Location.QUERY]


def test_each_value_is_one_parameter_and_one_session(tmp_path: Path) -> None:
    file = tmp_path / "payload_full.csv"
    file.write_text(HEAD + ROWS)
    data = read_httpparams(file)
    assert [e.request.target for e in data.benign] == [b"/?value=calle+mayor+3"]
    assert [e.meta["class"] for e in data.attacks] == ["sqli", "xss"]
    assert values(file) == [b"calle mayor 3", b"1' or 1=1 -- ", b'say "hi" \\o/']
    assert {e.label for e in data.attacks} == {Label.ATTACK}
    assert len({e.session for e in (*data.benign, *data.attacks)}) == 3
    assert data.left_out == {"repeats another value": 1}


def test_the_folder_will_do_and_so_will_a_packed_file(tmp_path: Path) -> None:
    (tmp_path / "payload_full.csv.xz").write_bytes(lzma.compress((HEAD + ROWS).encode()))
    assert len(read_httpparams(tmp_path).attacks) == 2
    assert read_httpparams(tmp_path) == read_httpparams(tmp_path / "payload_full.csv.xz")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"))))
def test_every_value_arrives_as_it_is_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, escapechar="\\", lineterminator="\n")
    for text in texts:
        writer.writerow([text, len(text), "norm", "norm"])
    file = tmp_path_factory.mktemp("csv") / "payload_full.csv"
    file.write_bytes((HEAD + buffer.getvalue()).encode())
    assert values(file) == [text.encode() for text in dict.fromkeys(texts)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROWS, "line 1 does not name the columns"),
        (HEAD + '"a","1","norm"\n', "line 2 is no row of 4"),
        (HEAD + '"a","1","norm","maybe"\n', "line 2 is no row of 4"),
        (HEAD + '"a', "is not the CSV"),
    ],
)
def test_another_csv_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "values.csv"
    file.write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_httpparams(file)
    file.write_bytes(HEAD.encode() + b'"\xff","1","norm","norm"\n')
    with pytest.raises(CorpusError, match="is not the CSV"):
        read_httpparams(file)
