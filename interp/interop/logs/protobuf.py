"""The wire format of protocol buffers, read without their descriptions: numbered fields of four kinds."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: (number, value); integers as they are, everything else as bytes.

    >>> list(fields(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69])))
    [(1, 150), (2, b'hi')]

    Raises:
        ValueError: if it is no message, or ends within a field.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire not in (_EIGHT, _BYTES, _FOUR):
            raise ValueError(f"field {number} is of a kind {wire} that does not exist")
        length, at = _varint(data, at) if wire == _BYTES else ((8 if wire == _EIGHT else 4), at)
        if at + length > len(data):
            raise ValueError(f"field {number} claims {length} bytes, and {len(data) - at} are left")
        yield number, data[at : at + length]
        at += length


def signed(value: int) -> int:
    """An integer field as a signed 64-bit number."""
    return value - 2**64 if value >= 2**63 else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has more than ten bytes")
