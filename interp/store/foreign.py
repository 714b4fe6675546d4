"""Someone else's checkpoints as an ordinary run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from interp.config import RunConfig
from interp.errors import UsageError
from interp.store.manifest import MANIFEST
from interp.store.run import Run, open_run
from interp.store.writer import RunWriter, begin, write_log, writing
from interp.task import Split
from interp.weights import Weights


def create_run(
    root: str | Path,
    name: str,
    config: RunConfig,
    *,
    split: Split,
    checkpoints: Iterable[tuple[int, Weights]],
    history_rows: Iterable[Mapping[str, Any]] = (),
    provenance: Mapping[str, Any],
) -> Run:
    """Make an ordinary, finished run from someone else's checkpoints.

    If this was interrupted, the same call again completes it.

    Args:
        root: directory of runs.
        name: name of the new run.
        config: what is known of how they were made; its recipe may be any name, such as ``imported``.
        split: train and test pairs.
        checkpoints: (step, weights), steps ascending.
        history_rows: mappings with ``step`` and any of the history's columns, steps ascending.
        provenance: where they come from: JSON values.

    Raises:
        UsageError: if the name is taken, or steps do not ascend.
    """
    path = Path(root) / name
    with writing(path):
        series = iter(checkpoints)
        first = next(series, None)
        if first is None:
            raise UsageError(f"{path}: given no checkpoints, expected at least one")
        if (path / MANIFEST).is_file() and open_run(path).manifest.final:
            raise UsageError(f"run {path} exists already; choose another name with --name, or delete it")
        facts = {"engine": "imported", "threads": None, "n_parameters": first[1].n_parameters, "provenance": dict(provenance)}
        begin(path, config, split=split, facts=facts)
        writer = RunWriter(path)
        for row in history_rows:
            writer.add_history(row["step"], row)
        writer.save(*first)
        last = first[0]
        for step, weights in series:
            if step <= last:
                raise UsageError(f"{path}: given step {step} after step {last}, expected ascending steps")
            writer.save(step, weights)
            last = step
        writer.finish(last, status="finished", reason="imported")
        write_log(path, "imported", step=last)
    return open_run(path)
