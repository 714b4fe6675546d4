"""torch's files, zipped and from before that: tensors are made from the bytes of their records once every claim is checked."""

from __future__ import annotations

import io
import mmap
import struct
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.containers.archive import opened_archive
from interp.interop.containers.inert_pickle import Named, read_pickle
from interp.interop.containers.raw_tensor import dtype_named
from interp.interop.containers.stored_objects import KNOWN

_OTHERS = ("sparse_tensor", "sparse_csr_tensor", "qtensor", "nested_tensor", "meta_tensor_no_storage")
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


def is_torch_archive(names: list[str]) -> bool:
    """Whether an archive with records of these names is torch's."""
    return any(name.split("/")[-1] == "data.pkl" for name in names)


def read_torch_archive(path: Path) -> object:
    """The content of a zipped torch file: tensors on the CPU, numbers, text, plain containers.

    Raises:
        DataError: if it is damaged, claims what it does not hold, or asks for anything to be loaded.
    """
    with opened_archive(path) as archive:
        records = {record.filename: record for record in archive.infolist()}
        pickles = [name for name in records if name.split("/")[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise DataError(f"a damaged torch file: {len(pickles)} records named data.pkl, expected one")
        inside = pickles[0].removesuffix("data.pkl")
        swapped = f"{inside}byteorder" in records and archive.read(f"{inside}byteorder").strip() == b"big"

        def load(key: str, needed: int) -> bytearray:
            record = records.get(f"{inside}data/{key}")
            if record is None or needed > record.file_size:
                held = "no record" if record is None else f"{record.file_size:,} bytes"
                raise DataError(f"refused before it was read: a tensor claims {needed:,} bytes, its record {key!r} has {held}")
            return bytearray(archive.read(record))

        storages = _Storages(load, big_endian=swapped)
        return _read(archive.read(pickles[0]), storages)


def _read(data: bytes, storages: _Storages) -> object:
    try:
        return read_pickle(io.BytesIO(data), storages.known(), storages.find)
    except (DataError, zipfile.BadZipFile):
        raise
    # A crafted pickle can fail in any way at all; whatever the error, the file is at fault.
    except Exception as error:
        raise DataError("not a whole torch file, or not one of tensors, numbers and text only; fetch it again") from error


def read_old_torch(path: Path) -> object:
    """The content of a torch file from before zip: four pickles, then the bytes of every storage.

    Raises:
        DataError: as `read_torch_archive`.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            return _read_old(stream)
    except DataError:
        raise
    except Exception as error:  # as in _read
        raise DataError("not a whole torch file, or not one of tensors, numbers and text only; fetch it again") from error


def _read_old(stream: mmap.mmap) -> object:
    empty: dict[str, Named] = {}
    first = read_pickle(stream, KNOWN, _nothing_elsewhere)
    if first != _MAGIC or read_pickle(stream, empty, _nothing_elsewhere) != _VERSION:
        raise DataError(
            "a pickle that is not torch's: pickles are not loaded, because they can run anything; save the tensors with "
            "torch.save, numpy.savez or safetensors and import that"
        )
    system = read_pickle(stream, empty, _nothing_elsewhere)
    claimed = 0

    def load(_: str, needed: int) -> bytearray:
        nonlocal claimed
        claimed += needed
        if claimed > len(stream):
            raise DataError(f"refused before it was read: its tensors claim {claimed:,} bytes, the file has {len(stream):,}")
        return bytearray(needed)

    storages = _Storages(load)
    content = read_pickle(stream, storages.known(), storages.find)
    for key in read_pickle(stream, empty, _nothing_elsewhere):
        if not isinstance(key, str) or key not in storages.numbers:
            raise DataError("a damaged torch file: the numbers of a storage that no tensor has")
        place = storages.data[key]
        (number,) = struct.unpack("<q", stream.read(8))
        data = stream.read(len(place))
        if number != storages.numbers[key] or len(data) < len(place):
            raise DataError(f"not a whole torch file: the numbers of storage {str(key)[:20]!r} are missing; fetch it again")
        place[:] = data
        del storages.numbers[key]
    if storages.numbers:
        raise DataError("not a whole torch file: numbers of some tensors are missing; fetch it again")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise DataError("a torch file of a machine with the other order of bytes, which only the zipped format can tell")
    return content


def _nothing_elsewhere(_: object) -> object:
    raise DataError("a damaged torch file: its header refers to tensors")


@dataclass
class _Storages:
    """The bytes of a file's tensors, each storage once, and the makers of tensors that look at them."""

    load: Callable[[str, int], bytearray]
    big_endian: bool = False
    data: dict[str, bytearray] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def find(self, description: object) -> Storage:
        """The storage with a description ('storage', type, key, device, number of elements)."""
        if not isinstance(description, tuple) or len(description) not in (5, 6) or description[0] != "storage":
            raise DataError("a damaged torch file: a storage without a description")
        kind, key, number = description[1], description[2], description[4]
        if not isinstance(kind, Named) or type(number) is not int or number < 0 or not isinstance(key, str):
            raise DataError("a damaged torch file: a storage whose description is of other types")
        if len(description) == 6 and description[5] is not None:
            raise DataError("a torch file with views of storages, as versions before 0.4 wrote them, is not read")
        name = kind.name.removeprefix("torch.")
        dtype = torch.uint8 if name == "storage.UntypedStorage" else dtype_named(name, "a tensor")
        limits.check("a tensor's storage", number * dtype.itemsize, limits.ELEMENTS * 8, "bytes")
        if key not in self.data:
            limits.check("the file", len(self.data) + 1, limits.RECORDS, "tensors")
            self.data[key] = self.load(key, number * dtype.itemsize)
            self.numbers[key] = number
        return Storage(self.data[key], dtype, number * dtype.itemsize)

    def known(self) -> dict[str, Named]:
        """What `KNOWN` has, and the makers of tensors."""
        makers: dict[str, Callable[..., object]] = {
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_tensor_v3": self.typed_tensor,
            "torch._utils._rebuild_parameter": _data_of,
            "torch._utils._rebuild_parameter_with_state": _data_of,
        }
        makers |= {f"torch._utils._rebuild_{kind}": partial(_no_dense_tensor, kind) for kind in _OTHERS}
        return KNOWN | {name: Named(name, make) for name, make in makers.items()}

    def tensor(self, storage: object, offset: object, size: object, stride: object, *_: object) -> Tensor:
        """A tensor of the storage's own type."""
        if not isinstance(storage, Storage):
            raise DataError("a damaged torch file: a tensor without a storage")
        return _view(storage, storage.dtype, (offset, size, stride), big_endian=self.big_endian)

    def typed_tensor(self, storage: object, offset: object, size: object, stride: object, *rest: object) -> Tensor:
        """A tensor with a type of its own, the third of the rest."""
        if not isinstance(storage, Storage) or len(rest) < 3 or not isinstance(rest[2], Named):
            raise DataError("a damaged torch file: a tensor without a storage or type")
        dtype = dtype_named(rest[2].name.removeprefix("torch."), "a tensor")
        return _view(storage, dtype, (offset, size, stride), big_endian=self.big_endian)


@dataclass(frozen=True)
class Storage:
    """Bytes of a file, and the type of the numbers in them."""

    data: bytearray
    dtype: torch.dtype
    length: int


def _view(storage: Storage, dtype: torch.dtype, place: tuple[object, object, object], *, big_endian: bool) -> Tensor:
    """The tensor at (offset, sizes, strides) in a storage: within it, and no larger unless it is small."""
    offset, size, stride = place
    sizes, strides = _integers(size), _integers(stride)
    if type(offset) is not int or offset < 0 or len(sizes) != len(strides):
        raise DataError("a damaged torch file: a tensor without a place in its storage")
    number, held = limits.elements(sizes, "a tensor"), storage.length // dtype.itemsize
    end = offset + 1 + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True)) if number else 0
    if end > held:
        raise DataError(f"a damaged torch file: a tensor of shape {sizes} ends at {end:,}, its storage has {held:,} numbers")
    if number > held:
        limits.check(f"a tensor of shape {sizes} that repeats {held:,} stored numbers", number, limits.REPEATED, "numbers")
    if not number:
        return torch.empty(sizes, dtype=dtype)
    flat = torch.frombuffer(storage.data, dtype=torch.uint8)[: held * dtype.itemsize]
    if big_endian != (sys.byteorder == "big"):
        flat = flat.reshape(-1, dtype.itemsize).flip(1).reshape(-1)
    return flat.view(dtype).as_strided(sizes, strides, offset)


def _integers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or any(type(value) is not int or not 0 <= value < 2**62 for value in values):
        raise DataError("a damaged torch file: sizes or strides that are not integers >= 0")
    return values


def _no_dense_tensor(kind: str, *_: object) -> object:
    raise DataError(f"given a {kind}, expected a dense floating-point tensor")


def _data_of(data: object, *_: object) -> object:
    return data
