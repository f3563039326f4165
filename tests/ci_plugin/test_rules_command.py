"""``cnaf rules`` as people type it, with Debian's Core Rule Set and small rules of our own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cnaf.ci_plugin.main import app
from cnaf.learner.learn import Learned
from cnaf.models.digest import Digest
from cnaf.models.registry_layout import LayoutRegistry
from cnaf.models.registry_url import open_registry
from cnaf.models.stored_model import load_model
from cnaf.signatures.sets.sources import DEBIAN_CRS
from typer.testing import CliRunner

from tests.support.rule_sets import BROKEN, CUSTOM, PATCH, PATCH_TESTS, SCORED, write

WORDPRESS = Path(__file__).parents[2] / "datasets" / "wordpress"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNAF_RULES", str(tmp_path / "rules"))


@pytest.fixture(scope="module", autouse=True)
def databases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One cache for all tests of this module, and not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["rules", *map(str, arguments)])


def done(*arguments: object) -> Any:
    shown = run(*arguments)
    assert shown.exit_code == 0, shown.output
    return shown


def of(*arguments: object) -> Any:
    return json.loads(done(*arguments, "--json").stdout)


def words(text: str) -> str:
    return " ".join(text.split())


def corpus(folder: Path, *requests: tuple[str, str, str]) -> Path:
    """Write exchanges of label, target and referer."""
    path = folder / "corpus.jsonl"
    lines = [
        {"id": str(n), "session": f"s{n}", "label": label,
         "request": {"method": "GET", "target": target, "version": "1.1",
                     "headers": [["host", "shop"], ["referer", referer]], "body": ""}}
        for n, (label, target, referer) in enumerate(requests)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    return path


@pytest.mark.core_rules
def test_the_core_rule_set_is_registered_where_it_lies(tmp_path: Path) -> None:
    added = of("add", "crs", "--path", DEBIAN_CRS, "--paranoia", 2, "--image", "wordpress*")
    assert added["version"].startswith("3.3.")
    assert re.fullmatch("[0-9a-f]{64}", added["sha256"])
    assert (added["paranoia"], added["mode"], added["images"]) == (2, "weigh", ["wordpress*"])
    assert sorted(path.name for path in (tmp_path / "rules").iterdir()) == ["crs.yaml"]

    (listed,) = of("ls")
    assert (listed["name"], listed["state"]) == ("crs", "ok")
    assert "crs" in done("ls").stdout

    changed = of("set", "crs", "--paranoia", 1, "--threshold", 10, "--mode", "block",
                 "--setting", "tx.allowed_methods=GET POST")  # fmt: skip
    assert (changed["paranoia"], changed["threshold"], changed["mode"]) == (1, 10, "block")
    assert "paranoia_level=1" in of("show", "crs")["seclang"]
    assert "allowed_methods=GET POST" in done("show", "crs").stdout

    (rule,) = of("show", 942100)
    assert rule["file"].endswith("REQUEST-942-APPLICATION-ATTACK-SQLI.conf")
    assert rule["line"] > 1
    assert "ARGS" in rule["targets"]
    assert "attack-sqli" in rule["tags"]
    assert rule["excluded_by"] == []
    assert "paranoia level 1" in of("show", 942130)[0]["excluded_by"][0]

    shown = done("exclude", "crs", "--rule", 942100, "--endpoint", "POST /wp-comments-post.php",
                 "--field", "form:comment")  # fmt: skip
    assert "ctl:ruleRemoveTargetById=942100;ARGS:comment" in shown.stdout
    assert "wp-comments-post.php" in of("show", 942100)[0]["excluded_by"][0]
    assert "ruleRemoveTargetById" in of("show", "crs")["seclang"]
    done("exclude", "crs", "--rule", 942100, "--endpoint", "POST /wp-comments-post.php",
         "--field", "form:comment", "--remove")  # fmt: skip
    assert of("show", "crs")["exclusions"] == []

    done("rm", "crs")
    assert of("ls") == []
    assert (DEBIAN_CRS / "rules").is_dir()


def test_custom_rules_with_their_tests(tmp_path: Path) -> None:
    path = write(tmp_path, CUSTOM)
    write(tmp_path, "tests: [{must: block, target: '/?coupon=free-1'}]", "shop.tests.yaml")
    added = of("add", "custom", "--path", path)
    assert (added["name"], added["mode"], added["version"]) == ("shop", "block", "Shop rules/2.1")
    assert of("test", "shop") == {"tests": 1, "failed": []}
    assert of("test", path) == {"tests": 1, "failed": []}
    other = write(tmp_path, "tests: [{must: pass, target: '/?coupon=free-1'}]", "t.yaml")
    failed = run("test", "shop", "--tests", other)
    assert failed.exit_code == 1
    assert "must pass, and is blocked by 9001" in words(failed.stdout)
    everything = of("test")
    assert everything["tests"] > 500
    assert everything["failed"] == []


def test_rules_that_change_are_refused_until_they_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path, CUSTOM)
    done("add", "custom", "--path", path)
    path.write_text(CUSTOM + "\n# more\n", "utf-8")
    refused = run("set", "shop", "--threshold", 7)
    assert refused.exit_code == 3
    assert "no longer what was added" in refused.stderr
    assert "--refresh" in refused.stderr
    assert "no longer" in of("ls")[0]["state"]
    done("set", "shop", "--refresh", "--threshold", 7)
    assert of("ls")[0]["state"] == "ok"


def test_nothing_registered_says_what_to_do() -> None:
    assert "cnaf rules add" in words(done("ls").stderr)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("show", "crs"), "no rule set"), (("show", 12345), "no registered rule set has"),
        (("rm", "crs"), "no rule set"), (("set", "../x"), "no name"),
        (("add", "crs", "--path", "/nowhere"), "REQUEST-"),
        (("add", "custom", "--path", "/nowhere.conf"), "cannot be read"),
        (("exclude", "crs", "--rule", "1"), "no rule set"), (("lint", "/nowhere.conf"), "read"),
        (("test", "nothing"), "no rule set"), (("rehearse", "crs"), "nothing to rehearse"),
    ],
)  # fmt: skip
def test_mistakes_are_told(arguments: tuple[object, ...], problem: str) -> None:
    shown = run(*arguments)
    assert shown.exit_code == 3
    assert problem in words(shown.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rule", "x"), ("--rule", "1", "--tag", "t"), (), ("--rule", "1", "--field", "nothing"),
        ("--rule", "1", "--endpoint", "no path"), ("--tag", 'a" "id:1,deny'),
    ],
)  # fmt: skip
def test_what_is_no_exclusion_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done("add", "custom", "--path", write(tmp_path, SCORED))
    before = (tmp_path / "rules" / "shop.yaml").read_bytes()
    assert run("exclude", "shop", *arguments).exit_code == 3
    assert (tmp_path / "rules" / "shop.yaml").read_bytes() == before


@pytest.mark.core_rules
def test_broken_rules_are_not_added_and_all_errors_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path, BROKEN)
    refused = run("add", "custom", "--path", path)
    assert refused.exit_code == 3
    assert "shop.conf:2" in refused.stderr
    assert of("ls") == []
    shown = run("lint", path)
    assert shown.exit_code == 3
    for line in range(2, 13):
        assert f"shop.conf:{line}: " in shown.stdout
    found = json.loads(run("lint", path, "--json").stdout)
    assert [error["line"] for error in found] == list(range(2, 13))
    assert "no errors" in words(done("lint", write(tmp_path / "b", CUSTOM)).stderr)
    assert of("lint", DEBIAN_CRS) == []


class TestPatches:
    def add(self, folder: Path, tests: str, *more: str) -> Any:
        path = write(folder, PATCH, "upload-path.conf")
        file = write(folder, tests, "requests.yaml")
        return run("patch", "add", path, "--image", "shop*", "--tests", file, *more)

    def test_one_whose_tests_pass_is_accepted(self, tmp_path: Path) -> None:
        added = json.loads(self.add(tmp_path, PATCH_TESTS, "--json").stdout)
        assert (added["name"], added["kind"], added["mode"]) == ("upload-path", "patch", "block")
        assert added["tests_passed"] == 2
        assert added["images"] == ["shop*"]
        assert of("test", "upload-path") == {"tests": 2, "failed": []}

    @pytest.mark.parametrize(
        ("tests", "problem"),
        [
            (PATCH_TESTS.replace("../../etc", "etc"), "'the exploit' failed: must block"),
            (PATCH_TESTS.replace("dir=pictures", "dir=.."), "'a plain upload' failed: must pass"),
            (PATCH_TESTS.partition("  - name: a plain")[0], "and one that must pass"),
            ("tests: []", "no list"),
        ],
    )
    def test_others_are_refused_and_the_test_is_named(
        self, tests: str, problem: str, tmp_path: Path
    ) -> None:
        refused = self.add(tmp_path, tests)
        assert refused.exit_code == 3
        assert problem in words(refused.stderr)
        assert of("ls") == []

    def test_one_that_is_changed_must_prove_itself_again(self, tmp_path: Path) -> None:
        self.add(tmp_path, PATCH_TESTS)
        path = tmp_path / "upload-path.conf"
        path.write_text(PATCH.replace("contains ..", "contains //"), "utf-8")
        refused = run("set", "upload-path", "--refresh")
        assert refused.exit_code == 3
        assert "'the exploit' failed" in words(refused.stderr)
        path.write_text(PATCH + "# why it is there", "utf-8")
        done("set", "upload-path", "--refresh")
        assert of("ls")[0]["state"] == "ok"


class TestRehearsal:
    REQUESTS = (
        ("benign", "/?q=the+union+of+both", ""),
        ("benign", "/?q=hat", ""),
        ("attack", "/?q=%3Cb%3E", ""),
        ("attack", "/item?id=7", "http://x/<b>"),
    )

    def test_a_lower_threshold(self, tmp_path: Path) -> None:
        done("add", "custom", "--path", write(tmp_path, SCORED))
        recorded = corpus(tmp_path, *self.REQUESTS)
        report = tmp_path / "report.md"
        found = of("rehearse", "shop", "--threshold", 3, "--corpus", recorded,
                   "--markdown", report)  # fmt: skip
        assert found["requests"] == {"benign": 2, "attack": 2}
        assert found["blocked_before"] == {"benign": 0, "attack": 2}
        assert found["blocked_after"] == {"benign": 1, "attack": 2}
        assert (found["new_total"], found["lost_total"]) == ({"benign": 1}, {})
        (change,) = found["new"]
        assert (change["exchange"], change["rules"], change["fields"], change["endpoint"]) == (
            "0", ["9102"], ["query:q"], "GET /",
        )  # fmt: skip
        assert "| 9102 | GET / | benign | 1 | 0 |" in report.read_text("utf-8")
        assert "9102" in done("rehearse", "shop", "--threshold", 3, "--corpus", recorded).stdout

    def test_another_version_that_loses_attacks(self, tmp_path: Path) -> None:
        done("add", "custom", "--path", write(tmp_path, SCORED))
        recorded = corpus(tmp_path, *self.REQUESTS)
        newer = write(tmp_path / "new", SCORED.replace("|REQUEST_HEADERS:Referer", ""))
        found = of("rehearse", newer, "--corpus", recorded)
        assert found["lost_total"] == {"attack": 1}
        assert found["by_rule"] == [
            {"rule": "9101", "endpoint": "GET /item", "label": "attack", "new": 0, "lost": 1}
        ]
        assert found["lost"][0]["fields"] == ["header:referer"]

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("--threshold", 3, "--max-new-blocks", 0), 1),
            (("--threshold", 3, "--max-new-blocks", 1), 0),
            (("--threshold", 9, "--max-lost-blocks", 1), 1),
            (("--threshold", 9, "--max-lost-blocks", 2), 0),
        ],
    )
    def test_gates(self, arguments: tuple[object, ...], code: int, tmp_path: Path) -> None:
        done("add", "custom", "--path", write(tmp_path, SCORED))
        recorded = corpus(tmp_path, *self.REQUESTS)
        assert run("rehearse", "shop", "--corpus", recorded, *arguments).exit_code == code

    def test_it_must_be_clear_what_is_replaced(self, tmp_path: Path) -> None:
        path = write(tmp_path, SCORED)
        shown = run("rehearse", path, "--corpus", corpus(tmp_path, *self.REQUESTS))
        assert shown.exit_code == 3
        assert "--against" in shown.stderr


class TestWithModels:
    """The other commands take the sets that apply to their image."""

    RULE = (
        'SecRule ARGS:json.content "@contains <!-- wp:" "id:9401,phase:2,deny,t:none,'
        "msg:'Blocks',tag:'attack-xss'\""
    )

    @pytest.fixture
    def registry(self, learned: Learned, tmp_path: Path) -> Path:
        root = tmp_path / "registry"
        subject = Digest.parse(learned.report.source.subject)
        LayoutRegistry(root).push(learned.files, subject=subject, image="wordpress:6.1")
        return root

    def test_inspecting_and_rehearsing(self, registry: Path, tmp_path: Path) -> None:
        path = write(tmp_path, SCORED)
        done("add", "custom", "--path", path, "--image", "wordpress*", "--mode", "weigh")
        recorded = corpus(tmp_path, ("attack", "/?s=%3Cb%3E", ""), ("benign", "/?s=hat", ""))
        asked = ("--image", "wordpress:6.1", "--registry", registry, "--corpus", recorded)
        shown = CliRunner().invoke(app, ["inspect", *map(str, asked)])
        attack, benign = map(json.loads, shown.stdout.splitlines())
        assert any(e["source"].startswith("shop ") for e in attack["evidence"])
        assert benign["action"] == "pass"

        found = of("rehearse", "shop", "--mode", "off", *asked)
        assert found["requests"] == {"attack": 1, "benign": 1}
        assert found["new_total"] == {}
        assert found["blocked_after"]["benign"] == 0

    def test_learning_notes_where_benign_values_set_rules_off(self, tmp_path: Path) -> None:
        done("add", "custom", "--path", write(tmp_path, self.RULE), "--image", "blog*")
        files = sorted((WORDPRESS / "har").iterdir())[:8]
        for image, marked in (("blog:1", True), ("other:1", False)):
            arguments = ["learn", image, "--recorded", "--registry", str(tmp_path / "models")]
            arguments += ["--json", *map(str, files)]
            assert CliRunner().invoke(app, arguments).exit_code == 0
            model = load_model(open_registry(str(tmp_path / "models")), image).model
            found = {profile.name for profile in model.profiles if "attack-xss" in profile.marks}
            assert found == ({"content"} if marked else set())
