"""One training log in every format that the readers know."""

from __future__ import annotations

import json
import math
from pathlib import Path

from written_logs import event, tensorboard, trackio, wandb

from interp.interop.logs.training_log import read_log

STEPS = [0, 10, 20, 30, 40]
COLUMNS = {
    "train_loss": [4.5, 2.25, 0.125, 1e-3, 1.25e-7],
    "test_loss": [4.5, 5.5, math.nan, 2.5, 0.5],
    "train_accuracy": [0.0, 0.25, 0.75, 1.0, 1.0],
    "test_accuracy": [0.0, 0.0, 0.125, 0.5, 0.875],
}
NAMES = {"train_loss": "train/loss", "test_loss": "val/loss", "train_accuracy": "train/acc", "test_accuracy": "val/acc"}
ROWS = [{"step": step, **{NAMES[name]: values[at] for name, values in COLUMNS.items()}} for at, step in enumerate(STEPS)]
FORMS = ("csv", "tsv", "jsonl", "rows", "lists", "tensorboard", "wandb", "trackio")


def write(folder: Path, form: str) -> Path:
    """The same log in one of the formats."""
    values = [{name: value for name, value in row.items() if name != "step"} for row in ROWS]
    cells = [[*ROWS[0]], *([*row.values()] for row in ROWS)]
    texts = {
        "csv": ("log.csv", "".join(",".join(map(str, line)) + "\n" for line in cells)),
        "tsv": ("log.tsv", "".join("\t".join(map(str, line)) + "\n" for line in cells)),
        "jsonl": ("log.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS)),
        "rows": ("log.json", json.dumps(ROWS)),
        "lists": ("log.json", json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]})),
    }
    if form in texts:
        name, content = texts[form]
        (folder / name).write_text(content)
        return folder / name
    if form == "tensorboard":
        events = [event(row["step"], name, value) for row in ROWS for name, value in row.items() if name != "step"]
        return tensorboard(folder / "events.out.tfevents.1.vm.1.0", events)
    if form == "wandb":
        return wandb(
            folder / "run-x1y2z3.wandb", [{"_step": at, "epoch": row["step"], **values[at]} for at, row in enumerate(ROWS)]
        )
    return trackio(folder / "project.db", {"run-a": [(row["step"], values[at]) for at, row in enumerate(ROWS)]})


def written(path: Path, content: str) -> Path:
    """A file with this content."""
    path.write_text(content)
    return path


def as_columns(path: Path, run: str | None = None) -> dict[str, dict[int, float]]:
    """Its columns by name: step -> value."""
    return {name: dict(values) for name, values in read_log(path, run).columns.items()}
