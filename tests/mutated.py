"""Files with one thing wrong: every value of a JSON file replaced, and what can happen to any file's bytes."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interp.store.durable import sha256

NESTED = 2_000
_DEEP = "[" * NESTED + "]" * NESTED
# As text, since not all of them can be written from Python's values.
VALUES = {
    "null": "null",
    "true": "true",
    "-1": "-1",
    "1e400": "1e400",
    "NaN": "NaN",
    "empty text": '""',
    "long text": '"' + "x" * 10_000 + '"',
    "empty list": "[]",
    "empty object": "{}",
    "nested list": "[[[[1]]]]",
    "half": "0.5",
    "huge integer": "9" * 400,
    "escapes": json.dumps("\x1b]0;x\x07\x1b[31m[red]\u202e\u2028\x9b1m\ud800"),
}
# Heavier, for a few places only.
HEAVY = {"deep": _DEEP, "longest integer": "9" * 1_000_000}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, the whole first; of a list the first and the last."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for at in dict.fromkeys((0, len(value) - 1) if value else ()):
            yield from places(value[at], (*path, at))


def replaced(value: Any, path: tuple[Any, ...], text: str) -> bytes:
    """The JSON with another text at a place."""
    mark = "\u2603here\u2603"
    if not path:
        return text.encode()
    made = copy.deepcopy(value)
    inner = made
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = mark
    return json.dumps(made, indent=1).replace(json.dumps(mark), text).encode()


def without(value: Any, path: tuple[Any, ...]) -> bytes:
    """The JSON without what is at a place."""
    made = copy.deepcopy(value)
    inner = made
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return json.dumps(made, indent=1).encode()


def spoilt(data: bytes) -> dict[str, bytes]:
    """What can happen to the bytes of any file."""
    return {
        "empty": b"", "truncated": data[: len(data) // 2], "invalid UTF-8": b"\xff\xfe\xfa" + data, "BOM": b"\xef\xbb\xbf" + data,
        "zeros": bytes(len(data)), "text": b"what is this?\n", "twice": data + data, "deep": _DEEP.encode(),
        "open ended": b"{" + b'"a":[' * 5_000,
    }  # fmt: skip


def put(path: Path, kind: str) -> None:
    """Put something that is not a file in a file's place."""
    outside = path.parent / f"{path.name}.moved"
    path.rename(outside)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "null":
        path.symlink_to("/dev/null")
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        path.symlink_to(outside)
    elif kind == "loop":
        path.symlink_to(path)


def resigned(run: Path) -> None:
    """Write the hashes and sizes of a run's files into its manifest, as a stranger can."""
    where = run / "manifest.json"
    manifest = json.loads(where.read_bytes())
    for name in filter(lambda name: (run / name).is_file(), manifest["files"]):  # what is no file might be waited for
        data = (run / name).read_bytes()
        manifest["files"][name] = {"size": len(data), "sha256": sha256(data)}
    where.write_text(json.dumps(signed(manifest)))


def signed(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the hash of what it says."""
    values = {name: value for name, value in manifest.items() if name != "sha256"}
    return {**values, "sha256": sha256(json.dumps(values, sort_keys=True).encode())}


def fresh(base: Path, to: Path) -> Path:
    """A copy of a folder."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(base, to, symlinks=True)
    return to
