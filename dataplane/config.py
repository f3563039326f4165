"""HAProxy's configuration, rendered from typed values.

What every proxy of ours has is :class:`InspectionConfig` and the ``render_`` functions of parts;
:class:`ProxyConfig` is the explicit proxy, :mod:`cnaf.dataplane.transparent` the one that
intercepts. Nothing is rendered that was not validated first: hosts and numbers by their grammar,
paths by quoting, so that no value can add a directive. What a rendered proxy does with a request:

1. A target or a header block over 16 KiB is refused (414, 431). So the buffer always has room for
   the inspected prefix of the body, and a long head cannot push a body out of sight.
2. The SPOE engine of one worker, drawn for each request, tells it about the request and sets
   ``txn.cnaf.block`` (decided: 0 or 1), ``txn.cnaf.event`` and ``txn.cnaf.watch`` from its answer.
3. No ``txn.cnaf.block`` means that nobody decided within the budget, for whatever reason. It is
   counted (``gpc0`` of the stick table ``unchecked``) and, unless the proxy fails open, refused.
4. Blocked requests get the block page, everything else goes to the origin. CONNECT is refused: an
   app that answers it with 200 opens a tunnel, and further requests in it would pass uninspected.
   (HAProxy itself takes out upgrades to HTTP/2.)
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv6Address
from pathlib import Path
from typing import ClassVar

from cnaf.dataplane.messages import (
    REQUEST_ARGUMENTS,
    REQUEST_MESSAGE,
    RESPONSE_ARGUMENTS,
    RESPONSE_MESSAGE,
)
from cnaf.models.errors import InputError

__all__ = [
    "HEAD_BYTES",
    "UNIQUE_ID",
    "Address",
    "InspectionConfig",
    "ProxyConfig",
    "agent_socket",
    "page",
    "render_agents",
    "render_defaults",
    "render_filters",
    "render_global",
    "render_haproxy",
    "render_rules",
    "render_spoe",
]

#: Longest target, and longest header block, that is let through. Common servers stop earlier
#: (Apache httpd: 8,190 bytes a line).
HEAD_BYTES = 16_384
# HTX keeps 8 bytes for each header and block beside its bytes, HAProxy takes up to 101 headers;
# the reserve for rewriting holds what HAProxy adds (X-Forwarded-For).
_REWRITE_BYTES = 2_048
_OVERHEAD_BYTES = 6_144
#: Bound of body_bytes, so that a frame stays far below the agent's own limit of 2 MiB.
_MAX_BODY_BYTES = 1_048_576
# Frames on one connection that wait for their answer. Fewer spread the load over more connections
# (and workers), more save system calls; measured flat from 8 to 64.
_WAITING_FRAMES = 16
# sun_path holds 108 bytes, and HAProxy appends up to 20 while it swaps sockets on a start.
_MAX_SOCKET_PATH = 86
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name, IPv4 or IPv6 address without brackets) and a TCP port.

    >>> Address.parse("[::1]:8080")
    Address(host='::1', port=8080)
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not (_HOST_NAME.fullmatch(self.host) or _is_ipv6(self.host)) or len(self.host) > 253:
            raise InputError(f"{self.host[:80]!r} is not a host", hint="give a name or address")
        if not 0 < self.port < 65_536:
            raise InputError(f"{self.port} is not a port", hint="ports are 1 to 65535")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that ``HOST:PORT`` or ``[IPV6]:PORT`` spells, or raise InputError."""
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not host or not _PORT.fullmatch(port):
            raise InputError(
                f"{text[:80]!r} is not an address",
                hint="write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080",
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionConfig(ABC):
    """What a proxy that asks agents needs to know. Raises InputError for what HAProxy must not see.

    ``agent_sockets`` are the workers, one unix socket each; ``run_dir`` holds configuration,
    sockets and pages and belongs to this proxy alone. With ``fail_open`` a request that nobody
    decided within ``budget_ms`` passes, else it gets 503. ``record`` sends every response to the
    agent, whatever it asked for; it takes exactly one worker.
    """

    #: Event of the SPOE engine that asks about a request: where the rules stand that act on it.
    request_event: ClassVar[str] = "on-frontend-http-request"

    agent_sockets: tuple[Path, ...]
    run_dir: Path
    fail_open: bool = True
    #: Default of the failure contract; a decision takes well below one millisecond.
    budget_ms: int = 100
    record: bool = False
    block_status: int = 403
    #: Clients at once; each takes two file descriptors.
    max_connections: int = 2_000
    threads: int = 1
    #: Inspected prefix of a body; a connection buffers so much while a request is decided.
    body_bytes: int = 65_536
    connect_timeout_s: int = 5
    #: Head and inspected prefix of the body must arrive within this time (slow-loris bound).
    request_timeout_s: int = 15
    client_timeout_s: int = 60
    server_timeout_s: int = 120
    #: Silence on an upgraded connection (WebSocket).
    tunnel_timeout_s: int = 3_600
    #: After a graceful stop, connections that have not ended by themselves are closed.
    drain_timeout_s: int = 10

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}", hint=f"give {low} to {high}")
        if not self.agent_sockets:
            raise InputError("a proxy needs an agent socket")
        if len({path.name for path in self.agent_sockets}) != len(self.agent_sockets):
            raise InputError("agent sockets need names that differ, not only directories")
        if self.record and len(self.agent_sockets) != 1:
            raise InputError("recording takes exactly one agent socket")
        for path in (*self.agent_sockets, self.run_dir / _STATS_SOCKET):
            _quote_path(path)
            if len(str(path).encode()) > _MAX_SOCKET_PATH:
                raise InputError(
                    f"the socket path {path} is too long",
                    hint=f"choose a directory so that it has at most {_MAX_SOCKET_PATH} bytes",
                )

    @property
    def haproxy_file(self) -> Path:
        """Where the configuration of HAProxy stands."""
        return self.run_dir / "haproxy.cfg"

    @property
    def spoe_file(self) -> Path:
        """Where the configuration of the SPOE engine stands."""
        return self.run_dir / "spoe.cfg"

    @property
    def stats_socket(self) -> Path:
        """HAProxy's runtime interface."""
        return self.run_dir / _STATS_SOCKET

    @property
    def own_ports(self) -> tuple[Address, ...]:
        """Addresses of this process's network namespace that must be free before a start."""
        return ()

    @abstractmethod
    def haproxy_text(self) -> str:
        """Return the configuration file of HAProxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig(InspectionConfig):
    """One protected origin behind an address that clients are sent to."""

    listen: Address
    origin: Address

    @property
    def own_ports(self) -> tuple[Address, ...]:
        """Return the one address that it listens on."""
        return (self.listen,)

    def haproxy_text(self) -> str:
        """Return the configuration file of HAProxy."""
        return render_haproxy(self)


_STATS_SOCKET = "haproxy.sock"
#: Variable that says whose turn a request is.
_TURN = "cnaf_turn"
_RANGES = (
    ("budget_ms", 1, 60_000),
    ("block_status", 400, 599),
    ("max_connections", 1, 1_000_000),
    ("threads", 1, 64),
    ("body_bytes", 1, _MAX_BODY_BYTES),
    ("connect_timeout_s", 1, 3_600),
    ("request_timeout_s", 1, 3_600),
    ("client_timeout_s", 1, 86_400),
    ("server_timeout_s", 1, 86_400),
    ("tunnel_timeout_s", 1, 604_800),
    ("drain_timeout_s", 1, 86_400),
)


def agent_socket(run_dir: Path, index: int) -> Path:
    """Return the socket of worker ``index`` in a proxy's directory."""
    return run_dir / f"agent-{index}.sock"


def page(name: str) -> str:
    """Return one of the packaged pages that HAProxy answers with."""
    return resources.files("cnaf.dataplane").joinpath("pages", name).read_text("utf-8")


def render_haproxy(config: ProxyConfig) -> str:
    """Return the configuration file of HAProxy as an explicit proxy."""
    return f"""\
{render_global(config)}
{render_defaults(config, "http")}
frontend cnaf
    bind {config.listen}
    option http-buffer-request
    option forwardfor
    {UNIQUE_ID}
{render_filters(config)}\
{render_rules(config)}\
    default_backend origin

backend origin
    server origin {config.origin}

{render_agents(config)}"""


#: Names a request in alerts and to the agent.
UNIQUE_ID = "unique-id-format %{+X}o%Ts-%rt-%pid"


def render_global(config: InspectionConfig) -> str:
    """Return the section of the process, with buffers that hold what is inspected."""
    buffer = config.body_bytes + 2 * HEAD_BYTES + _REWRITE_BYTES + _OVERHEAD_BYTES
    return f"""\
global
    nbthread {config.threads}
    maxconn {config.max_connections}
    hard-stop-after {config.drain_timeout_s}s
    stats socket {_quote_path(config.stats_socket)} mode 600 level operator
    tune.bufsize {buffer}
    tune.maxrewrite {_REWRITE_BYTES}
"""


def render_defaults(config: InspectionConfig, mode: str) -> str:
    """Return the section of timeouts."""
    return f"""\
defaults
    mode {mode}
    timeout connect {config.connect_timeout_s}s
    timeout http-request {config.request_timeout_s}s
    timeout client {config.client_timeout_s}s
    timeout server {config.server_timeout_s}s
    timeout tunnel {config.tunnel_timeout_s}s
"""


def render_rules(config: InspectionConfig) -> str:
    """Return what is done with a request that the filters have asked the agent about."""
    pages = {name: _quote_path(config.run_dir / name) for name in PAGES}
    return f"""\
    acl long_target url,length gt {HEAD_BYTES}
    acl long_headers req.hdrs,length gt {HEAD_BYTES}
    http-request return status 414 content-type text/plain string "Target too long" if long_target
    http-request return status 431 content-type text/plain string "Headers too long" if long_headers
    http-request return status 405 content-type text/plain string "No tunnels here" if METH_CONNECT
    acl decided var(txn.cnaf.block) -m found
    acl blocked var(txn.cnaf.block) -m int 1
    acl browser req.fhdr(accept) -m sub -i text/html
    http-request track-sc0 str(unchecked) table unchecked if !decided
    http-request sc-inc-gpc0(0) if !decided
{"" if config.fail_open else _return(503, "unavailable", pages, "if !decided")}\
{_return(config.block_status, "block", pages, "if blocked")}"""


def render_agents(config: InspectionConfig) -> str:
    """Return the counter of undecided requests and the backends of the agents."""
    return f"""\
backend unchecked
    stick-table type string len 16 size 1 store gpc0

{_backends(config)}"""


def render_spoe(config: InspectionConfig) -> str:
    """Return the configuration file of the SPOE engines, one for each worker.

    One engine for all would send everything to one worker: frames go to a connection that has room
    for them, and one connection has room for as many as a worker can answer.
    """
    engines = []
    several = len(config.agent_sockets) > 1
    for index, path in enumerate(config.agent_sockets):
        turn = f" if {{ var(txn.{_TURN}) -m int {index} }}" if several else ""
        watched = f" if {{ var(txn.cnaf.watch) -m str {_quote(path.name)} }}"
        events = (
            (REQUEST_MESSAGE, REQUEST_ARGUMENTS, f"{config.request_event}{turn}"),
            (
                RESPONSE_MESSAGE,
                RESPONSE_ARGUMENTS,
                f"on-http-response{'' if config.record else watched}",
            ),
        )
        engines.append(_engine(_worker(index), config))
        engines += [_message(name, args, config, event) for name, args, event in events]
    return "".join(engines)


#: The packaged pages, written into a proxy's directory beside its configuration.
PAGES = ("block.html", "block.json", "unavailable.html", "unavailable.json")


def _return(status: int, name: str, pages: dict[str, str], condition: str) -> str:
    event = ' hdr X-CNAF-Event "%[var(txn.cnaf.event)]"' if name == "block" else ""
    lines = [
        f"    http-request return status {status} content-type {kind}"
        f" lf-file {pages[f'{name}.{ending}']} hdr Cache-Control no-store{event}"
        f" {condition}{extra}\n"
        for ending, kind, extra in (
            ("html", '"text/html; charset=utf-8"', " browser"),
            ("json", "application/json", ""),
        )
    ]
    return "".join(lines)


def render_filters(config: InspectionConfig) -> str:
    """Return the SPOE engines, one for each worker, and whose turn a request is."""
    path = _quote_path(config.spoe_file)
    count = len(config.agent_sockets)
    # Before the engines look at a request, and anew for each.
    turn = f"    tcp-request content set-var(txn.{_TURN}) rand({count})\n" if count > 1 else ""
    return turn + "".join(
        f"    filter spoe engine {_worker(index)} config {path}\n" for index in range(count)
    )


def _backends(config: InspectionConfig) -> str:
    # Health checks take a dead worker out before a request meets it; the others do its share.
    check = "check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions"
    sockets = [_quote_path(path, "unix@") for path in config.agent_sockets]
    backends = []
    for index in range(len(sockets)):
        servers = [f"    server {_worker(index)} {sockets[index]} {check}\n"]
        servers += [
            f"    server {_worker(other)} {socket} track {_worker(other)}/{_worker(other)} backup\n"
            for other, socket in enumerate(sockets)
            if other != index
        ]
        backends.append(_backend(_worker(index), servers))
    return "\n".join(backends)


def _worker(index: int) -> str:
    """Return the name that a worker's engine, backend and server share."""
    return f"worker-{index}"


def _backend(name: str, servers: list[str]) -> str:
    return f"""\
backend {name}
    mode tcp
    option spop-check
    option allbackups
    timeout server 60s
    timeout check 2s
{"".join(servers)}"""


def _engine(name: str, config: InspectionConfig) -> str:
    return f"""\
[{name}]
spoe-agent {name}
    messages {REQUEST_MESSAGE} {RESPONSE_MESSAGE}
    option var-prefix cnaf
    option pipelining
    no option async
    max-waiting-frames {_WAITING_FRAMES}
    timeout hello 1s
    timeout idle 30s
    timeout processing {config.budget_ms}ms
    use-backend {name}
"""


def _message(name: str, arguments: tuple[str, ...], config: InspectionConfig, event: str) -> str:
    args = " ".join(arguments).format(body_bytes=config.body_bytes)
    return f"""
spoe-message {name}
    args {args}
    event {event}
"""


def _quote_path(path: Path, prefix: str = "") -> str:
    if not path.is_absolute():
        raise InputError(f"{path} is not an absolute path")
    return _quote(f"{prefix}{path}")


def _quote(text: str) -> str:
    # Between single quotes only their end is special, and HAProxy has no way to write it. Later it
    # expands $ in the paths of sockets and splits them at commas.
    if not text.isprintable() or set(text) & set("'$,"):
        raise InputError(
            f"{text!r} cannot stand in a configuration of HAProxy",
            hint="use a path without quotes, dollars, commas and control characters",
        )
    return f"'{text}'"


def _is_ipv6(host: str) -> bool:
    try:
        return not IPv6Address(host).scope_id
    except ValueError:
        return False
