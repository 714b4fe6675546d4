"""Small facts that were worked out from a run, kept beside it as JSON, and trusted only for the content they follow from."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp.errors import DataError
from interp.store.durable import write_atomically
from interp.store.installation import say_elsewhere
from interp.store.manifest import RESULTS
from interp.store.noted import kept_if_possible
from interp.store.sealed import pack_fact, unpack_fact

log = logging.getLogger("interp")

# Kept variants of one fact or analysis, for example under different key frequency rules: how many, and their bytes in all.
KEEP = 4
KEEP_BYTES = 2**26
SERIES_SEAL = "series"  # the fact that says which series of a thinned run were measured by whom: their names and hashes


def recall(run: Path, name: str, *, key: str) -> Any:
    """What was kept under this name and key; None if nothing was, or if it is damaged, which is said.

    Args:
        run: the run's directory.
        name: what kind of fact.
        key: hash of all that it follows from.
    """
    path = _path(run, name, key)
    if not path.is_file():
        return None
    try:
        found = unpack_fact(path.read_bytes(), where=f"{path}")
    except OSError:
        return None
    except DataError as error:
        log.warning("%s; it is worked out anew", error)
        return None
    if found.header["key"] != key:
        return None
    if found.origin != "here":
        say_elsewhere(run)
    return found.header["value"]


def keep(run: Path, name: str, value: Any, *, key: str) -> None:
    """Keep a JSON value. If that cannot be written (a disk that is full or read-only), it is not kept."""
    path = _path(run, name, key)
    with kept_if_possible(path.parent):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, pack_fact(key, value))
        prune(path)


def prune(path: Path) -> None:
    """Delete older variants of the file that was just written, `NAME-HASH.SUFFIX`, beyond those that are kept."""
    name = path.name.rpartition("-")[0]
    variants = []
    for variant in path.parent.glob(f"{name}-????????????????{path.suffix}"):
        with suppress(FileNotFoundError):  # another process has just pruned it
            found = variant.stat()
            variants.append((found.st_mtime, found.st_size, variant))
    bytes_kept = 0
    for i, (_, size, variant) in enumerate(sorted(variants, reverse=True)):
        bytes_kept += size
        if i >= KEEP or (i and bytes_kept > KEEP_BYTES):
            variant.unlink(missing_ok=True)


def _path(run: Path, name: str, key: str) -> Path:
    return run / RESULTS / f"{name}-{key[:16]}.json"
