"""What commands print: tables, trees, series, JSON."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

from interp.errors import DataError
from interp.store.listing import ANSWERS, FIELDS
from interp.wording import byte_size, percent, shown

if TYPE_CHECKING:
    import xarray as xr

    from interp.figures.tabled import Tables
    from interp.observing.analysis import Analysis
    from interp.store.run import Run


_LINES = 12  # of a table over checkpoints
_LONG_TEXT = 2_000  # letters
_FIRST = 40  # of the first column of a table that an analysis draws
_MANY = 100  # rows, from which on a table is printed plainly


def say(text: object, *, flush: bool = False) -> None:
    """Print lines of ours, in which anybody's names may stand: what commands a terminal, or cannot be seen, becomes an escape."""
    print(shown(text, lines=True), flush=flush)


def say_written(path: object, *, is_json: bool = False) -> None:
    """Say which file was written; beside JSON on stderr, as what reads that expects nothing else."""
    print(shown(f"wrote {path}", lines=True), file=sys.stderr if is_json else sys.stdout)


def print_summary(run: Run) -> None:
    """After training: what became of the run, in one sentence; where it is, with its last losses; and what to do next."""
    from interp.observing.answer import answer
    from interp.observing.facts_in_words import losses_in_words

    found = run.last
    say(f"{run.name}: {answer(run).sentence}")
    say(f"{run.path}: {run.status} ({run.reason}) at step {found.step:,}; {losses_in_words(found.losses)}")
    path = shlex.quote(str(run.path))
    say(f"Next: interp report {path}   (one offline page; or `interp show {path}`)")


def print_json(value: object) -> None:
    """Print JSON, see `json_text`."""
    print(json_text(value))


def json_text(value: object) -> str:
    """JSON; values it has no form for (a path) become text, and numbers that are not finite the texts of a history."""
    return json.dumps(_as_json(value), indent=2, default=str).replace("\x7f", "\\u007f")


def fail_on_unread(unread: Mapping[str, str], one: str = "run", many: str = "runs") -> None:
    """After all others were shown: name those that could not be read, each with the reason.

    Raises:
        DataError: if there are any.
    """
    if unread:
        lines = [f"  {shown(name)}: {shown(why)}" for name, why in unread.items()]
        raise DataError("\n".join([f"{len(unread)} {one if len(unread) == 1 else many} cannot be read:", *lines]))


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows that have the same names, under one header of these names."""
    if len(rows) > _MANY:
        _print_plainly(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(rows[0]):
        table.add_column(_cell(name.replace("_", " ")), no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False).print(table)


def table_of_runs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Lines about runs as people read them: what became of each, and the settings in which they differ."""
    last_parts = Counter(name.rpartition(".")[2] for name in rows[0])
    settings = {name: name.rpartition(".")[2] for name in rows[0] if "." in name and name not in ("task.p", "task.operation")}
    settings = {name: name if last_parts[last] > 1 else last for name, last in settings.items()}
    fixed = (*FIELDS, *ANSWERS)
    settings |= {name: name for name in rows[0] if "." not in name and name not in fixed}
    told = {name: name for name in ("recipe", "p", "operation", "seed") if len({str(row[name]) for row in rows}) > 1}
    return [
        _line_of_run(row)
        | {label: _step_of(row, row[name]) if name == "steps" else row[name] for name, label in (told | settings).items()}
        for row in rows
    ]


def _line_of_run(row: Mapping[str, Any]) -> dict[str, object]:
    status, accuracy = row["status"], row["test_accuracy"]
    return {
        "name": row["name"],
        "outcome": row["outcome"] if status == "finished" else f"{row['outcome']} ({status})",
        "grokked": "-" if row["grokked"] is None else f"{row['grokked']:,}",
        "test accuracy": "-" if accuracy is None else percent(accuracy),
        "last step": _step_of(row, row["last_step"]),
        "size": byte_size(row["total_bytes"]),
    }


def _step_of(row: Mapping[str, Any], step: int | None) -> str:
    """A number of steps; that of an imported model may be told by nothing."""
    return f"{step:,}" if step is not None else "unknown" if row["checkpoints"] and row["last_step"] is None else "-"


def _print_plainly(rows: Sequence[Mapping[str, object]]) -> None:
    """The same in a hundredth of the time, without regard to the width of the terminal."""
    texts = [[_cell(name.replace("_", " ")) for name in rows[0]], *([*map(_cell, row.values())] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    print("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in texts))


def print_tree(
    values: Mapping[str, object], indent: str = "", *, above: str = "", paper: Mapping[str, str] | None = None
) -> None:
    """Print nested values, one per line; long lists by their size; the paper's figure beside ours where there is one."""
    for name, value in values.items():
        path = f"{above}{name}"
        beside = f"    (paper: {paper[path]})" if paper and path in paper else ""
        label = f"{indent}{shown(name)}"
        is_rows = isinstance(value, list) and value and isinstance(value[0], Mapping)
        inner = dict(enumerate(value)) if is_rows and isinstance(value, list) else value
        if isinstance(inner, Mapping) and inner:
            print(f"{label}:{beside}")
            print_tree(inner, indent + "  ", above=f"{path}.", paper=paper)
        else:
            print(f"{label}: {_short(value)}{beside}")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        if len(value) > 12:
            if not all(isinstance(item, int | float) for item in value):
                return f"{len(value)} values"
            return f"{len(value)} values, {_short(min(value))} to {_short(max(value))}"
        return ", ".join(_short(item) for item in value) or "-"
    return "-" if value is None else shown(value)


def _cell(value: object) -> str:
    return "" if value is None else shown(value)


def _as_json(value: object) -> object:
    """The same with numbers that JSON does not have as texts."""
    if isinstance(value, Mapping):
        return {str(name): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def print_series(series: xr.Dataset, analyses: Sequence[Analysis] = ()) -> None:
    """Print what was measured: single values at up to twelve checkpoints, arrays at the last one, tables, and what follows."""
    scalars = [str(name) for name, values in series.data_vars.items() if values.dims == ("step",)]
    count = series.sizes["step"]
    chosen = sorted({round(i * (count - 1) / (_LINES - 1)) for i in range(_LINES)})
    few = series.isel(step=chosen)
    if scalars:
        print_table([
            {"step": int(step), **{name: f"{float(few[name][i]):.4g}" for name in scalars}}
            for i, step in enumerate(few["step"].values)
        ])  # fmt: skip
        if len(chosen) < count:
            say(f"({len(chosen)} of {count} checkpoints; others with --steps, all of them with -o FILE)")
    last = int(series["step"].values[-1])
    for name, values in series.data_vars.items():
        if "step" in values.dims and values.ndim > 1:
            sizes = " x ".join(f"{dim} {size}" for dim, size in values.isel(step=-1).sizes.items())
            say(f"{shown(name)} ({sizes}) at step {last:,}: {_array(values.isel(step=-1))}")
        elif "step" not in values.dims and "history_step" not in values.dims and not _is_drawn(values, analyses):
            say(f"{shown(name)}: {_array(values)}")
    for analysis in analyses:
        if analysis.kind == "tables" and analysis.figure is not None and _has_any(series, analysis):
            _print_tables(analysis.figure(series))
    for line in verdicts_of(series):
        say(line)


def verdicts_of(series: xr.Dataset) -> list[str]:
    """What a series says of its last checkpoint, and since when, one line for each verdict that its variables give."""
    from interp.observing.series import about_if_known

    known = about_if_known(series)
    found = {} if known is None else known.verdicts
    return [f"verdict on {name}: {since.verdict}, since {since.boundary}" for name, since in found.items()]


def _array(values: xr.DataArray) -> str:
    """A small array in full, a large one by its least, middle and greatest value."""
    import numpy as np

    if values.dtype.kind not in "fiub":
        return str(values.values)[:_LONG_TEXT]
    numbers = np.ravel(values.values).astype(float)
    if values.ndim == 1 and values.size <= _LINES:
        labels = values[values.dims[0]].values.tolist()
        return ", ".join(f"{shown(label)} {value:.4g}" for label, value in zip(labels, numbers, strict=True))
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        return "not a number throughout"
    low, middle, high = np.quantile(known, [0.0, 0.5, 1.0])
    odd = numbers.size - known.size
    return f"{low:.4g} to {high:.4g}, median {middle:.4g}" + (f"; {odd} of {numbers.size} not finite" if odd else "")


def _has_any(series: xr.Dataset, analysis: Analysis) -> bool:
    return any(values.attrs.get("analysis") == analysis.name for values in series.data_vars.values())


def _is_drawn(values: xr.DataArray, analyses: Sequence[Analysis]) -> bool:
    """Whether tables show it."""
    return any(analysis.kind == "tables" and values.attrs.get("analysis") == analysis.name for analysis in analyses)


def _print_tables(drawn: Tables) -> None:
    for table in drawn.tables:
        say(f"\n{table.title}")
        width = max([len(table.header), *map(len, table.rows)], default=0)
        names = [*table.header, *[""] * (width - len(table.header))]
        for row in [names, *table.rows] if table.header else table.rows:
            say("  " + "  ".join(str(cell).ljust(_FIRST if i == 0 else 0) for i, cell in enumerate(row)).rstrip())
