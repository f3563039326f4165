"""One compiled engine for all tests, and requests made of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cnaf.signatures.engine import SignatureEngine
from cnaf.signatures.rule_samples import request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnaf.models.fields import Field, ParsedRequest


@pytest.fixture(scope="session")
def engine() -> SignatureEngine:
    return SignatureEngine.load()


@pytest.fixture(scope="session")
def make_request() -> Callable[[Sequence[Field]], ParsedRequest]:
    return request_of
