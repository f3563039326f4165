"""A small web app that issues cookies, nonces and ids, and refuses those of others."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cnaf.dataplane.config import Address
from cnaf.models.exchange import Exchange, Label, Request, Response

PASSWORD = "open sesame"
FORM = b"application/x-www-form-urlencoded"
HANG_S = 5.0


class Guestbook(ThreadingHTTPServer):
    """One installation: its secret makes its tokens, and its notes count from ``first_id``."""

    daemon_threads = True

    def __init__(self, secret: str, first_id: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.secret = secret
        self.next_id = first_id
        self.visitors = 0
        self.requests = 0
        self.owners: dict[int, str] = {}
        self.hosts: set[str] = set()
        self.lock = threading.Lock()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server_address[1])

    def token(self, *parts: object) -> str:
        text = ":".join(map(str, (self.secret, *parts)))
        # A digit in front, as most tokens hold one, so that the tests do not depend on luck.
        return "7" + hashlib.sha256(text.encode()).hexdigest()[:9]

    def visitor(self) -> str:
        with self.lock:
            self.visitors += 1
            return self.token("visitor", self.visitors)

    def draft(self, owner: str) -> int:
        with self.lock:
            self.next_id += 1
            self.owners[self.next_id] = owner
            return self.next_id

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


@contextmanager
def guestbook(secret: str = "ours", first_id: int = 500) -> Iterator[Guestbook]:
    """Run an installation."""
    with Guestbook(secret, first_id) as app:
        thread = threading.Thread(target=app.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield app
        app.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Guestbook

    def do_GET(self) -> None:
        self._route(b"")

    def do_POST(self) -> None:
        self._route(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _route(self, body: bytes) -> None:
        self.server.requests += 1
        self.server.hosts.add(self.headers.get("host", ""))
        url = urlsplit(self.path)
        cookies = dict(
            pair.strip().partition("=")[::2] for pair in self.headers.get("cookie", "").split(";")
        )
        self.sid = cookies.get("sid", "")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        name = url.path.strip("/").split("/")[0] or "home"
        getattr(self, f"_{name}", self._missing)(url.path, query, form, body)

    def _home(self, *_: object) -> None:
        self._answer(200, "<a href='/login'>log in</a>")

    def _login(self, path: str, query: dict[str, str], form: dict[str, str], body: bytes) -> None:
        if self.command == "GET":
            self.sid = self.server.visitor()
            csrf = self.server.token("login", self.sid)
            page = f'<form method=post><input type="hidden" value="{csrf}" name="csrf"></form>'
            return self._answer(200, page, ("Set-Cookie", f"sid={self.sid}; Path=/; HttpOnly"))
        if form.get("csrf") != self.server.token("login", self.sid):
            return self._answer(403, "expired")
        if form.get("password") != PASSWORD:
            return self._answer(401, "wrong password")
        auth = self.server.token("auth", self.sid)
        return self._answer(302, "", ("Location", "/new"), ("Set-Cookie", f"auth={auth}; Path=/"))

    def _new(self, *_: object) -> None:
        if not self._allowed():
            return self._answer(302, "", ("Location", "/login"))
        note = self.server.draft(self.sid)
        api = json.dumps(
            {"root": f"/api/notes/{note}", "nonce": self.server.token("api", self.sid)}
        )
        api = api.replace("/", "\\/")
        return self._answer(
            200,
            f"<script>var api = {api};</script>"
            f'<form action="/publish?from=editor" method="post">'
            f'<input name="note" type="hidden" value="{note}"><textarea name="text"></textarea>'
            f'<input name="csrf" type="hidden" value="{self.server.token("publish", note)}"></form>'
            f'<a href="/delete?note={note}&amp;csrf={self.server.token("delete", note)}">x</a>',
        )

    def _api(self, path: str, query: dict[str, str], form: dict[str, str], body: bytes) -> None:
        note = int(path.rpartition("/")[2])
        if self.headers.get("x-api-nonce") != self.server.token("api", self.sid):
            return self._answer(403, "{}", kind="application/json")
        if self.server.owners.get(note) != self.sid or json.loads(body)["id"] != note:
            return self._answer(404, "{}", kind="application/json")
        return self._answer(200, json.dumps({"id": note}), kind="application/json")

    def _publish(self, path: str, query: dict[str, str], form: dict[str, str], body: bytes) -> None:
        self._own("publish", form)

    def _delete(self, path: str, query: dict[str, str], form: dict[str, str], body: bytes) -> None:
        self._own("delete", query)

    def _own(self, action: str, values: dict[str, str]) -> None:
        good = values.get("csrf") == self.server.token(action, values.get("note"))
        if not good or self.server.owners.get(int(values["note"])) != self.sid:
            return self._answer(403, "expired")
        return self._answer(302, "", ("Location", "/"))

    def _hang(self, *_: object) -> None:
        time.sleep(HANG_S)
        self.close_connection = True

    def _garbage(self, *_: object) -> None:
        self.wfile.write(b"\0\xff this is no HTTP\r\n\r\n")
        self.close_connection = True

    def _drop(self, *_: object) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _huge(self, *_: object) -> None:
        self._answer(200, '"csrf":"71234567ab" ' * 400_000)

    def _bomb(self, *_: object) -> None:
        # A header that lies about the encoding, cookies without names, one without an end.
        cookies = ("=;=;;", "a", "sid=1; Max-Age=no; Expires=never", "x" * 9_000)
        headers = [("Set-Cookie", cookie) for cookie in cookies]
        self._answer(200, "no gzip", ("Content-Encoding", "gzip"), *headers)

    def _missing(self, *_: object) -> None:
        self._answer(404, "nothing here")

    def _allowed(self) -> bool:
        return f"auth={self.server.token('auth', self.sid)}" in self.headers.get("cookie", "")

    def _answer(
        self, status: int, text: str, *headers: tuple[str, str], kind: str = "text/html"
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Visitor:
    """Writes down what a browser sends to an installation, as a recorder would."""

    def __init__(self, app: Guestbook, session: str) -> None:
        self._app = app
        self._session = session
        self._cookies: dict[str, str] = {}
        self.exchanges: list[Exchange] = []

    def send(
        self, method: str, target: str, body: bytes = b"", *headers: tuple[bytes, bytes]
    ) -> str:
        """Send a request and return the body of the answer."""
        sent = [(b"host", f"127.0.0.1:{self._app.address.port}".encode()), *headers]
        if self._cookies:
            cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
            sent.append((b"cookie", cookies.encode()))
        if body:
            sent.append((b"content-length", str(len(body)).encode()))
        head = b"".join(b"%s: %s\r\n" % header for header in sent)
        with socket.create_connection(("127.0.0.1", self._app.address.port)) as client:
            client.sendall(f"{method} {target} HTTP/1.1\r\n".encode() + head)
            client.sendall(b"connection: close\r\n\r\n" + body)
            answer = client.makefile("rb").read().decode()
        for name, value in re.findall(r"Set-Cookie: (\w+)=([^;]+)", answer):
            self._cookies[name] = value
        request = Request(method, target.encode(), tuple(sent), body, len(body))
        number = len(self.exchanges) + 1
        self.exchanges.append(
            Exchange(
                f"{self._session}#{number}",
                self._session,
                Label.BENIGN,
                request,
                Response(int(answer.split(" ", 2)[1])),
            )
        )
        return answer


def record_visit(app: Guestbook, session: str = "visit") -> list[Exchange]:
    """Record a session that logs in, saves a draft by the API, publishes it and deletes it."""
    visitor = Visitor(app, session)
    form = (b"content-type", FORM)
    visitor.send("GET", "/")
    csrf = _find(r'value="(\w+)" name="csrf"', visitor.send("GET", "/login"))
    visitor.send("POST", "/login", f"csrf={csrf}&password=open+sesame".encode(), form)
    page = visitor.send("GET", "/new")
    note, nonce = _find(r'notes\\/(\d+)"', page), _find(r'"nonce": "(\w+)"', page)
    draft = json.dumps({"id": int(note), "text": "It's a joke; SELECT one"}).encode()
    json_headers = ((b"content-type", b"application/json"), (b"x-api-nonce", nonce.encode()))
    visitor.send("POST", f"/api/notes/{note}", draft, *json_headers)
    csrf = _find(r'name="csrf" type="hidden" value="(\w+)"', page)
    body = f"note={note}&text=hello+world&csrf={csrf}".encode()
    visitor.send("POST", "/publish?from=editor", body, form)
    visitor.send("GET", _find(r'href="(/delete[^"]+)"', page).replace("&amp;", "&"))
    visitor.send("GET", "/no-such-page")
    return visitor.exchanges


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in {text}"
    return match[1]
