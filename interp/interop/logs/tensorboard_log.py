"""TensorBoard's event files: records with masked CRC-32C checksums, each a protocol buffer, of which the scalars are read.

A record is its length (8 bytes), the checksum of those, the data, and their checksum; the checksum is rotated and offset. Scalars
are float32. A training that was resumed begins with a session that says from which step on earlier events are void.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt32

from interp.errors import DataError
from interp.interop.logs.column_names import TEST, TRAIN
from interp.interop.logs.log_rows import LARGEST_BINARY, Row, Rows, check_count, check_size
from interp.interop.logs.protobuf import fields, signed

_HEAD, _FOOT = 12, 4
# A scalar's event has some dozen bytes; larger ones hold pictures, histograms or graphs and are passed over unread.
_SCALAR = 4096
# Field numbers of Event, Summary.Value, TensorProto.
_STEP, _SUMMARY, _SESSION = 2, 5, 7
_TAG, _SIMPLE, _TENSOR = 1, 2, 8
_DTYPE, _CONTENT, _FLOATS, _DOUBLES = 1, 4, 5, 6
_PRECISION = "its values are float32, good to seven digits"


def is_events(path: Path) -> bool:
    """Whether a file begins with a record of TensorBoard's."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return len(head) == _HEAD and struct.unpack("<I", head[8:])[0] == masked(head[:8])


def read_tensorboard(path: Path) -> Rows:
    """The scalars of an event file, or of all in a folder; each folder is a run of its own, as TensorBoard has it.

    Folders that are named after the two sets, as Keras writes them (``train``, ``validation``), are one run together.

    Raises:
        DataError: if a record is damaged; the message names its first byte.
    """
    files = sorted(path.rglob("*tfevents*"))[:1000] if path.is_dir() else [path]
    folders: dict[str, list[Row]] = {}
    notes = [_PRECISION]
    for file in files:
        folder = file.parent.relative_to(path).as_posix() if path.is_dir() else "."
        _add_events(file, folders.setdefault(folder, []), notes)
    folders = {folder: rows for folder, rows in folders.items() if rows}
    if all(folder == "." or folder.rpartition("/")[2] in TRAIN | TEST for folder in folders):
        together = [_under(folder, row) for folder, rows in folders.items() for row in rows]
        return Rows("TensorBoard", "byte", {"": together}, tuple(notes))
    return Rows("TensorBoard", "byte", folders, tuple(notes))


def masked(data: bytes) -> int:
    """The masked CRC-32C of a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = int(_TABLE[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
    return _mask(crc ^ 0xFFFFFFFF)


def _add_events(path: Path, rows: list[Row], notes: list[str]) -> None:
    """Append a file's scalars; a session that starts at a step voids what was logged from there on."""
    check_size(path, LARGEST_BINARY)
    data = path.read_bytes()
    records, cut = _records(data, path)
    if cut:
        notes.append(f"{path.name}: its last record is cut off: left out")
    _check(data, records, path)
    for at, length in records:
        if length > _SCALAR:
            continue
        try:
            void = _read_event(data[at + _HEAD : at + _HEAD + length], at, rows)
        except (ValueError, struct.error, UnicodeDecodeError, TypeError, IndexError) as error:
            raise DataError(f"{path}: the record at byte {at} is no event ({error})") from error
        if void is not None:
            kept = [row for row in rows if _step(row) < void]
            if len(kept) < len(rows):
                notes.append(f"resumed at step {void}: {len(rows) - len(kept)} values from that step on are void")
            rows[:] = kept
        check_count(rows, path)


def _records(data: bytes, path: Path) -> tuple[list[tuple[int, int]], bool]:
    """Place and length of every record, and whether the last one is cut off."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(data):
        head = data[at : at + _HEAD]
        if len(head) < _HEAD:
            return found, True
        length, crc = struct.unpack("<QI", head)
        if masked(head[:8]) != crc:
            raise DataError(f"{path}: the record at byte {at} is damaged: its length does not have its checksum")
        if at + _HEAD + length + _FOOT > len(data):
            if length > LARGEST_BINARY:
                raise DataError(f"{path}: the record at byte {at} claims {length:,} bytes")
            return found, True
        found.append((at, length))
        check_count(found, path)
        at += _HEAD + length + _FOOT
    return found, False


def _check(data: bytes, records: Sequence[tuple[int, int]], path: Path) -> None:
    """Check the checksums of the records that are read, those of one length at once."""
    for length in {length for _, length in records if length <= _SCALAR}:
        places = np.array([at for at, each in records if each == length])
        raw = np.frombuffer(data, dtype=np.uint8)
        for some in np.array_split(places, len(places) // 100_000 + 1):
            crc = _crcs(raw, some + _HEAD, length)
            stored = raw[some[:, None] + _HEAD + length + np.arange(_FOOT)].copy().view("<u4")[:, 0]
            if (wrong := np.flatnonzero(crc != stored)).size:
                raise DataError(f"{path}: the record at byte {some[wrong[0]]} is damaged: it does not have its checksum")


def _crcs(raw: np.ndarray, places: np.ndarray, length: int) -> UInt32[np.ndarray, " record"]:
    crc = np.full(len(places), 0xFFFFFFFF, dtype=np.uint32)
    for offset in range(length):
        crc = _TABLE[(crc ^ raw[places + offset]) & 0xFF] ^ (crc >> np.uint32(8))
    crc = crc ^ np.uint32(0xFFFFFFFF)
    turned = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    found: UInt32[np.ndarray, " record"] = (turned.astype(np.uint64) + _DELTA).astype(np.uint32)
    return found


def _mask(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + _DELTA) & 0xFFFFFFFF


def _read_event(data: bytes, at: int, rows: list[Row]) -> int | None:
    """Append the scalars of one event; the step from which on earlier ones are void, if it says so."""
    step, summaries, void = 0, [], False
    for number, value in fields(data):
        if number == _STEP and isinstance(value, int):
            step = signed(value)
        elif number == _SUMMARY and isinstance(value, bytes):
            summaries.append(value)
        elif number == _SESSION and isinstance(value, bytes):
            void = dict(fields(value)).get(1) == 1  # START
    for summary in summaries:
        for number, value in fields(summary):
            if number == 1 and isinstance(value, bytes) and (scalar := _scalar(value)) is not None:
                rows.append(Row(at, {"step": step, scalar[0]: scalar[1]}))
    return step if void else None


def _scalar(data: bytes) -> tuple[str, float] | None:
    tag, found = "", None
    for number, value in fields(data):
        if number == _TAG and isinstance(value, bytes):
            tag = value.decode()
        elif number == _SIMPLE and isinstance(value, bytes):
            found = struct.unpack("<f", value)[0]
        elif number == _TENSOR and isinstance(value, bytes):
            found = next(_tensor(value), None)
    return None if found is None or tag == "step" else (tag, found)


def _tensor(data: bytes) -> Iterator[float]:
    """The number of a tensor of one float32 or float64, as newer writers store scalars."""
    parts = dict(fields(data))
    kind = {1: "<f", 2: "<d"}.get(int(parts.get(_DTYPE, 0)) if isinstance(parts.get(_DTYPE), int) else 0)
    for number in (_CONTENT, _FLOATS, _DOUBLES):
        content = parts.get(number)
        if kind and isinstance(content, bytes) and len(content) == struct.calcsize(kind):
            yield struct.unpack(kind, content)[0]


def _under(folder: str, row: Row) -> Row:
    if folder == ".":
        return row
    return Row(row.at, {name if name == "step" else f"{folder}/{name}": value for name, value in row.values.items()})


def _step(row: Row) -> int:
    step = row.values["step"]
    return step if isinstance(step, int) else 0


def _table() -> UInt32[np.ndarray, " byte"]:
    """CRC-32C (Castagnoli) of every byte."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, np.uint32(0x82F63B78) ^ (table >> 1), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()
_DELTA = 0xA282EAD8
