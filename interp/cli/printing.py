"""What commands print: tables, trees, series, JSON."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import TYPE_CHECKING

from interp.errors import DataError
from interp.wording import shown

if TYPE_CHECKING:
    import xarray as xr

    from interp.store.run import Run


_MANY = 100  # rows, from which on a table is printed plainly


def say(text: object, *, flush: bool = False) -> None:
    """Print lines of ours, in which anybody's names may stand: what commands a terminal, or cannot be seen, becomes an escape."""
    print(shown(text, lines=True), flush=flush)


def print_summary(run: Run) -> None:
    """Two lines after training: how it ended, and what to do next."""
    losses = run[run.steps[-1]].losses
    measured = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in losses.items() if value is not None)
    say(f"{run.path}: {run.status} ({run.reason}) at step {run.steps[-1]}; {measured}")
    say(f"Next: interp report {shlex.quote(str(run.path))}")


def print_json(value: object) -> None:
    """Print JSON; values it has no form for (a path) become text, and numbers that are not finite the texts of a history."""
    print(json.dumps(_as_json(value), indent=2, default=str).replace("\x7f", "\\u007f"))


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
    for name in rows[0]:
        table.add_column(_cell(name.replace("_", " ")))
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False).print(table)


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


def print_series(series: xr.Dataset) -> None:
    """Print the single values over steps, at up to twelve checkpoints; the rest is listed with its dimensions."""
    scalars = [str(name) for name, values in series.data_vars.items() if values.dims == ("step",)]
    arrays = {str(name): values for name, values in series.data_vars.items() if "step" in values.dims and values.ndim > 1}
    count = series.sizes["step"]
    few = series.isel(step=sorted({round(i * (count - 1) / 11) for i in range(12)}))
    if scalars:
        print_table([
            {"step": int(step), **{name: f"{float(few[name][i]):.4g}" for name in scalars}}
            for i, step in enumerate(few["step"].values)
        ])  # fmt: skip
    for name, values in arrays.items():
        say(f"{shown(name)}: {' x '.join(f'{dim} {size}' for dim, size in values.sizes.items())}")
