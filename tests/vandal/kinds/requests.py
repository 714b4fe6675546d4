"""A live page among clients that mean no good: slow ones, many, strangers to its address, senders of anything but a request."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from vandal.commands import Running
from vandal.rounds import Round

_LIVE = re.compile(r"Live: (http://\S+)")
_ANSWERED = 15.0  # seconds, within which its own viewer is answered, whatever others do
_BOUNDED = 40.0  # seconds, within which a request has to be made, or is dropped
_MANY = 300


@dataclass(frozen=True)
class Address:
    """Where the page is, as the command printed it.

    Attributes:
        whole: all of it, of which a stranger does not know what comes after the port.
    """

    whole: str

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.whole)
        return parts.hostname or "", parts.port or 0

    @property
    def target(self) -> str:
        """What is asked of the host."""
        return self.whole.split("/", 3)[3].join(["/", ""])


def one(at: Round) -> None:
    """A finished run that is watched, attacked in one way."""
    run = at.originals.copy(at.originals.measured, at.room / "runs" / "run")
    watching = at.start("watch", run, "-a", "weight_norms")
    address = _address(watching)
    if address is None:
        at.fault("wrong", "`interp watch` printed no address")
        at.end(watching, 0)
        return
    at.expect(_is_served(address), "wrong", "the page is not served at the address that was printed")
    _ATTACKS[at.number % len(_ATTACKS)](at, address)
    at.expect(
        _is_served(address), "wrong", f"after {_ATTACKS[at.number % len(_ATTACKS)].__name__[1:]} its viewer is not answered"
    )
    number = at.draw.choice([signal.SIGINT, signal.SIGTERM])
    watching.signal(number)
    at.end(watching, 20)
    at.succeed("verify", run)


def _address(watching: Running) -> Address | None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not watching.over():
        if found := _LIVE.search(watching.output()):
            return Address(found.group(1))
        time.sleep(0.02)
    return None


def _is_served(address: Address) -> bool:
    """Whether its own viewer gets the page; the first one is built when somebody waits for it."""
    deadline = time.monotonic() + _ANSWERED
    while time.monotonic() < deadline:
        if _get(address, address.target)[0] == 200:
            return True
        time.sleep(0.2)
    return False


def _get(address: Address, target: str, *, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer; status 0 if there is none."""
    connection = http.client.HTTPConnection(*address.place, timeout=_ANSWERED)
    try:
        connection.putrequest(method, target, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException, ValueError):
        return 0, b""
    finally:
        connection.close()


def _strangers(at: Round, address: Address) -> None:
    """Who does not know the whole address, or comes by another name, is shown nothing."""
    token = address.target.strip("/")
    for host in ("example.com", "evil.localhost", f"127.0.0.1.nip.example:{address.place[1]}"):
        at.expect(
            _get(address, address.target, Host=host)[0] in (400, 403, 404), "outside", f"a page of {host} can read this one"
        )
    if len(token) < 16:
        at.fault("outside", "the address has no token: whoever guesses the port is shown the page")
        return
    wrong = token[:-1] + ("x" if token[-1] != "x" else "y")
    for target in (
        "/",
        "/state",
        "/update",
        f"/{wrong}",
        f"/{wrong}/",
        f"/{wrong}/state",
        f"/?{wrong}",
        f"/../{wrong}",
        f"/{token[:8]}/",
    ):
        status, body = _get(address, target)
        shown = target.replace(wrong, "WRONG")
        at.expect(status in (0, 400, 403, 404), "outside", f"a stranger who asked for {shown} got {status}")
        at.expect(b"plotly" not in body, "outside", f"a stranger was shown the page at {shown}")


def _slow(at: Round, address: Address) -> None:
    """A client that sends a byte now and then."""
    text = f"GET {address.target} HTTP/1.1\r\nHost: {address.place[0]}:{address.place[1]}\r\nX: ".encode() + b"x" * 4000
    begun = time.monotonic()
    with socket.create_connection(address.place, timeout=5) as client:
        for byte in text:
            try:
                client.sendall(bytes([byte]))
            except OSError:
                return
            if _is_closed(client):
                return
            if time.monotonic() - begun > _BOUNDED:
                at.fault("wrong", f"a request was still being waited for after {_BOUNDED:.0f} seconds")
                return
            time.sleep(0.4)


def _is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(4096) == b"" or True
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        client.settimeout(5)


def _many(at: Round, address: Address) -> None:
    """Hundreds that connect and ask for nothing, or for half of something, and stay."""
    held = []
    try:
        for number in range(_MANY):
            with suppress(OSError):
                client = socket.create_connection(address.place, timeout=1)
                held.append(client)
                client.sendall([b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"][number % 3])
        at.expect(_is_served(address), "wrong", f"with {len(held)} idle connections its viewer is not answered")
    finally:
        for client in held:
            client.close()


def _garbage(at: Round, address: Address) -> None:
    """What is no request, or one that nobody should make."""
    host = f"Host: {address.place[0]}:{address.place[1]}\r\n".encode()
    ask = b"GET " + address.target.encode() + b" HTTP/1.1\r\n" + host
    for data in (
        at.draw.randbytes(2000),
        b"\0" * 70_000,
        b"\x16\x03\x01\x02\0\x01\0",
        b"GET " + b"/" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /%00%ff%2e%2e/\xff\xfe HTTP/1.1\r\n" + host + b"\r\n",
        ask + b"X: y\r\n" * 5000 + b"\r\n",
        ask + host + b"\r\n",
        ask + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFF\r\n",
        ask.replace(b"GET", b"POST") + b"Content-Length: 99999999999\r\n\r\n",
    ):
        with suppress(OSError), socket.create_connection(address.place, timeout=2) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            client.recv(65536)


def _elsewhere(at: Round, address: Address) -> None:
    """Paths that lead out of the page, and methods that change things."""
    base = address.target.rstrip("/")
    for target in (
        "/../pyproject.toml",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/state/../../x",
        "/manifest.json",
        "/..\\..\\x",
        "/state?version=" + "9" * 5000,
    ):
        status, body = _get(address, base + target)
        at.expect(b"root:" not in body and b"[project]" not in body, "outside", f"a file was served at {target}")
        at.expect(status in (0, 200, 204, 400, 403, 404, 414, 431), "wrong", f"{target} gave {status}")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "HEAD", "X" * 100):
        at.expect(
            _get(address, address.target, method=method)[0] not in (200, 201, 204) or method == "HEAD",
            "wrong",
            f"{method} is answered",
        )


def _torn(at: Round, address: Address) -> None:
    """Viewers that hang up in the middle of an answer, or never read it."""
    ask = f"GET {address.target} HTTP/1.1\r\nHost: {address.place[0]}:{address.place[1]}\r\n\r\n".encode()
    held = []
    for number in range(40):
        with suppress(OSError):
            client = socket.create_connection(address.place, timeout=2)
            client.sendall(ask * 5)
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
            else:
                held.append(client)
    at.expect(_is_served(address), "wrong", "while others read nothing its viewer is not answered")
    for client in held:
        client.close()


_ATTACKS: tuple[Callable[[Round, Address], None], ...] = (_strangers, _many, _garbage, _torn, _elsewhere, _slow)
