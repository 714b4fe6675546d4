"""Files of flax: msgpack, whose extension 1 is an array as [shape, type, bytes]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.errors import DataError, UsageError
from interp.interop.containers import limits
from interp.interop.containers.raw_tensor import dtype_named, tensor_of

_ARRAY, _COMPLEX, _NUMBER = 1, 2, 3


def read_msgpack(path: Path) -> object:
    """The nested content of a flax file: tensors, numbers, text, plain containers.

    Raises:
        UsageError: if the package msgpack is not installed.
        DataError: if it is damaged, claims what it does not hold, or is of another program.
    """
    try:
        import msgpack
    except ImportError as error:
        raise UsageError(f"{path}: files of flax need the package msgpack: pip install 'interp[flax]'") from error
    size, counter = path.stat().st_size, _Counter()
    limits.check("the file", size, limits.WHOLE, "bytes")
    try:
        return msgpack.unpackb(
            path.read_bytes(), strict_map_key=False, ext_hook=_extension, list_hook=counter.count_list,
            object_pairs_hook=counter.count_map, max_array_len=min(size, limits.RECORDS), max_map_len=min(size, limits.RECORDS),
        )  # fmt: skip
    except DataError:
        raise
    except Exception as error:  # damaged bytes can fail in any way
        raise DataError(f"not a whole flax file ({str(error)[: limits.TEXT]}); fetch it again") from error


@dataclass
class _Counter:
    """Counts what containers hold as they are made: an empty one is one byte in the file and sixty here."""

    things: int = 0

    def count_list(self, values: list[object]) -> list[object]:
        """A list, counted."""
        self._add(len(values))
        return values

    def count_map(self, values: list[tuple[object, object]]) -> dict[str, object]:
        """A table, counted; its keys are text."""
        self._add(len(values))
        if wrong := [name for name, _ in values if not isinstance(name, str)]:
            raise DataError(f"refused: a {type(wrong[0]).__name__} as a key, expected text")
        return {str(name): value for name, value in values}

    def _add(self, number: int) -> None:
        self.things += number + 1
        limits.check("the file", self.things, limits.OPERATIONS, "things")


def _extension(code: int, data: bytes) -> Any:
    if code == _COMPLEX:
        return None
    if code not in (_ARRAY, _NUMBER):
        raise DataError(f"refused: msgpack with the extension {code}, expected flax's 1 to 3")
    import msgpack

    shape, name, numbers = msgpack.unpackb(data, max_array_len=64, max_map_len=0)
    if isinstance(name, bytes):
        name = name.decode()
    sizes = tuple(shape)
    if not isinstance(numbers, bytes) or any(type(n) is not int or n < 0 for n in sizes):
        raise DataError("not a whole flax file: an array without shape or numbers")
    tensor = tensor_of(numbers, dtype_named(name, "an array"), sizes, "an array")
    return tensor.item() if code == _NUMBER else tensor
