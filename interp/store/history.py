"""The history of a run: one JSON line per step, exact, and read back as columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite, nan

import numpy as np
from jaxtyping import Shaped

from interp.errors import DataError

COLUMNS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "sum_squared_weights")


def encode(step: int, values: Mapping[str, float | None]) -> bytes:
    """One line: the step and whichever columns were measured; every float is read back exactly.

    Infinities and NaN, which JSON does not have, are written as the strings that Python's and JavaScript's number parsers take.

    >>> encode(3, {"train_loss": 0.1, "test_loss": None})
    b'{"step": 3, "train_loss": 0.1}\\n'
    """
    row: dict[str, int | float | str] = {"step": step}
    for name in COLUMNS:
        value = values.get(name)
        if value is not None:
            row[name] = (
                float(value) if isfinite(value) else {"inf": "Infinity", "-inf": "-Infinity"}.get(str(float(value)), "NaN")
            )
    return (json.dumps(row) + "\n").encode()


def decode(data: bytes, *, where: str) -> dict[str, Shaped[np.ndarray, " step"]]:
    """Columns from lines: ``step`` as int64, the others as float64 with NaN where they were not measured.

    Raises:
        DataError: if a line is malformed, or steps do not ascend; the message names file and line.
    """
    rows = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            row = json.loads(line)
            rows.append((int(row["step"]), *(float(row.get(name, nan)) for name in COLUMNS)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where}: line {number} is damaged ({type(error).__name__}: {error})") from error
        if len(rows) > 1 and rows[-1][0] <= rows[-2][0]:
            raise DataError(f"{where}: line {number} has step {rows[-1][0]} after step {rows[-2][0]}; steps must ascend")
    columns = np.array(rows, dtype=np.float64).reshape(-1, 1 + len(COLUMNS)).T
    return {"step": columns[0].astype(np.int64), **dict(zip(COLUMNS, columns[1:], strict=True))}
