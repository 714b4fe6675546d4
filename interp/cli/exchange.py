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
        path: files of the official grokking code, TransformerLens, the clock/pizza code, the group-representation code, or any
            files of tensors; several are the checkpoints of one run.
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
    say(f"{run.path}: {checkpoints(run.steps, known=run.knows_step)}")
    say(f"Next: interp report {shlex.quote(str(run.path))}")


def export(
    run: RunPath, out: Out, format: str | None = None, step: int | None = None, to: str | None = None, root: Root = ROOT
) -> None:
    """Write one checkpoint's weights for other tools, or with --to the run's curves; `interp analyze RUN -o FILE` writes series.

    Args:
        out: the file: .safetensors, or .pt (.pth) for a state dict as TransformerLens names it; with --to a folder.
        format: safetensors, transformer-lens, or bridge for TransformerLens 4 (default: what the suffix says).
        step: which checkpoint (default: the last).
        to: tensorboard or wandb: the run's curves as a log of that tool, written offline into the folder.
    """
    from interp.interop import export_log, export_weights

    opened = find_run(run, root)
    if to is not None:
        if format is not None or step is not None:
            raise UsageError("--to: given with --format or --step, which are of weights; --to writes the curves of the whole run")
        if out.suffix in (".safetensors", ".pt", ".pth"):
            raise UsageError(
                f"{out}: given with --to {to}, expected a folder for its log; that suffix is of weights, without --to"
            )
        say(f"wrote {export_log(opened, out, to)}")  # type: ignore[arg-type] # refused there
        return
    checkpoint = opened[opened.steps[-1] if step is None else step]
    written = export_weights(checkpoint, out, format, step=checkpoint.step)  # type: ignore[arg-type] # refused there
    say(f"wrote {written}")
