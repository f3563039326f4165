"""Interception applied to a namespace and taken away again.

The order loses no connection. On the way in, HAProxy listens before anything is diverted to it. On
the way out, nothing new is diverted, handshakes that are under way settle, and connections end with
their next answer; HAProxy closes what is idle then and waits for what is not; only then the rules
go that bring answers back to it.

Applying twice gives the same state as once, whoever applied before: a predecessor that was killed,
in the middle of it too, is recognised by the name of the table, the mark and the route table.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from cnaf.dataplane.haproxy import HAProxy
from cnaf.dataplane.interception import (
    TABLE,
    Family,
    Interception,
    Observed,
    clearing_commands,
    missing_commands,
    observe,
    render_clear,
    render_stop,
    render_table,
    rule_set,
    usable_families,
)
from cnaf.dataplane.transparent import DRAIN_COMMAND
from cnaf.models.errors import DataplaneError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnaf.dataplane.haproxy import Binary
    from cnaf.dataplane.namespace import Namespace
    from cnaf.dataplane.transparent import TransparentConfig

__all__ = [
    "Interceptor",
    "apply_routing",
    "apply_table",
    "clear",
    "families",
    "look",
    "stop_diverting",
]

#: A handshake whose SYN was diverted ends within a retransmission (1 s), and HAProxy has accepted.
SETTLE_S = 1.0


def families(namespace: Namespace) -> tuple[Family, ...]:
    """Return the address families that can be intercepted in the namespace."""
    return usable_families(_json(namespace.run(["ip", "-j", "address", "show", "dev", "lo"])))


def look(namespace: Namespace, interception: Interception) -> Observed:
    """Return what of an interception is in the namespace."""
    tables: Any = {}
    listed = _json(namespace.run(["nft", "-j", "list", "tables", "inet"]))
    if any(item.get("table", {}).get("name") == TABLE for item in listed["nftables"]):
        tables = _json(namespace.run(["nft", "-j", "list", "table", "inet", TABLE]))
    rules, routes = {}, {}
    for family in Family:
        command = ["ip", family.option, "-j"]
        rules[family] = _json(namespace.run([*command, "rule", "show"]) or "[]")
        routes[family] = _json(
            namespace.run([*command, "route", "show", "table", "all", "type", "local"]) or "[]"
        )
    try:
        return observe(tables, rules, routes, interception)
    except InputError as error:
        raise DataplaneError(f"rules of {namespace.path} cannot be read: {error}") from error


def apply_routing(namespace: Namespace, interception: Interception) -> None:
    """Make the policy rules and routes as wanted; harmless as long as nothing is marked."""
    seen = look(namespace, interception)
    _run_batches(namespace, missing_commands(rule_set(interception), seen))


def apply_table(namespace: Namespace, interception: Interception) -> None:
    """Put our table in, in place of what it was, in one transaction: from here on it diverts."""
    namespace.run(["nft", "-f", "-"], render_table(rule_set(interception).table))


def stop_diverting(namespace: Namespace, interception: Interception) -> None:
    """Send new connections to the app itself; diverted ones go on."""
    if look(namespace, interception).diverting:
        namespace.run(["nft", "-f", "-"], render_stop())


def clear(namespace: Namespace, interception: Interception) -> None:
    """Remove all that is ours, whoever left it; connections through HAProxy break."""
    seen = look(namespace, interception)
    if seen.table:
        namespace.run(["nft", "-f", "-"], render_clear())
    _run_batches(namespace, clearing_commands(seen))


class Interceptor:
    """One intercepted namespace with its HAProxy. Every failure is a DataplaneError."""

    def __init__(
        self, namespace: Namespace, config: TransparentConfig, binary: Binary | None = None
    ) -> None:
        self.config = config
        self.haproxy = HAProxy(config, binary, namespace.launcher)
        self._namespace = namespace

    @property
    def _interception(self) -> Interception:
        return self.config.interception

    def insert(self) -> None:
        """Converge to diverting all ports to a HAProxy of ours that runs.

        What a predecessor left is taken over; where its HAProxy still runs, new connections reach
        the app itself until ours listens, and the old one ends those that it has. What fails leaves
        a namespace without interception.
        """
        try:
            apply_routing(self._namespace, self._interception)
            if self.haproxy.pid is None:
                self._start()
            apply_table(self._namespace, self._interception)
        except DataplaneError:
            self._withdraw_at_once()
            raise

    def withdraw(self, *, settle_s: float = SETTLE_S) -> None:
        """Remove everything, a predecessor's too.

        Connections have ``drain_timeout_s`` of the configuration to end.
        """
        self._turn_away(settle_s)
        self.haproxy.stop(graceful=True)
        self.haproxy.stop_predecessor(graceful=True)
        clear(self._namespace, self._interception)

    def _start(self) -> None:
        if self.haproxy.predecessor() is not None:
            self._turn_away(SETTLE_S)
        self.haproxy.start(drain_predecessor=True)

    def _turn_away(self, settle_s: float) -> None:
        stop_diverting(self._namespace, self._interception)
        # A HAProxy that is gone has no connections.
        with contextlib.suppress(DataplaneError):
            self.haproxy.command(DRAIN_COMMAND)
            time.sleep(settle_s)

    def _withdraw_at_once(self) -> None:
        # The first failure is the one to tell, and a namespace that is gone needs no clearing.
        with contextlib.suppress(DataplaneError):
            clear(self._namespace, self._interception)
        self.haproxy.stop()


def _run_batches(namespace: Namespace, commands: Mapping[Family, list[str]]) -> None:
    for family, lines in commands.items():
        namespace.run(["ip", family.option, "-batch", "-"], "\n".join(lines) + "\n")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataplaneError(f"rules of the namespace cannot be read: {error}") from error
