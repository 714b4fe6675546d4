"""Weights & Biases' offline files (``run-ID.wandb``): LevelDB's framing, protocol buffers, values as JSON texts.

After seven bytes of its own a file is cut into blocks of 32 KiB. A record is its checksum (4 bytes), length (2), kind (1) and
data; a long one is in pieces: first, middle, last. The checksum is the plain CRC-32 of kind and data.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from interp.errors import DataError
from interp.interop.logs.log_rows import LARGEST_BINARY, Row, Rows, check_count, check_size
from interp.interop.logs.protobuf import fields

MAGIC = b":W&B"
_START, _BLOCK, _HEAD = 7, 32 * 1024, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# A row of losses has some hundred bytes; what is longer is not put together.
_LONGEST = 2**20
# Field numbers of Record, RunRecord, HistoryRecord, HistoryItem.
_HISTORY, _RUN = 2, 17
_RUN_ID, _RUN_NAME = 1, 8
_KEY, _NESTED, _JSON = 1, 2, 16


def read_wandb(path: Path) -> Rows:
    """The history of a run that was logged offline.

    Raises:
        DataError: if a record is damaged; the message names its first byte.
    """
    if path.is_dir():
        path = _inside(path)
    check_size(path, LARGEST_BINARY)
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise DataError(f"{path}: given {data[:8]!r} at its beginning, expected {MAGIC!r}")
    rows: list[Row] = []
    names: dict[str, None] = {}
    notes: list[str] = []
    for at, record in _records(data, path, notes):
        try:
            for number, value in fields(record):
                if number == _HISTORY and isinstance(value, bytes):
                    rows.append(Row(at, dict(_items(value))))
                elif number == _RUN and isinstance(value, bytes):
                    names[_name(value)] = None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: the record at byte {at} is none of a run ({error})") from error
        check_count(rows, path)
    if names:
        notes.append(f"run {' and '.join(names)}")
    return Rows("Weights & Biases", "byte", {"": rows}, tuple(notes))


def files_in(folder: Path) -> list[Path]:
    """The .wandb files of a run's folder, of a folder ``wandb`` of runs, or of the one that this lies in; each once."""
    for pattern in ("*.wandb", "*/*.wandb", "*/*/*.wandb"):
        if found := sorted({path.resolve(): path for path in sorted(folder.glob(pattern))}.values()):  # `latest-run` is a link
            return found
    return []


def _inside(folder: Path) -> Path:
    found = files_in(folder)
    if len(found) != 1:
        named = ", ".join(str(path.relative_to(folder)) for path in found[:5])
        raise DataError(f"{folder}: given {len(found)} .wandb files ({named}), expected one; name the file itself")
    return found[0]


def _records(data: bytes, path: Path, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    """Every whole record with its place, put together from its pieces."""
    begun, parts, end = -1, bytearray(), _START
    for at, kind, body in _pieces(data, path):
        if kind in (_WHOLE, _FIRST):
            begun, parts = at, bytearray()
        elif begun < 0:
            raise DataError(f"{path}: the record at byte {at} goes on with one that did not begin")
        if len(parts) <= _LONGEST:
            parts += body
        end = at + _HEAD + len(body)
        if kind in (_WHOLE, _LAST):
            if len(parts) <= _LONGEST:
                yield begun, bytes(parts)
            begun = -1
    if begun >= 0 or any(data[end:]):
        notes.append("its last record is cut off: left out")


def _pieces(data: bytes, path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Place, kind and data of every whole piece, each checked."""
    at = _START
    while at + _HEAD <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD or not any(data[at : at + left]):  # too little for a head, or space that was set aside
            at += left
            continue
        crc, length, kind = struct.unpack("<IHB", data[at : at + _HEAD])
        if length > left - _HEAD or not _WHOLE <= kind <= _LAST:
            raise DataError(f"{path}: the record at byte {at} is damaged: it claims {length} bytes of kind {kind}")
        body = data[at + _HEAD : at + _HEAD + length]
        if len(body) < length:
            return
        if zlib.crc32(bytes([kind]) + body) != crc:
            raise DataError(f"{path}: the record at byte {at} is damaged: it does not have its checksum")
        yield at, kind, body
        at += _HEAD + length


def _items(history: bytes) -> Iterator[tuple[str, object]]:
    """Names and values of one row; a NaN is a bare word in the text, which Python's reader takes."""
    for number, item in fields(history):
        if number != 1 or not isinstance(item, bytes):
            continue
        names: list[str] = []
        text = "null"
        for part, value in fields(item):
            if part in (_KEY, _NESTED) and isinstance(value, bytes):
                names.append(value.decode())
            elif part == _JSON and isinstance(value, bytes):
                text = value.decode()
        yield "/".join(names), json.loads(text)


def _name(run: bytes) -> str:
    parts = {number: value for number, value in fields(run) if isinstance(value, bytes)}
    return (parts.get(_RUN_NAME) or parts.get(_RUN_ID) or b"").decode()
