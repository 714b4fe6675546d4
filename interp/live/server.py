"""A web server for one page that changes: this machine only, reading only, and nothing but the page."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from interp.errors import UsageError

HOST = "127.0.0.1"

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page itself
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OPENING, _WAITING = "", "waiting"  # viewers without a name of their own; waiting.js uses the second
_IDLE_SECONDS = 60  # after which an idle connection is closed


@dataclass
class Published:
    """What viewers receive, and who they are. Safe to use from several threads.

    Attributes:
        html: the whole page.
        update: the same without what never changes.
        state: JSON-ready; its ``version`` tells viewers when there is something new.
    """

    html: bytes = b""
    update: bytes = b""
    state: dict[str, Any] = field(default_factory=lambda: {"version": 0})
    _viewers: dict[str, tuple[float, int, bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, html: str, update: str, **state: Any) -> None:
        """Publish another page, together with the state that says so."""
        with self._lock:
            self.html, self.update = html.encode(), update.encode()
            self.state = {**self.state, **state}

    def tell(self, **state: Any) -> None:
        """Change the state alone."""
        with self._lock:
            self.state = {**self.state, **state}

    def seen(self, viewer: str, version: int) -> dict[str, Any]:
        """Note who asked and which version it has; returns the state to answer with."""
        with self._lock:
            knows_end = bool(self.state.get("ended")) and version == self.state["version"]
            self._viewers.pop(_OPENING, None)
            self._viewers[viewer] = (time.monotonic(), version, knows_end)
            return self.state

    def visited(self) -> None:
        """Note that somebody opened the page, whose script has not asked yet; the waiting page is gone."""
        with self._lock:
            self._viewers.pop(_WAITING, None)
            self._viewers[_OPENING] = (time.monotonic(), -1, False)

    def watched(self, seconds: float) -> bool:
        """Whether anybody asked in the last seconds."""
        now = time.monotonic()
        with self._lock:
            return any(now - at < seconds for at, _, _ in self._viewers.values())

    def all_know(self, seconds: float) -> bool:
        """Whether everybody who asked in the last seconds has the last version and knows that it is the last."""
        now = time.monotonic()
        with self._lock:
            return all(knows for at, _, knows in self._viewers.values() if now - at < seconds)


def listen(port: int = 0) -> socket.socket:
    """A socket that listens on this machine only, at a port or, for 0, at any free one.

    Raises:
        UsageError: if the port is taken or not allowed.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port: given {port}, expected 1 to 65535, or 0 for any that is free")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(32)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"--port: given {port}, which cannot be used ({error.strerror}); leave it out for any that is free"
        ) from error
    return listener


def url(listener: socket.socket) -> str:
    """Where the page is."""
    return f"http://{HOST}:{listener.getsockname()[1]}/"


@contextmanager
def serving(listener: socket.socket, published: Published) -> Iterator[None]:
    """Serve what is published, in threads of its own, until the context ends."""
    server = _Server(listener, published)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, published: Published) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()  # the one it made; ours listens already
        self.socket = listener
        self.published = published
        port = listener.getsockname()[1]
        self.names = {f"{HOST}:{port}", f"localhost:{port}"}

    def handle_error(self, request: object, client_address: object) -> None:
        """A viewer that closes its tab in the middle is not an error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "interp"
    sys_version = ""
    timeout = _IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """The page, its update, or the state."""
        # A page of another site whose name was made to point to this machine has that site's name in Host.
        if self.headers.get("Host") not in self.server.names:
            self._answer(403, b"This server answers only to its own name.\n")
            return
        published, asked = self.server.published, urlsplit(self.path)
        if asked.path == "/":
            published.visited()
            self._answer(200, published.html, "text/html; charset=utf-8")
        elif asked.path == "/update":
            self._answer(200, published.update, "text/html; charset=utf-8")
        elif asked.path == "/state":
            state = published.seen(*_viewer(asked.query))
            self._answer(200, json.dumps(state).encode(), "application/json")
        elif asked.path == "/favicon.ico":
            self._answer(204, b"")
        else:
            self._answer(404, b"Nothing is here.\n")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: the terminal belongs to the training."""


def _viewer(query: str) -> tuple[str, int]:
    """Who asks for the state, and the version it has; -1 if it does not say."""
    values = parse_qs(query)
    version = values.get("version", ["-1"])[0]
    return values.get("viewer", ["?"])[0][:64], int(version) if version.isascii() and version.isdigit() else -1
