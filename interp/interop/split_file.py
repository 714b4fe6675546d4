"""A train/test split from a file that lists pairs: JSON, CSV, numpy, torch or safetensors; nothing in it is executed."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.held_network import HeldTask
from interp.interop.untrusted import read_untrusted, why_no_file
from interp.reading import parsed_json, read_file
from interp.tasks.splits import Split

# A list of all pairs of p = 1,000 as text is about 10 MB.
_LARGEST = 64 * 2**20
_TRAIN = ("train", "train_indices", "train_idx", "train_pairs", "train_data", "train_split", "train_mask")
_TEST = tuple(name.replace("train", "test") for name in _TRAIN)
_TABLES = ("split", "splits", "indices", "data_split")
# Under which names a file of weights has a list of pairs; ``train`` alone may be anything there.
STORED_PAIRS = (*_TRAIN[1:], *_TEST[1:], *_TABLES)
_SETS = ("split", "set", "subset", "part")
_COLUMNS = (("a", "b"), ("x", "y"), ("index",), ("idx",), ("pair",))
_BINARY = (".pt", ".pth", ".safetensors")


def read_split(path: Path, task: HeldTask) -> Split:
    """The split that a file lists: its train pairs, and its test pairs, or else every other pair.

    Pairs are indices a * p + b, or rows (a, b), or rows (a, b, c) with ``=`` or the answer as c; or a truth value for every pair,
    true for train. A file has one list, of train pairs, or two, named ``train`` and ``test`` (``train_indices``, ...). CSV has
    columns ``a`` and ``b``, or ``index``, or no header, and may say ``train`` or ``test`` in a column ``split``.

    Raises:
        UsageError: if there is no such file, or it is of no such form.
        DataError: if it is damaged, or its pairs are none of the task's; the message names the row and its value.
    """
    if not path.is_file():
        raise UsageError(
            f"{path} {why_no_file(path)}; expected one that lists pairs (.json, .csv, .npy, .npz, .pt, .safetensors)"
        )
    if path.stat().st_size > _LARGEST:
        raise DataError(f"{path}: given {path.stat().st_size} bytes, expected a list of at most {task.n_pairs} pairs")
    try:
        return _split(_checked(_read(path), task), task)
    except DataError as error:
        raise error if str(error).startswith(str(path)) else DataError(f"{path}: {error}") from error


def stored_split(rest: Mapping[str, object], task: HeldTask) -> tuple[Split | None, list[str]]:
    """The split that is listed in a file of weights beside them, in the forms of `read_split`, with notes on what fits none."""
    notes: list[str] = []
    for where, content in _stored(rest):
        try:
            return _split(_checked(content, task), task), [*notes, f"the split is stored: {where}"]
        except (DataError, TypeError, ValueError, IndexError, RuntimeError) as error:  # a tensor may be anything
            notes.append(f"{where} of the file was not read as its split: {error}")
    return None, notes


def _stored(rest: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """What may be the split in a file of weights: a list of training pairs with the test pairs of its kind, and tables."""
    trains = [name for name in _TRAIN[1:] if name in rest]
    tests = [name for name in _TEST[1:] if name in rest]
    paired = {train: train.replace("train", "test") for train in trains}
    others = [name for name in tests if name not in paired.values()]
    for train, test in paired.items():
        found = [name for name in (test, *others) if name in rest][:1]
        yield " and ".join((train, *found)), {name: rest[name] for name in (train, *found)}
    if tests and not trains:
        yield " and ".join(tests), {name: rest[name] for name in tests}
    for name in _TABLES:
        table = rest.get(name)
        if isinstance(table, Mapping):
            yield name, table


def _checked(content: object, task: HeldTask) -> dict[str, Int64[np.ndarray, " pair"]]:
    """The lists of train and test pairs, if these are listed too, as indices."""
    train, test = _parts(content)
    return {name: _indices(part, task, name) for name, part in (("train", train), ("test", test)) if part is not None}


def _read(path: Path) -> object:
    suffix = path.suffix.lower()
    if suffix in _BINARY:
        return read_untrusted(path)
    try:
        if suffix in (".npy", ".npz"):
            return _read_numpy(path)
        text = read_file(path, at_most=_LARGEST).decode("utf-8-sig")
        return parsed_json(text) if suffix == ".json" else _read_table(text) if suffix in (".csv", ".tsv", ".txt") else None
    except (ValueError, OSError, RecursionError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise DataError(f"not a whole {suffix} file ({error})") from error


def _read_numpy(path: Path) -> object:
    """Arrays of numbers; an array of objects is a pickle, which is refused. A header that claims more than there is, too."""
    if path.suffix.lower() == ".npy":
        return np.lib.format.open_memmap(path, mode="r")
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
            raise DataError("it unpacks to more than a list of pairs needs")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_table(text: str) -> object:
    """Rows of a CSV file: numbers alone, or train and test by its column ``split``."""
    rows = [row for row in csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else ",") if row]
    header = [] if not rows or _is_number(rows[0][0]) else [name.strip().lower() for name in rows.pop(0)]
    first = 2 if header else 1
    chosen = next((header.index(name) for name in _SETS if name in header), None)
    # Beside a and b an index may number the rows.
    named = next((names for names in _COLUMNS if {*names} <= {*header}), ())
    columns = [header.index(name) for name in named]
    if header and not columns:
        raise DataError(
            f"given columns {', '.join(header)}, expected a and b, or index (and split, if test pairs are listed too)"
        )
    parts: dict[str, list[list[int]]] = {}
    for line, row in enumerate(rows, start=first):
        name = row[chosen].strip().lower() if chosen is not None and len(row) > chosen else "train"
        if name not in ("train", "test"):
            raise DataError(f"line {line}: given {name!r}, expected train or test")
        cells = [row[column] for column in columns if column < len(row)] if header else row
        if len(cells) != len(columns or rows[0]) or not all(_is_number(cell) for cell in cells):
            raise DataError(f"line {line}: given {', '.join(row)!r}, expected {len(columns or rows[0])} integers")
        parts.setdefault(name, []).append([int(cell) for cell in cells])
    return {name: [row[0] if len(row) == 1 else row for row in part] for name, part in parts.items()}


def _parts(content: object) -> tuple[object, object]:
    if not isinstance(content, Mapping):
        if not isinstance(content, list | tuple | np.ndarray | Tensor):
            raise DataError(
                f"given {type(content).__name__}, expected a list of pairs (.json, .csv, .npy, .npz, .pt, .safetensors)"
            )
        return content, None
    names = {str(name).lower(): value for name, value in content.items()}
    train, test = (next((names[name] for name in known if name in names), None) for known in (_TRAIN, _TEST))
    if train is None:
        raise DataError(
            f"given {', '.join(map(repr, [*content][:10])) or 'nothing'}, expected 'train' (and 'test'), each a list of pairs"
        )
    return train, test


def _indices(part: object, task: HeldTask, name: str) -> Int64[np.ndarray, " pair"]:
    """Pair indices, every one of them checked."""
    rows = part.detach().cpu().numpy() if isinstance(part, Tensor) else _array(part, name)
    p, n = task.p, task.n_pairs
    if rows.dtype == bool or _is_mask(rows, p):
        if rows.shape not in ((n,), (p, p)):
            raise DataError(f"{name}: given {rows.shape} truth values, expected one for each of the {n} pairs (p = {p})")
        return np.flatnonzero(rows.reshape(-1))
    if rows.ndim not in (1, 2) or (rows.ndim == 2 and rows.shape[1] not in (2, 3)):
        raise DataError(f"{name}: given an array {rows.shape}, expected indices (n,) or pairs (n, 2)")
    if rows.dtype.kind not in "iuf" or not bool((rows == np.floor(rows)).all()):
        at = 0 if rows.dtype.kind not in "iuf" else int(np.argwhere(rows != np.floor(rows))[0][0])
        raise DataError(f"{name}: row {at} is {rows[at].tolist()!r}, expected integers")
    top = n if rows.ndim == 1 else p
    numbers = rows if rows.ndim == 1 else rows[:, :2]
    if (outside := (numbers < 0) | (numbers >= top)).any():
        at = int(np.argwhere(outside)[0][0])
        raise DataError(
            f"{name}: row {at} is {rows[at].tolist()}, expected {'an index' if rows.ndim == 1 else 'numbers'} in 0..{top - 1} "
            f"(p = {p}); is it the split of another modulus?"
        )
    found = numbers.astype(np.int64)
    indices = found if rows.ndim == 1 else found[:, 0] * p + found[:, 1]
    if rows.ndim == 2 and rows.shape[1] == 3:
        _check_third(rows[:, 2].astype(np.int64), indices, task, name)
    return indices


def _is_mask(rows: np.ndarray, p: int) -> bool:
    """Whether numbers are truth values: as indices zeros and ones for every pair would name pairs again and again."""
    shapes = ((p * p,), (p, p)) if p > 3 else ((p * p,),)  # p rows of 2 or 3 numbers are pairs
    return rows.dtype.kind in "iuf" and rows.shape in shapes and bool(np.isin(rows, (0, 1)).all())


def _check_third(third: np.ndarray, indices: np.ndarray, task: HeldTask, name: str) -> None:
    wrong = (third != task.p) & (third != task.labels[indices])
    if wrong.any() and len(np.unique(third)) > 1:
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{name}: row {at} has {third[at]} in third place, expected {task.p} (`=`) or the answer, {task.labels[indices[at]]}"
        )


def _array(part: object, name: str) -> np.ndarray:
    if isinstance(part, np.ndarray):
        return np.asarray(part)
    if not isinstance(part, Sequence) or isinstance(part, str):
        raise DataError(f"{name}: given {type(part).__name__}, expected a list of indices or pairs")
    lengths = {len(row) if isinstance(row, Sequence) and not isinstance(row, str) else 0 for row in part}
    if len(lengths) > 1:
        first = len(part[0]) if isinstance(part[0], Sequence) else 0
        at = next(i for i, row in enumerate(part) if (len(row) if isinstance(row, Sequence) else 0) != first)
        raise DataError(f"{name}: row {at} is {part[at]!r}, expected rows of one form, such as {part[0]!r}")
    for at, row in enumerate(part):
        cells = row if isinstance(row, Sequence) and not isinstance(row, str) else [row]
        if not all(isinstance(cell, int | float) and abs(cell) < 2**53 for cell in cells):
            raise DataError(f"{name}: row {at} is {row!r}, expected integers")
    return np.array(part)


def _split(listed: Mapping[str, Int64[np.ndarray, " pair"]], task: HeldTask) -> Split:
    """Train and test, which name every pair once; every pair that is not listed is test, if no test pairs are."""
    seen: dict[int, tuple[str, int]] = {}
    for name, indices in listed.items():
        for row, index in enumerate(indices.tolist()):
            if index in seen:
                pair, (where, before) = divmod(index, task.p), seen[index]
                raise DataError(
                    f"{name}: row {row} is the pair {pair}, which row {before} of {where} is too; each may occur once"
                )
            seen[index] = (name, row)
    train = listed["train"]
    test = listed.get("test")
    if test is None:
        test = np.setdiff1d(np.arange(task.n_pairs), train)
    elif len(seen) < task.n_pairs:
        missing = next(index for index in range(task.n_pairs) if index not in seen)
        raise DataError(
            f"given {len(train)} train and {len(test)} test pairs, expected all {task.n_pairs} (p = {task.p}); the pair "
            f"{divmod(missing, task.p)} is in neither; leave the test pairs out to test on all others"
        )
    if not len(train) or not len(test):
        raise DataError(f"given {len(train)} train pairs of {task.n_pairs}, expected some for training and some for testing")
    return Split(train=train, test=test)


def _is_number(text: str) -> bool:
    try:
        return abs(int(text)) < 2**53
    except ValueError:
        return False
