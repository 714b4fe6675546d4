"""A run's curves for other tools: TensorBoard's event files, and runs of Weights & Biases, written offline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import xarray as xr

from interp.errors import DataError, UsageError, unknown
from interp.interop.logs.event_writer import event_file
from interp.interop.logs.wandb_log import read_wandb
from interp.process import environment
from interp.store.durable import make_directory, write_output
from interp.store.run import Run, RunLike, as_run

LogFormat = Literal["tensorboard", "wandb"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)

# The names that are read back as the columns of a history, and that both tools draw in groups.
_TAGS = {
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_accuracy": "accuracy/train",
    "test_accuracy": "accuracy/test",
    "sum_squared_weights": "sum_squared_weights",
}
_EVENTS = "events.out.tfevents.0.interp"
_PATIENCE = 60  # seconds that wandb's own process may take to write what it was given

Rows = dict[int, dict[str, float]]


def export_log(run: RunLike, folder: str | Path, to: LogFormat = "tensorboard", *, series: xr.Dataset | None = None) -> Path:
    """Write a run's curves where another tool reads them; returns the file. Nothing is sent anywhere.

    ``tensorboard``: an event file in the folder, for ``tensorboard --logdir``; numbers become float32. ``wandb``: a run that was
    logged offline, by the library itself (extra `wandb`), for ``wandb sync``. Both are read back by ``interp import --log``.

    Args:
        run: a run, its directory, or its name.
        folder: made if it is not there.
        to: which tool.
        series: of `observe`: its single numbers at each checkpoint are written too, under their names.

    Raises:
        UsageError: for an unknown tool, one that is not installed, a folder that has such a log already, or a run without curves.
        DataError: if it cannot be written.

    >>> import tempfile, interp
    >>> from dataclasses import replace
    >>> config = replace(interp.recipe("demo"), steps=2, engine="reference")
    >>> run = interp.record(config, tempfile.mkdtemp(), "run", progress=False)
    >>> export_log(run, tempfile.mkdtemp()).name
    'events.out.tfevents.0.interp'
    """
    run, folder = as_run(run), Path(folder)
    if to not in LOG_FORMATS:
        raise unknown("log format", to, LOG_FORMATS)
    rows = _rows(run, series)
    if not rows:
        raise UsageError(f"run {run.path} has no curves to export")
    if folder.exists() and (there := [*folder.glob("*tfevents*"), *folder.glob("wandb/*run-*")]):
        raise UsageError(f"{folder} has a log already ({there[0].name}); choose another folder")
    try:
        make_directory(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror})") from error
    if to == "tensorboard":
        return write_output(folder / _EVENTS, event_file(rows.items()))
    return _with_wandb(run, folder, rows)


def _rows(run: Run, series: xr.Dataset | None) -> Rows:
    """Every number that was measured, by step, ascending."""
    steps = run.columns["step"]
    found: Rows = {}
    for column, tag in _TAGS.items():
        _add(found, tag, steps, run.columns[column])
    for name, array in ({} if series is None else series.data_vars).items():
        is_number = array.dims == ("step",) and array.dtype.kind in "fiub" and str(name) not in _TAGS
        if is_number:
            _add(found, str(name), series.step.values if series is not None else steps, array.values)
    return dict(sorted(found.items()))


def _add(rows: Rows, tag: str, steps: np.ndarray, values: np.ndarray) -> None:
    for step, value in zip(steps.tolist(), values.tolist(), strict=True):
        if not isnan(value):
            rows.setdefault(step, {})[tag] = float(value)


def _with_wandb(run: Run, folder: Path, rows: Rows) -> Path:
    try:
        import wandb
    except ImportError as error:
        raise UsageError("wandb is not installed, which writes its own files: pip install 'interp[wandb]'") from error
    quiet = wandb.Settings(
        mode="offline", console="off", silent=True, disable_git=True, disable_code=True, save_code=False,
        disable_job_creation=True, x_disable_stats=True, x_disable_meta=True,
    )  # fmt: skip
    with _nothing_at_home():
        logged = wandb.init(project="interp", name=run.name, dir=str(folder), config=dict(run.settings), settings=quiet)
        for step, values in rows.items():
            logged.log({"step": step, **values}, step=step)
        logged.finish()
    found = sorted(folder.glob("wandb/*run-*/*.wandb"))
    if not found:
        raise DataError(f"{folder}: wandb wrote no file there")
    _wait_for_values(found[-1], len(rows))
    return found[-1]


def _wait_for_values(path: Path, rows: int) -> None:
    """Until a file of wandb has all its rows: a process of its own writes them in turn, and on a busy machine is not done yet.

    Raises:
        DataError: if it takes longer than wandb is waited for.
    """
    end, damage = time.monotonic() + _PATIENCE, None
    while True:
        try:
            there = sum(map(len, read_wandb(path).runs.values()))
            if there >= rows:
                return
            why = f"{there} of {rows} rows are there"
        except DataError as error:  # such as of a record that is half written
            damage, why = error, str(error)
        if time.monotonic() > end:
            raise DataError(f"{path}: wandb has not written its values within {_PATIENCE} seconds: {why}") from damage
        time.sleep(0.2)


@contextmanager
def _nothing_at_home() -> Iterator[None]:
    """Its caches and its own logs go where they vanish, and it reports no errors to its makers."""
    with tempfile.TemporaryDirectory(prefix="interp-wandb-") as elsewhere:
        folders = dict.fromkeys(("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"), elsewhere)
        with environment({**folders, "WANDB_ERROR_REPORTING": "false"}):
            yield
