"""Training logs as their writers leave them, written by hand from the formats' descriptions, without the readers' code."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path


def varint(value: int) -> bytes:
    value %= 2**64
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def text(number: int, value: str | bytes) -> bytes:
    """A field of a protocol buffer that is a text or a message."""
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def whole(number: int, value: int) -> bytes:
    """A field of a protocol buffer that is an integer."""
    return varint(number << 3) + varint(value)


# TensorBoard


def crc32c(data: bytes) -> int:
    """Bit by bit, by the polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def framed(event: bytes) -> bytes:
    """A record of an event file."""
    length = struct.pack("<Q", len(event))
    return length + masked(length) + event + masked(event)


def event(step: int, tag: str, value: float, *, kind: str = "simple") -> bytes:
    """One scalar, as older writers store it, or as a tensor, as newer ones do."""
    stored = {
        "simple": varint(2 << 3 | 5) + struct.pack("<f", value),
        "floats": text(8, whole(1, 1) + text(2, b"") + text(5, struct.pack("<f", value))),
        "content": text(8, whole(1, 1) + text(4, struct.pack("<f", value))),
        "double": text(8, whole(1, 2) + text(6, struct.pack("<d", value))),
        "histogram": text(5, b"\x09" + struct.pack("<d", value)),
    }[kind]
    return varint(1 << 3 | 1) + struct.pack("<d", 1.8e9) + whole(2, step) + text(5, text(1, text(1, tag) + stored))


def session(step: int) -> bytes:
    """The beginning of a resumed training."""
    return varint(1 << 3 | 1) + struct.pack("<d", 1.8e9) + whole(2, step) + text(7, whole(1, 1))


def tensorboard(path: Path, events: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    version = varint(1 << 3 | 1) + struct.pack("<d", 1.8e9) + text(3, "brain.Event:2")
    path.write_bytes(b"".join(framed(each) for each in [version, *events]))
    return path


# Weights & Biases


def leveldb(records: list[bytes], begun: bytes = b":W&B\xe1\xbe\x00") -> bytes:
    """Records in blocks of 32 KiB, in pieces where they do not fit."""
    data = bytearray(begun)
    for record in records:
        rest, first = record, True
        while first or rest:
            left = 32768 - len(data) % 32768
            if left < 7:
                data += bytes(left)
                continue
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if not rest else 2) if first else (4 if not rest else 3)
            data += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(data)


def wandb(path: Path, rows: list[dict[str, object]], *, name: str = "", padding: int = 0) -> Path:
    """A run that was logged offline; NaN is a bare word in the texts, and padding makes other records long."""
    records = [text(1, "header"), text(17, text(1, "x1y2z3") + text(8, name))]
    for row in rows:
        items = b""
        for key, value in row.items():
            items += text(1, b"".join(text(2, part) for part in key.split("/")) + text(16, json.dumps(value)))
        records += [text(2, items), text(3, b"\0" * padding)]
    path.write_bytes(leveldb(records))
    return path


# trackio


def trackio(path: Path, runs: dict[str, list[tuple[int, dict[str, object]]]]) -> Path:
    """A project's database; NaN and infinities are texts."""

    def cleaned(value: object) -> object:
        if isinstance(value, dict):
            return {key: cleaned(each) for key, each in value.items()}
        return value if json.dumps(value) not in ("NaN", "Infinity", "-Infinity") else json.dumps(value)

    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL, "
            "run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT)"
        )
        for name, rows in runs.items():
            for step, metrics in rows:
                database.execute(
                    "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, '2026-11-29', ?, ?, ?)",
                    (f"id-{name}", name, step, json.dumps(cleaned(metrics)).encode()),
                )
    return path
