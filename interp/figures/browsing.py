"""A browser that draws pictures, by kaleido: started once for any number of them; its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from interp.errors import DataError, UsageError

if TYPE_CHECKING:
    import kaleido

Draw = Callable[[dict[str, Any], dict[str, Any]], bytes]

WITHOUT = "A figure as .html or .json needs nothing else, and the report's own buttons save PNG and SVG"
# Nothing listens at this port, so the browser can fetch nothing over a network. (Files are not fetched this way.)
NO_NETWORK = "http://127.0.0.1:9"
# How long a browser may take to end.
_FAREWELL_SECONDS = 10


@contextmanager
def browser() -> Iterator[Draw]:
    """A browser for as long as the context lasts: what it yields makes a picture of a figure's parts, with kaleido's options.

    It is started for the first picture, so that figures that need none start none.

    Raises:
        UsageError: when there is no browser, with what to install.
        DataError: when it fails.
    """
    with _own_loop() as wait:
        made: list[kaleido.Kaleido] = []

        def draw(parts: dict[str, Any], options: dict[str, Any]) -> bytes:
            if not made:
                made.append(_in_our_words(wait, _made()))
                _in_our_words(wait, made[0].open())
            return bytes(_in_our_words(wait, made[0].calc_fig(parts, opts=options)))

        try:
            yield draw
        finally:
            if made:
                with suppress(Exception):  # what went wrong before is what is told
                    wait(asyncio.wait_for(made[0].close(), _FAREWELL_SECONDS))


async def _made() -> kaleido.Kaleido:
    """A browser that is yet to be opened; an error if there is none on this machine."""
    import kaleido

    # MathJax would come from a content delivery network.
    return kaleido.Kaleido(n=1, mathjax=False, proxy_server=NO_NETWORK)


@contextmanager
def _own_loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """An event loop in a thread of its own, as a notebook's main thread has one already; what it yields waits for a result."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="interp-browser", daemon=True)
    thread.start()
    try:
        yield partial(_wait, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _wait(loop: asyncio.AbstractEventLoop, asked: Coroutine[Any, Any, Any]) -> Any:
    """The result of what a loop in another thread is asked for, which is given up if this thread is interrupted."""
    future = asyncio.run_coroutine_threadsafe(asked, loop)
    try:
        return future.result()
    finally:
        future.cancel()


def _in_our_words(wait: Callable[[Coroutine[Any, Any, Any]], Any], asked: Coroutine[Any, Any, Any]) -> Any:
    from kaleido import errors

    try:
        return wait(asked)
    except errors.ChromeNotFoundError:
        raise UsageError(
            "pictures need a Chrome or Chromium, and none was found: install your system's package (Debian: apt-get install "
            f"chromium), or run plotly_get_chrome, or say where it is in the environment variable BROWSER_PATH. {WITHOUT}"
        ) from None
    except (errors.BrowserClosedError, errors.BrowserFailedError, errors.JavascriptError, errors.KaleidoError, OSError) as error:
        raise DataError(f"the browser that draws pictures failed: {type(error).__name__}: {error}. {WITHOUT}") from error
