"""Small facts that were worked out from a run, kept beside it as JSON, and trusted only for the content they follow from."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp.store.durable import sha256, write_atomically
from interp.store.noted import kept_if_possible

# Kept variants of one fact or analysis, for example under different key frequency rules: how many, and their bytes in all.
KEEP = 4
KEEP_BYTES = 2**26


def recall(run: Path, name: str, *, key: str) -> Any:
    """What was kept under this name and key; None if nothing was, or if it is damaged.

    Args:
        run: the run's directory.
        name: what kind of fact.
        key: hash of all that it follows from.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(_path(run, name, key).read_bytes())
        if found["key"] == key and found["sha256"] == _hash(found["value"]):
            return found["value"]
    return None


def keep(run: Path, name: str, value: Any, *, key: str) -> None:
    """Keep a JSON value. If that cannot be written (a disk that is full or read-only), it is not kept."""
    path = _path(run, name, key)
    with kept_if_possible(path.parent):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps({"key": key, "sha256": _hash(value), "value": value}).encode())
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
    return run / "results" / f"{name}-{key[:16]}.json"


def _hash(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode())
