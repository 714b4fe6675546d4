"""This installation's key, by which what was measured here is told from what was copied here.

The key is 32 random bytes in the user's state directory. What is measured is sealed with it: a seal that fits can have been made
only by a process that could read the key. Where no key can be kept nothing is sealed, and it is not known where anything was
measured.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

from interp.reading import read_file
from interp.store.durable import sha256

KEY_FILE = "installation.key"
SEAL = ("by", "seal")  # fields of what is sealed
# Of what carries a seal: it was made here; by another installation, or by none that is known; it names this one and does not fit.
Origin = Literal["here", "elsewhere", "altered"]

_SIZE = 32  # bytes
_KEY_FILE_BYTES = 2**10
log = logging.getLogger("interp")


def sealed(content: str) -> dict[str, str]:
    """The fields that seal content, which is given by its hash; none where no key can be kept."""
    key = _key(_folder(), create=True)
    return {} if key is None else {"by": _name(key), "seal": _seal(key, content)}


def origin(content: str, fields: Mapping[str, Any]) -> Origin:
    """Where content with these fields was made."""
    key = _key(_folder(), create=False)
    if key is None or fields.get("by") != _name(key):
        return "elsewhere"
    return "here" if hmac.compare_digest(str(fields.get("seal")).encode(), _seal(key, content).encode()) else "altered"


def has_key() -> bool:
    """Whether this installation has a key, or can keep one, so that what was measured elsewhere can be told."""
    return _key(_folder(), create=True) is not None


def where_key_is() -> Path | None:
    """The file of the key, whether or not it is there; None for a user without a home."""
    folder = _folder()
    return None if folder is None else folder / KEY_FILE


def say_elsewhere(run: Path) -> None:
    """Warn, once for a folder of runs, that results in it are taken although they were not measured here."""
    if has_key():
        _say_once(run.absolute().parent)


@cache
def _say_once(root: Path) -> None:
    log.warning(
        "%s: results that were not measured here are taken as they lie there; `interp verify RUN` names them, and once a run's "
        "folder results/ is deleted they are measured anew",
        root,
    )


def _folder() -> Path | None:
    with suppress(RuntimeError):  # no home
        return Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "interp"
    return None


def _key(folder: Path | None, *, create: bool) -> bytes | None:
    """The key; made first, if it is not there and that is asked for."""
    if folder is None:
        return None
    found = _read(folder / KEY_FILE)
    if found is None and create:
        with suppress(OSError):  # a home that is read-only
            _make(folder)
        found = _read(folder / KEY_FILE)
    return found


def _read(path: Path) -> bytes | None:
    with suppress(OSError, ValueError):
        key = bytes.fromhex(read_file(path, at_most=_KEY_FILE_BYTES).decode("ascii"))
        return key if len(key) == _SIZE else None
    return None


def _make(folder: Path) -> None:
    """Write a key that nobody else may read. Of several processes that do so at once, one gives it its name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".{KEY_FILE}.{secrets.token_hex(4)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, (secrets.token_hex(_SIZE) + "\n").encode())
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(temporary, folder / KEY_FILE)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _name(key: bytes) -> str:
    """What an installation is called; the key does not follow from it."""
    return sha256(b"interp installation " + key)[:16]


def _seal(key: bytes, content: str) -> str:
    return hmac.new(key, f"interp result {content}".encode(), "sha256").hexdigest()
