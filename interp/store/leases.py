"""Leases: which worker trains which run, by files alone, so that it works on any file system that workers share.

The lease of a run is the file ``NAME.N`` with the greatest N: whoever creates it first holds it (a hard link to a name that
exists is refused everywhere). Its owner renews it while it works. A lease that was released, whose owner is dead, or that was
not renewed for as long as it holds, is taken over by creating ``NAME.(N+1)``: again only one can. No clock is compared with
another machine's: each observer measures by its own how long a lease has not changed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp.errors import DataError
from interp.process import still_here
from interp.reading import parsed_json, read_file
from interp.store.durable import make_directory

SECONDS = 60.0  # how long a lease holds after it was last renewed
# The number of a lease, as this toolkit writes it; each is one more than the last.
_NUMBERED = re.compile(r"[1-9][0-9]{0,17}")
_LARGEST = 2**16  # bytes of a lease
_RENEWALS = 6  # how often it is renewed in that time


@dataclass(frozen=True)
class Held:
    """A lease that somebody else holds.

    Attributes:
        owner: who holds it, in words.
        content: of its file; it changes whenever the lease is renewed.
        is_alive: whether its owner is known to be alive: a process of this machine that runs.
    """

    owner: str
    content: bytes = b""
    is_alive: bool = False

    @classmethod
    def of(cls, content: bytes) -> Held:
        """What the file of a lease says."""
        return cls(owner_of(content), content, is_alive(content) is True)


@dataclass
class Leases:
    """The leases in a directory, as one worker sees them.

    Args:
        directory: where they lie; made if it is not there.
        seconds: how long one holds after it was last renewed.
    """

    directory: Path
    seconds: float = SECONDS
    _seen: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def take(self, name: str) -> Lease | Held:
        """The lease of a run; or who holds it.

        Raises:
            DataError: if the directory cannot be written to.
        """
        try:
            make_directory(self.directory)
            number, content = self._last(name)
            if content is not None and not self._is_over(name, content):
                return Held.of(content)
            lease = Lease(self.directory, name, number + 1, seconds=self.seconds)
            if not lease.create():
                return Held.of(self._last(name)[1] or b"")
        except OSError as error:
            where = error.filename or self.directory
            raise DataError(f"{where}: leases cannot be read or written there ({error.strerror})") from error
        for older in _numbers(self.directory, name):
            if older <= number:
                (self.directory / f"{name}.{older}").unlink(missing_ok=True)
        self._clear(name)
        return lease

    def free(self, name: str) -> bool:
        """Whether the lease of a run can be taken by anybody; one that ran out, as seen from here, is marked as released."""
        with suppress(OSError):
            number, content = self._last(name)
            if content is None or _parsed(content).get("released"):
                return True
            if self._is_over(name, content):
                Lease(self.directory, name, number + 1, seconds=self.seconds).create(released=True)
                return True
        return False

    def _clear(self, name: str) -> None:
        """Delete what owners that were killed on this machine left half written."""
        for path in self.directory.glob(f".{name}.*.tmp"):
            with suppress(OSError):
                if is_alive(read_file(path, at_most=_LARGEST, inside=self.directory)) is False:
                    path.unlink()

    def holder(self, name: str) -> Held | None:
        """Who holds a lease, as far as one look can say; nothing is written."""
        with suppress(OSError, DataError):
            _, content = self._last(name)
            if content is not None and not _parsed(content).get("released") and is_alive(content) is not False:
                return Held.of(content)
        return None

    def _last(self, name: str) -> tuple[int, bytes | None]:
        """The number of the present lease, and its content; (0, None) if there was none."""
        for _ in range(100):  # one that is taken over while it is looked at has gone when it is read
            last = max(_numbers(self.directory, name), default=0)
            if not last:
                return 0, None
            with suppress(FileNotFoundError):
                return last, read_file(self.directory / f"{name}.{last}", at_most=_LARGEST, inside=self.directory)
        raise DataError(f"{self.directory}: the lease of {name} changes faster than it can be read")

    def _is_over(self, name: str, content: bytes) -> bool:
        found = _parsed(content)
        if found.get("released"):
            return True
        if is_alive(content) is False:
            return True
        now = time.monotonic()
        before = self._seen.get(name)
        if before is None or before[0] != content:
            self._seen[name] = (content, now)
            return False
        return now - before[1] > self.seconds


class Lease:
    """A lease that this process holds, inside `kept`."""

    def __init__(self, directory: Path, name: str, number: int, *, seconds: float) -> None:
        self._path = directory / f"{name}.{number}"
        self._directory, self._name, self._number = directory, name, number
        self.seconds, self._beat = seconds, 0

    def create(self, *, released: bool = False) -> bool:
        """Create its file; False if somebody else was faster."""
        temporary = self._write(released=released)
        try:
            os.link(temporary, self._path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: there the name is taken first, and the content follows
            try:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            except FileExistsError:
                return False
            os.replace(temporary, self._path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Hold the lease inside the block, see `kept`."""
        with kept([self]):
            yield

    def is_lost(self) -> bool:
        """Whether somebody took it over; of several who did so in turn only the last lease is still there."""
        with suppress(OSError):
            return max(_numbers(self._directory, self._name), default=0) > self._number
        return False

    def renew(self) -> None:
        """Show that its owner is at work."""
        self._beat += 1
        with suppress(OSError):  # a full disk: the lease may run out, the run is not harmed
            os.replace(self._write(), self._path)

    def release(self) -> None:
        """Give it back."""
        with suppress(OSError):
            os.replace(self._write(released=True), self._path)

    def _write(self, *, released: bool = False) -> Path:
        """Its content in a temporary file beside it."""
        content = {**this_process(), "beat": self._beat, "seconds": self.seconds, **({"released": True} if released else {})}
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(json.dumps(content).encode())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary


@contextmanager
def kept(leases: Sequence[Lease]) -> Iterator[None]:
    """Hold leases inside the block: they are renewed meanwhile, by one thread, and released afterwards.

    If one is lost all the same, because this process stood still for longer than it holds, the process is told to save and end
    what it trains, as by Ctrl-C.
    """
    done, is_here = threading.Event(), still_here()
    keeper = threading.Thread(target=_renew, args=(leases, done), daemon=True, name="lease")
    keeper.start()
    try:
        yield
    finally:
        if is_here():
            done.set()
            keeper.join()
            for lease in leases:
                lease.release()


def _renew(leases: Sequence[Lease], done: threading.Event) -> None:
    while not done.wait(min((lease.seconds for lease in leases), default=SECONDS) / _RENEWALS):
        if any(lease.is_lost() for lease in leases):
            os.kill(os.getpid(), signal.SIGTERM)
            return
        for lease in leases:
            lease.renew()


def _numbers(directory: Path, name: str) -> list[int]:
    """The numbers of the leases of a run that are there."""
    found = (_NUMBERED.fullmatch(path.name.removeprefix(f"{name}.")) for path in directory.glob(f"{name}.*"))
    return [int(match[0]) for match in found if match]


def this_process() -> dict[str, Any]:
    """What tells this process from every other one, on this machine and elsewhere."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_alive(content: bytes) -> bool | None:
    """Whether the process that a file's content names still runs; None if it is of another machine, or none is named."""
    found = _parsed(content)
    if found.get("host") != socket.gethostname():
        return None
    return _is_alive(found.get("pid"), found.get("started"))


def _started(pid: int) -> str | None:
    """When a process of this machine was started, where the system tells: numbers of processes are used again."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def _is_alive(pid: object, started: object) -> bool:
    if type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return started is None or _started(pid) in (started, None)


def _parsed(content: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = parsed_json(content)
        if isinstance(found, dict):
            return found
    return {}


def owner_of(content: bytes) -> str:
    """The process that a file's content names, in words."""
    found = _parsed(content)
    return f"process {found.get('pid', '?')} on {found.get('host', '?')}"
