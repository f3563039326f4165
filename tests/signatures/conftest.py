"""One compiled engine for all tests, and requests made of fields."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from cnaf.models.fields import SEPARATOR, Field, ParsedRequest
from cnaf.signatures.engine import SignatureEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@pytest.fixture(scope="session")
def engine() -> SignatureEngine:
    return SignatureEngine.load()


@pytest.fixture(scope="session")
def make_request() -> Callable[[Sequence[Field]], ParsedRequest]:
    """Return a request of the given fields, laid out as the parser lays them out."""

    def make(fields: Sequence[Field]) -> ParsedRequest:
        values = [field.value for field in fields]
        starts = list(accumulate((len(value) + 1 for value in values), initial=0))[:-1]
        return ParsedRequest("GET", "/", list(fields), [], SEPARATOR.join(values), starts, 0)

    return make
