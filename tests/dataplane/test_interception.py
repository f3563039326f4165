"""The rule set as text, what is refused, and which commands are missing; no root needed.

Snapshots are renewed with ``RENEW_SNAPSHOTS=1 pytest tests/dataplane/test_interception.py``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cnaf.dataplane.interception import (
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
from cnaf.models.errors import InputError

SNAPSHOTS = Path(__file__).with_name("snapshots")
SHOP = Interception((443, 80, 80))
#: What ``ip -j rule`` and ``ip -j route`` say where SHOP has been applied.
RULES = {
    family: [
        {"priority": 0, "src": "all", "table": "local"},
        {"priority": 100, "src": "all", "fwmark": "0xcaf0001", "table": "3247"},
        {"priority": 32766, "src": "all", "table": "main"},
    ]
    for family in Family
}
ROUTES = {
    family: [
        {"type": "local", "dst": "default", "dev": "lo", "table": "3247", "flags": []},
        {"type": "local", "dst": "127.0.0.1", "dev": "lo", "table": "local", "flags": []},
    ]
    for family in Family
}
TABLES = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "cnaf", "handle": 1}},
        {"rule": {"family": "inet", "table": "cnaf", "chain": "divert", "handle": 4, "expr": []}},
    ]
}


@pytest.mark.parametrize(
    ("name", "interception"),
    [
        ("default", SHOP),
        ("ipv4", Interception((8080,), (Family.IPV4,), listen_port=9, mark=1, route_table=2)),
        ("ipv6", Interception((1, 65_535), (Family.IPV6,), rule_priority=7)),
    ],
)
def test_snapshot(name: str, interception: Interception) -> None:
    wanted = rule_set(interception)
    commands = missing_commands(wanted, Observed())
    text = render_table(wanted.table) + "".join(
        f"# ip {family.option} {line}\n" for family, lines in commands.items() for line in lines
    )
    path = SNAPSHOTS / f"{name}.interception.nft"
    if "RENEW_SNAPSHOTS" in os.environ:
        path.write_text(text)
    assert text == path.read_text()


def test_order_and_repetition_do_not_matter() -> None:
    other = Interception((80, 443), (Family.IPV6, Family.IPV4, Family.IPV6))
    assert rule_set(other) == rule_set(SHOP)


def test_the_table_is_replaced_and_removed_whether_it_is_there_or_not() -> None:
    text = render_table(rule_set(SHOP).table)
    assert text.startswith(render_clear())
    assert render_clear() == "table inet cnaf\ndelete table inet cnaf\n"
    # The chain for answers stays until the last connection has ended.
    assert render_stop() == "flush chain inet cnaf divert\n"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ports": ()}, "0 ports"),
        ({"ports": tuple(range(1, 1_026))}, "1025 ports"),
        ({"ports": (0,)}, "0 is not a port"),
        ({"ports": (65_536,)}, "65536 is not a port"),
        ({"listen_port": -1}, "-1 is not a port"),
        ({"ports": (80, 15_006)}, "both HAProxy's and the app's"),
        ({"families": ()}, "address family"),
        ({"mark": 0}, "mark is 0"),
        ({"mark": 2**32}, "mark"),
        ({"route_table": 0}, "route_table"),
        ({"route_table": 254}, "kernel's own"),
        ({"rule_priority": 0}, "rule_priority"),
        ({"rule_priority": 32_766}, "rule_priority"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SHOP, **values)


def test_what_was_applied_is_recognised() -> None:
    seen = observe(TABLES, RULES, ROUTES, SHOP)
    assert seen.table
    assert seen.diverting
    assert missing_commands(rule_set(SHOP), seen) == {}
    assert clearing_commands(seen) == {
        Family.IPV4: [
            "rule del pref 100 fwmark 0xcaf0001 lookup 3247",
            "route del local 0.0.0.0/0 dev lo table 3247",
        ],
        Family.IPV6: [
            "rule del pref 100 fwmark 0xcaf0001 lookup 3247",
            "route del local ::/0 dev lo table 3247",
        ],
    }


def test_a_namespace_of_others_holds_nothing_of_ours() -> None:
    theirs = [
        {"priority": 100, "src": "all", "fwmark": "0x7", "table": "100"},
        {"priority": 101, "src": "all", "fwmark": "0xcaf0001", "fwmask": "0xff", "table": "9"},
        {"priority": 102, "src": "all", "fwmark": "0x1/0xff", "table": "main"},
    ]
    seen = observe({}, {Family.IPV4: theirs[:1]}, {}, SHOP)
    assert not seen
    assert clearing_commands(seen) == {}
    assert not observe({}, {Family.IPV4: theirs[2:]}, {}, SHOP)


def test_leftovers_under_other_values_are_replaced() -> None:
    # By the mark alone, and by the route table alone.
    old = [
        {"priority": 5, "src": "all", "fwmark": "0xcaf0001", "table": "99"},
        {"priority": 6, "src": "all", "table": "3247"},
    ]
    routes = [{"dst": "10.0.0.0/8", "dev": "eth0", "table": "3247"}]
    seen = observe({}, {Family.IPV4: old}, {Family.IPV4: routes}, SHOP)
    assert missing_commands(rule_set(replace(SHOP, families=(Family.IPV4,))), seen) == {
        Family.IPV4: [
            "rule del pref 5 fwmark 0xcaf0001 lookup 99",
            "rule del pref 6 lookup 3247",
            "route del unicast 10.0.0.0/8 dev eth0 table 3247",
            "route add local 0.0.0.0/0 dev lo table 3247",
            "rule add pref 100 fwmark 0xcaf0001 lookup 3247",
        ]
    }


def test_a_family_that_is_not_wanted_any_more_goes() -> None:
    seen = observe(TABLES, RULES, ROUTES, SHOP)
    commands = missing_commands(rule_set(replace(SHOP, families=(Family.IPV4,))), seen)
    assert list(commands) == [Family.IPV6]
    assert all(" del " in line for line in commands[Family.IPV6])


@pytest.mark.parametrize("word", ["lo\nrule add pref 1", "a b", "", "é"])
def test_names_in_a_namespace_cannot_add_a_command(word: str) -> None:
    routes = [{"type": "local", "dst": "default", "dev": word, "table": "3247"}]
    with pytest.raises(InputError):
        observe({}, {}, {Family.IPV4: routes}, SHOP)


@pytest.mark.parametrize(
    ("addresses", "families"),
    [
        (["127.0.0.1", "::1"], (Family.IPV4, Family.IPV6)),
        (["127.0.0.1"], (Family.IPV4,)),
        ([], ()),
    ],
)
def test_families_are_those_of_loopback(addresses: list[str], families: object) -> None:
    info = [{"family": "any", "local": address} for address in addresses]
    assert usable_families([{"ifname": "lo", "addr_info": info}]) == families
