"""Rule sets from a few lines of SecLang, requests, and Debian's Core Rule Set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cnaf.models.exchange import Request
from cnaf.signatures.seclang.cache import Text, load_rules
from cnaf.signatures.seclang.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnaf.signatures.seclang.outcome import Outcome
    from cnaf.signatures.seclang.rule_set import RuleSet

DEBIAN = Path("/usr/share/modsecurity-crs")
SETUP = Path("/etc/modsecurity/crs/crs-setup.conf")
#: What ModSecurity's recommended configuration sets before any rule set.
BASE = """
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \\
  "id:1,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+\\+)?json" \\
  "id:2,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"""


def crs_sources() -> dict[str, list[Path]]:
    """Debian's release, and the one that CRS4_DIR names where it is set."""
    found: dict[str, list[Path]] = {}
    if SETUP.is_file():
        found["debian"] = [SETUP, *sorted((DEBIAN / "rules").glob("*.conf"))]
    folder = os.environ.get("CRS4_DIR")
    if folder:
        setup = Path(folder) / "crs-setup.conf.example"
        found["crs4"] = [setup, *sorted((Path(folder) / "rules").glob("*.conf"))]
    return found


@pytest.fixture(scope="session", params=sorted(crs_sources()))
def core_rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    """The Core Rule Set at paranoia level 2, which has every kind of rule."""
    cache = tmp_path_factory.mktemp("rules")
    sources = crs_sources()[request.param]
    levels = {"paranoia_level": "2", "blocking_paranoia_level": "2"}
    return load_rules([Text("base", BASE), *sources], levels, cache=cache)


@pytest.fixture
def run() -> Callable[..., Outcome]:
    """Run rules given as text over one request; with and without the prefilter, which agree."""

    def run_rules(text: str, request: Request, **options: object) -> Outcome:
        source = [Text("test", "SecRuleEngine On\nSecRequestBodyAccess On\n" + text)]
        outcomes = [
            Engine(load_rules(source), prefilter=prefilter).evaluate(request, **options)  # type: ignore[arg-type]
            for prefilter in (True, False)
        ]
        assert outcomes[0].matches == outcomes[1].matches
        assert outcomes[0].interruption == outcomes[1].interruption
        return outcomes[0]

    return run_rules


@pytest.fixture
def get() -> Callable[..., Request]:
    """Make a GET request of a target and headers."""

    def make(target: bytes = b"/", *headers: tuple[bytes, bytes]) -> Request:
        return Request("GET", target, headers)

    return make


@pytest.fixture
def post() -> Callable[..., Request]:
    """Make a POST request of a body and its type."""

    def make(body: bytes, kind: bytes = b"application/x-www-form-urlencoded") -> Request:
        headers = ((b"content-type", kind), (b"content-length", b"%d" % len(body)))
        return Request("POST", b"/", headers, body, len(body))

    return make
