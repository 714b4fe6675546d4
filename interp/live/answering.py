"""How a live page's server answers one connection: who is answered, with what, and how long anybody may take."""

from __future__ import annotations

import hmac
import io
import json
import re
import socket
import struct
import time
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from interp.live.viewers import Published, policy_of

# From the moment at which a connection may ask until all of its question is there, and then until all of the answer is taken.
# A connection that asks nothing for so long is closed as well; browsers open another.
ASKING_SECONDS = 10.0
ANSWER_SECONDS = 60.0
_LINE_BYTES = 2_048  # of a request
_REQUEST_BYTES = 32_768  # of a whole request: browsers send one to two kB, and cookies of other servers on this machine

# The names of this machine, as seen from itself or through a forwarded port. A page of another site whose name was made to
# point to this machine has that site's name in Host.
_OWN_NAME = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TEXT, _HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"


class _Owner(Protocol):
    """The server that a connection belongs to."""

    published: Published

    def known(self, request: Any) -> None: ...


class _TooLongError(HTTPException):
    """A request of more bytes than any browser sends."""


class _Question(io.RawIOBase):
    """What a connection sends: for so many seconds in all, and so many bytes in all, from `begin` on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.begin()

    def begin(self) -> None:
        """Another request may come."""
        self._until, self._left = time.monotonic() + ASKING_SECONDS, _REQUEST_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, or wait for it."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        if self._left <= 0:
            raise _TooLongError("too long")
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count


class Answering(BaseHTTPRequestHandler):
    """Answers one connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    server_version = "interp"
    sys_version = ""
    server: _Owner  # type: ignore[assignment]

    def setup(self) -> None:
        """Read through a clock."""
        super().setup()
        self.rfile.close()
        self._question = _Question(self.connection)
        self.rfile = io.BufferedReader(self._question)

    def handle_one_request(self) -> None:
        """Read a request and answer it."""
        self._question.begin()
        self.command, self.request_version, self.requestline = "", self.protocol_version, ""
        try:
            self.raw_requestline = self.rfile.readline(_LINE_BYTES + 1)
            if not self.raw_requestline:
                self.close_connection = True
            elif len(self.raw_requestline) > _LINE_BYTES:
                self._refuse(414, "This is longer than any address here.")
            elif self.parse_request():  # has said so if it is malformed
                self._answer_request()
        except TimeoutError:
            self.close_connection = True
            # What the system still holds of an answer is not kept for somebody who does not take it.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except _TooLongError:
            self._refuse(431, "This is longer than any question here.")

    def _answer_request(self) -> None:
        """The page, its update, or the state, for those who know the token."""
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(*refusal)
            return
        published, asked = self.server.published, urlsplit(self.path)
        if asked.path == "/favicon.ico":  # browsers ask for it by themselves, without the token
            self._send(204, b"")
            return
        token, slash, what = asked.path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(errors="replace"), published.token.encode()):
            self._refuse(403, "This page is for those who know its whole address, as it was printed where it was started.")
            return
        self.server.known(self.request)
        if what == "":
            published.visited()
            self._send(200, published.html, _HTML)
        elif what == "update":
            self._send(200, published.update, _HTML)
        elif what == "state":
            state = published.seen(*_viewer(asked.query))
            self._send(200, json.dumps(state).encode(), "application/json")
        else:
            self._send(404, b"Nothing is here.\n")

    def _refusal(self) -> tuple[int, str] | None:
        """Why a request is not looked at any further; None if it is."""
        if self.command not in ("GET", "HEAD"):
            return 405, "This page can only be read."
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            return 400, "Nothing can be sent to this page."
        hosts, origin = self.headers.get_all("Host") or [], self.headers.get("Origin")
        if len(hosts) != 1 or not _OWN_NAME.fullmatch(hosts[0]):
            return 403, "This server answers only to localhost and 127.0.0.1."
        if origin is not None and origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}"):
            return 403, "This server does not answer to other pages."
        return None

    def _refuse(self, status: int, why: str) -> None:
        """Say no, and close the connection: what else it sent is not looked at."""
        self.close_connection = True
        self._send(status, f"{why}\n".encode())

    def _send(self, status: int, body: bytes, kind: str = _TEXT) -> None:
        headers = {
            **_HEADERS,
            "Content-Security-Policy": f"{policy_of(body if kind == _HTML else b'')}; frame-ancestors 'none'",
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **({"Allow": "GET, HEAD"} if status == 405 else {}),
            **({"Connection": "close"} if self.close_connection else {}),
        }
        self.connection.settimeout(ANSWER_SECONDS)  # of everything that is sent at once
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library says of a malformed request, in our form."""
        self.request_version = self.protocol_version  # what cannot be read is not of the version without headers
        self._refuse(code, message or explain or "This is not a request.")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged: the terminal belongs to the training."""


def _viewer(query: str) -> tuple[str, int]:
    """Who asks for the state, and the version it has; -1 if it does not say."""
    values = parse_qs(query)
    version = values.get("version", ["-1"])[0]
    known = version.isascii() and version.isdigit() and len(version) < 10
    return values.get("viewer", ["?"])[0][:64], int(version) if known else -1
