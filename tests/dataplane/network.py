"""A node, a container on its bridge and a client outside, as network namespaces of the test.

    client 198.51.100.2 --- 198.51.100.1 node 10.77.0.1 --- 10.77.0.2 container
           2001:db8:1::2                     2001:db8:2::1            2001:db8:2::2

The node publishes port 18080 as the container's 8080, as a container engine does, and masquerades
what the container sends out or to itself that way. The machine's own network is not touched.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x4000_0000
CONTAINER = {4: "10.77.0.2", 6: "2001:db8:2::2"}
NODE = {4: "10.77.0.1", 6: "2001:db8:2::1"}
CLIENT = {4: "198.51.100.2", 6: "2001:db8:1::2"}
PUBLISHED = ("198.51.100.1", 18_080)
HTTP_PORTS, GREETING_PORT = (8_080, 8_081), 3_306
TIMEOUT_S = 20.0

_NODE_RULES = """
table ip nat {
    chain pre { type nat hook prerouting priority dstnat
        ip daddr 198.51.100.1 tcp dport 18080 dnat to 10.77.0.2:8080;
    }
    chain post { type nat hook postrouting priority srcnat
        ip saddr 10.77.0.2 masquerade;
    }
}
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def inside(namespace: str, call: Callable[[], T]) -> T:
    """Return what ``call`` returns in a thread in that namespace; sockets stay of it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with open(f"/run/netns/{namespace}") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@dataclass(frozen=True)
class Network:
    """Names of the namespaces."""

    client: str
    node: str
    container: str

    def connect(
        self, where: str, host: str, port: int, source: tuple[str, int] | None = None
    ) -> socket.socket:
        return inside(
            where, lambda: socket.create_connection((host, port), TIMEOUT_S, source_address=source)
        )

    def path(self) -> Path:
        return Path("/run/netns") / self.container

    def state(self) -> str:
        """All rules, policy rules and routes of the container."""
        enter = ["ip", "netns", "exec", self.container]
        commands = [
            ["nft", "list", "ruleset"],
            *(["ip", family, "rule", "show"] for family in ("-4", "-6")),
            *(["ip", family, "route", "show", "table", "all"] for family in ("-4", "-6")),
        ]
        return "\n--\n".join(
            subprocess.run([*enter, *c], check=True, capture_output=True, text=True).stdout
            for c in commands
        )


def _link(a: str, name_a: str, b: str, name_b: str, addresses: dict[str, tuple[str, str]]) -> None:
    ip("link", "add", name_a, "netns", a, "type", "veth", "peer", "name", name_b, "netns", b)
    for namespace, name, local in ((a, name_a, "fe80::a/64"), (b, name_b, "fe80::b/64")):
        ip("-n", namespace, "link", "set", name, "addrgenmode", "none")
        for address in (*addresses[namespace], local):
            nodad = ["nodad"] if ":" in address else []
            ip("-n", namespace, "addr", "add", address, "dev", name, *nodad)
        # A link-local address that the kernel made would come late and look like a leftover.
        ip("-n", namespace, "link", "set", name, "up")


@contextmanager
def network() -> Iterator[Network]:
    """Make the namespaces, and remove them."""
    unique = f"cnaf-{os.getpid()}"
    net = Network(f"{unique}-client", f"{unique}-node", f"{unique}-ctr")
    try:
        for name in (net.client, net.node, net.container):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        outside = {net.client: (CLIENT[4] + "/24", CLIENT[6] + "/64"),
                   net.node: ("198.51.100.1/24", "2001:db8:1::1/64")}  # fmt: skip
        bridge = {net.node: (NODE[4] + "/24", NODE[6] + "/64"),
                  net.container: (CONTAINER[4] + "/24", CONTAINER[6] + "/64")}  # fmt: skip
        _link(net.client, "eth0", net.node, "up0", outside)
        _link(net.node, "ctr0", net.container, "eth0", bridge)
        for name, via in ((net.client, ("198.51.100.1", "2001:db8:1::1")),
                          (net.container, (NODE[4], NODE[6]))):  # fmt: skip
            for gateway in via:
                ip("-n", name, "route", "add", "default", "via", gateway)
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            subprocess.run(["ip", "netns", "exec", net.node, "sysctl", "-qw", setting], check=True)
        subprocess.run(
            ["ip", "netns", "exec", net.node, "nft", "-f", "-"],
            input=_NODE_RULES, text=True, check=True,
        )  # fmt: skip
        yield net
    finally:
        for name in (net.client, net.node, net.container):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextmanager
def behind(net: Network) -> Iterator[tuple[str, str]]:
    """Give a namespace that the container forwards to, and its address."""
    inner, address = f"{net.container}-in", "10.88.0.2"
    subnets = {net.container: ("10.88.0.1/24",), inner: (f"{address}/24",)}
    try:
        ip("netns", "add", inner)
        _link(net.container, "in0", inner, "eth0", subnets)
        ip("-n", inner, "route", "add", "default", "via", "10.88.0.1")
        ip("-n", net.node, "route", "add", "10.88.0.0/24", "via", CONTAINER[4])
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        inside(net.container, lambda: forward.write_text("1"))
        yield inner, address
    finally:
        subprocess.run(["ip", "netns", "del", inner], capture_output=True, check=False)
        ip("-n", net.node, "route", "flush", "10.88.0.0/24")


@contextmanager
def app(net: Network) -> Iterator[None]:
    """Run the app in the container."""
    script = Path(__file__).with_name("namespace_app.py")
    ports = [",".join(map(str, HTTP_PORTS)), str(GREETING_PORT)]
    with subprocess.Popen(
        ["nsenter", f"--net={net.path()}", "--", sys.executable, str(script), *ports],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
        process.terminate()
