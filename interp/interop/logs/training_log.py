"""Reading a training log of any known format as columns of a run's history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from interp.errors import DataError, UsageError, unknown
from interp.interop.logs import trackio_log, wandb_log
from interp.interop.logs.csv_log import read_csv_log
from interp.interop.logs.json_log import read_json_lines, read_json_log
from interp.interop.logs.log_rows import Row, Rows, grouped
from interp.interop.logs.tensorboard_log import is_events, read_tensorboard
from interp.interop.logs.tidying import tidy
from interp.interop.untrusted import why_no_file

_TEXTS: dict[str, Callable[[Path], Rows]] = {
    ".csv": read_csv_log,
    ".tsv": read_csv_log,
    ".json": read_json_log,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
# What lies beside weights with the same stem is looked at; a .json there is mostly a configuration.
BESIDE = (".csv", ".tsv", ".jsonl", ".ndjson", ".wandb", ".db", ".json")
_RUN_COLUMNS = ("run", "run_id", "run_name", "dir_name", "experiment", "trial", "seed")


@dataclass(frozen=True)
class TrainingLog:
    """The log of one run.

    Attributes:
        path: where it was read from.
        columns: values by step, by the names of a run's history: ``train_loss``, ``test_loss``, ``train_accuracy``, ...
        notes: what was read, chosen, left out and converted, in words.
        last_call: the last step, if the steps only count the calls of its writer; None if they are steps.
    """

    path: Path
    columns: Mapping[str, Mapping[int, float]]
    notes: tuple[str, ...] = ()
    last_call: int | None = None

    def apart(self) -> list[str]:
        """Pairs of curves that share no step, in words: each is drawn on its own, and nothing is dated by both."""
        pairs = [("train_loss", "test_loss"), ("train_accuracy", "test_accuracy"), ("test_loss", "test_accuracy")]
        both = [(self.columns.get(one, {}), self.columns.get(other, {})) for one, other in pairs]
        return [
            f"{one} ({len(first)} steps) and {other} ({len(second)}) share no step: each is kept at its own"
            for (one, other), (first, second) in zip(pairs, both, strict=True)
            if first and second and not first.keys() & second.keys()
        ]


def read_log(path: str | Path, run: str | None = None) -> TrainingLog:
    """A training log: CSV, TSV, JSON lines, JSON, TensorBoard events or a folder of them, Weights & Biases offline, trackio.

    Columns are known by their names in any of the usual spellings (``val/loss``, ``trainAcc``); accuracies in per cent become
    shares; of a step that was logged twice the last counts; what a resumed training had logged beyond is void. Notes say each.

    Args:
        path: the file or folder.
        run: which run, in a log of several.

    Raises:
        UsageError: if there is no such file, or it has several runs and none is chosen.
        DataError: if it is damaged, of no known format, or has no losses and accuracies over steps.
    """
    path = Path(path)
    if not (path.is_file() or path.is_dir()):  # a device or a pipe would be read for ever
        raise UsageError(f"{path} {why_no_file(path)}; expected a training log")
    rows = _reader(path)(path)
    runs: Mapping[str, Sequence[Row]] = rows.runs
    if [*runs] == [""]:
        runs = grouped(runs[""], _RUN_COLUMNS)
    if run is not None and run not in runs:
        raise unknown("run of the log", run, [name for name in runs if name] or ["(it names none)"])
    if run is None and len(runs) > 1:
        shown = ", ".join(repr(name) for name in [*runs][:20])
        raise UsageError(f"{path}: given a log of {len(runs)} runs ({shown}), expected one; choose it with log_run (--log-run)")
    if not any(runs.values()):
        raise DataError(f"{path}: given a {rows.format} log without a single value")
    try:
        found = tidy(next(iter(runs.values())) if run is None else runs[run], rows)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return TrainingLog(path, found.columns, (*found.notes, *rows.notes), found.last_call)


def log_beside(path: Path) -> tuple[TrainingLog | None, list[str]]:
    """The log with the same stem beside a file of weights, or with the name of a folder, if one can be read, and notes."""
    # A folder may be given as ".", which has no name of its own, and a dot in its name begins no suffix.
    whole = path.resolve() if path.is_dir() else path
    stem = whole.name if whole.is_dir() else whole.stem
    for end in BESIDE:
        beside = whole.parent / f"{stem}{end}"
        if beside == path or not beside.is_file():
            continue
        try:
            return read_log(beside), [f"{beside.name}, which lies beside, was taken for its training log"]
        except (DataError, UsageError) as error:
            if end == ".json":
                continue
            return None, [f"{beside.name}, which lies beside, was not read as its training log: {error}"]
    return None, []


def _reader(path: Path) -> Callable[[Path], Rows]:
    """The reader for a file by its first bytes, then by its name."""
    if path.is_dir():
        is_wandb = any(path.glob("*.wandb")) or (not any(path.rglob("*tfevents*")) and wandb_log.files_in(path))
        return wandb_log.read_wandb if is_wandb else read_tensorboard
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise DataError(f"{path}: given an empty file, expected a training log")
    if start.startswith(wandb_log.MAGIC):
        return wandb_log.read_wandb
    if start.startswith(trackio_log.MAGIC):
        return trackio_log.read_trackio
    if "tfevents" in path.name or is_events(path):
        return read_tensorboard
    if path.suffix.lower() in _TEXTS:
        return _TEXTS[path.suffix.lower()]
    raise DataError(
        f"{path}: given a file that begins with {start[:8]!r}, expected a training log: .csv, .tsv, .json, .jsonl, a TensorBoard "
        "event file, a .wandb file or trackio's .db"
    )
