"""What every reader of logs returns: rows of names and values, by run, as they stand in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

from interp.errors import DataError

# JSON is read at once, and takes up to thirty times its size in memory; rows and records are read one by one.
LARGEST_JSON, LARGEST_TEXT, LARGEST_BINARY = 16 * 2**20, 64 * 2**20, 256 * 2**20
MOST_ROWS = 1_000_000
# Values of all rows together: each takes some hundred bytes.
MOST_VALUES = 10_000_000


@dataclass(frozen=True)
class Row:
    """One row: its place in the file, and its values by name (nested names are joined by ``/``)."""

    at: int
    values: Mapping[str, object]


@dataclass(frozen=True)
class Rows:
    """The rows of a log.

    Attributes:
        format: of which format it is, in words.
        unit: what a row's place counts: ``line``, ``record``, ``byte``.
        runs: rows by the run's name; one run with an empty name where the format names none.
        notes: what was left out or cut off, in words.
    """

    format: str
    unit: str
    runs: Mapping[str, Sequence[Row]]
    notes: tuple[str, ...] = field(default=())


def check_size(path: Path, most: int) -> None:
    """Refuse a file that is too large, before anything of it is read.

    Raises:
        DataError: if it is larger.
    """
    if (size := path.stat().st_size) > most:
        raise DataError(f"{path}: given {size:,} bytes, expected at most {most:,}; keep the losses and accuracies alone, as CSV")


def check_count(rows: Sized, path: Path, *, width: int = 1) -> None:
    """Refuse a log of too many rows as soon as it has them.

    Args:
        width: values of each row.

    Raises:
        DataError: if there are too many.
    """
    if len(rows) > MOST_ROWS:
        raise DataError(f"{path}: given more than {MOST_ROWS:,} rows, expected a training log; keep every tenth of them, as CSV")
    if len(rows) * width > MOST_VALUES:
        raise DataError(
            f"{path}: given more than {MOST_VALUES:,} values in rows of {width:,}, expected a training log; "
            "keep the losses and accuracies alone, as CSV"
        )


def flattened(values: Mapping[str, object], before: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Names and values of nested tables, with ``/`` between the names.

    >>> dict(flattened({"step": 1, "loss": {"train": 2.0}}))
    {'step': 1, 'loss/train': 2.0}
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and depth < 8:
            yield from flattened(value, f"{before}{name}/", depth + 1)
        else:
            yield f"{before}{name}", value


def grouped(rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Row]]:
    """Rows by the value of the first of some columns that tells several runs apart; all under one empty name if none does."""
    for wanted in names:
        found: dict[str, list[Row]] = {}
        for row in rows:
            key = next((value for name, value in row.values.items() if name.strip().lower() == wanted), None)
            found.setdefault("" if key is None else str(key), []).append(row)
        if len(found) > 1:
            return found
    return {"": list(rows)}
