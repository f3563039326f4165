from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from cnaf.models.errors import ArtifactFormatError
from cnaf.models.tensor_blob import read_tensors, write_tensors

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "a": np.array([1.0, 2.0], np.float32),
    "b": np.array([1, 2, 3], np.uint8),
}
BLOB, TABLE = write_tensors(ARRAYS)
DATA = BLOB[8 + int.from_bytes(BLOB[:8], "little") :]


def blob_with(header: object, data: bytes = DATA, length: int | None = None) -> bytes:
    raw = (
        header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    )
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def row(dtype: object, shape: object, *offsets: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


A, B = row("F32", [2], 0, 8), row("U8", [3], 8, 11)
HOSTILE_BLOBS = {
    "nothing": (b"", "cut off"),
    "half a length": (b"\2\0\0", "cut off"),
    "a length without header": ((2).to_bytes(8, "little"), "cut off"),
    "a header of 100 MB": ((100_000_000).to_bytes(8, "little") + b"{}", "over 65536"),
    "the largest length": (b"\xff" * 8 + b"{}", "over 65536"),
    "a length one short": (blob_with({"a": A, "b": B}, length=10), "cannot be read"),
    "a length into the data": (blob_with(b'{"a":1}', length=9), "cannot be read"),
    "an empty header": (blob_with(b""), "cannot be read"),
    "a list as header": (blob_with([]), "no dict"),
    "no tensors": (blob_with({}), "not those"),
    "a missing tensor": (blob_with({"a": A}), "not those"),
    "an extra tensor": (blob_with({"a": A, "b": B, "c": row("U8", [0], 11, 11)}), "not those"),
    "free text": (blob_with({"__metadata__": {"x": "y"}, "a": A, "b": B}), "not those"),
    "a tensor twice": (
        blob_with(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":1}'), "twice"
    ),
    "a number as tensor": (blob_with({"a": 1, "b": B}), "no dict"),
    "another dtype": (blob_with({"a": row("I32", [2], 0, 8), "b": B}), "dtype and shape"),
    "another shape": (blob_with({"a": row("F32", [1], 0, 8), "b": B}), "dtype and shape"),
    "true as shape": (blob_with({"a": A, "b": row("U8", [3.0], 8, 11)}), "malformed"),
    "no offsets": (blob_with({"a": {"dtype": "F32", "shape": [2]}, "b": B}), "malformed"),
    "swapped offsets": (blob_with({"a": row("F32", [2], 8, 0), "b": B}), "malformed"),
    "negative offsets": (blob_with({"a": row("F32", [2], -8, 0), "b": B}), "malformed"),
    "overlapping tensors": (blob_with({"a": A, "b": row("U8", [3], 0, 3)}), "malformed"),
    "a hole": (blob_with({"a": A, "b": row("U8", [3], 9, 12)}), "malformed"),
    "offsets beyond the end": (blob_with({"a": A, "b": row("U8", [3], 8, 2**52)}), "malformed"),
    "wide offsets": (blob_with({"a": A, "b": row("U8", [3], 8, 2**64)}), "cannot be read"),
    "data cut off": (BLOB[:-1], "11 bytes"),
    "data too long": (BLOB + b"\0", "11 bytes"),
    "white space in the header": (blob_with(json.dumps({"a": A, "b": B}).encode()), "plain form"),
    "a tab as padding": (blob_with(json.dumps({"a": A, "b": B}, separators=(",", ":")).encode()
                                   + b"\t"), "plain form"),
    "other data": (BLOB[:-1] + b"\xff", "tensor b does not have the SHA-256"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_BLOBS)
def test_hostile_blobs_are_refused_with_a_reason(case: str) -> None:
    blob, reason = HOSTILE_BLOBS[case]
    with pytest.raises(ArtifactFormatError, match=reason):
        read_tensors(blob, TABLE)


def table_with(**fields: object) -> dict[str, Any]:
    return {"a": {"dtype": "f4", "shape": [2], "sha256": "0" * 64, **fields}}


HOSTILE_TABLES: dict[str, tuple[Any, str]] = {
    "no table": (None, "tensors is missing"),
    "a path as name": ({"../a": {}}, "named '../a'"),
    "too many": ({f"t{i}": {} for i in range(65)}, "more than 64"),
    "an empty row": ({"a": {}}, "not described"),
    "an extra key": (table_with(more=1), "not described"),
    "objects": (table_with(dtype="O"), "dtype 'O'"),
    "booleans": (table_with(dtype="b1"), "dtype 'b1'"),
    "half-wide floats of 16 bytes": (table_with(dtype="f16"), "dtype 'f16'"),
    "complex numbers": (table_with(dtype="c8"), "dtype 'c8'"),
    "no hash": (table_with(sha256="x"), "no SHA-256"),
    "true as axis": (table_with(shape=[True]), "no int"),
    "a negative axis": (table_with(shape=[-1, -2]), "impossible shape"),
    "a huge axis": (table_with(shape=[2**52]), "impossible shape"),
    "axes that overflow": (table_with(shape=[2**16] * 8), "impossible shape"),
    "an empty axis before huge ones": (table_with(shape=[0, 2**40, 2**40]), "impossible shape"),
    "nine axes": (table_with(shape=[1] * 9), "too many axes"),
    "more bytes than the cap": (table_with(dtype="f8", shape=[2**22]), "too large"),
}


@pytest.mark.parametrize("case", HOSTILE_TABLES)
def test_hostile_tables_are_refused_before_the_blob_is_read(case: str) -> None:
    table, reason = HOSTILE_TABLES[case]
    with pytest.raises(ArtifactFormatError, match=reason):
        read_tensors(b"", table)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite_are_refused(dtype: str, value: float) -> None:
    blob, table = write_tensors({"a": np.array([0.0, value], dtype)})
    with pytest.raises(ArtifactFormatError, match="tensor a holds a number that is not finite"):
        read_tensors(blob, table)


OTHER_ARRAYS = [
    np.array([True]),
    np.array([1j]),
    np.array(["x"]),
    np.array([None]),
    np.array(0, "M8[s]"),
    np.zeros(1, "u1,f4"),
]


@pytest.mark.parametrize("array", OTHER_ARRAYS)
def test_other_dtypes_are_not_written(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ArtifactFormatError, match="dtype"):
        write_tensors({"a": array})


def test_the_caller_keeps_its_own_array() -> None:
    mine = np.arange(6).reshape(2, 3).T
    blob, table = write_tensors({"a": mine})
    read = read_tensors(blob, table)["a"]
    mine[0, 0] = 99
    assert read.tolist() == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(ValueError, match="read-only"):
        read[0, 0] = 1
