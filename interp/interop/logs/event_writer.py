"""Scalars as a TensorBoard event file: what `tensorboard_log` reads, written without TensorBoard."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from math import copysign, inf

from interp.interop.logs.tensorboard_log import masked

_VERSION = b"brain.Event:2"
# Number and kind of the fields: of Event wall_time (double), step (varint), file_version and summary (bytes); of Value tag and
# simple_value.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY = 0x09, 0x10, 0x1A, 0x2A
_VALUE, _TAG, _SIMPLE = 0x0A, 0x0A, 0x15


def event_file(rows: Iterable[tuple[int, Mapping[str, float]]], *, seconds: float = 0.0) -> bytes:
    """The bytes of an event file: a record for each step, with its scalars, which become float32.

    Args:
        rows: steps, and values by tag.
        seconds: when, since 1970, as every record says; steps are what TensorBoard draws over.

    >>> event_file([(3, {"loss": 0.5})])[:12].hex()
    '1800000000000000a37f4b22'
    """
    wall = bytes([_WALL_TIME]) + struct.pack("<d", seconds)
    first = wall + _delimited(_FILE_VERSION, _VERSION)
    return b"".join(map(_record, [first, *(wall + _event(step, values) for step, values in rows)]))


def _event(step: int, values: Mapping[str, float]) -> bytes:
    scalars = (_delimited(_TAG, tag.encode()) + bytes([_SIMPLE]) + _single(value) for tag, value in values.items())
    summary = b"".join(_delimited(_VALUE, scalar) for scalar in scalars)
    return bytes([_STEP]) + _varint(step) + _delimited(_SUMMARY, summary)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def _delimited(tag: int, data: bytes) -> bytes:
    return bytes([tag]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _single(value: float) -> bytes:
    """A float32; what is too large for one is infinite."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", copysign(inf, value))
