"""Who may write in a run's directory: one process at a time, by the file system's lock or, where that is refused, by a lease.

The lock (flock on ``.lock``) ends with its process, however that ends. Some network mounts refuse it. There a lease can be chosen
instead, see `leases`: a file that its owner renews. A writer by lease takes the lock too where it can, and a writer by lock
respects a lease, so that they exclude each other. While a writer holds the lock, ``.lock`` names it, for those who cannot ask.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from interp.errors import DataError, UsageError, unknown
from interp.process import still_here
from interp.store.durable import NO_LINK, explained
from interp.store.leases import SECONDS, Held, Lease, Leases, is_alive, owner_of, this_process
from interp.store.noted import note_once

LOCK = ".lock"
LEASE = ".lease"
LockKind = Literal["system", "lease"]
LOCKS: tuple[LockKind, ...] = get_args(LockKind)
LOCK_VARIABLE = "INTERP_LOCK"

_PATIENCE = 10  # attempts to take a lock: a process that only checks may hold it for a moment
_LOOKS = 60  # how often a lease that may have run out is looked at while it is waited for


@contextmanager
def locked(directory: Path, lock: LockKind | None = None, *, seconds: float = SECONDS) -> Iterator[Callable[[], None]]:
    """Be the only process that writes in a directory.

    Args:
        directory: it must be there.
        lock: ``system``: the file system's lock; ``lease``: a file that this process renews, where locks are refused; None: what
            the environment variable INTERP_LOCK says, or else ``system``.
        seconds: how long a lease holds.

    Yields:
        What raises `DataError` if writing is no longer allowed: a lease was lost. It is called before anything is written.

    Raises:
        UsageError: if another process writes there.
        DataError: if the directory cannot be written to, or the file system refuses locks.
    """
    lock, is_here = _chosen(lock), still_here()
    with explained(directory):
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
    try:
        refusal = _take(descriptor, directory)
        if lock == "system":
            if refusal is not None:
                raise _refused(directory, refusal)
            if (held := Leases(directory).holder(LEASE)) is not None:
                raise _leased(directory, held)
            with _named(descriptor):
                word = holder(directory)
                yield partial(_check_holder, directory, word, is_here)
            return
        if refusal is not None:
            _check_named(descriptor, directory)
        lease = _leased_to_us(Leases(directory, seconds=seconds), directory)
        with lease.kept(), _named(descriptor if refusal is None else None):
            yield partial(_check_kept, lease, directory, is_here)
    finally:
        if is_here():
            _let_go(descriptor)


def holder(directory: Path) -> bytes:
    """What the process that writes in a directory now has written into the lock's file; nothing if none does."""
    with suppress(OSError):
        return (directory / LOCK).read_bytes()
    return b""


def is_locked(directory: Path) -> bool:
    """Whether some process is writing in a directory at this moment.

    Asked by a shared lock, which any number of processes may hold at once: those that only ask are not taken for a writer. Where
    the file system refuses to say, those count that have a lease or have left their name and may be alive.
    """
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | NO_LINK)
    except OSError:
        return Leases(directory).holder(LEASE) is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        note_once(
            "lock",
            f"the file system of {directory} refuses locks ({error.strerror}): whether a process writes a run there is known "
            "only as far as that process has said so",
        )
        content = os.read(descriptor, 1000)
        if content and is_alive(content) is not False:
            return True
    finally:
        _let_go(descriptor)
    return Leases(directory).holder(LEASE) is not None


def _let_go(descriptor: int) -> None:
    """Give a lock back. Closing is not enough: a process that was forked off meanwhile has the descriptor too, and the lock."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _chosen(lock: LockKind | None) -> LockKind:
    chosen = lock or os.environ.get(LOCK_VARIABLE) or "system"
    if chosen not in LOCKS:
        raise unknown("lock" if lock else f"lock in {LOCK_VARIABLE}", chosen, LOCKS)
    return chosen


def _take(descriptor: int, directory: Path) -> OSError | None:
    """Take the file system's lock; returns its refusal, if it has no locks.

    Raises:
        UsageError: if another process has it.
    """
    for attempt in range(_PATIENCE):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            if attempt + 1 < _PATIENCE:
                time.sleep(0.02)
        except OSError as error:
            return error
    raise UsageError(f"{directory} is being written by another process; wait until it ends, or stop it")


def _refused(directory: Path, error: OSError) -> DataError:
    return DataError(
        f"{directory}: the file system refuses locks ({error.strerror}), so nothing would keep a second process from writing the "
        'same run. Reading needs none. To write here, choose a lease: --lock lease (in Python: lock="lease"), or '
        f"{LOCK_VARIABLE}=lease in the environment, for every process that writes there; or write elsewhere with --root"
    )


def _leased(directory: Path, held: Held) -> UsageError:
    return UsageError(
        f"{directory} is being written by another process ({held.owner}, by a lease); wait until it ends, or stop it. If it was "
        "killed, --lock lease takes over once the lease has run out"
    )


def _leased_to_us(leases: Leases, directory: Path) -> Lease:
    """The lease of a directory; one whose owner may be dead is waited for until it has run out."""
    first: Held | None = None
    while isinstance(found := leases.take(LEASE), Held):
        if found.is_alive or (first is not None and found.content != first.content):
            raise UsageError(f"{directory} is being written by another process ({found.owner}); wait until it ends, or stop it")
        if first is None:
            note_once("lease", f"{directory}: waiting up to {leases.seconds:g} s whether {found.owner} still renews its lease")
        first = first or found
        time.sleep(leases.seconds / _LOOKS)
    return found


def _check_here(directory: Path, is_here: Callable[[], bool]) -> None:
    """Error in a process that was forked off from the one that holds the directory."""
    if not is_here():
        raise DataError(f"{directory}: it is written by the process that this one was forked off from; nothing was written here")


def _check_kept(lease: Lease, directory: Path, is_here: Callable[[], bool]) -> None:
    _check_here(directory, is_here)
    if lease.is_lost():
        raise DataError(
            f"{directory}: another process writes it now: this one stood still for longer than its lease holds. Nothing more "
            "was written; what was saved before is unharmed"
        )


def _check_holder(directory: Path, word: bytes, is_here: Callable[[], bool]) -> None:
    """Error if the lock's file names another process: a shared file system may give up the lock of one that stood still."""
    _check_here(directory, is_here)
    if word and holder(directory) != word:
        if not (directory / LOCK).is_file():
            raise DataError(
                f"{directory}: it was deleted, or its {LOCK} was, while it was written; nothing more is written there"
            )
        raise DataError(f"{directory}: another process has taken the run over while this one stood still; it goes on there")


def _check_named(descriptor: int, directory: Path) -> None:
    """Error if a process that holds the lock, which this one cannot ask for, has left its name and may be alive."""
    content = os.read(descriptor, 1000)
    if content and is_alive(content) is not False:
        raise UsageError(
            f"{directory} is being written by another process ({owner_of(content)}, with a lock that the file system refuses "
            f"here); wait until it ends. If it was killed, delete {directory / LOCK} first"
        )


@contextmanager
def _named(descriptor: int | None) -> Iterator[None]:
    """Leave this process' name in the lock's file inside the block, with a word of its own; a full disk does not matter."""
    if descriptor is None:
        yield
        return
    content, is_here = json.dumps({**this_process(), "word": secrets.token_hex(8)}).encode(), still_here()
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
    try:
        yield
    finally:
        if is_here():
            with suppress(OSError):
                if os.pread(descriptor, len(content) + 1, 0) == content:  # not that of a process which has taken it over
                    os.ftruncate(descriptor, 0)
