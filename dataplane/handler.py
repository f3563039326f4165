"""What the data plane asks of whoever decides: the one seam between HAProxy and the enforcer.

The agent calls a handler from its event loop, one call at a time, so a handler needs no locks and
must not block. A handler that raises has taken no decision: the failure is counted and the request
gets what the fail mode of its proxy says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cnaf.models.exchange import Request, Response

__all__ = ["PASS", "Decision", "Handler"]

# An event id is shown on the block page and in a header, so nothing in it may need escaping.
_EVENT_ID = re.compile(r"[A-Za-z0-9._-]{0,64}")


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one request.

    ``block`` answers with the block page, which shows ``event_id`` (at most 64 letters, digits,
    dots, dashes and underscores; ValueError otherwise). ``watch`` asks for the response too.
    """

    block: bool = False
    event_id: str = ""
    watch: bool = False

    def __post_init__(self) -> None:
        if not _EVENT_ID.fullmatch(self.event_id):
            raise ValueError(f"{self.event_id[:80]!r} is not an event id")


#: The common answer, made once.
PASS = Decision()


class Handler(Protocol):
    """Decides about requests and, where it asked for them, sees their responses."""

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        """Decide about one request of the client with this address (IPv4 or IPv6 text).

        ``unique_id`` names the exchange within this proxy and all its restarts.
        """
        ...

    def on_response(self, unique_id: str, response: Response) -> None:
        """Take the app's answer to the request with this ``unique_id``."""
        ...
