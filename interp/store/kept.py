"""Small facts that were worked out from a run, kept beside it as JSON, and trusted only for the content they follow from."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp.errors import DataError
from interp.reading import JSON_BYTES, parsed_json, read_file, read_start
from interp.store.durable import write_atomically
from interp.store.installation import say_elsewhere
from interp.store.manifest import RESULTS
from interp.store.noted import kept_if_possible
from interp.store.packed import KEY
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
    try:
        found = unpack_fact(read_file(path, at_most=JSON_BYTES, inside=run), where=f"{path}")
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
        make_results(path.parent)
        write_atomically(path, pack_fact(key, value, order=next_order(path)))
        prune(path)


def make_results(folder: Path) -> None:
    """Make the folder of what is kept beside a run, where it is missing.

    Raises:
        OSError: if it cannot be made, or is a link: what is written and pruned there would not be the run's.
    """
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, expected a folder of the run's own", str(folder))
    folder.mkdir(exist_ok=True)


def next_order(path: Path) -> int:
    """The number of a file that is about to be written, above those of its variants: a clock may go back, a count does not."""
    return 1 + max((order_of(variant) for variant in _variants(path) if variant != path), default=0)


def prune(path: Path) -> None:
    """Delete variants of the file that was just written, `NAME-HASH.SUFFIX`, beyond those that are kept, first written first."""
    variants = []
    for variant in _variants(path):
        with suppress(FileNotFoundError):  # another process has just pruned it
            variants.append((order_of(variant), variant.name, variant.lstat().st_size, variant))
    bytes_kept = 0
    for i, (_, _, size, variant) in enumerate(sorted(variants, reverse=True)):
        bytes_kept += size
        if i >= KEEP or (i and bytes_kept > KEEP_BYTES):
            with suppress(IsADirectoryError, PermissionError):  # no file of ours
                variant.unlink(missing_ok=True)


def order_of(path: Path) -> int:
    """The number with which a kept file was written; 0 of one that has none, or is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if path.suffix == ".json":
            found = parsed_json(read_file(path, at_most=JSON_BYTES, inside=path.parent))
        else:
            length = int.from_bytes(read_start(path, 8, inside=path.parent), "little")
            header = read_start(path, 8 + min(length, JSON_BYTES), inside=path.parent)[8:]
            found = parsed_json(parsed_json(header)["__metadata__"][KEY])
        if type(found["order"]) is int:
            return int(found["order"])
    return 0


def _variants(path: Path) -> list[Path]:
    name = path.name.rpartition("-")[0]
    return list(path.parent.glob(f"{name}-????????????????{path.suffix}"))


def _path(run: Path, name: str, key: str) -> Path:
    return run / RESULTS / f"{name}-{key[:16]}.json"
