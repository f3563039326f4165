"""Registered rules through real HAProxy: what they block, and what the alert says of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cnaf.learner.learn import Learned
from cnaf.models.digest import Digest
from cnaf.models.registry_layout import LayoutRegistry
from cnaf.signatures.sets.sources import DEBIAN_CRS

from tests.e2e.test_enforce import CNAF, Origin, enforcing, origin
from tests.support.rule_sets import CUSTOM, PATCH, PATCH_TESTS, write

__all__ = ["origin"]

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def registry(learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registry")
    subject = Digest.parse(learned.report.source.subject)
    LayoutRegistry(root).push(learned.files, subject=subject, image="wordpress:6.1")
    return root


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return tmp_path / "rules"


def cnaf_rules(folder: Path, *arguments: object) -> None:
    command = [CNAF, "rules", *map(str, arguments), "--rules-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def evidence_of(alert: dict[str, Any], rule: str) -> dict[str, Any]:
    return next(e for e in alert["evidence"] if e["rule"] == rule)


def test_a_custom_rule_and_a_virtual_patch_block(
    registry: Path, rules: Path, origin: Origin, tmp_path: Path
) -> None:
    cnaf_rules(rules, "add", "custom", "--path", write(tmp_path, CUSTOM))
    tests = write(tmp_path, PATCH_TESTS, "requests.yaml")
    patch = write(tmp_path, PATCH, "upload-path.conf")
    cnaf_rules(rules, "patch", "add", patch, "--image", "wordpress*", "--tests", tests)
    other = write(tmp_path / "other", CUSTOM.replace("free-", "hello-").replace("900", "800"))
    cnaf_rules(rules, "add", "custom", "--path", other, "--name", "other", "--image", "shop*")
    options = ("--action", "block", "--no-model", "--rules-dir", str(rules))
    with enforcing(registry, origin, tmp_path / "spool", *options) as proxy:
        assert proxy.request("GET", "/upload.php?dir=pictures")[0] == 200
        # A set for other images does not apply.
        assert proxy.request("GET", "/?coupon=hello-7")[0] == 200
        # Nor do the files count that the rules came from.
        patch.unlink()
        status, headers, _ = proxy.request("GET", "/?coupon=free-7")
        assert status == 403
        (alert,) = proxy.alerts(headers["X-CNAF-Event"])
        evidence = evidence_of(alert, "9001")
        assert evidence["field"] == "query:coupon"
        assert evidence["message"] == "A coupon that nobody issued"
        assert evidence["tags"] == ["shop", "CWE-840"]
        assert evidence["source"].startswith("shop Shop rules/2.1 (sha256:")

        status, headers, _ = proxy.request("POST", "/upload.php", b"dir=../../etc", **FORM)
        assert status == 403
        (alert,) = proxy.alerts(headers["X-CNAF-Event"])
        evidence = evidence_of(alert, "9201")
        assert evidence["source"].startswith("upload-path ")
        assert evidence["tags"] == ["CVE-2026-0001"]
    assert [path for _, path, _ in origin.seen] == ["/upload.php?dir=pictures", "/?coupon=hello-7"]


@pytest.mark.core_rules
def test_the_core_rule_set_blocks_and_is_named(
    registry: Path, rules: Path, origin: Origin, tmp_path: Path
) -> None:
    cnaf_rules(rules, "add", "crs", "--path", DEBIAN_CRS, "--mode", "block")
    options = ("--action", "block", "--workers", "1", "--rules-dir", str(rules))
    with enforcing(registry, origin, tmp_path / "spool", *options) as proxy:
        assert proxy.request("GET", "/?p=12", Accept="*/*", **{"User-Agent": "x"})[0] == 200
        # Our own rules have nothing to say about this one.
        status, headers, _ = proxy.request(
            "GET", "/?p=12&x=%3Bshutdown--%201%2C1", Accept="*/*", **{"User-Agent": "nikto"}
        )
        assert status == 403
        (alert,) = proxy.alerts(headers["X-CNAF-Event"])
        evidence = evidence_of(alert, "913100")
        assert evidence["field"] == "header:user-agent"
        assert evidence["source"].startswith("crs 3.3.")


def test_changed_rules_are_told_before_anything_starts(
    registry: Path, rules: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, CUSTOM)
    cnaf_rules(rules, "add", "custom", "--path", path)
    path.write_text("# nothing\n", "utf-8")
    command = [
        CNAF, "enforce", "--listen", "127.0.0.1:1", "--origin", "127.0.0.1:1", "--no-model",
        "--image", "wordpress:6.1", "--registry", str(registry), "--rules-dir", str(rules),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 3
    assert "no longer what was added" in found.stderr
