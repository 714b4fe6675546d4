"""Tables from files: a binary operation as CSV or JSON, row a, column b."""

from __future__ import annotations

import csv
import io
import json
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from interp.errors import UsageError
from interp.reading import parsed_json, read_file
from interp.tasks.recognized import harmonics_of_table, is_name_of_another
from interp.tasks.task import TableTask, binary_operation

SUFFIXES = (".csv", ".json")
MOST_BYTES = 2**26
# In the place of the answer to a pair that is left out.
HOLE = "-"


def table_task(table: object, *, name: str | None = None, equals_sign: bool = True) -> TableTask:
    """The task of a binary operation that is given by its table, an array or a file: row a, column b, entry the answer.

    A CSV file has n lines of n integers and no header; a JSON file a list of n lists, or an object with ``table`` and, if wanted,
    ``name`` and ``elements``, the names of 0..n-1. A pair whose entry is ``-``, in JSON ``null``, has no answer and is left out
    (see `interp.TableTask`); an empty entry is an error.

    A table of a group's products has the harmonics of that group: those of addition where it is cyclic, in whatever order; else
    its representations, if it has at most 200 elements. A file whose name `interp.task` knows as another table, such as ``S5``,
    is called ``S5 (FILE)``.

    Args:
        table: n x n integers in 0..n-1, or the path of a file.
        name: what is learned, in a few words; by default the file's, or its name without suffix.
        equals_sign: read ``a b =`` instead of ``a b``.

    Raises:
        UsageError: for a file that cannot be read, a table that is not square, and an entry that is missing, no integer or out of
            range, with its row and column.

    >>> table_task([[0, 1], [1, 0]], name="xor").labels.tolist()
    [0, 1, 1, 0]
    """
    said: dict[str, Any] = {}
    path, asked = None, name
    if isinstance(table, str | Path):
        path = Path(table)
        said = _read(path)
        table, name = said["table"], name or said.get("name") or path.stem
    name = name or "table"
    elements = said.get("elements", ())
    if not isinstance(name, str) or not isinstance(elements, list | tuple) or not all(isinstance(e, str) for e in elements):
        raise UsageError(f"table of {name!r}: expected a text as its name, and a list of texts as its elements")
    labels = _checked(table, name)
    if path is not None and asked is None and is_name_of_another(name, labels):
        name = f"{name} ({path.name})"
    is_whole = bool((labels >= 0).all())
    return binary_operation(
        name, np.where(labels < 0, 0, labels), equals_sign=equals_sign, elements=elements, left_out=labels < 0,
        harmonics=harmonics_of_table(labels) if is_whole else None,
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    if path.suffix not in SUFFIXES:
        raise UsageError(f"table {path}: given suffix {path.suffix!r}, expected {' or '.join(SUFFIXES)}")
    try:
        text = read_file(path, at_most=MOST_BYTES).decode("utf-8-sig")
        if path.suffix == ".csv":
            return {"table": [row for row in csv.reader(io.StringIO(text), skipinitialspace=True) if row]}
        found = parsed_json(text)
    except FileNotFoundError:
        raise UsageError(f"table {path} does not exist") from None
    except OSError as error:
        raise UsageError(f"table {path}: cannot be read ({error.strerror})") from error
    except (ValueError, csv.Error) as error:
        raise UsageError(f"table {path}: cannot be read ({error})") from error
    if isinstance(found, dict) and "table" in found and not found.keys() - {"table", "name", "elements"}:
        return found
    if isinstance(found, list):
        return {"table": found}
    raise UsageError(f"table {path}: expected a list of lists, or an object with table, name and elements")


def _checked(table: object, name: str) -> np.ndarray:
    """The entries as integers, -1 for a pair that is left out; what is wrong is named by row and column, counted from 0."""
    where = f"table of {name!r}"
    if not isinstance(table, list | tuple):
        table = np.asanyarray(table).tolist()  # of a masked array: None where it is masked
    if not isinstance(table, list | tuple) or not table or not all(isinstance(row, list | tuple | np.ndarray) for row in table):
        raise UsageError(f"{where}: given {table!r:.80}, expected n rows of n integers: row a, column b")
    table = [row.tolist() if isinstance(row, np.ndarray) else row for row in table]
    _check_form(table, where)
    n = len(table)
    for a, row in enumerate(table):
        if len(row) != n:
            raise UsageError(f"{where}: row {a} has {len(row)} entries, expected {n}, as many as there are rows")
    return np.array([[_entry(entry, n, f"{where}: row {a}, column {b}") for b, entry in enumerate(row)]
                     for a, row in enumerate(table)], dtype=np.int64)  # fmt: skip


def _check_form(table: list[Any], where: str) -> None:
    """Errors for what files of tables often are: separated in another way, headed by names, a single row."""
    first = [entry for entry in table[0] if isinstance(entry, str)]
    wrong = next((sign for sign in (";", "\t", " ") if len(first) == 1 and sign in first[0].strip()), None)
    if wrong is not None:
        raise UsageError(f"{where}: row 0 is {first[0]!r:.80}: given the separator {wrong!r}, expected ','")
    is_headed = len(first) == len(table[0]) > 0 and not any(_is_number(entry) for entry in first)
    if is_headed and len(table) > 1 and any(_is_number(entry) for entry in table[1]):
        raise UsageError(f"{where}: row 0 is no row of integers: a table has no header, remove it")
    if len(table) == 1:
        given = "1 element" if len(table[0]) < 2 else f"1 row of {len(table[0])} entries"
        raise UsageError(f"{where}: given {given}, expected two or more: n rows of n integers")


def _is_number(entry: object) -> bool:
    return not isinstance(entry, str) or entry.strip().removeprefix("-").isdigit() or entry.strip() in ("", HOLE)


def _entry(entry: object, n: int, where: str) -> int:
    if entry is None or (isinstance(entry, str) and entry.strip() == HOLE):
        return -1
    if (isinstance(entry, str) and not entry.strip()) or (isinstance(entry, float) and isnan(entry)):
        raise UsageError(f"{where} is empty, expected an integer in 0..{n - 1}, or {HOLE!r} to leave the pair out")
    try:
        value = int(entry) if isinstance(entry, str) else entry
    except ValueError:
        value = entry
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{where} is {json.dumps(entry, default=str)}, expected an integer in 0..{n - 1}")
    if not 0 <= value < n:
        raise UsageError(f"{where} is {value}, expected an integer in 0..{n - 1}")
    return value
