"""HttpParams: values of parameters, benign and hostile, each as one field of one endpoint.

The file says nothing of where a value stood, so all stand in the same query parameter; what a
model learns of that field is all that it can know.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from cnaf.evaluation.data_set import DataSet
from cnaf.evaluation.packed import read_packed
from cnaf.models.errors import CorpusError
from cnaf.models.exchange import Exchange, Label, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_httpparams"]

_FILE = "payload_full.csv"
_COLUMNS = ["payload", "length", "attack_type", "label"]
_LABELS = {"norm": Label.BENIGN, "anom": Label.ATTACK}


def read_httpparams(path: Path) -> DataSet:
    """Read the CSV, plain or .xz; ``path`` is the file or its folder.

    Each value is a session of its own, so folds are at random and the same on each run. Raises
    CorpusError where the file is not this CSV.
    """
    file = path / _FILE if path.is_dir() else path
    try:
        text = read_packed(file).decode("utf-8")
        rows = list(_rows(text))
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise CorpusError(
            f"{file} is not the CSV of HttpParams: {error}",
            hint=f"expected UTF-8 with the columns {', '.join(_COLUMNS)}",
        ) from None
    seen: set[tuple[Label, str]] = set()
    exchanges: list[Exchange] = []
    for value, attack_class, label in rows:
        if (label, value) not in seen:
            seen.add((label, value))
            exchanges.append(_exchange(len(exchanges) + 1, value, attack_class, label))
    return DataSet(
        "HttpParams",
        tuple(e for e in exchanges if e.label is Label.BENIGN),
        tuple(e for e in exchanges if e.label is Label.ATTACK),
        left_out={"repeats another value": len(rows) - len(exchanges)},
    )


def _rows(text: str) -> Iterator[tuple[str, str, Label]]:
    # A backslash stands for the character after it; the column of lengths agrees.
    reader = csv.reader(io.StringIO(text, newline=""), escapechar="\\", strict=True)
    if next(reader, None) != _COLUMNS:
        raise ValueError("line 1 does not name the columns")
    for row in reader:
        if len(row) != len(_COLUMNS) or row[3] not in _LABELS:
            raise ValueError(f"line {reader.line_num} is no row of 4 with the label norm or anom")
        yield row[0], row[2], _LABELS[row[3]]


def _exchange(number: int, value: str, attack_class: str, label: Label) -> Exchange:
    name = f"httpparams:{number:05d}"
    target = b"/?value=" + quote_plus(value, safe="").encode()
    meta = {"class": attack_class, "field": "query:value"} if label is Label.ATTACK else {}
    return Exchange(name, name, label, Request("GET", target, ()), meta=meta)
