"""The README's commands, run in their order as they stand there, and the demo."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TIMEOUT_S = 170.0
LISTEN, ORIGIN = "127.0.0.1:8080", "127.0.0.1:9080"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "datasets").symlink_to(ROOT / "datasets")
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    xdg = {"XDG_DATA_HOME": str(folder / "data"), "XDG_STATE_HOME": str(folder / "state")}
    own = {"CNAF_RULES": str(folder / "rules"), "PATH": path}
    return folder, {**os.environ, **xdg, **own}


def test_the_first_commands_are_the_two_that_make_promises() -> None:
    assert commands()[:2] == ["make demo", "make test"]


def test_commands_that_end_do_so_well(home: tuple[Path, dict[str, str]]) -> None:
    folder, env = home
    started = [c for c in commands() if c.startswith("cnaf ")]
    ending = [c for c in started if "enforce" not in c and "--follow" not in c]
    assert len(ending) == 5
    for command in ending:
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=env, capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout
    assert (folder / "report" / "report.md").exists()


def test_a_block_shows_in_the_alerts_that_are_followed(home: tuple[Path, dict[str, str]]) -> None:
    """Needs the model of the test above, as the README needs its own earlier lines."""
    folder, env = home
    (enforce,) = [c for c in commands() if c.startswith("cnaf enforce")]
    (follow,) = [c for c in commands() if c.endswith("--follow")]
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as origin:
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as free:
            listen = f"127.0.0.1:{free.server_port}"
        places = {LISTEN: listen, ORIGIN: f"127.0.0.1:{origin.server_port}"}
        words = [places.get(word, word) for word in shlex.split(enforce)]
        proxy = subprocess.Popen([*words, "--json"], cwd=folder, env=env, stdout=subprocess.PIPE)
        # A test run in the background of a shell ignores SIGINT, and so would what it starts.
        heeding = ["env", "--default-signal=INT", *shlex.split(follow), "--json"]
        follower = subprocess.Popen(heeding, cwd=folder, env=env, stdout=subprocess.PIPE)
        try:
            assert proxy.stdout is not None
            assert follower.stdout is not None
            assert json.loads(proxy.stdout.readline())["event"] == "ready"
            attack = f"http://{listen}/?s=%27%20UNION%20SELECT%20user_pass%20FROM%20wp_users--%20"
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(attack, timeout=TIMEOUT_S)
            event = refused.value.headers["X-CNAF-Event"]
            assert json.loads(follower.stdout.readline())["event_id"] == event
        finally:
            follower.send_signal(signal.SIGINT)
            proxy.send_signal(signal.SIGTERM)
            ends = [process.wait(TIMEOUT_S) for process in (proxy, follower)]
            origin.shutdown()
    assert ends == [0, 0]


def test_the_demo_keeps_its_promises(home: tuple[Path, dict[str, str]]) -> None:
    done = subprocess.run(
        [BIN / "python", ROOT / "demo" / "recorded.py"], env=home[1] | {"COLUMNS": "160"},
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rates = {
        name: float(share)
        for name, share in re.findall(r"│ (benign|attacks).*\((\d+\.\d+)%\)", done.stdout)
    }
    assert rates["benign"] <= 1.0
    assert rates["attacks"] >= 80.0
    assert "Latency added" in done.stdout
    assert done.stdout.count("blocked ──") == 3
