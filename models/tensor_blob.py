"""Named arrays as one safetensors blob, and the table that says what must be in it.

The blob and the table come from different files and are held against each other. The header is
read here first, with caps of ours, and by the library only then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cnaf.models.refusals import blamed_on, of_type, refused, require, text_of
from cnaf.models.strict_json import JSON, parse_json
from safetensors import SafetensorError
from safetensors.numpy import load, save

__all__ = ["MAX_BYTES", "read_tensors", "write_tensors"]

#: Arrays of one artifact; those of WordPress take under 500 KB.
MAX_BYTES: Final = 16 << 20
#: The format itself allows 100 MB. A tensor takes about 70 bytes in it.
_MAX_HEADER = 64 << 10
_MAX_TENSORS = 64
_MAX_DIMENSIONS = 8
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HEX = re.compile(r"[0-9a-f]{64}")
#: What scoring uses, by the names of numpy and of safetensors.
_DTYPES: Final[Mapping[str, str]] = {
    "u1": "U8", "i1": "I8", "u2": "U16", "i2": "I16", "u4": "U32", "i4": "I32",
    "u8": "U64", "i8": "I64", "f2": "F16", "f4": "F32", "f8": "F64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def size(self) -> int:
        return prod(self.shape) * int(self.dtype[1])


def write_tensors(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[bytes, dict[str, JSON]]:
    """Return the blob and its table {name: {dtype, shape, sha256}}, the same for the same arrays.

    Raises ArtifactFormatError for names, dtypes and shapes that would not be read.
    """
    # The library takes it for granted that arrays are dense; it writes memory as it is.
    dense = {
        name: np.array(array, array.dtype.newbyteorder("<"), order="C")
        for name, array in arrays.items()
    }
    table: dict[str, JSON] = {
        name: {
            "dtype": array.dtype.str[1:],
            "shape": list(array.shape),
            "sha256": sha256(array.tobytes()).hexdigest(),
        }
        for name, array in dense.items()
    }
    _table(table)
    return save(dense), table


def read_tensors(blob: bytes, described: JSON) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays, read-only, if the blob holds exactly what the table describes.

    Raises ArtifactFormatError where it does not, or where a float is not finite.
    """
    table = _table(described)
    _check_header(blob, table)
    try:
        arrays = load(blob)
    except (SafetensorError, ValueError) as error:
        raise refused(f"its tensors are malformed: {error}") from error
    for name, array in arrays.items():
        same = sha256(array.tobytes()).hexdigest() == table[name].sha256
        require(same, f"the tensor {name} does not have the SHA-256 that the metadata gives")
        finite = array.dtype.kind != "f" or bool(np.isfinite(array).all())
        require(finite, f"the tensor {name} holds a number that is not finite")
        array.setflags(write=False)
    return arrays


def _table(described: JSON) -> dict[str, _Tensor]:
    rows = of_type(described, dict, "tensors")
    require(len(rows) <= _MAX_TENSORS, f"it has more than {_MAX_TENSORS} tensors")
    table = {name: _tensor(name, row) for name, row in rows.items()}
    require(sum(t.size for t in table.values()) <= MAX_BYTES, "its tensors are too large")
    return table


def _tensor(name: str, described: JSON) -> _Tensor:
    require(bool(_NAME.fullmatch(name)), f"a tensor is named {name[:64]!r}")
    row = of_type(described, dict, name)
    require(row.keys() == {"dtype", "shape", "sha256"}, f"its {name} is not described")
    dtype, digest = text_of(row, "dtype"), text_of(row, "sha256")
    require(dtype in _DTYPES, f"the tensor {name} has the dtype {dtype[:16]!r}")
    require(bool(_HEX.fullmatch(digest)), f"the tensor {name} has no SHA-256")
    axes = of_type(row["shape"], list, f"shape of {name}")
    require(len(axes) <= _MAX_DIMENSIONS, f"the tensor {name} has too many axes")
    shape = tuple(of_type(axis, int, f"shape of {name}") for axis in axes)
    # An empty axis must not hide others that overflow.
    possible = min(shape, default=0) >= 0 and prod(max(1, n) for n in shape) <= MAX_BYTES
    require(possible, f"the tensor {name} has an impossible shape")
    return _Tensor(dtype, shape, digest)


def _check_header(blob: bytes, table: Mapping[str, _Tensor]) -> None:
    """Check all but the offsets: the library checks that they follow each other and cover it."""
    length = int.from_bytes(blob[:8], "little")
    require(length <= _MAX_HEADER, f"its tensors' header is over {_MAX_HEADER} bytes")
    raw = blob[8 : 8 + length]
    require(len(blob) >= 8 and len(raw) == length, "its tensors are cut off in the header")
    with blamed_on("its tensors' header"):
        header = of_type(parse_json(raw, depth=3, values=_MAX_HEADER), dict, "tensors' header")
    require(header.keys() == table.keys(), "its tensors are not those that the metadata lists")
    for name, tensor in table.items():
        row = of_type(header[name], dict, name)
        same = row.get("dtype") == _DTYPES[tensor.dtype] and row.get("shape") == list(tensor.shape)
        require(same, f"the tensor {name} has not the dtype and shape that the metadata gives")
    # One spelling only: otherwise white space would be a place where damage goes unseen.
    plain = json.dumps(header, separators=(",", ":")).encode()
    require(raw.rstrip(b" ") == plain, "its tensors' header is not in its plain form")
    size = sum(tensor.size for tensor in table.values())
    require(len(blob) - 8 - length == size, f"its tensors do not take the {size} bytes listed")
