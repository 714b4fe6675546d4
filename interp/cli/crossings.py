"""Commands that make networks of parts of others: chimera, transplant, ticket; and readout and masks."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Root, RunPath, between_commas, find_run, parse_steps
from interp.cli.printing import print_json, print_table, say_written
from interp.errors import UsageError
from interp.studies.vary import read_seeds

if TYPE_CHECKING:
    import pandas as pd

    from interp.store.run import Run

Out = Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
Json = Annotated[bool, tyro.conf.arg(name="json", help="print JSON instead of a table")]
OtherRun = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN2", help="another run, or its name under --root")]


def chimera(
    run: RunPath, other: OtherRun, step: int, steps: int = 6_000, out: Out = None, root: Root = ROOT, json_output: Json = False
) -> None:
    """The direction of one run's weights with the length of another's, trained on: which circuit forms?

    Args:
        step: at which both are taken.
        steps: for how many all four are trained on.
        out: where a figure is written: svg, png, pdf, html or json.
    """
    from interp.interventions.crossing import chimera as cross

    check_out(out)
    one, two = find_run(run, root), find_run(other, root)
    show_made(cross(one, two, step=step, steps=steps), one, title=f"Chimeras at step {step:,}", out=out, is_json=json_output)


def transplant(
    run: RunPath,
    step: int,
    parts: str = "attention,W_in",
    seeds: str | None = None,
    steps: int = 3_000,
    out: Out = None,
    root: Root = ROOT,
    json_output: Json = False,
) -> None:
    """Parts of a grokked run in random weights, trained on, beside as large a random change and the weights alone.

    Args:
        step: at which the parts are taken.
        parts: see `interp patch --help`.
        seeds: of the random weights, such as 0-9 (default: 0, or 1 where that is the run's own).
        steps: for how many they are trained.
        out: where a figure is written: svg, png, pdf, html or json.
    """
    from interp.interventions.crossing import transplant as put_into_new

    names = between_commas(parts)
    drawn = None if seeds is None else read_seeds(seeds)
    check_out(out)
    donor = find_run(run, root)
    found = put_into_new(donor, step=step, parts=names, seeds=drawn, steps=steps)
    title = f"{' + '.join(names)} of {donor.name}, step {step:,}, in new weights"
    show_made(found, donor, title=title, out=out, is_json=json_output)


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """Arguments of `interp ticket`.

    Args:
        step: of the mask.
        keep: the share of each matrix that stays, the largest in magnitude (default: 0.6); not of clusters.
        by: what the mask is of: the largest weights, or the neurons that follow a key frequency (beside as many weights).
        seeds: of the random masks, such as 0-9.
        steps: for how many all are trained.
        out: where a figure is written: svg, png, pdf, html or json.
        json_output: print JSON instead of a table.
    """

    run: RunPath
    step: int
    keep: float | None = None
    by: Literal["magnitude", "clusters"] = "magnitude"
    seeds: str = "0"
    steps: int = 6_000
    out: Out = None
    root: Root = ROOT
    json_output: Json = False


def ticket(asked: Annotated[Ticket, tyro.conf.arg(name="")]) -> None:
    """The mask of a late checkpoint on the initial weights, trained, beside random masks and dense weights of equal norm."""
    from interp.interventions.crossing import ticket as draw

    check_out(asked.out)
    run = find_run(asked.run, asked.root)
    found = draw(run, step=asked.step, keep=asked.keep, by=asked.by, seeds=read_seeds(asked.seeds), steps=asked.steps)
    title = f"Tickets of {run.name}, mask of step {asked.step:,}"
    show_made(found, run, title=title, out=asked.out, is_json=asked.json_output)


def masks(
    run: RunPath,
    keep: float = 0.6,
    steps: str | None = None,
    out: Out = None,
    root: Root = ROOT,
    json_output: Json = False,
) -> None:
    """How much the masks of tickets have in common from checkpoint to checkpoint, beside what chance would give.

    Args:
        keep: the share of each matrix in the mask of magnitude.
        steps: such as 0,500 or 0:5000:500 (default: all).
        out: where a figure over the steps is written: svg, png, pdf, html or json.
    """
    from interp.figures.mask_figure import mask_figure
    from interp.figures.saving import save
    from interp.interventions.mask_course import mask_overlap

    check_out(out)
    opened = find_run(run, root)
    with counted_progress("reading"):
        found = mask_overlap(opened, keep=keep, steps=parse_steps(steps, opened))
    show_table(found.reset_index(), is_json=json_output)
    if out is not None:
        columns = {str(name): values.tolist() for name, values in found.items()}
        say_written(save(mask_figure(found.index.tolist(), columns), out), is_json=json_output)


def readout(
    run: RunPath,
    step: int | None = None,
    steps: str | None = None,
    seed: int = 0,
    out: Out = None,
    root: Root = ROOT,
    json_output: Json = False,
) -> None:
    """The neurons' frequencies and phases, put into an ideal clock: what accuracy would it have?

    Args:
        step: one checkpoint.
        steps: or several, such as 0,500 or 0:5000:500 (default: all).
        seed: of the controls.
        out: where a figure over the steps is written: svg, png, pdf, html or json.
    """
    from interp.figures.readout_figure import readout_figure
    from interp.figures.saving import save
    from interp.interventions.reading_out import readout as read

    check_out(out)
    if step is not None and steps is not None:
        raise UsageError(f"readout: given --step {step} and --steps {steps}, expected one of them")
    opened = find_run(run, root)
    chosen = [step] if step is not None else parse_steps(steps, opened)
    with counted_progress("reading"):
        found = read(opened, steps=chosen, seed=seed)
    show_table(found.reset_index(), is_json=json_output)
    if out is not None:
        columns = {str(name): values.tolist() for name, values in found.items()}
        say_written(save(readout_figure(found.index.tolist(), columns), out), is_json=json_output)


def check_out(out: Path | None) -> None:
    """Refuse a figure's file that cannot be written, before anything is trained."""
    from interp.figures.saving import check_target

    if out is not None:
        check_target(out)


def show_made(found: pd.DataFrame, run: Run, *, title: str, out: Path | None, is_json: bool) -> None:
    """Print the table of networks that were made and trained beside a run, and write their figure where one is asked for."""
    show_table(found, is_json=is_json)
    if out is None:
        return
    from interp.figures.crossing_figure import crossing_figure
    from interp.figures.saving import save
    from interp.store.run import open_run

    columns = [open_run(run.path.resolve().parent / name).columns for name in found["run"]]
    curves = [(its["step"].tolist(), its["test_accuracy"].tolist()) for its in columns]
    rows = [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]
    say_written(save(crossing_figure(rows, curves, title=title), out), is_json=is_json)


def show_table(found: pd.DataFrame, *, is_json: bool) -> None:
    """Print a table, or its rows as JSON."""
    rows = [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]
    if is_json:
        print_json(rows)
        return
    print_table([{name: _number(v) if isinstance(v, float) else v for name, v in row.items()} for row in rows])


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.4g}"
