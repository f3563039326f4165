"""The configuration inside of a namespace: what is rendered, what is refused, and that it parses.

Snapshots are renewed with ``RENEW_SNAPSHOTS=1 pytest tests/dataplane/test_transparent.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cnaf.dataplane.config import agent_socket, render_spoe
from cnaf.dataplane.haproxy import HAProxy
from cnaf.dataplane.interception import Family, Interception
from cnaf.dataplane.transparent import TransparentConfig, render_transparent
from cnaf.models.errors import InputError

SNAPSHOTS = Path(__file__).with_name("snapshots")
PORTS = (80, 3306)


def config(run_dir: Path = Path("/run/cnaf/shop"), workers: int = 1, **values: Any) -> Any:
    defaults: dict[str, Any] = {
        "interception": Interception(PORTS),
        "agent_sockets": tuple(agent_socket(run_dir, index) for index in range(workers)),
        "run_dir": run_dir,
    }
    return TransparentConfig(**defaults | values)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("transparent", {}),
    (
        "transparent-strict",
        {
            "fail_open": False, "workers": 2, "http_ports": (80,), "detect_ms": 250,
            "interception": Interception(PORTS, (Family.IPV6,), listen_port=4),
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values"), VARIANTS)
def test_snapshot(name: str, values: dict[str, Any]) -> None:
    for kind, text in (
        ("haproxy", render_transparent(config(**values))),
        ("spoe", render_spoe(config(**values))),
    ):
        path = SNAPSHOTS / f"{name}.{kind}.cfg"
        if "RENEW_SNAPSHOTS" in os.environ:
            path.write_text(text)
        assert text == path.read_text()


@pytest.mark.parametrize(
    "values",
    [
        *(values for _, values in VARIANTS),
        {"record": True},
        {
            "interception": Interception(tuple(range(1, 1_025))),
            "http_ports": tuple(range(1, 1_025)),
        },
    ],
    ids=["default", "strict", "recording", "many ports"],
)
def test_haproxy_takes_every_variant(values: dict[str, Any], run_dir: Path) -> None:
    haproxy = HAProxy(config(run_dir, **values))
    haproxy.write_config()
    haproxy.check()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"detect_ms": 0}, "detect_ms"),
        ({"detect_ms": 10_001}, "detect_ms"),
        ({"http_ports": (80, 81)}, r"\[81\] are not intercepted"),
        # What every proxy refuses.
        ({"workers": 0}, "agent socket"),
        ({"drain_timeout_s": 0}, "drain_timeout_s"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**values)
