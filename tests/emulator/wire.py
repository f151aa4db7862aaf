"""HTTP: plain, and through CONNECT with TLS that ends here."""

import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from tests.emulator.authority import Authority


@dataclass(frozen=True)
class Request:
    """`host` is the one that the client believes it talks to, or None where it talks to the emulator itself."""

    method: str
    host: str | None
    path: str
    body: bytes
    authorization: str | None
    peer: str


@dataclass(frozen=True)
class Reply:
    """What goes back; a reply of None closes the connection instead."""

    status: int
    body: bytes
    type: str = "application/json"


Answer = Callable[[Request], Reply | None]


class Listener(ThreadingHTTPServer):
    """`knows(host, peer)` says whether a host is emulated; `answer` answers its requests."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, address: tuple[str, int], answer: Answer, knows: Callable[[str, str], bool], authority: Authority
    ) -> None:
        self.answer, self.knows, self.authority = answer, knows, authority
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Without the base class's question to the name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news; any other failure is, on stderr."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Listener
    host: str | None = None

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if not self.server.knows(host, self.client_address[0]):
            self.send_error(403, f"{host} is not emulated")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        context = self.server.authority.context(host)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.host, self.close_connection = host, False  # the next request of this connection is inside the tunnel

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, path = self.host, self.path
        if path.startswith("http://"):  # a plain request through a proxy
            host, _, path = path.removeprefix("http://").partition("/")
            path = f"/{path}"
        key = self.headers.get("Authorization")
        reply = self.server.answer(Request(self.command, host, path, body, key, self.client_address[0]))
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *args) -> None:
        """The journal has it."""
