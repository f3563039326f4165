"""Which tests run (those with containers only where an engine answers), and one learned model."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cnaf.datasets.corpus import open_corpus
from cnaf.learner.fit import FitOptions
from cnaf.learner.learn import Learned, learn
from cnaf.learner.report import Source
from cnaf.models.exchange import Exchange
from cnaf.signatures.sets.sources import DEBIAN_CRS

WORDPRESS = Path(__file__).parents[1] / "datasets" / "wordpress"
SUBJECT = "sha256:" + "5" * 64


def _engine_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None or os.geteuid() != 0:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def _makes_namespaces() -> bool:
    if os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "nsenter", "unshare"))):
        return False
    command = ["unshare", "--net", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _has_core_rules() -> bool:
    return (DEBIAN_CRS / "rules").is_dir()


#: Marks of tests that need more than a user has: what makes them compulsory, and what finds out.
_NEEDS = {
    "docker": ("CNAF_REQUIRE_DOCKER", _engine_answers),
    "namespaces": ("CNAF_REQUIRE_NAMESPACES", _makes_namespaces),
    "core_rules": ("CNAF_REQUIRE_CORE_RULES", _has_core_rules),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, never skip: a run says how many tests it left out, and CI leaves out none."""
    for mark, (variable, available) in _NEEDS.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        if not marked or os.environ.get(variable) or available():
            continue
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if not item.get_closest_marker(mark)]


def pytest_report_header() -> list[str]:
    return [
        "containers: tests marked docker need root and an engine (CNAF_REQUIRE_DOCKER=1)",
        "networks: tests marked namespaces need root, nft and ip (CNAF_REQUIRE_NAMESPACES=1)",
        "rules: tests marked core_rules need the package modsecurity-crs "
        "(CNAF_REQUIRE_CORE_RULES=1)",
    ]


@pytest.fixture(scope="session", autouse=True)
def no_registered_rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What whoever runs the tests has registered plays no part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNAF_RULES", str(tmp_path_factory.mktemp("rules")))
        yield


@pytest.fixture(scope="session")
def wordpress_sessions() -> list[Exchange]:
    """Some sessions of each role: about 1,500 requests."""
    files = sorted((WORDPRESS / "har").iterdir())[:14]
    return list(open_corpus(files))


@pytest.fixture(scope="session")
def wordpress_attacks() -> list[Exchange]:
    return list(open_corpus([WORDPRESS / "attacks.jsonl"]))


@pytest.fixture(scope="session")
def learned(wordpress_sessions: list[Exchange]) -> Learned:
    """A model of those sessions, made as ``cnaf learn --recorded`` makes it."""
    source = Source(
        image="wordpress:6.1",
        subject=SUBJECT,
        subject_source="given",
        corpus_sha256="c" * 64,
        exchanges=len(wordpress_sessions),
        sessions=len({exchange.session for exchange in wordpress_sessions}),
    )
    return learn(
        wordpress_sessions,
        source,
        target_fpr=0.01,
        created=datetime(2026, 11, 24, tzinfo=UTC),
        progress=lambda _stage, _done, _total: None,
        options=FitOptions(trees=50),
    )
