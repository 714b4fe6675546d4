"""A run's page beside its training: a process of its own that gives way, only reads, and ends with the one that trains."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from interp.live.follower import Follower, give_way
from interp.live.server import listen, serving, url
from interp.live.study_follower import StudyFollower
from interp.live.viewers import Published
from interp.process import still_here
from interp.studies.study import PLAN

log = logging.getLogger("interp")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_PATIENCE = 1.5  # seconds of waiting for the last page before a message says why


@contextmanager
def attended(path: Path, port: int = 0) -> Iterator[str]:
    """Serve the page of the run, or of the study, at a path from another process while the context lasts; yields its address.

    The other process follows what is stored and shares nothing with this one but a pipe, through which it is told the address's
    token (everybody on this machine can read the arguments of a process) and, at last, that the training has ended; the end of
    the pipe, however it came, says so too. At the end it builds the last page if anybody is looking; this one waits, and Ctrl-C
    skips that.

    Raises:
        UsageError: if the port is taken.
    """
    listener, is_here = listen(port), still_here()
    token = secrets.token_urlsafe()
    address = url(listener, token)
    source = str(Path(__file__).parents[2])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    with TemporaryFile() as said:
        with listener:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "interp.live", str(listener.fileno()), str(path.absolute())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=(listener.fileno(),),
                # Ctrl-C is for this process, which then lets that one end in its own time. It stays in the same session: Linux
                # shares the processor out between sessions first, so that in one of its own its priority would say nothing.
                process_group=0,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
            )
        try:
            _tell(child, token)
            yield address
        finally:
            if is_here():
                _dismiss(child)
        if (child.returncode or 0) > 0:
            said.seek(0)
            log.warning("the live page ended too early:\n%s", said.read().decode(errors="replace").strip())


def _tell(child: subprocess.Popen[bytes], token: str) -> None:
    """Tell the other process the token of its address."""
    assert child.stdin is not None
    with suppress(OSError):  # it has ended already: `attended` says why at the end
        child.stdin.write(f"{token}\n".encode())
        child.stdin.flush()


def _dismiss(child: subprocess.Popen[bytes]) -> None:
    """Let the other process end, and wait for it."""
    assert child.stdin is not None
    with suppress(OSError):
        child.stdin.write(b"end\n")  # said: the pipe may stay open in processes that were forked off from this one
        child.stdin.close()
    try:
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            log.info("finishing the live page; Ctrl-C skips that")
            child.wait()
    except KeyboardInterrupt:
        child.kill()
        child.wait()


def attend(descriptor: int, path: Path) -> None:
    """The work of the other process: follow the run, or the study, and serve its page until its standard input ends or says so.

    Args:
        descriptor: of a listening socket.
        path: the run's directory, or the study's.
    """
    gone = threading.Event()
    token = sys.stdin.buffer.readline().decode().strip()

    def wait_for_the_end() -> None:
        sys.stdin.buffer.readline()
        gone.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    published = Published(token=token) if token else Published()  # without one it was left alone before it began
    follower: Follower | StudyFollower
    if (path / PLAN).is_file():
        follower = StudyFollower(path, published, gone=gone.is_set)
    else:
        follower = Follower(path, published, gone=gone.is_set)
    with serving(socket.socket(fileno=descriptor), published):
        follower.on_first = give_way()
        follower.follow(until_final=True)
