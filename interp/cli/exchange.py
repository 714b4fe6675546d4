"""Commands for other people's files: import, export."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Out, Root, RunPath, find_run, parse_split
from interp.cores import check_threads, torch_threads
from interp.tasks.modular import Operation
from interp.wording import checkpoints


@dataclass(frozen=True)
class Import:
    """Arguments of `interp import`.

    Args:
        path: a file of the official grokking code, TransformerLens, the clock/pizza code, or any file of tensors with --map.
        name: name of the new run; the file's name by default.
        format: auto, official, transformer-lens, bridge, pizza, safetensors or map.
        split: how the pairs were split, if the file does not say: python:SEED:FRACTION or torch:SEED:FRACTION.
        operation: the operation the model learned, if the file does not say.
        activation: activation of the neurons, if the file does not say.
        attention_rate: alpha, the attention rate, if the file does not say.
        n_heads: number of heads, if the file does not say.
        map: for --format map: a tensor's name in the file and its name here, with `.T` if transposed; repeat for each tensor.
        threads: cores to use at once (default: 1; what is computed here is little).
        root: directory that holds the runs.
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    name: str | None = None
    format: str = "auto"
    split: str | None = None
    operation: Operation | None = None
    activation: Literal["relu", "gelu"] | None = None
    attention_rate: float | None = None
    n_heads: int | None = None
    map: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="THEIRS=OURS")] = ()
    threads: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    root: Path = ROOT


def import_(given: Annotated[Import, tyro.conf.arg(name="")]) -> None:
    """Make an ordinary run from someone else's model or checkpoints; nothing in the file is executed."""
    from interp.interop import Known, import_run

    known = Known(
        activation=given.activation,
        attention_rate=given.attention_rate,
        n_heads=given.n_heads,
        operation=given.operation,
        split=None if given.split is None else parse_split(given.split),
        map=given.map,
    )
    with counted_progress("importing"), torch_threads(check_threads(given.threads)):
        run = import_run(given.path, given.root, given.name, format=given.format, known=known)  # type: ignore[arg-type] # checked there
    for note in run.provenance.get("notes", ()):
        print(f"note: {note}")
    print(f"{run.path}: {checkpoints(run.steps)}")
    print(f"Next: interp report {shlex.quote(str(run.path))}")


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
    print(f"wrote {written}")
