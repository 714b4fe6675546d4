"""What viewers of a live page receive, and who they are."""

from __future__ import annotations

import html as markup
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

_OPENING, _WAITING = "", "waiting"  # viewers without a name of their own; waiting.js uses the second
_MOST_VIEWERS = 100  # remembered at once; of more, those who asked last

_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')


@dataclass
class Published:
    """What viewers receive, and who they are. Safe to use from several threads.

    Attributes:
        html: the whole page.
        update: the same without what never changes.
        state: JSON-ready; its ``version`` tells viewers when there is something new.
        token: whoever does not know it is told nothing. It is the first part of every path.
    """

    html: bytes = b""
    update: bytes = b""
    state: dict[str, Any] = field(default_factory=lambda: {"version": 0})
    token: str = field(default_factory=secrets.token_urlsafe, repr=False)
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
            self._viewers.pop(viewer, None)  # so that whoever asked last is last
            self._viewers[viewer] = (time.monotonic(), version, knows_end)
            while len(self._viewers) > _MOST_VIEWERS:
                del self._viewers[next(iter(self._viewers))]
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


def policy_of(page: bytes) -> str:
    """The Content-Security-Policy that a page states itself; one that allows nothing if it states none.

    >>> policy_of(b'<meta http-equiv="Content-Security-Policy" content="default-src &#39;self&#39;">')
    "default-src 'self'"
    >>> policy_of(b"")
    "default-src 'none'"
    """
    found = _POLICY.search(page[:20_000].decode(errors="replace"))
    return markup.unescape(found[1]) if found else "default-src 'none'"
