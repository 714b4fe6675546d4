"""Commands for other people's files: import, export."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import NO_OPTIONS, ROOT, FileOptions, Out, Root, RunPath, find_run
from interp.cli.printing import say
from interp.cores import check_threads, torch_threads
from interp.errors import UsageError
from interp.wording import checkpoints


@dataclass(frozen=True)
class Import:
    """Arguments of `interp import`.

    Args:
        path: files of the official grokking code, TransformerLens, the clock/pizza code, or any files of tensors; several are
            the checkpoints of one run.
        name: name of the new run; the file's name by default.
        explain: say what was read, guessed and ignored, and how to change it; nothing is written.
        reading: how the file is read.
        threads: cores to use at once (default: 1; what is computed here is little).
        root: directory that holds the runs.
    """

    path: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    name: str | None = None
    explain: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    reading: FileOptions = NO_OPTIONS
    threads: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    root: Path = ROOT


def import_(given: Annotated[Import, tyro.conf.arg(name="")]) -> None:
    """Make an ordinary run from someone else's model or checkpoints; nothing in the file is executed."""
    from interp.interop import explain, import_run

    if not given.path:
        raise UsageError("import: given no file, expected at least one")
    path = given.path[0] if len(given.path) == 1 else given.path
    format, known = given.reading.format, given.reading.known
    with counted_progress("importing"), torch_threads(check_threads(given.threads)):
        if given.explain:
            found = explain(path, format, known=known)  # type: ignore[arg-type] # checked there
        else:
            run = import_run(path, given.root, given.name, format=format, known=known)  # type: ignore[arg-type] # checked there
    if given.explain:
        say(found.text)
        return
    for note in run.provenance.get("notes", ()):
        say(f"note: {note}")
    say(f"{run.path}: {checkpoints(run.steps)}")
    say(f"Next: interp report {shlex.quote(str(run.path))}")


def export(run: RunPath, out: Out, format: str = "safetensors", step: int | None = None, root: Root = ROOT) -> None:
    """Write one checkpoint's weights for other tools; `interp analyze RUN -o FILE` writes series.

    Args:
        format: safetensors, or transformer-lens for a state dict as TransformerLens names it.
        step: which checkpoint (default: the last).
    """
    from interp.interop import export_weights

    opened = find_run(run, root)
    checkpoint = opened[opened.steps[-1] if step is None else step]
    written = export_weights(checkpoint.weights, out, format, step=checkpoint.step)  # type: ignore[arg-type] # refused there
    say(f"wrote {written}")
