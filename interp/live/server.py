"""A web server for one page that changes: this machine only, reading only, and nothing but the page.

At most so many connections are open at once, each for a limited time: whoever asks slowly, or reads slowly, is let go.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import Any

from interp.errors import UsageError
from interp.live.answering import Answering
from interp.live.viewers import Published
from interp.process import still_here

HOST = "127.0.0.1"

# Connections at once; a tab needs one or two.
MOST_CONNECTIONS = 32
_BACKLOG = 128  # that the system keeps before they are accepted
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n"


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
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"--port: given {port}, which cannot be used ({error.strerror}); leave it out for any that is free"
        ) from error
    return listener


def url(listener: socket.socket, token: str) -> str:
    """Where the page is, for those who may see it."""
    return f"http://{HOST}:{listener.getsockname()[1]}/{token}/"


@contextmanager
def serving(listener: socket.socket, published: Published) -> Iterator[None]:
    """Serve what is published, in threads of its own, until the context ends."""
    server, is_here = _Server(listener, published), still_here()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        if is_here():
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, published: Published) -> None:
        super().__init__(listener.getsockname(), Answering, bind_and_activate=False)
        self.socket.close()  # the one it made; ours listens already
        self.socket = listener
        self.published = published
        self._open: dict[socket.socket, bool] = {}  # oldest first; whether it has shown that it knows the token
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, unless too many are open that know the token; of the others the oldest has to go."""
        with self._lock:
            full = len(self._open) >= MOST_CONNECTIONS
            strangers = [one for one, is_known in self._open.items() if not is_known]
            if not full or strangers:
                self._open[request] = False
        if full and strangers:
            self._forget(strangers[0])
            with suppress(OSError):
                strangers[0].shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
        elif full:
            with suppress(OSError):
                request.setblocking(False)  # a few bytes into an empty buffer
                request.send(_TOO_MANY)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def known(self, request: Any) -> None:
        """Note that a connection knows the token: it is not closed in favour of another."""
        with self._lock:
            if request in self._open:
                self._open[request] = True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._forget(request)
        super().shutdown_request(request)

    def _forget(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)

    def handle_error(self, request: object, client_address: object) -> None:
        """A viewer that closes its tab in the middle is not an error."""
