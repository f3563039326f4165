"""A decision is safe to show."""

from __future__ import annotations

import pytest
from cnaf.dataplane.handler import PASS, Decision


def test_to_pass_is_neither_to_block_nor_to_watch() -> None:
    assert Decision() == PASS == Decision(block=False, event_id="", watch=False)


@pytest.mark.parametrize("event_id", ["", "01HX-7_a.b", "x" * 64])
def test_event_ids(event_id: str) -> None:
    assert Decision(block=True, event_id=event_id).event_id == event_id


@pytest.mark.parametrize(
    "event_id", ["x" * 65, "a b", "<b>", '"', "a\r\nSet-Cookie: b", "a\n", "é", "%[src]", "\0"]
)
def test_what_would_need_escaping_is_refused(event_id: str) -> None:
    with pytest.raises(ValueError, match="is not an event id"):
        Decision(block=True, event_id=event_id)
