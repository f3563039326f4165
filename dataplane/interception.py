"""What is put into a container's network namespace so that its connections pass through HAProxy.

Pure: a description becomes a set of rules, and what is seen there becomes the commands that are
missing. :mod:`cnaf.dataplane.interceptor` runs them. The set is one nftables table of our own, and
for each address family one policy routing rule and one route in a table of our own:

- ``divert`` hands connections from outside to HAProxy, which accepts them under the address and
  port that the client called. Where no HAProxy listens, or a connection is older than the table,
  the rule does not match and the app is reached as if nothing were there.
- ``answer`` marks the app's answers to connections that HAProxy made with the client's address;
  the policy rule brings them back to HAProxy by the loopback interface, in place of out.

Left alone: what arrives by loopback (localhost, the container's own addresses, HAProxy's own
connections), what the namespace only forwards, and what it sends out by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from cnaf.models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "TABLE",
    "Chain",
    "Family",
    "Interception",
    "LocalRoute",
    "Observed",
    "PolicyRule",
    "RuleSet",
    "Table",
    "clearing_commands",
    "missing_commands",
    "observe",
    "render_clear",
    "render_stop",
    "render_table",
    "rule_set",
    "usable_families",
]

#: Our table, family inet. Whoever left it behind, it is ours.
TABLE = "cnaf"
_DIVERT, _ANSWER = "divert", "answer"
#: A set of ports has no limit of its own; a container with more is a mistake of the caller.
_MAX_PORTS = 1_024


class Family(Enum):
    """An address family: its option of ``ip``, its name in nftables, loopback and everywhere."""

    IPV4 = ("-4", "ip", "127.0.0.1", "0.0.0.0/0")
    IPV6 = ("-6", "ip6", "::1", "::/0")

    @property
    def option(self) -> str:
        """How ``ip`` is told."""
        return self.value[0]

    @property
    def loopback(self) -> str:
        """Where HAProxy listens."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Interception:
    """Which ports of a namespace pass through HAProxy. Raises InputError for impossible values.

    ``ports`` are TCP ports of the app, at least one. HAProxy listens on ``listen_port`` of the
    loopback addresses; the app must not use it. ``mark`` and ``route_table`` are ours alone in the
    namespace: what carries them is taken for a leftover of ours and removed.
    """

    ports: tuple[int, ...]
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    #: Outside of the ephemeral range of Linux, so that no outbound connection sits on it.
    listen_port: int = 15_006
    #: Leaves alone the low bits, which network plugins and service meshes use.
    mark: int = 0x0CAF_0001
    route_table: int = 3_247
    #: After the rule of local addresses (0), before those of others and the main table (32,766).
    rule_priority: int = 100

    def __post_init__(self) -> None:
        if not 0 < len(self.ports) <= _MAX_PORTS:
            raise InputError(f"{len(self.ports)} ports", hint=f"give 1 to {_MAX_PORTS}")
        for port in (*self.ports, self.listen_port):
            if not 0 < port < 65_536:
                raise InputError(f"{port} is not a port", hint="ports are 1 to 65535")
        if self.listen_port in self.ports:
            raise InputError(
                f"port {self.listen_port} cannot be both HAProxy's and the app's",
                hint="choose another listen_port",
            )
        if not self.families:
            raise InputError("an interception needs an address family")
        for name, high in (("mark", 2**32), ("route_table", 2**32), ("rule_priority", 32_766)):
            if not 0 < getattr(self, name) < high:
                raise InputError(f"{name} is {getattr(self, name)}", hint=f"give 1 to {high - 1}")
        # The tables of the kernel: default, main, local.
        if self.route_table in (253, 254, 255):
            raise InputError(f"route table {self.route_table} is the kernel's own")


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain: where it hooks in, and its rules in nftables' language."""

    name: str
    hook: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of family inet with one set of ports."""

    name: str
    ports: tuple[int, ...]
    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Packets with ``mark`` are routed by table ``route_table``."""

    family: Family
    priority: int
    mark: int
    route_table: int

    def __str__(self) -> str:
        return f"pref {self.priority} fwmark {self.mark:#x} lookup {self.route_table}"


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """Every address is here, on the loopback interface."""

    family: Family
    route_table: int

    def __str__(self) -> str:
        return f"local {self.family.value[3]} dev lo table {self.route_table}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All that an interception puts into a namespace."""

    table: Table
    rules: tuple[PolicyRule, ...]
    routes: tuple[LocalRoute, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What of ours a namespace holds: our table, and rules and routes as sentences of ``ip``."""

    table: bool = False
    diverting: bool = False
    rules: frozenset[tuple[Family, str]] = frozenset()
    routes: frozenset[tuple[Family, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.table or self.rules or self.routes)


def usable_families(links: Sequence[Mapping[str, Any]]) -> tuple[Family, ...]:
    """Return the families that a namespace has on loopback, from ``ip -j address show dev lo``.

    Engines switch IPv6 off in containers without such a network, and neither route nor HAProxy has
    a place there then.
    """
    found = {info.get("local") for link in links for info in link.get("addr_info", ())}
    return tuple(family for family in Family if family.loopback in found)


def rule_set(interception: Interception) -> RuleSet:
    """Return what an interception consists of."""
    it = interception
    families = sorted(set(it.families), key=lambda family: family.name)
    return RuleSet(
        Table(TABLE, tuple(sorted(set(it.ports))), (_divert(it, families), _answer(it))),
        tuple(PolicyRule(f, it.rule_priority, it.mark, it.route_table) for f in families),
        tuple(LocalRoute(f, it.route_table) for f in families),
    )


def _divert(it: Interception, families: Sequence[Family]) -> Chain:
    # tproxy breaks off the rule where no transparent socket takes the packet.
    diverts = [
        f"meta nfproto {'ipv4' if family is Family.IPV4 else 'ipv6'} tcp dport @ports"
        f" tproxy {family.value[1]} to {_socket(family, it.listen_port)} accept"
        for family in families
    ]
    return Chain(
        _DIVERT,
        "type filter hook prerouting priority mangle",
        ('iifname "lo" return', "fib daddr type != local return", *diverts),
    )


def _answer(it: Interception) -> Chain:
    # Only HAProxy sends with an address that is not ours by loopback. Where it drew a source port
    # that this client uses itself, its SYN would meet the client's own connection and be lost: a
    # reset, which has to be brought back too, makes it draw again.
    foreign = 'oifname "lo" fib saddr type != local'
    return Chain(
        _ANSWER,
        "type route hook output priority mangle",
        (
            "meta l4proto != tcp return",
            f"ct state related tcp flags & rst == rst meta mark set {it.mark:#x} return",
            f"{foreign} tcp flags & (syn | ack) == syn ct state established reject with tcp reset",
            f"{foreign} ct state new ct mark set {it.mark:#x}",
            f"ct direction reply ct mark {it.mark:#x} meta mark set {it.mark:#x}",
        ),
    )


def _socket(family: Family, port: int) -> str:
    return f"[{family.loopback}]:{port}" if family is Family.IPV6 else f"{family.loopback}:{port}"


def render_table(table: Table) -> str:
    """Return nftables' text that replaces the table, whatever was in it, in one transaction."""
    chains = "".join(
        f"\n    chain {chain.name} {{\n        {chain.hook}; policy accept;\n"
        + "".join(f"        {rule}\n" for rule in chain.rules)
        + "    }\n"
        for chain in table.chains
    )
    ports = ", ".join(map(str, table.ports))
    return f"""\
{render_clear()}\
table inet {table.name} {{
    set ports {{ type inet_service; elements = {{ {ports} }}; }}
{chains}}}
"""


def render_stop() -> str:
    """Return the text that diverts no new connection and keeps those that are diverted alive."""
    return f"flush chain inet {TABLE} {_DIVERT}\n"


def render_clear() -> str:
    """Return the text that removes the table, and does not mind where there is none."""
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def missing_commands(wanted: RuleSet, seen: Observed) -> dict[Family, list[str]]:
    """Return the commands of ``ip -batch`` that make routing as wanted, by family."""
    rules = {(rule.family, str(rule)) for rule in wanted.rules}
    routes = {(route.family, str(route)) for route in wanted.routes}
    return _commands(
        gone=[("rule", seen.rules - rules), ("route", seen.routes - routes)],
        # A rule must never lead into an empty table: its packets would go out unanswered.
        new=[("route", routes - seen.routes), ("rule", rules - seen.rules)],
    )


def clearing_commands(seen: Observed) -> dict[Family, list[str]]:
    """Return the commands of ``ip -batch`` that remove what is seen, by family."""
    return _commands(gone=[("rule", seen.rules), ("route", seen.routes)], new=[])


_Found = list[tuple[str, "frozenset[tuple[Family, str]] | set[tuple[Family, str]]"]]


def _commands(gone: _Found, new: _Found) -> dict[Family, list[str]]:
    commands: dict[Family, list[str]] = {}
    for verb, things in (("del", gone), ("add", new)):
        for what, found in things:
            for family, text in sorted(found, key=lambda pair: (pair[0].name, pair[1])):
                commands.setdefault(family, []).append(f"{what} {verb} {text}")
    return commands


def observe(
    tables: Mapping[str, Any],
    rules: Mapping[Family, Sequence[Mapping[str, Any]]],
    routes: Mapping[Family, Sequence[Mapping[str, Any]]],
    interception: Interception,
) -> Observed:
    """Return what of ours is there, from ``nft -j list table`` and ``ip -j rule`` and ``route``.

    Ours is the table by its name, a rule by our mark or our route table, a route by its table.
    """
    it = interception
    chains = [item["rule"].get("chain") for item in tables.get("nftables", ()) if "rule" in item]
    return Observed(
        table=any("table" in item for item in tables.get("nftables", ())),
        diverting=_DIVERT in chains,
        rules=frozenset(
            (family, _rule_text(rule))
            for family, found in rules.items()
            for rule in found
            if rule.get("table") == str(it.route_table) or _number(rule.get("fwmark")) == it.mark
        ),
        routes=frozenset(
            (family, _route_text(family, route))
            for family, found in routes.items()
            for route in found
            if route.get("table") == str(it.route_table)
        ),
    )


def _rule_text(rule: Mapping[str, Any]) -> str:
    mark = _number(rule.get("fwmark"))
    marked = f" fwmark {mark:#x}" if mark is not None else ""
    return f"pref {int(rule['priority'])}{marked} lookup {_word(rule.get('table'))}"


def _route_text(family: Family, route: Mapping[str, Any]) -> str:
    everywhere = family.value[3]
    target = everywhere if route.get("dst") == "default" else _word(route.get("dst"))
    kind = _word(route.get("type", "unicast"))
    return f"{kind} {target} dev {_word(route.get('dev'))} table {_word(route.get('table'))}"


def _number(text: Any) -> int | None:
    return int(text, 0) if isinstance(text, str) and "/" not in text else None


def _word(text: Any) -> str:
    # A container with NET_ADMIN names its own devices; one word, or a batch gets another line.
    word = str(text)
    if not word.isascii() or not word.isprintable() or not word or " " in word:
        raise InputError(f"{word[:80]!r} cannot stand in a command of ip")
    return word
