"""What is rendered, what is refused, and that HAProxy takes all of it.

Snapshots are renewed with ``RENEW_SNAPSHOTS=1 pytest tests/dataplane/test_config.py``; read the
difference before you commit it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from cnaf.dataplane.config import (
    PAGES,
    Address,
    ProxyConfig,
    agent_socket,
    page,
    render_haproxy,
    render_spoe,
)
from cnaf.dataplane.haproxy import HAProxy
from cnaf.models.errors import DataplaneError, InputError
from hypothesis import given
from hypothesis import strategies as st

SNAPSHOTS = Path(__file__).with_name("snapshots")
RUN_DIR = Path("/run/cnaf/shop")


def config(workers: int = 1, **values: Any) -> ProxyConfig:
    defaults: dict[str, Any] = {
        "listen": Address("0.0.0.0", 80),
        "origin": Address("127.0.0.1", 8080),
        "agent_sockets": tuple(agent_socket(RUN_DIR, index) for index in range(workers)),
        "run_dir": RUN_DIR,
    }
    return ProxyConfig(**defaults | values)


@pytest.mark.parametrize("render", [render_haproxy, render_spoe])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("default", {}),
        ("fail-closed", {"fail_open": False, "block_status": 406, "budget_ms": 250}),
        ("two-workers", {"workers": 2, "listen": Address("::1", 8443), "threads": 2}),
        ("recording", {"record": True, "body_bytes": 1_048_576}),
    ],
)
def test_snapshot(name: str, values: dict[str, Any], render: Callable[[ProxyConfig], str]) -> None:
    path = SNAPSHOTS / f"{name}.{render.__name__.removeprefix('render_')}.cfg"
    text = render(config(**values))
    if "RENEW_SNAPSHOTS" in os.environ:
        path.write_text(text)
    assert text == path.read_text()


VARIANTS = [
    {"fail_open": fail_open, "workers": workers, "record": record}
    for fail_open, workers, record in itertools.product((True, False), (1, 3), (True, False))
    if not (record and workers > 1)
]


@pytest.mark.parametrize(
    "values",
    [
        *VARIANTS,
        {"listen": Address("::", 8080), "origin": Address("::1", 80)},
        {"listen": Address("localhost", 8080), "origin": Address("localhost", 80)},
        {"threads": 2, "body_bytes": 1_048_576, "max_connections": 1},
        {"body_bytes": 1, "budget_ms": 1, "block_status": 599},
    ],
    ids=str,
)
def test_haproxy_takes_every_variant(
    values: dict[str, Any], make_config: Callable[..., ProxyConfig]
) -> None:
    haproxy = HAProxy(make_config(**values))
    haproxy.write_config()
    haproxy.check()


@pytest.mark.parametrize("name", ["a b", 'a"b', "a#b", "a%b", "a\\b", "é", "a@b", "%[src]", "{a}"])
def test_odd_paths_stay_paths(
    name: str, run_dir: Path, make_config: Callable[..., ProxyConfig]
) -> None:
    folder = run_dir / name
    haproxy = HAProxy(make_config(run_dir=folder, agent_sockets=(agent_socket(folder, 0),)))
    haproxy.start()
    try:
        assert haproxy.unchecked() == 0
    finally:
        haproxy.stop()


@pytest.mark.parametrize(
    "path",
    [
        Path("/run/a\nfrontend evil"),
        Path("/run/a\rb"),
        Path("/run/a\0b"),
        Path("/run/a'b"),
        Path("/run/$HOME"),
        Path("/run/a,mode=666"),
        Path("/run/a\u2028b"),
        Path("/run/\udcff"),
        Path("relative"),
        Path("/run/" + "x" * 100),
    ],
    ids=repr,
)
def test_hostile_paths_are_refused(path: Path) -> None:
    with pytest.raises(InputError):
        config(run_dir=path)
    with pytest.raises(InputError):
        config(agent_sockets=(path / "agent.sock",))


HOSTILE_HOSTS = [
    *("", "a b", "a\nb", "a\n", "a'b", "-a", "a..b", "$HOME", "a;b", "é", "*", "unix@/tmp/x"),
    *("::1\n", "[::1]", "fe80::1%eth0", "127.0.0.1:80", "a" * 64, "a." * 127 + "com"),
]


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_hostile_hosts_are_refused(host: str) -> None:
    with pytest.raises(InputError):
        Address(host, 80)


@pytest.mark.parametrize("host", ["app", "my_app", "shop-1.example.com", "127.0.0.1", "::1"])
def test_addresses_round_trip(host: str) -> None:
    address = Address(host, 80)
    assert Address.parse(str(address)) == address


NO_ADDRESSES = [
    *("", "80", ":80", "app", "app:", "app:0", "app:65536", "app:-1", "app:8o", "app:80\n"),
    *("::1:80", "[::1]", "[::1]80", "app:\u0668\u0660", "http://app:80"),
]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Address.parse(text)


@given(st.text(max_size=40))
def test_an_address_never_adds_a_word(text: str) -> None:
    try:
        address = Address(text, 80)
    except InputError:
        return
    assert str(address).split() == [str(address)]
    assert not set(str(address)) & set("\"'$,@%#\\")


@pytest.mark.parametrize("name", [f.name for f in fields(ProxyConfig) if f.type == "int"])
@pytest.mark.parametrize("value", [0, -1, 10**9])
def test_numbers_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=name):
        config(**{name: value})


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"workers": 0}, id="no worker"),
        pytest.param({"workers": 2, "record": True}, id="recording with two workers"),
        pytest.param(
            {"agent_sockets": (Path("/run/a/agent.sock"), Path("/run/b/agent.sock"))},
            id="two workers of one name",
        ),
    ],
)
def test_impossible_workers_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        config(**values)


def test_a_host_that_does_not_resolve_is_named(make_config: Callable[..., ProxyConfig]) -> None:
    haproxy = HAProxy(make_config(origin=Address("no-such-host.invalid", 80)))
    haproxy.write_config()
    with pytest.raises(DataplaneError, match=r"no-such-host\.invalid"):
        haproxy.check()


@pytest.mark.parametrize("name", PAGES)
def test_pages_hold_no_log_format_but_the_event_id(name: str) -> None:
    assert "%" not in page(name).replace("%[var(txn.cnaf.event)]", "")
