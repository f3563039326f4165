"""An app in a namespace of its own: HTTP and a server that speaks first, told by ports.

    python namespace_app.py HTTP_PORT[,HTTP_PORT] GREETING_PORT

Prints a line when it listens on all of them, over IPv4 and IPv6.
"""

from __future__ import annotations

import hashlib
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

#: What /download answers: no repetition within a buffer.
DOWNLOAD = b"".join(index.to_bytes(4, "big") for index in range(1 << 20))
GREETING = b"J\0\0\0\n8.0.36\0"


class Web(BaseHTTPRequestHandler):
    """Says who called, on which port, and what came."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for size in (1, 10, 1_000, 100_000):
                self.wfile.write(b"%x\r\n%s\r\n" % (size, DOWNLOAD[:size]))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            for part in (b"begun", b"ended"):
                self.wfile.write(part)
                self.wfile.flush()
                time.sleep(0.8)
        elif self.path == "/download":
            self._answer(DOWNLOAD)
        else:
            host, port = self.client_address[:2]
            told = sorted((k.lower(), v) for k, v in self.headers.items())
            called = self.connection.getsockname()[1]
            self._answer(f"{host.removeprefix('::ffff:')} {port} {called} {told}".encode())

    def do_POST(self) -> None:
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left and (data := self.rfile.read(min(left, 65_536))):
            digest.update(data)
            left -= len(data)
        self._answer(digest.hexdigest().encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Greeter(socketserver.BaseRequestHandler):
    """Speaks first, then echoes."""

    def handle(self) -> None:
        self.request.sendall(GREETING)
        while data := self.request.recv(65_536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def main() -> None:
    servers = [Server(("::", int(port)), Web) for port in sys.argv[1].split(",")]
    servers += [Server(("::", int(sys.argv[2])), Greeter)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
