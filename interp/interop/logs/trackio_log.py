"""trackio's databases: SQLite, a row for each call, its metrics as JSON in a BLOB with NaN as the text ``"NaN"``.

A database of a stranger is opened as a copy, read-only, with limits, and only its table is read: a view in its place could run on
and on, or call functions.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from interp.errors import DataError
from interp.interop.logs.log_rows import LARGEST_BINARY, Row, Rows, check_count, check_size, flattened

MAGIC = b"SQLite format 3\0"
_LONGEST = 2**20
# Steps of SQLite's machine after which reading ends: some seconds.
_MOST_STEPS, _EVERY = 200_000_000, 100_000


def read_trackio(path: Path) -> Rows:
    """The metrics of every run in a database of trackio's.

    Raises:
        DataError: if it is damaged, or none of trackio's.
    """
    rows: dict[str, list[Row]] = {}
    try:
        with _opened(path) as database:
            kinds = database.execute("SELECT type FROM sqlite_master WHERE name = 'metrics'").fetchall()
            columns = {column[1] for column in database.execute("PRAGMA table_info(metrics)")}
            if kinds != [("table",)] or not {"run_name", "step", "metrics"} <= columns:
                raise DataError(f"{path}: given an SQLite database without trackio's table of metrics")
            for at, name, step, text in database.execute("SELECT rowid, run_name, step, metrics FROM metrics ORDER BY rowid"):
                rows.setdefault(str(name), []).append(Row(int(at), {"_step": step, **_metrics(text, path, at)}))
                check_count(rows[str(name)], path)
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: a damaged SQLite database ({error})") from error
    return Rows("trackio", "row", rows)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the database, opened: what was written last may still be in a file of its own beside it, and belongs to it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "log.db"
        for end in ("", "-wal"):
            if (part := path.with_name(path.name + end)).is_file():
                check_size(part, LARGEST_BINARY)
                shutil.copyfile(part, copy.with_name(copy.name + end))
        with closing(sqlite3.connect(copy)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
                database.execute(f"PRAGMA {pragma}")
            done = iter(range(_MOST_STEPS // _EVERY))
            database.set_progress_handler(lambda: next(done, None) is None, _EVERY)
            yield database


def _metrics(text: object, path: Path, at: int) -> dict[str, object]:
    try:
        metrics = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: row {at} of its metrics is not JSON ({error})") from error
    if not isinstance(metrics, dict):
        raise DataError(f"{path}: row {at} of its metrics is {str(text)[:40]!r}, expected a JSON object")
    return dict(flattened(metrics))
