"""numpy's files: archives of named arrays (.npz); arrays one after the other without names, as equinox writes leaves (.eqx)."""

from __future__ import annotations

import io
import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.containers import limits
from interp.interop.containers.archive import opened_archive
from interp.interop.containers.raw_tensor import dtype_named, tensor_of

MAGIC = b"\x93NUMPY"
DROPPED = "-"


def is_npz(names: Sequence[str]) -> bool:
    """Whether an archive with records of these names is numpy's."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(path: Path, leaves: Sequence[str] = ()) -> object:
    """The arrays of a .npz by name.

    Args:
        leaves: names for arrays that have none of their own (arr_0, arr_1 ...), in order.

    Raises:
        DataError: if it is damaged, or holds Python objects, which only a pickle could restore.
        UsageError: if names are given for arrays that have some.
    """
    arrays: dict[str, Tensor | str] = {}
    with opened_archive(path) as archive:
        for record in archive.infolist():
            name, data = record.filename.removesuffix(".npy"), archive.read(record)
            stream = io.BytesIO(data)
            arrays[name.replace("/", ".")] = read_array(stream, len(data), name)
            if stream.tell() != len(data):
                raise DataError(f"a damaged archive: {name[: limits.TEXT]!r} has bytes after its array")
    unnamed = [f"arr_{number}" for number in range(len(arrays))]
    if [*arrays] == unnamed:
        return named_leaves([*arrays.values()], leaves)
    if leaves:
        raise UsageError(
            f"leaves: given {','.join(leaves)[: limits.TEXT]!r}, but the arrays have names of their own; leave it out"
        )
    return arrays


def read_leaves(path: Path, leaves: Sequence[str]) -> object:
    """The arrays of an equinox file by the names of a template; a first line of JSON, as its guide advises, is the configuration.

    Raises:
        DataError: if it is damaged, or the template is missing or has another number of names; it says which shapes there are.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        config = None if stream[:6] == MAGIC else _first_line(stream)
        arrays: list[Tensor | str] = []
        while stream.tell() < len(stream):
            limits.check("the file", len(arrays) + 1, limits.RECORDS, "arrays")
            arrays.append(read_array(stream, len(stream) - stream.tell(), f"array {len(arrays)}"))
    if len(arrays) == 1 and not leaves:
        raise DataError(
            f"one array of shape {_shape(arrays[0])} without a name, not a model; "
            "a dict of arrays is saved by numpy.savez, not numpy.save"
        )
    named = named_leaves(arrays, leaves)
    return named if config is None else {"config": config, "state_dict": named}


def read_array(stream: BinaryIO | mmap.mmap, size: int, what: str) -> Tensor | str:
    """The array at a stream's position, of at most `size` bytes; a text where it is a single one.

    Raises:
        DataError: if it is damaged, claims more, or holds what is no number.
    """
    start, what = stream.tell(), what[: limits.TEXT]
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = reader(stream)
    except Exception as error:  # a crafted header is parsed as Python's literals, and can fail in any way
        raise DataError(f"{what}: not a whole numpy array; fetch the file again") from error
    if dtype.hasobject:
        raise DataError(
            f"{what} holds Python objects, which only a pickle restores, and pickles are not loaded; save plain arrays"
        )
    needed = limits.elements(shape, what) * dtype.itemsize
    if needed > size - (stream.tell() - start):
        raise DataError(
            f"{what}: not a whole numpy array: {needed:,} bytes for shape {shape}, {size:,} are left; fetch the file again"
        )
    data = stream.read(needed)
    if dtype.kind == "U" and shape == ():
        return str(np.frombuffer(data, dtype=dtype)[0])
    if dtype.byteorder == ">":
        data = np.frombuffer(data, dtype=dtype).astype(dtype.newbyteorder("<")).tobytes()
    read_as = dtype_named(f"{dtype.kind}{dtype.itemsize}", what)
    tensor = tensor_of(data, read_as, shape[::-1] if columns_first else shape, what)
    return tensor.permute(*range(tensor.ndim)[::-1]) if columns_first else tensor


def named_leaves(arrays: Sequence[Tensor | str], leaves: Sequence[str]) -> dict[str, Tensor | str]:
    """Arrays in order under the names of a template, in which ``-`` drops one.

    Raises:
        DataError: if their numbers differ.
    """
    if len(arrays) != len(leaves):
        given = f"{len(leaves)} names" if leaves else "no names"
        shapes = ", ".join(map(_shape, arrays[:40])) + (", ..." if len(arrays) > 40 else "")
        raise DataError(
            f"{len(arrays)} arrays without names, and {given} for them: this kind of file keeps only their order; name each with "
            f"--leaves W_E,W_pos,... (known.leaves), - for what is no weight. Their shapes, in order: {shapes}"
        )
    named = {name: array for name, array in zip(leaves, arrays, strict=True) if name != DROPPED}
    if len(named) + list(leaves).count(DROPPED) < len(leaves):
        raise DataError("leaves: one name is given twice, expected a name for each array")
    return named


def _shape(array: Tensor | str) -> str:
    return "text" if isinstance(array, str) else str(tuple(array.shape))


def _first_line(stream: mmap.mmap) -> object:
    line = stream.readline()
    limits.check("the first line", len(line), limits.HEADER, "bytes")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError("its first line is neither a configuration as JSON nor an array") from error


def is_after_json(path: Path) -> bool:
    """Whether arrays follow a first line of JSON."""
    with path.open("rb") as file:
        line = file.readline(limits.HEADER)
        return line.endswith(b"\n") and file.read(len(MAGIC)) == MAGIC
