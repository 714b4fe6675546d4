"""How a reader makes a panel again: three lines of Python, and one command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from interp.observing.analysis import Kind, builtin_names


@dataclass(frozen=True)
class Made:
    """The lines of Python and the command that make what a panel shows."""

    python: str
    command: str


def made(run: str, panel: str, kind: Kind) -> Made | None:
    """How to make a panel of a run of this name; None for a user's own analysis, whose file a page does not know.

    >>> print(made("demo", "loss_curves", "figure").command)
    interp figure demo loss_curves -o loss_curves.svg
    """
    if panel not in builtin_names():
        return None
    opened = f"run = interp.open_run({run!r})"
    if kind == "tables":
        dissected = "print(interp.anatomy.anatomy(run.last, task=run.task, split=run.split))"
        return Made(f"import interp\n{opened}\n{dissected}", f"interp anatomy {shlex.quote(run)}")
    if kind == "explorer":
        shown = 'interp.figures.figure(run, "neuron", neuron=0).show()'
        return Made(f"import interp\n{opened}\n{shown}", f"interp figure {shlex.quote(run)} neuron --neuron 0 -o neuron.svg")
    shown = f'series = interp.observe(run, ["{panel}"])  # the numbers\ninterp.figures.figure(run, "{panel}").show()'
    return Made(f"{opened}\n{shown}", f"interp figure {shlex.quote(run)} {panel} -o {panel}.svg")
