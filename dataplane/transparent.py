"""HAProxy's configuration inside of a container's network namespace.

Every connection to an intercepted port arrives at one frontend, still under the address and port
that the client called, and goes on from there to that address and port, with the client's address
as its source. The source port is HAProxy's own: with the client's, both connections would be the
same one to the kernel.

What a connection speaks is found out from its first bytes:

1. A request line of HTTP/1 or the preface of HTTP/2: inspected.
2. Anything else that a client says first (TLS, Redis, SSH): passed through at once, or, where it
   looks like the start of a method, after ``detect_ms``.
3. Silence for ``detect_ms``: the server speaks first (MySQL, SMTP), passed through.

A client decides about silence, so silence alone must not open a way around inspection. A port
whose app has once answered in HTTP is an HTTP port from then on: everything on it is inspected, at
whatever pace it comes, and what is no HTTP gets 400. An HTTP answer on a connection that was
passed through is not delivered, and makes its port an HTTP port. ``http_ports`` are known from the
start. A port becomes an HTTP port by what the app says, never by what a client says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnaf.dataplane.config import (
    UNIQUE_ID,
    InspectionConfig,
    render_agents,
    render_defaults,
    render_filters,
    render_global,
    render_rules,
)
from cnaf.dataplane.interception import Family, Interception
from cnaf.models.errors import InputError

__all__ = ["DRAIN_COMMAND", "TransparentConfig", "render_transparent"]

_MAX_DETECT_MS = 10_000
# No port, so its entry in the table of ports is free to say that connections shall end.
_DRAINING = 0
#: What HAProxy is told so that each HTTP/1 connection ends with its next answer.
DRAIN_COMMAND = f"set table ports key {_DRAINING} data.gpt0 1"
# Each port that is called has an entry, and there are no more.
_PORTS = 65_536
#: Method, target and version, as servers take them; the whole line fits into one packet nearly
#: always, and what is late on a port that is not known yet is caught by its answer.
_REQUEST_LINE = "'^[!-~]+ +[^ ]+ +HTTP/[0-9]'"
_PREFACE = "'^PRI [*] HTTP/2[.]0'"
#: First byte, in hexadecimal, of what is no method: those are upper-case letters.
_NO_METHOD = "'^([0-36-9A-F].|40|5[B-F])'"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransparentConfig(InspectionConfig):
    """The proxy of one intercepted namespace.

    ``http_ports`` are ports that speak HTTP and nothing else; for others it is found out.
    """

    request_event: ClassVar[str] = "on-backend-http-request"

    interception: Interception
    http_ports: tuple[int, ...] = ()
    #: What a server that speaks first is late by, once a connection. Clients send what they have
    #: to say with the handshake, so that it only has to outlast a scheduler under load.
    detect_ms: int = 100

    def __post_init__(self) -> None:
        InspectionConfig.__post_init__(self)
        if not 1 <= self.detect_ms <= _MAX_DETECT_MS:
            raise InputError(f"detect_ms is {self.detect_ms}", hint=f"give 1 to {_MAX_DETECT_MS}")
        if strange := set(self.http_ports) - set(self.interception.ports):
            raise InputError(
                f"the HTTP ports {sorted(strange)[:10]} are not intercepted",
                hint="list them among the ports of the interception too",
            )

    def haproxy_text(self) -> str:
        """Return the configuration file of HAProxy."""
        return render_transparent(self)


def render_transparent(config: TransparentConfig) -> str:
    """Return the configuration file of HAProxy for one namespace."""
    return f"""\
{render_global(config)}
{render_defaults(config, "tcp")}
{_frontend(config)}
{_inspected(config, "inspected", _CLOSE)}
{_inspected(config, "inspected-h2", _GO_AWAY)}
{_PASSED}
backend ports
    stick-table type integer size {_PORTS} store gpt0

{render_agents(config)}"""


#: To the address and port that the client called, with the client's address.
_SERVER = "    server app 0.0.0.0:0 source 0.0.0.0 usesrc clientip"


def _frontend(config: TransparentConfig) -> str:
    it = config.interception
    known = "".join(f"    acl known dst_port {port}\n" for port in sorted(set(config.http_ports)))
    binds = "".join(
        f"    bind {_bind(family, it.listen_port)}\n" for family in Family if family in it.families
    )
    return f"""\
frontend intercepted
{binds}\
    {UNIQUE_ID}
    option clitcpka
    tcp-request connection reject if {{ dst_port {it.listen_port} }}
    tcp-request connection track-sc1 dst_port table ports
    tcp-request inspect-delay {config.detect_ms}ms
    acl known sc1_get_gpt0 eq 1
{known}\
    acl preface fc_http_major 2
    acl preface req.payload(0,0) -m reg {_PREFACE}
    acl http req.proto_http
    acl http req.payload(0,0) -m reg {_REQUEST_LINE}
    acl no_method req.payload(0,1),hex -m reg {_NO_METHOD}
    acl speaks req.len gt 0
    tcp-request content accept if known speaks || http || no_method
    use_backend inspected-h2 if preface
    use_backend inspected if known || http
    default_backend passed
"""


def _bind(family: Family, port: int) -> str:
    if family is Family.IPV6:
        return f"[{family.loopback}]:{port} transparent v6only"
    return f"{family.loopback}:{port} transparent"


def _inspected(config: TransparentConfig, name: str, server: str) -> str:
    return f"""\
backend {name}
    mode http
    option http-buffer-request
{render_filters(config)}\
{render_rules(config)}\
    http-response sc-set-gpt0(1) 1
{server}"""


# A connection that waits for its next request is closed by a stop, and a request that is under way
# then is lost. So connections end with an answer for a while before; HTTP/2 says it by itself.
_CLOSE = f"""\
    http-response set-header Connection close if {{ int({_DRAINING}),table_gpt0(ports) eq 1 }}
{_SERVER}
"""
_GO_AWAY = f"{_SERVER} proto h2\n"

# Other protocols keep connections for days (pools of databases); the kernel finds dead peers. The
# answer is looked at whenever it comes, or a slow app would be a way around; nothing is held back
# but one of less than five bytes that begins with an H.
_PASSED = f"""\
backend passed
    timeout server 20d
    timeout tunnel 20d
    option srvtcpka
    tcp-response inspect-delay 20d
    acl starts_like_http res.payload(0,1) -m bin 48
    acl http res.payload(0,5) -m str HTTP/
    tcp-response content sc-set-gpt0(1) 1 if starts_like_http http
    tcp-response content close if starts_like_http http
{_SERVER}
"""
