"""``make demo-docker``: learn a real WordPress by replaying its traffic, then protect it.

Builds the images where they are missing, replays recorded sessions against WordPress and MySQL,
starts the site again, enforces the model of the digest that its container runs, walks through the
site as a browser would, and attacks it. Needs root and a Docker engine.
"""

from __future__ import annotations

import http.client
import http.cookies
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from cnaf.learner.containers import Launch, running_app
from cnaf.models.errors import CnafError
from rich.rule import Rule
from rich.table import Table
from traffic import cnaf, console, enforcing, free_port

_ROOT = Path(__file__).parents[1]
_CORPUS = _ROOT / "datasets" / "wordpress" / "har"
_COMPOSE = _ROOT / "tests" / "e2e" / "compose.yaml"
_IMAGE = "wordpress:latest"
_HOST = "127.0.0.1:9080"
_READY_S = 180.0


class Browser:
    """A small browser: cookies, redirects, one connection a request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> tuple[int, str, str]:
        """Return status, page and event id of a GET, after at most five redirects."""
        return self._send("GET", path, None)

    def post(self, path: str, **form: str) -> tuple[int, str, str]:
        """Return the same of a form."""
        return self._send("POST", path, urllib.parse.urlencode(form))

    def _send(
        self, method: str, path: str, form: str | None, hops: int = 5
    ) -> tuple[int, str, str]:
        headers = {"Host": _HOST, "Accept": "text/html", "User-Agent": "Mozilla/5.0 (demo)"}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self._cookies.items())
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(method, path, form, headers)
        response = connection.getresponse()
        page = response.read().decode("utf-8", "replace")
        for line in response.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(line).items():
                self._cookies[name] = morsel.value
        location = response.headers.get("Location")
        connection.close()
        if location and response.status in {301, 302, 303} and hops:
            parts = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://{_HOST}{path}", location))
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            return self._send("GET", target, None, hops - 1)
        return response.status, page, response.headers.get("X-CNAF-Event") or ""


def visit(port: int) -> list[tuple[str, int, str, str]]:
    """Walk through the site; return what was done, the status, the page's title, the event id."""
    browser = Browser(port)
    steps: list[tuple[str, int, str, str]] = []

    def note(what: str, answer: tuple[int, str, str]) -> str:
        status, page, event = answer
        title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
        steps.append((what, status, " ".join(title[1].split()) if title else "", event))
        return page

    home = note("the front page", browser.get("/"))
    post = re.search(r'href="(?:http://[^"/]+)?(/[^"]*(?:\?p=\d+|/\d{4}/\d\d/[^"]+))"', home)
    note("an article", browser.get(post[1] if post else "/?p=1"))
    note("a search", browser.get("/?s=hello+world"))
    note("the login page", browser.get("/wp-login.php"))
    note(
        "logging in",
        browser.post(
            "/wp-login.php", log="admin", pwd=_password(), rememberme="forever",
            redirect_to=f"http://{_HOST}/wp-admin/", testcookie="1", **{"wp-submit": "Log In"},
        ),
    )  # fmt: skip
    note("the list of posts", browser.get("/wp-admin/edit.php?orderby=title&order=asc"))
    note("the profile", browser.get("/wp-admin/profile.php"))
    attack = (
        "/wp-admin/edit.php?orderby=title%27%20UNION%20SELECT%20user_pass%20FROM%20wp_users--%20"
    )
    note("an SQL injection", browser.get(attack))
    note("the front page again", browser.get("/"))
    return steps


def _password() -> str:
    seed = json.loads((_COMPOSE.parent / "site" / "seed.json").read_text("utf-8"))
    return str(seed["admin_password"])


def main() -> None:
    """Run the demo; exits with the code of the first command that fails."""
    started = time.monotonic()
    console.print(Rule("1. Build the images from Debian packages, where they are missing"))
    subprocess.run([str(_COMPOSE.parent / "images" / "build")], check=True)
    with tempfile.TemporaryDirectory(prefix="cnaf-demo-") as name:
        registry, spool = str(Path(name) / "registry"), str(Path(name) / "alerts")
        console.print(Rule("2. Learn: start the image with its database, replay its traffic"))
        sessions = sys.argv[1:2] or ["60"]
        cnaf("learn", _IMAGE, "--corpus", str(_CORPUS), "--compose", str(_COMPOSE), "--service",
             "wordpress", "--registry", registry, "--max-sessions", *sessions)  # fmt: skip

        console.print(Rule("3. Enforce: the model of the digest that the container runs"))
        launch = Launch(compose=_COMPOSE, service="wordpress", ready_timeout_s=_READY_S, host=_HOST)
        with running_app(_IMAGE, launch) as app:
            port = free_port()
            with enforcing("--listen", f"127.0.0.1:{port}", "--origin", str(app.address),
                           "--container", app.container.name, "--action", "block",
                           "--registry", registry, "--spool", spool):  # fmt: skip
                steps = visit(port)
        table = Table("step", "status", "page", "blocked as", title="A visit", title_justify="left")
        for what, status, title, event in steps:
            table.add_row(what, str(status), title, event, style="red" if event else "")
        console.print(table)
        for _, _, _, event in steps:
            if event:
                cnaf("alerts", event, "--spool", spool)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    blocked = [what for what, _, _, event in steps if event]
    failed = [what for what, status, _, event in steps if status >= 400 and not event]
    if blocked != ["an SQL injection"] or failed:
        sys.exit(f"expected the injection alone to be blocked: blocked {blocked}, failed {failed}")


if __name__ == "__main__":
    try:
        main()
    except CnafError as error:
        sys.exit(f"error: {error}")
