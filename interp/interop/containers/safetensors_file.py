"""safetensors files, by their own header: numbers of every precision; ``__metadata__`` may be null, as MLX writes it."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.containers.raw_tensor import dtype_named, tensor_of

METADATA = "__metadata__"


def read_safetensors(path: Path) -> object:
    """The tensors by name; where the header has metadata of use, a dict with ``state_dict`` and those.

    Raises:
        DataError: if it is damaged, or its header claims what the file does not hold.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header, start = _header(data)
        metadata = header.pop(METADATA, None) or {}
        limits.check("the file", len(header), limits.RECORDS, "tensors")
        places = sorted((_place(name, entry) for name, entry in header.items()), key=lambda place: place[1:3])
        _check_cover(places, len(data) - start)
        tensors = {name: _tensor(data, start, place, header[name]) for place in places for name in place[:1]}
    said = {name: _value(text) for name, text in metadata.items() if name != "format"} if isinstance(metadata, dict) else {}
    in_order = {name: tensors[name] for name in header}
    return {**said, "state_dict": in_order} if said else in_order


def _header(data: mmap.mmap) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise DataError(f"not a whole safetensors file: its header has {length:,} bytes, the file {len(data):,}")
    limits.check("the header", length, limits.HEADER, "bytes")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise DataError(f"not a whole safetensors file: its header is no JSON ({str(error)[: limits.TEXT]})") from error
    if not isinstance(header, dict):
        raise DataError("not a safetensors file: its header is no table of tensors")
    return header, 8 + length


def _place(name: str, entry: object) -> tuple[str, int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, Mapping) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or any(type(n) is not int or n < 0 for n in offsets):
        raise DataError(f"not a whole safetensors file: {name[: limits.TEXT]!r} has no place in it")
    return name, offsets[0], offsets[1]


def _check_cover(places: list[tuple[str, int, int]], size: int) -> None:
    """Every byte belongs to one tensor: what is cut short or overlaps is damaged."""
    end = 0
    for name, first, last in places:
        if first != end or last < first:
            raise DataError(f"not a whole safetensors file: {name[: limits.TEXT]!r} begins at {first:,}, expected {end:,}")
        end = last
    if end != size:
        raise DataError(f"not a whole safetensors file: its tensors take {end:,} bytes, the file has {size:,} for them")


def _tensor(data: mmap.mmap, start: int, place: tuple[str, int, int], entry: Mapping[str, object]) -> Tensor:
    name, first, last = place
    what, shape = name[: limits.TEXT], entry.get("shape")
    if not isinstance(shape, list):
        raise DataError(f"not a whole safetensors file: {what!r} has no shape")
    return tensor_of(data[start + first : start + last], dtype_named(entry.get("dtype"), what), tuple(shape), what)


def _value(text: object) -> object:
    """Metadata are texts; many write numbers and tables into them as JSON."""
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
