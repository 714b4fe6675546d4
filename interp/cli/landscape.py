"""The command that asks how the loss lies around a run's weights: llc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Root, RunPath, Threads, between_commas, find_run, parse_steps
from interp.cli.crossings import check_out, show_table
from interp.cli.printing import say_written
from interp.landscape.langevin import Langevin

_COLUMNS = {
    "llc_std": "std over chains",
    "start_loss": "train loss",
    "draw_loss": "at the draws",
    "draw_distance": "their distance",
}


_USUAL = Langevin()


@dataclass(frozen=True, kw_only=True)
class Llc:
    """Arguments of `interp llc`.

    Args:
        steps: which checkpoints, such as 0,500 or 0:5000:500 (default: at most 24 of the saved ones).
        tensors: the only tensors that are drawn, with commas between, such as W_E or W_in,W_out (default: all).
        sampler: how weights are drawn.
        out: where a figure over the steps is written: svg, png, pdf, html or json.
        json_output: print JSON instead of a table, with the loss at every draw.
    """

    run: RunPath
    steps: str | None = None
    tensors: str | None = None
    sampler: Annotated[Langevin, tyro.conf.arg(name="")] = _USUAL
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None
    threads: Threads = None
    root: Root = ROOT
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False


def llc(asked: Annotated[Llc, tyro.conf.arg(name="")]) -> None:
    """The local learning coefficient of checkpoints: how closely do the training pairs hold the weights?

    It is seen from training pairs alone, and falls while a circuit takes a table's place, also while the train loss stands still.
    Weights are drawn around each checkpoint by Langevin dynamics; what was drawn is kept in the run's results, so
    that the same command goes on where it was interrupted.
    """
    check_out(asked.out)
    run = find_run(asked.run, asked.root)
    steps = parse_steps(asked.steps, run)
    from interp.landscape.learning_coefficient import learning_coefficients

    tensors = None if asked.tensors is None else between_commas(asked.tensors)
    with counted_progress(f"drawing weights around {run.name}") as on_step:
        how: dict[str, Any] = {"tensors": tensors, "threads": asked.threads, "on_step": on_step}
        found = learning_coefficients(run, steps=steps, sampler=asked.sampler, **how)
    columns = ["llc", "llc_std", "drift", "start_loss"]
    table = found[columns].assign(
        draw_loss=found["draw_loss"].mean(["chain", "draw"]), draw_distance=found["draw_distance"].mean(["chain", "draw"])
    )
    if asked.json_output:
        rows = table.assign(
            n_beta=found["n_beta"], localization=("step", [asked.sampler.localization] * len(found.step))
        ).to_dataframe()
        for name in ("llc_by_chain", "draw_loss", "draw_distance"):
            rows[name] = found[name].values.tolist()
        show_table(rows.reset_index(), is_json=True)
    else:
        show_table(table.to_dataframe().rename(columns=_COLUMNS).reset_index(), is_json=False)
    if asked.out is not None:
        from interp.figures.coefficient_figure import coefficient_figure
        from interp.figures.saving import save

        history = {name: run.columns[name].tolist() for name in ("step", "train_loss", "test_loss")}
        say_written(save(coefficient_figure(found, history), asked.out), is_json=asked.json_output)
