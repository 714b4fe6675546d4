"""Which kind of file it is, by its first bytes; what is no file of tensors is named, with what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from interp.errors import DataError
from interp.interop.containers.archive import opened_archive
from interp.interop.containers.numpy_file import MAGIC, is_after_json, is_npz
from interp.interop.containers.torch_file import is_torch_archive

Kind = Literal["torch archive", "old torch", "safetensors", "npz", "leaves", "msgpack"]

_ZIP, _PICKLE, _JSON, _POINTER = b"PK\x03\x04", b"\x80", b"{", b"version https://git-lfs"
# Beginnings of other kinds of file, and what to do.
_OTHERS: dict[bytes, str] = {
    b"\x1f\x8b": "a gzip file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstandard file: unpack it first",
    b"BZh": "a bzip2 file: unpack it first",
    b"\xfd7zXZ": "an xz file: unpack it first",
    b"\x89HDF": "an HDF5 file (Keras, h5py), which is not read: save its arrays with numpy.savez",
    b"GGUF": "a GGUF file, which is not read: these are quantized language models",
    b"PK\x05\x06": "an empty archive: it holds no tensors",
}
_TEXTS = (b"<!doctype html", b"<html", b"<?xml")


def kind_of(path: Path) -> Kind:
    """The kind of a file.

    Raises:
        DataError: if it is none that is read; it says what it is instead.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith((*_OTHERS,)):
        raise DataError(_other(start, path.stat().st_size))
    if start.startswith(_ZIP):
        return _kind_of_archive(path)
    if start.startswith(MAGIC) or (start.startswith(_JSON) and is_after_json(path)):
        return "leaves"
    if start[8:9] == _JSON:
        return "safetensors"
    if start.startswith(_PICKLE) and start[1:2] in b"\x00\x01\x02\x03\x04\x05":
        return "old torch"
    if start[:1] and (0x81 <= start[0] <= 0x8F or start[0] in (0xDE, 0xDF)):
        return "msgpack"
    raise DataError(_other(start, path.stat().st_size))


def _kind_of_archive(path: Path) -> Kind:
    with opened_archive(path) as archive:
        names = archive.namelist()
    if is_torch_archive(names):
        return "torch archive"
    if is_npz(names):
        return "npz"
    shown = ", ".join(repr(name[:60]) for name in names[:5]) or "nothing"
    raise DataError(f"given an archive of {shown}, expected one that torch or numpy wrote; unpack it and import what is inside")


def _other(start: bytes, size: int) -> str:
    if start.startswith(_POINTER):
        oid = re.search(rb"oid sha256:([0-9a-f]{12})", start)
        length = re.search(rb"size (\d{1,15})\b", start)
        about = f" ({oid[1].decode()}..., {int(length[1]):,} bytes)" if oid and length else ""
        return f"given a Git LFS pointer{about}, not the file it points to; fetch that with: git lfs pull"
    if start.lstrip().lower().startswith(_TEXTS):
        return f"given an HTML page of {size} bytes, expected a file of tensors; fetch the file itself, not its download page"
    if start.startswith(_JSON):
        return "given a JSON file, expected a file of tensors (.pt, .pth, .safetensors, .npz); is it the one beside it?"
    for beginning, what in _OTHERS.items():
        if start.startswith(beginning):
            return f"given {what}"
    return (
        f"given {size} bytes that begin with {start[:8]!r}, expected a file of tensors: torch (.pt, .pth, .ckpt), safetensors, "
        "numpy (.npz), flax (.msgpack) or equinox (.eqx); is it complete?"
    )
