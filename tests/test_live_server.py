"""The live page's server: who is answered, and that nobody can hold it up. (What is served, and when: test_live.)"""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from interp.live import answering
from interp.live import server as serving_module
from interp.live.server import HOST, listen, serving, url
from interp.live.viewers import Published

TOKEN = "known-to-those-who-may-look"
PAGE = '<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; connect-src &#39;self&#39;">page'


@pytest.fixture
def published() -> Published:
    return Published(PAGE.encode(), b"<p>update</p>", token=TOKEN)


@pytest.fixture
def at(published: Published) -> Iterator[tuple[str, int]]:
    """Where a server listens."""
    with listen() as listener, serving(listener, published):
        yield listener.getsockname()


def ask(at: tuple[str, int], text: str | bytes, *, seconds: float = 20) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it stands; status, headers and body of the answer, or status 0 if there was none."""
    with socket.create_connection(at, timeout=seconds) as connection:
        connection.sendall(text.encode() if isinstance(text, str) else text)
        return answer_of(connection)


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The answer on a connection."""
    data = b""
    try:
        while b"\r\n\r\n" not in data and (part := connection.recv(65536)):
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        if not head:
            return 0, {}, b""
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        while len(body) < int(headers.get("Content-Length", 0)) and (part := connection.recv(65536)):
            body += part
    except ConnectionError:
        return 0, {}, b""
    return int(first.split()[1]), headers, body


def get(at: tuple[str, int], path: str, *lines: str, method: str = "GET", host: str | None = None) -> tuple[int, dict, bytes]:
    host = f"{at[0]}:{at[1]}" if host is None else host
    return ask(at, "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""]))


# Who is answered


def test_whoever_knows_the_address_sees_the_page_and_nobody_else(at) -> None:
    assert get(at, f"/{TOKEN}/")[::2] == (200, PAGE.encode())
    assert get(at, f"/{TOKEN}/update")[::2] == (200, b"<p>update</p>")
    assert get(at, f"/{TOKEN}/state?viewer=a&version=0")[::2] == (200, b'{"version": 0}')
    wrong = ("", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%6B" + TOKEN[1:], "\u00e9", "None", f"x/{TOKEN}")
    for path in ("/", "/update", "/state", *(f"/{token}/{what}" for token in wrong for what in ("", "update", "state"))):
        status, _, body = ask(at, f"GET {path} HTTP/1.1\r\nHost: {at[0]}:{at[1]}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        assert status == 403, path
        assert b"page</" not in body
        assert TOKEN.encode() not in body
    assert get(at, f"/{TOKEN}")[0] == 403
    assert get(at, "/favicon.ico")[0] == 204


def test_every_address_is_another() -> None:
    with listen() as listener:
        tokens = {Published().token for _ in range(100)}
        assert len(tokens) == 100
        assert min(map(len, tokens)) >= 40
        assert url(listener, "t") == f"http://{HOST}:{listener.getsockname()[1]}/t/"
    assert Published().token not in repr(Published())


def test_it_listens_on_this_machine_only_and_answers_to_its_own_names_only(at) -> None:
    assert at[0] == "127.0.0.1"
    for name in ("127.0.0.1", "localhost", "[::1]", "LOCALHOST"):  # a forwarded port has any number
        for port in ("", f":{at[1]}", ":1"):
            assert get(at, f"/{TOKEN}/", host=name + port)[0] == 200
    others = ("example.com", f"example.com:{at[1]}", "localhost.example.com", "", "0.0.0.0", "127.0.0.1:x", "127.0.0.2", "::1")
    for name in (*others, "127.0.0.1:80@example.com", "localhost:"):
        status, _, body = get(at, f"/{TOKEN}/", host=name)
        assert (status, b"page</" in body) == (403, False), name
    assert get(at, f"/{TOKEN}/", "Host: localhost")[0] == 403  # two of them
    assert ask(at, f"GET /{TOKEN}/ HTTP/1.1\r\nConnection: close\r\n\r\n")[0] == 403
    with socket.create_connection(at, timeout=20) as old:  # HTTP/0.9 has no headers, and so no name
        old.sendall(f"GET /{TOKEN}/\r\n\r\n".encode())
        assert b"page" not in old.recv(10_000).replace(b"This page", b"")


def test_pages_of_other_origins_are_not_answered(at) -> None:
    here = f"{at[0]}:{at[1]}"
    for origin in (f"http://{here}", f"https://{here}"):
        assert get(at, f"/{TOKEN}/state", f"Origin: {origin}")[0] == 200
    for origin in ("null", "http://example.com", f"http://{at[0]}:{at[1] + 1}", f"http://localhost:{at[1]}", "", f"ftp://{here}"):
        assert get(at, f"/{TOKEN}/state", f"Origin: {origin}")[0] == 403, origin


def test_it_can_only_be_read(at) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"):
        status, headers, _ = get(at, f"/{TOKEN}/state", method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, body = get(at, f"/{TOKEN}/", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(PAGE)), b"")
    for line in ("Content-Length: 3", "Transfer-Encoding: chunked"):
        assert get(at, f"/{TOKEN}/", line)[0] == 400
    for path in ("../pyproject.toml", "%2e%2e/etc/passwd", "state/../../x", "results", "/etc/passwd", "//"):
        assert get(at, f"/{TOKEN}/{path}")[0] == 404
    for query in ("version=x", "version=-3", "version=%C2%B2", f"viewer={'v' * 1500}", "&&&", f"version={'9' * 1000}"):
        assert get(at, f"/{TOKEN}/state?{query}")[0] == 200


def test_every_answer_keeps_the_page_to_itself(at) -> None:
    for path in (f"/{TOKEN}/", f"/{TOKEN}/update", f"/{TOKEN}/state", f"/{TOKEN}/nothing", "/", "/favicon.ico"):
        headers = get(at, path)[1]
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
        assert not [name for name in headers if name.lower().startswith("access-control") or name.lower() == "set-cookie"]
    assert "connect-src 'self'" in get(at, f"/{TOKEN}/")[1]["Content-Security-Policy"]  # as the page itself says


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
    ],
)
def test_what_no_browser_sends_is_refused(at, sent: bytes, status: int) -> None:
    assert ask(at, sent)[0] in (status, 0)  # 0: closed while it was still sending
    assert get(at, f"/{TOKEN}/")[0] == 200


# Nobody can hold it up


def threads() -> int:
    return threading.active_count()


def drip(connection: socket.socket, data: bytes) -> None:
    """Send a byte now and then."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def test_whoever_asks_slowly_is_let_go_however_often_it_sends(at, monkeypatch) -> None:
    monkeypatch.setattr(answering, "ASKING_SECONDS", 1.0)
    with socket.create_connection(at, timeout=20) as slow, pytest.raises(ConnectionError):
        drip(slow, b"GET /" + b"x" * 200)
    with socket.create_connection(at, timeout=20) as silent:
        assert silent.recv(1) == b""


def test_a_connection_is_used_again_and_each_request_has_its_own_time(at, monkeypatch) -> None:
    monkeypatch.setattr(answering, "ASKING_SECONDS", 2.0)
    with socket.create_connection(at, timeout=20) as connection:
        for _ in range(4):
            connection.sendall(f"GET /{TOKEN}/state HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert answer_of(connection)[0] == 200
            time.sleep(0.8)


def test_whoever_does_not_take_its_answer_is_let_go(at, published, monkeypatch) -> None:
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 1.0)
    published.html = b"x" * 30_000_000
    before = threads()
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with slow:
        slow.connect(at)
        slow.sendall(f"GET /{TOKEN}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: threads() > before)
        wait_for(lambda: threads() <= before)  # and it is still connected


def wait_for(holds, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_three_hundred_connections_that_ask_nothing_hold_few_threads_and_no_viewer(at) -> None:
    before, most = threads(), serving_module.MOST_CONNECTIONS
    crowd = [socket.create_connection(at, timeout=20) for _ in range(300)]
    try:
        assert get(at, f"/{TOKEN}/")[0] == 200
        wait_for(lambda: threads() <= before + most)
    finally:
        for one in crowd:
            one.close()
    wait_for(lambda: threads() <= before)


def test_too_many_viewers_are_told_so_and_those_who_came_first_stay(at, monkeypatch) -> None:
    monkeypatch.setattr(serving_module, "MOST_CONNECTIONS", 3)
    request = f"GET /{TOKEN}/state HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    first = [socket.create_connection(at, timeout=20) for _ in range(3)]
    for one in first:
        one.sendall(request)
        assert answer_of(one)[0] == 200
    assert ask(at, request)[0] in (503, 0)  # 0: it was closed before the request had come
    for one in first:
        one.sendall(request)
        assert answer_of(one)[0] == 200
        one.close()
    wait_for(lambda: ask(at, request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))[0] == 200)


def test_no_more_viewers_are_remembered_than_a_hundred(published) -> None:
    for number in range(1_000):
        published.seen(str(number), 0)
    assert len(published._viewers) == 100
    assert "999" in published._viewers


def test_the_address_is_taken_by_ordinary_clients(published) -> None:
    with listen() as listener, serving(listener, published):
        with urllib.request.urlopen(url(listener, TOKEN), timeout=20) as answer:
            assert answer.read() == PAGE.encode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url(listener, "other"), timeout=20)
