"""JSON of which one reading exists: bounded, without duplicate keys, NaN, or broken text.

Reading is for hostile bytes: depth and count are checked before anything is allocated from them.
Writing is the canonical form of RFC 8785, so that the same value has the same bytes and digest.
Both raise ValueError with the reason; the caller knows which file it was and wraps it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

import numpy as np
import orjson
import rfc8785

__all__ = ["JSON", "canonical_json", "parse_json"]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

# The closing quote is optional, so that an unclosed string is walked once, not once a quote.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NESTING = np.zeros(256, np.int8)
_NESTING[[ord("["), ord("{")]] = 1
_NESTING[[ord("]"), ord("}")]] = -1


def parse_json(data: bytes, *, depth: int = 32, values: int = 1_000_000) -> JSON:
    """Return the value that ``data`` spells in UTF-8.

    Raises ValueError where it nests deeper than ``depth``, holds more than ``values`` values,
    names a key twice, holds a number outside of what every reader agrees on (integers of 53 bits,
    finite floats; RFC 7493), or is no JSON.

    >>> parse_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    _check_outline(_STRING.sub(b"", data), depth, values)
    value: JSON = json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_float=_finite,
    )
    try:
        # In C, so it is the cheap way to find wide integers and lone surrogates.
        orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return value


def canonical_json(value: JSON) -> bytes:
    """Return the canonical bytes (RFC 8785) of a value made of dict, list, tuple and scalars.

    Raises ValueError for what JSON cannot say: NaN, integers over 53 bits, other types.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    try:
        return rfc8785.dumps(value)
    except RecursionError as error:
        raise ValueError("it nests too deeply") from error


def _check_outline(outline: bytes, depth: int, values: int) -> None:
    """Bound depth and count by the brackets and commas outside of strings."""
    if sum(map(outline.count, (b",", b"[", b"{"))) >= values:
        raise ValueError(f"it holds more than {values} values")
    steps = _NESTING[np.frombuffer(outline, np.uint8)]
    if int(steps.cumsum(dtype=np.int64).max(initial=0)) > depth:
        raise ValueError(f"it nests deeper than {depth}")


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("it names a key twice")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
