"""One inspection worker: the pipeline behind HAProxy, as a process of its own.

    python -m cnaf.enforcer.worker SETTINGS SOCKET

``SETTINGS`` is a JSON file written by whoever starts the data plane; it, the model and the rules
next to it are all that a worker needs, so a registry that is away stops no restart.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cnaf.dataplane.agent import run_agent
from cnaf.dataplane.handler import PASS, Decision
from cnaf.enforcer.alerts import make_alert, new_event_id
from cnaf.enforcer.pipeline import Inspector
from cnaf.enforcer.settings import WorkerSettings, read_model, read_rules, read_settings
from cnaf.enforcer.spool import SpoolWriter
from cnaf.models.errors import ArtifactError, CnafError
from cnaf.models.exchange import Request
from cnaf.models.verdict import Action
from cnaf.signatures.engine import SignatureEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnaf.models.exchange import Response
    from cnaf.models.request_model import RequestModel
    from cnaf.signatures.sets.matching import RequestRules

__all__ = ["InspectionHandler", "main"]

_log = logging.getLogger(__name__)

#: Alerted requests whose answer is awaited; an app that never answers must not fill the memory.
_AWAITED = 4096
#: Hashes of passed requests that are remembered, requests themselves, and the size of target and
#: body up to which one is: with headers of a usual length some 4 MB.
_SEEN, _REMEMBERED, _REMEMBERED_BYTES = 65_536, 2048, 2048


class InspectionHandler:
    """Decides by the pipeline and writes alerts; what the data plane calls a handler.

    The pipeline is a pure function of the request, so one that passed once passes again, byte for
    byte: services that poll each other, health checks and reloads repeat themselves all day. Where
    registered rules look at the client's address, that is part of what is remembered; where they
    look at the clock, nothing is.
    """

    def __init__(
        self, inspector: Inspector, spool: SpoolWriter, *, image: str, subject: str
    ) -> None:
        self._inspector = inspector
        self._spool = spool
        self._image = image
        self._subject = subject
        self._awaited: OrderedDict[str, str] = OrderedDict()
        self._seen: set[int] = set()
        self._passed: dict[int, object] = {}
        rules = inspector.rules
        self._by_client = rules is not None and rules.by_client
        self._remembers = rules is None or not rules.by_clock

    def on_request(self, request: Request, client: str, unique_id: str) -> Decision:
        """Inspect one request; whatever is not passed leaves an alert before it is answered."""
        known: object = (request, client) if self._by_client else request
        key = hash(known)
        if self._passed.get(key) == known:
            return PASS
        verdict = self._inspector.inspect(request, client)
        if verdict.action is Action.PASS:
            self._remember(key, known, request)
            return PASS
        event_id = new_event_id()
        alert = make_alert(
            event_id, datetime.now(UTC), request, client, verdict,
            image=self._image, subject=self._subject,
        )  # fmt: skip
        self._spool.append(alert)
        if verdict.action is Action.BLOCK:
            return Decision(block=True, event_id=event_id)
        self._awaited[unique_id] = event_id
        if len(self._awaited) > _AWAITED:
            self._awaited.popitem(last=False)
        return Decision(event_id=event_id, watch=True)

    def _remember(self, key: int, known: object, request: Request) -> None:
        """Keep a request that passed, from its second time on: most never come again."""
        if not self._remembers:
            return
        if key not in self._seen:
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            self._seen.add(key)
        elif len(request.target) + len(request.body) <= _REMEMBERED_BYTES:
            if len(self._passed) >= _REMEMBERED:
                self._passed.clear()
            self._passed[key] = known

    def on_response(self, unique_id: str, response: Response) -> None:
        """Note what the app answered to a request that was alerted on."""
        event_id = self._awaited.pop(unique_id, None)
        if event_id is not None:
            self._spool.outcome(event_id, response.status)


def warm(inspector: Inspector) -> None:
    """Run everything that a request may need once, so that no client waits for compilation.

    The request is one that is blocked whatever the policy knows, for then it is explained, too.
    """
    request = Request("TRACE", b"/warm/1?q=%3Cscript%3E%27", ((b"host", b"warm"),))
    verdict = inspector.inspect(request)
    make_alert(new_event_id(), datetime.now(UTC), request, "::1", verdict, image="", subject="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; returns the exit code."""
    settings_file, socket_path = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    socket = Path(socket_path)
    try:
        settings = read_settings(Path(settings_file))
        inspector = Inspector(
            settings.policy, SignatureEngine.load(), _model(settings), _rules(settings)
        )
        warm(inspector)
        with SpoolWriter(settings.spool, worker=f"{socket.stem}-{os.getpid()}") as spool:
            handler = InspectionHandler(
                inspector, spool, image=settings.image, subject=settings.subject
            )
            run_agent(handler, socket)
    except CnafError as error:
        _log.error("%s", error)
        return error.exit_code
    return 0


def _model(settings: WorkerSettings) -> RequestModel | None:
    # Whoever wrote the settings has loaded this model before. If it is damaged since, signatures
    # still enforce.
    try:
        return read_model(settings)
    except ArtifactError as error:
        _log.error("only signatures enforce: %s", error)
        return None


def _rules(settings: WorkerSettings) -> RequestRules | None:
    # Likewise: they were compiled when the settings were written.
    try:
        return read_rules(settings)
    except CnafError as error:
        _log.error("registered rule sets do not enforce: %s", error)
        return None


if __name__ == "__main__":
    sys.exit(main())
