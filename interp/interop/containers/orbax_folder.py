"""Folders of orbax: arrays in zarr, each under its path joined by dots, mostly in one OCDBT store; `_METADATA` has the paths."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.containers import limits
from interp.interop.containers.raw_tensor import dtype_named, tensor_of

if TYPE_CHECKING:
    import tensorstore

_TREE, _STORE, _ITEM = "_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA"


def orbax_item(path: Path) -> Path | None:
    """The folder with a tree of arrays: this one, or the one in a step of a checkpoint manager; None if it is of another kind."""
    if (path / _TREE).is_file():
        return path
    if not (path / _ITEM).is_file():
        return None
    inside = sorted(folder for folder in path.iterdir() if (folder / _TREE).is_file())
    if len(inside) > 1:
        names = ", ".join(folder.name for folder in inside[:10])
        raise DataError(f"{path}: an orbax checkpoint of several items ({names}); give the folder of the one with the weights")
    return inside[0] if inside else None


def read_orbax(path: Path) -> object:
    """The nested tree of an orbax checkpoint: tensors, and what is stored beside them.

    Raises:
        UsageError: if the package tensorstore is not installed.
        DataError: if it is damaged, incomplete, or claims more than may be read.
    """
    try:
        import tensorstore
    except ImportError as error:
        raise UsageError(f"{path}: checkpoints of orbax need the package tensorstore: pip install 'interp[orbax]'") from error
    _check_files(path)
    paths = _paths(path)
    in_one = (path / _STORE).is_file()
    tree: dict[str, object] = {}
    total = 0
    for keys in paths:
        name = ".".join(keys)
        tensor = _array(tensorstore, _place(path, name, in_one=in_one), name)
        total += tensor.numel()
        limits.check("the checkpoint", total, 4 * limits.ELEMENTS, "numbers")
        _put(tree, keys, tensor)
    return tree


def _check_files(path: Path) -> None:
    """Nothing but plain files and folders: a link or a pipe would be read by the library."""
    for number, found in enumerate(_files(path)):
        limits.check("the folder", number + 1, limits.RECORDS, "files")
        if not stat.S_ISREG(found.lstat().st_mode):
            raise DataError(f"refused before it was read: {found.name!r} in the folder is no plain file")


def _files(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in files)
        yield from (Path(folder, name) for name in folders if Path(folder, name).is_symlink())


def _paths(path: Path) -> list[tuple[str, ...]]:
    """The path of each array in the tree."""
    limits.check(_TREE, (path / _TREE).stat().st_size, limits.HEADER, "bytes")
    try:
        told = json.loads((path / _TREE).read_bytes())
        entries = told["tree_metadata"].values()
        paths = [tuple(str(part["key"]) for part in entry["key_metadata"]) for entry in entries if not _is_empty(entry)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{_TREE} is damaged: it does not tell the paths of the arrays ({error})") from error
    limits.check("the checkpoint", len(paths), limits.RECORDS, "arrays")
    numbers = Counter(".".join(keys) for keys in paths)
    if twice := [name[: limits.TEXT] for name, number in numbers.items() if number > 1][:5]:
        raise DataError(f"two arrays are stored in one place ({', '.join(twice)}), so that one of them is lost: names held dots")
    return paths


def _is_empty(entry: Mapping[str, Any]) -> bool:
    return entry["value_metadata"].get("value_type") in ("None", "Dict", "List") or bool(
        entry["value_metadata"].get("skip_deserialize")
    )


def _place(path: Path, name: str, *, in_one: bool) -> dict[str, Any]:
    file = {"driver": "file", "path": f"{path.resolve()}/"}
    return {"driver": "ocdbt", "base": file, "path": f"{name}/"} if in_one else file | {"path": f"{path.resolve() / name}/"}


def _array(library: Any, place: dict[str, Any], name: str) -> Tensor:
    store: tensorstore.KvStore = library.KvStore.open(place).result()
    what = name[: limits.TEXT]
    try:
        told = store.read(".zarray").result().value or store.read("zarr.json").result().value
        if not told:
            raise DataError(f"incomplete: {what} is not in the checkpoint; was it copied before it was written?")
        limits.check(f"the description of {what}", len(told), limits.HEADER, "bytes")
        described = json.loads(told)
        version = described["zarr_format"]
        shape = tuple(described["shape"])
        chunks = described["chunks"] if version == 2 else described["chunk_grid"]["configuration"]["chunk_shape"]
        limits.elements(shape, what)
        limits.elements(tuple(chunks), f"a piece of {what}")
        spec = {"driver": "zarr" if version == 2 else "zarr3", "kvstore": place}
        array = library.open(spec, open=True, read=True).result().read().result()
    except DataError:
        raise
    except Exception as error:  # damaged bytes can fail in any way
        raise DataError(f"damaged: {what} cannot be read ({str(error).splitlines()[0][: limits.TEXT]})") from error
    return tensor_of(np.ascontiguousarray(array).tobytes(), dtype_named(array.dtype.name, what), array.shape, what)


def _put(tree: dict[str, object], keys: tuple[str, ...], tensor: Tensor) -> None:
    for key in keys[:-1]:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            raise DataError(f"{_TREE} is damaged: {key[: limits.TEXT]!r} is an array and holds others")
        tree = inner
    tree[keys[-1]] = tensor
