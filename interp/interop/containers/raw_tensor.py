"""A tensor from raw bytes: its type by the names that files use for it, its shape compared with the bytes that are there."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits

# The names of types in safetensors, in numpy and jax (and so in flax and zarr), and in torch.
DTYPES: dict[str, torch.dtype] = {
    name: dtype
    for dtype, names in {
        torch.float64: ("F64", "float64", "f8", "DoubleStorage"),
        torch.float32: ("F32", "float32", "f4", "FloatStorage"),
        torch.float16: ("F16", "float16", "f2", "HalfStorage"),
        torch.bfloat16: ("BF16", "bfloat16", "V2", "BFloat16Storage"),
        torch.float8_e4m3fn: ("F8_E4M3", "float8_e4m3fn"),
        torch.float8_e5m2: ("F8_E5M2", "float8_e5m2"),
        torch.int64: ("I64", "int64", "i8", "LongStorage"),
        torch.int32: ("I32", "int32", "i4", "IntStorage"),
        torch.int16: ("I16", "int16", "i2", "ShortStorage"),
        torch.int8: ("I8", "int8", "i1", "CharStorage"),
        torch.uint8: ("U8", "uint8", "u1", "ByteStorage"),
        torch.uint16: ("U16", "uint16", "u2"),
        torch.uint32: ("U32", "uint32", "u4"),
        torch.uint64: ("U64", "uint64", "u8"),
        torch.bool: ("BOOL", "bool", "b1", "BoolStorage"),
    }.items()
    for name in names
}


def dtype_named(name: object, what: str) -> torch.dtype:
    """The type of that name.

    Raises:
        DataError: if no such numbers are read.
    """
    found = DTYPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise DataError(f"{what}: numbers of type {str(name)[: limits.TEXT]!r} are not read, only real ones of 8 to 64 bits")
    return found


def tensor_of(data: bytes | bytearray | memoryview, dtype: torch.dtype, shape: tuple[int, ...], what: str) -> Tensor:
    """A tensor with numbers of its own, from little-endian bytes in row-major order.

    Raises:
        DataError: if the bytes are not those of the shape.
    """
    needed = limits.elements(shape, what) * dtype.itemsize
    if needed != len(data):
        raise DataError(f"{what}: given {len(data):,} bytes, expected {needed:,} for the shape {shape} of {dtype}")
    flat = torch.frombuffer(bytearray(data), dtype=dtype) if needed else torch.empty(0, dtype=dtype)
    return flat.reshape(shape)
