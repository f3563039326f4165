"""``cnaf enforce`` as a process in front of a real origin: what clients, and people, see."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cnaf.learner.learn import Learned
from cnaf.models.digest import Digest
from cnaf.models.registry_layout import LayoutRegistry

CNAF = str(Path(sys.executable).with_name("cnaf"))
TIMEOUT_S = 60.0
SQL_INJECTION = (
    "/wp-admin/edit.php?orderby=title%27%20UNION%20SELECT%20user_pass%20FROM%20wp_users--"
)


class _Origin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append((self.command, self.path, len(body)))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST = _answer  # noqa: N815 - the base class calls these names

    def log_message(self, format: str, *args: object) -> None:
        pass


class Origin(ThreadingHTTPServer):
    """A real server that remembers method, path and body size of what reached it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Origin)
        self.seen: list[tuple[str, str, int]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy that is stopped resets its connections; that is nothing to tell."""


@dataclass(frozen=True)
class Proxy:
    """A running ``cnaf enforce``."""

    process: subprocess.Popen[str]
    port: int
    spool: Path

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def alerts(self, *arguments: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [CNAF, "alerts", *arguments, "--json", "--spool", str(self.spool)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def registry(learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registry")
    subject = Digest.parse(learned.report.source.subject)
    LayoutRegistry(root).push(learned.files, subject=subject, image="wordpress:6.1")
    return root


@contextlib.contextmanager
def enforcing(
    registry: Path, origin: Origin, spool: Path, *options: str, port: int = 0
) -> Iterator[Proxy]:
    port = port or free_port()
    command = [
        CNAF, "enforce", "--listen", f"127.0.0.1:{port}",
        "--origin", f"127.0.0.1:{origin.server_port}", "--image", "wordpress:6.1",
        "--registry", str(registry), "--spool", str(spool), "--json", *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        yield Proxy(process, port, spool)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)


def test_an_attack_is_blocked_and_its_event_id_explains_it(
    registry: Path, origin: Origin, tmp_path: Path
) -> None:
    with enforcing(registry, origin, tmp_path, "--action", "block") as proxy:
        assert proxy.request("GET", "/?p=12")[0] == 200
        status, headers, page = proxy.request("GET", SQL_INJECTION, Accept="text/html")
        assert status == 403
        event = headers["X-CNAF-Event"]
        assert event.encode() in page
        assert b"<html" in page
        assert headers.get_content_type() == "text/html"

        status, headers, page = proxy.request("GET", SQL_INJECTION, Accept="application/json")
        assert (status, headers.get_content_type()) == (403, "application/json")
        assert headers["X-CNAF-Event"] in json.dumps(json.loads(page))

        (alert,) = proxy.alerts(event)
        assert alert["action"] == "block"
        assert alert["image"] == "wordpress:6.1"
        assert alert["client"] == "127.0.0.1"
        fields = {evidence["field"] for evidence in alert["evidence"]}
        assert "query:orderby" in fields
        assert all(evidence["expected"] for evidence in alert["evidence"])
    assert [path for _, path, _ in origin.seen] == ["/?p=12"]
    assert proxy.process.returncode == 0


def test_alert_mode_lets_everything_through_and_notes_the_answer(
    registry: Path, origin: Origin, tmp_path: Path
) -> None:
    with enforcing(registry, origin, tmp_path) as proxy:
        status, headers, _ = proxy.request("GET", SQL_INJECTION)
        assert status == 200
        assert headers["X-CNAF-Event"] is None  # what was found is the operator's business
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := proxy.alerts()) or found[0]["status"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    (alert,) = found
    assert (alert["action"], alert["status"]) == ("alert", 200)
    assert len(origin.seen) == 1


def test_secrets_reach_no_alert(registry: Path, origin: Origin, tmp_path: Path) -> None:
    secret = "correct-horse-battery"
    with enforcing(registry, origin, tmp_path, "--action", "block") as proxy:
        status, _, _ = proxy.request(
            "POST", f"/wp-login.php?token={secret}",
            f"log=admin%27%20OR%201%3D1--%20&pwd={secret}".encode(),
            **{
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": f"session={secret}", "Authorization": f"Bearer {secret}",
            },
        )  # fmt: skip
        assert status == 403
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"wp-login.php" in written
    assert secret.encode() not in written


def test_bodies_beyond_the_limit_pass_whole(registry: Path, origin: Origin, tmp_path: Path) -> None:
    size = 5_000_000
    with enforcing(registry, origin, tmp_path) as proxy:
        status, _, _ = proxy.request(
            "POST", "/wp-admin/async-upload.php", b"a" * size,
            **{"Content-Type": "application/octet-stream"},
        )  # fmt: skip
    assert (status, origin.seen) == (200, [("POST", "/wp-admin/async-upload.php", size)])


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\n", b"400"),
        (b"GET /?" + b"p1=1&" * 1_500 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),
        (b"GET /?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
    ],
)  # fmt: skip
def test_malformed_http_is_answered_and_reaches_nobody(
    raw: bytes, status: bytes, alerting: Proxy
) -> None:
    with socket.create_connection(("127.0.0.1", alerting.port), TIMEOUT_S) as client:
        client.sendall(raw)
        answer = client.recv(4096)
    assert answer.split(b" ", 2)[1] == status, answer


@pytest.fixture(scope="module")
def alerting(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Origin() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with enforcing(registry, server, tmp_path_factory.mktemp("spool")) as proxy:
            yield proxy
        server.shutdown()


@pytest.mark.parametrize(
    "body",
    [
        b"&".join(b"p%d=v" % i for i in range(10_000)),
        b'{"a":' * 8_000 + b"1" + b"}" * 8_000,
        b"\xff\xfe\x00invalid" * 500,
        b"<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]><a>&d;</a>",
    ],
    ids=["10,000 parameters", "deep JSON", "invalid UTF-8", "XML entities"],
)
@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded", "application/json", "text/xml",
        "multipart/form-data; boundary=x",
    ],
)  # fmt: skip
def test_hostile_bodies_get_a_verdict(body: bytes, kind: str, alerting: Proxy) -> None:
    status, _, _ = alerting.request("POST", "/xmlrpc.php", body, **{"Content-Type": kind})
    assert status == 200
    assert alerting.process.poll() is None


def children(pid: int) -> dict[int, str]:
    """Return pid and command line of a process's children."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            stat = (entry / "stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
    return found


def test_killed_processes_come_back_and_nothing_stays_behind(
    registry: Path, origin: Origin, tmp_path: Path
) -> None:
    with enforcing(registry, origin, tmp_path, "--action", "block", "--workers", "1") as proxy:
        before = children(proxy.process.pid)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT_S
        while True:  # refused at first, unchecked (fail-open) while the worker starts
            with contextlib.suppress(OSError, http.client.HTTPException):
                if proxy.request("GET", SQL_INJECTION)[0] == 403:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        after = children(proxy.process.pid)
        assert len(after) == len(before) == 2
        assert not before.keys() & after.keys()
    for pid in after:
        assert not Path(f"/proc/{pid}").exists()


def test_a_killed_enforcer_is_taken_over_by_the_next(
    registry: Path, origin: Origin, tmp_path: Path
) -> None:
    options = ("--action", "block", "--workers", "1")
    with enforcing(registry, origin, tmp_path, *options) as first:
        left = children(first.process.pid)
        first.process.kill()
        first.process.wait(TIMEOUT_S)
        assert first.request("GET", "/?p=1")[0] == 200  # HAProxy goes on, nobody looks
        with enforcing(registry, origin, tmp_path, *options, port=first.port) as second:
            assert second.request("GET", SQL_INJECTION)[0] == 403
            deadline = time.monotonic() + TIMEOUT_S
            while any(Path(f"/proc/{pid}").exists() for pid in left):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            command = ["--listen", f"127.0.0.1:{first.port}", "--origin", "127.0.0.1:9"]
            third = subprocess.run(
                [CNAF, "enforce", *command, "--image", "x", "--no-model"],
                capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
            assert third.returncode == 7
            assert "another cnaf enforce" in " ".join(third.stderr.split())
            assert second.request("GET", "/?p=1")[0] == 200


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--listen", "127.0.0.1:{taken}"), 7, "127.0.0.1:{taken}"),
        (("--listen", "nonsense"), 3, "HOST:PORT"),
        (("--image", "another"), 5, "no model"),
        (("--image", "sha256:" + "0" * 64), 5, "no model"),
        (("--action", "pass"), 2, "'pass' is not one of"),
        (("--spool", "/proc/nowhere"), 8, "/proc/nowhere"),
    ],
)
def test_what_cannot_start_says_why(
    options: tuple[str, ...], code: int, words: str, registry: Path, origin: Origin, tmp_path: Path
) -> None:
    taken = origin.server_port
    chosen = {
        "--listen": f"127.0.0.1:{free_port()}", "--origin": "127.0.0.1:9",
        "--image": "wordpress:6.1", "--spool": str(tmp_path),
    }  # fmt: skip
    chosen |= dict(zip(options[::2], (o.format(taken=taken) for o in options[1::2]), strict=True))
    arguments = [word for pair in chosen.items() for word in pair]
    done = subprocess.run(
        [CNAF, "enforce", *arguments, "--registry", str(registry)],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert words.format(taken=taken) in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_without_a_model_signatures_enforce(origin: Origin, tmp_path: Path) -> None:
    options = ("--no-model", "--action", "block")
    with enforcing(tmp_path / "none", origin, tmp_path / "spool", *options) as proxy:
        assert proxy.request("GET", "/?q=tea")[0] == 200
        assert proxy.request("GET", "/?f=../../../../etc/passwd")[0] == 403
