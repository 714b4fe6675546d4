"""Logs as CSV or TSV: a header, and a line for each step."""

from __future__ import annotations

import csv
from collections import Counter
from io import StringIO
from pathlib import Path

from interp.errors import DataError
from interp.interop.logs.column_names import meaning, step_rank
from interp.interop.logs.log_rows import LARGEST_TEXT, Row, Rows, check_count, check_size


def read_csv_log(path: Path) -> Rows:
    """The rows of a CSV or TSV file with a header.

    A last line without a line break may be cut off within a number, as a live writer leaves it: it is left out, with a note.

    Raises:
        DataError: if it is no text, has no header, or two different columns of one name that is read, or a line has another
            number of cells; the message names the line.
    """
    check_size(path, LARGEST_TEXT)
    text = decoded(path)
    whole = text[: text.rfind("\n") + 1]
    notes = () if len(whole) == len(text) else ("its last line has no line break and may be cut off: left out",)
    first = whole[: whole.find("\n")]
    try:
        return Rows("CSV", "line", {"": _rows(whole, max("\t;,", key=first.count), path)}, notes)
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error})") from error


def decoded(path: Path) -> str:
    """A file's text.

    Raises:
        DataError: if it is no UTF-8; the message names the byte.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no text (UTF-8)") from error


def _rows(text: str, delimiter: str, path: Path) -> list[Row]:
    lines = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(lines, [])]
    if len(header) < 2 or any(_is_number(name) for name in header):
        shown = text[:80].split("\n", maxsplit=1)[0]
        raise DataError(f"{path}: given {shown!r} as its first line, expected a header such as step,train_loss,test_loss")
    read = Counter(name for name in header if name and (meaning(name) or step_rank(name) is not None))
    repeated = [[at for at, other in enumerate(header) if other == name] for name, number in read.items() if number > 1]
    rows: list[Row] = []
    for cells in lines:
        line = lines.line_num
        if not cells:
            continue
        if len(cells) != len(header):
            raise DataError(f"{path}: line {line} has {len(cells)} cells, expected {len(header)}, as many as the header")
        for places in repeated:
            if len({cells[at].strip() for at in places}) > 1:
                raise DataError(
                    f"{path}: given {header[places[0]]!r} as the name of {len(places)} columns, which differ in line {line}, "
                    "expected another name for each; rename them"
                )
        rows.append(Row(line, dict(zip(header, cells, strict=True))))
        check_count(rows, path, width=len(header))
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
