"""The training log that belongs to a model or a folder, and what it tells about the model's step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, nan
from pathlib import Path

from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.beside_models import configs, log_in, unread
from interp.interop.content import Content
from interp.interop.flat_states import step_number
from interp.interop.gathering import Files
from interp.interop.held_network import Held, HeldTask
from interp.interop.imported import agree, fits_end, measured_row
from interp.interop.known import Known
from interp.interop.logs.log_rows import Row, Rows, flattened
from interp.interop.logs.tidying import tidy
from interp.interop.logs.training_log import TrainingLog, log_beside, read_log
from interp.interop.opened import Opened
from interp.interop.stored_losses import stored_rows
from interp.tasks.splits import Split


def find_log(source: Files, content: Content, known: Known, usual: Path | None = None) -> tuple[TrainingLog | None, list[str]]:
    """The training log that the caller names, else the one where the format has it, in the folder, beside, or in the file.

    Raises:
        UsageError: if the one that the caller names does not exist, or has several runs.
        DataError: if it is damaged.
    """
    notes: list[str] = []
    if known.log is not None:
        log: TrainingLog | None = read_log(known.log, known.log_run)
    else:
        log, notes = (None, []) if usual is None else _log_at(usual)
        if log is None:
            log, beside = log_in(source.beside)
            notes += beside
        if log is None:
            log, beside = log_beside(source.given)
            notes += beside
        if log is None:
            log, inside = _log_inside(source, content)
            notes += inside
    taken = (known.split_file, None if log is None else log.path)
    notes += unread(source.beside, [*configs(source.beside), *(path for path in taken if path is not None)])
    if log is None:
        return None, notes
    return log, [*notes, *(f"log {log.path.name}: {note}" for note in (*log.notes, *log.apart()))]


def _log_at(path: Path) -> tuple[TrainingLog | None, list[str]]:
    try:
        return read_log(path), [f"{path.name}, which lies beside its configuration, was taken for its training log"]
    except (DataError, UsageError) as error:
        return None, [f"{path.name}, which lies beside its configuration, was not read as its training log: {error}"]


def _log_inside(source: Files, content: Content) -> tuple[TrainingLog | None, list[str]]:
    """The rows of a history that the file itself has."""
    rows = [Row(at, dict(_plain(row))) for at, row in enumerate(stored_rows(content.rest))]
    if not rows:
        return None, []
    try:
        found = tidy(rows, Rows("rows in the file", "row", {"": rows}))
    except DataError as error:
        return None, [f"the history in the file was not read: {error}"]
    return TrainingLog(source.files[-1], found.columns, found.notes), []


def _plain(row: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in flattened(row):
        yield name, value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def miscounted(log: TrainingLog, step: int) -> list[str]:
    """That the calls of a log's writer are not the model's updates, if their numbers show it."""
    if log.last_call is None or not step or abs(log.last_call - step) <= 1:
        return []
    return [
        f"log {log.path.name}: its steps are calls, up to {log.last_call}, and the model's step is {step}: its curves do not lie "
        "at the updates of the checkpoints, and are kept apart; give a log with a step or epoch in its rows"
    ]


def compared(log: TrainingLog, step: int | None, weights: Held, *, task: HeldTask, split: Split) -> str:
    """In words, whether the losses that a log has for a model agree with what is measured on a split.

    Args:
        log: of the same run; one whose steps are calls says nothing.
        step: that of the model; None, if nothing tells it, for the log's last one.
        weights: the model.
        task: what it learned.
        split: its train and test pairs.
    """
    if log.last_call is not None:
        return ""
    last = max(max(values) for values in log.columns.values())
    at = last if step is None else step
    names = [name for name in ("train_loss", "test_loss") if isfinite(log.columns.get(name, {}).get(at, nan))]
    if not names:
        return f"there is no loss that confirms it: the log {log.path.name} has none at step {at} (its last step is {last})"
    measured = measured_row(weights, task, split)
    pairs = {name: (log.columns[name][at], measured[name]) for name in names}
    shown = "; ".join(f"{name} {value:.6g}, measured {found:.6g}" for name, (value, found) in pairs.items())
    if all(agree(name, *both) for name, both in pairs.items()):
        return f"the log's losses at step {at} agree with it ({shown})"
    return f"WARNING: the log's losses at step {at} contradict it ({shown}): log, split or model are of another run"


def unsaid_step(
    opened: Opened, log: TrainingLog | None, weights: Held, *, task: HeldTask, split: Split | None
) -> tuple[int | None, list[str]]:
    """The step of a model whose file does not say it, with a note: by its losses or its log's end; None if nothing tells it."""
    if opened.content.states[0][0] is not None:
        return 0, []
    if opened.format == "pizza":
        return step_number(opened.config.get("epoch", 0), "epoch"), []
    if implied := opened.content.implied_step():
        return implied[0], [implied[1]]
    unsaid = "the file does not say after how many updates it was saved"
    if log is None or split is None or log.last_call is not None:
        return None, [f"{unsaid}: step unknown" if log is None else f"{unsaid}, and the log cannot tell: step unknown"]
    last, off = fits_end(log, measured_row(weights, task, split))
    if not off:
        return last, [f"step {last}: {unsaid}; what is measured on it agrees with the last values of the log"]
    return None, [f"{unsaid}: step unknown, since it is not the model at the end of the log ({off}), whose own values are kept"]
