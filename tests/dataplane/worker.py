"""An agent in a process of its own: blocks /attack, watches /watched.

    worker.py SOCKET [GATE]     does not listen before the file GATE is there

What it is told about responses stands in SOCKET.responses: ``own`` where it had asked, ``lost``
where another worker had.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cnaf.dataplane.agent import run_agent
from cnaf.dataplane.handler import PASS, Decision
from cnaf.models.exchange import Request, Response


class Guard:
    def __init__(self, log: Path) -> None:
        self._log = log
        self._watched: set[str] = set()

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        if request.target == b"/watched":
            self._watched.add(unique_id)
            return Decision(watch=True)
        return Decision(block=True, event_id="E-1") if request.target == b"/attack" else PASS

    def on_response(self, unique_id: str, response: Response) -> None:
        whose = "own" if unique_id in self._watched else "lost"
        with self._log.open("a") as log:
            log.write(f"{whose} {response.status}\n")


if __name__ == "__main__":
    while len(sys.argv) > 2 and not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    run_agent(Guard(Path(sys.argv[1] + ".responses")), Path(sys.argv[1]))
