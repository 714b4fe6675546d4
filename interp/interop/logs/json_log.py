"""Logs as JSON: a list of rows, a table of lists, or one row on each line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from interp.errors import DataError
from interp.interop.logs.column_names import step_rank
from interp.interop.logs.csv_log import decoded
from interp.interop.logs.log_rows import LARGEST_JSON, LARGEST_TEXT, Row, Rows, check_count, check_size, flattened

# Under which names files of JSON have their rows, transformers' trainer_state.json first; and what tells its last row.
_ROWS = ("log_history", "history", "logs", "log", "metrics", "rows")
_SUMMARY = "train_runtime"


def read_json_log(path: Path) -> Rows:
    """The rows of a JSON file: ``[{"step": 0, "train_loss": ...}, ...]`` or ``{"step": [...], "train_loss": [...]}``,
    or a table with such rows under ``log_history`` or the like, as transformers' ``trainer_state.json``.

    Lists of a table belong to the list of steps that is as long as they are.

    Raises:
        DataError: if it is damaged, or of another form.
    """
    check_size(path, LARGEST_JSON)
    content = _parsed(decoded(path), f"{path}")
    if isinstance(content, list):
        check_count(content, path)
    if isinstance(content, Sequence) and not isinstance(content, str) and all(isinstance(row, Mapping) for row in content):
        rows = [Row(at, dict(flattened(row))) for at, row in enumerate(content, start=1) if isinstance(row, Mapping)]
        return Rows("JSON", "row", {"": rows})
    if isinstance(content, Mapping):
        listed = {name: found for name in _ROWS if (found := content.get(name)) and _is_rows(found)}
        if len(listed) == 1:
            return _of_trainer(*next(iter(listed.items())), path)
        return _of_lists(dict(flattened(content)), path)
    raise DataError(f"{path}: given {type(content).__name__}, expected a list of rows, or a table of lists")


def read_json_lines(path: Path) -> Rows:
    """The rows of a file with a JSON object on each line. A last line that is cut off is left out, with a note.

    Raises:
        DataError: if another line is damaged; the message names it.
    """
    check_size(path, LARGEST_TEXT)
    lines = decoded(path).split("\n")
    rows, notes = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _parsed(line, f"{path}: line {number}")
        except DataError:
            if number < len(lines):  # a whole line ends with a line break, after which there is one more, empty line
                raise
            notes.append("its last line is cut off: left out")
            continue
        if not isinstance(row, Mapping):
            raise DataError(f"{path}: line {number}: given {type(row).__name__}, expected an object such as {{'step': 0, ...}}")
        rows.append(Row(number, dict(flattened(row))))
        check_count(rows, path)
    return Rows("JSON lines", "line", {"": rows}, tuple(notes))


def _is_rows(value: object) -> TypeGuard[list[Mapping[str, object]]]:
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)


def _of_trainer(name: str, listed: Sequence[Mapping[str, object]], path: Path) -> Rows:
    """Rows in a trainer's state. The row that sums up a whole training has means over it, which are values of no step."""
    check_count(listed, path)
    rows = [Row(at, dict(flattened(row))) for at, row in enumerate(listed, start=1) if _SUMMARY not in row]
    left = len(listed) - len(rows)
    notes = (f"{left} rows with {_SUMMARY!r}, which sum up the training: left out",) if left else ()
    return Rows(f"JSON ({name})", "row", {"": rows}, notes)


def _of_lists(table: Mapping[str, object], path: Path) -> Rows:
    lists = {name: value for name, value in table.items() if isinstance(value, list) and value}
    counters = {name: value for name, value in lists.items() if step_rank(name) is not None}
    if not lists:
        raise DataError(
            f"{path}: given {', '.join(map(repr, [*table][:10])) or 'nothing'}, expected lists of losses and their steps"
        )
    rows: list[Row] = []
    notes: list[str] = []
    for name, values in lists.items():
        if name in counters:
            continue
        steps = next((each for each in counters.values() if len(each) == len(values)), None)
        if steps is None:
            notes.append(f"{name}: {len(values)} values, and no list of as many steps (step, epoch): left out")
            continue
        check_count(values, path)
        rows += [
            Row(at, {"step": step, name: value}) for at, (step, value) in enumerate(zip(steps, values, strict=True), start=1)
        ]
    if not rows:
        raise DataError(f"{path}: {'; '.join(notes)}")
    shown = ", ".join(counters)
    return Rows("JSON", "entry", {"": rows}, (*notes, *([f"steps are its list {shown}"] if shown != "step" else [])))


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}, at character {error.pos})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON that is read ({error})") from error
