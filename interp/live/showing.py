"""Opening a live page in the reader's browser, where there is somebody to look."""

from __future__ import annotations

import html
import os
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from interp.process import still_here

_PAGE = """<!DOCTYPE html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}"><title>Live report</title>
<p>If nothing happens, the report is <a href="{address}">here</a>.</p>
"""


def is_looking() -> bool:
    """Whether somebody sits before this machine, as far as can be told.

    That is so where standard output is a terminal and the environment names a display or, by BROWSER, a browser; not in
    continuous integration, and not over ssh, unless BROWSER is set there: editors do so that bring pages home.
    """
    if os.environ.get("CI") or sys.stdout is None or not sys.stdout.isatty():
        return False
    if os.environ.get("BROWSER"):
        return True
    has_display = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return has_display and not os.environ.get("SSH_CONNECTION")


@contextmanager
def shown(address: str) -> Iterator[None]:
    """Open an address in a browser; inside the block it may still be asked for.

    Everybody on this machine can read the arguments of a process, and the address is a secret: the browser is given a file that
    only its owner can read and that leads there.
    """
    is_here = still_here()
    descriptor, name = tempfile.mkstemp(prefix="interp-live-", suffix=".html")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_PAGE.format(address=html.escape(address)))
        threading.Thread(target=_open, args=(Path(name).as_uri(),), daemon=True, name="browser").start()
        yield
    finally:
        if is_here():
            Path(name).unlink(missing_ok=True)


def _open(address: str) -> None:
    with suppress(Exception):  # no browser after all: the address was printed
        browser = webbrowser.get()
        # One that is neither named by the user nor started in the background would take the terminal.
        if os.environ.get("BROWSER") or type(browser) is not webbrowser.GenericBrowser:
            browser.open(address)
