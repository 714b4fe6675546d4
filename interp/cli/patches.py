"""Commands that put parts of one network into another: patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Root, RunPath, Threads, between_commas, find_run, parse_steps
from interp.cli.crossings import show_table
from interp.cli.printing import print_json, say_written
from interp.errors import UsageError
from interp.wording import listed

if TYPE_CHECKING:
    from interp.store.run import Run

_PARTS = "embedding,attention,mlp,unembedding"
_CONTROLS, _OUT = 3, Path("patch.html")


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Arguments of `interp patch`.

    Args:
        from_step: the step that gives.
        into: the step that takes.
        parts: tensors and groups, with commas between: embedding, attention, mlp, unembedding, all, W_E, ..., heads:0+2,
            neurons:3+4, cluster:5 (the giver's neurons of frequency 5), keys:5+9 (directions of W_E); or hook points such as
            blocks.0.mlp.hook_post, at which the giver's activations are given.
        donor: the run that gives, if it is another.
        controls: random draws of each control (default: 3).
        seed: of the draws (default: 0).
        matrix: parts of every step in every other, as a figure; of a donor without some of these steps, of the nearest it has.
        steps: of the matrix, such as 0,500 or 0:5000:500 (default: at most 40 saved steps).
        out: where the figure of the matrix is written: svg, png, pdf, html or json (default: patch.html).
        json_output: print JSON.
    """

    run: RunPath
    from_step: Annotated[int | None, tyro.conf.arg(name="from", metavar="STEP")] = None
    into: Annotated[int | None, tyro.conf.arg(metavar="STEP")] = None
    parts: str = _PARTS
    donor: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    controls: int | None = None
    seed: int | None = None
    matrix: bool = False
    steps: str | None = None
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None
    threads: Threads = None
    root: Root = ROOT
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False


def patch(asked: Annotated[Patch, tyro.conf.arg(name="")]) -> None:
    """Put parts of one checkpoint into another: what works then, beside as large random changes.

    `interp patch RUN --from 2000 --into 500 --parts attention,W_in` tries each part alone, then one after the other up to all;
    `interp patch RUN --matrix --parts attention,W_in -o x.svg` draws the parts of every step in every other.
    """
    _check_options(asked)
    run = find_run(asked.run, asked.root)
    donor = None if asked.donor is None else find_run(asked.donor, asked.root)
    parts = between_commas(asked.parts)
    if asked.matrix:
        _matrix(asked, run, donor=donor, parts=parts)
        return
    from interp.interventions.patching import patch as put_into

    if asked.from_step is None or asked.into is None:
        raise UsageError("patch: expected --from STEP and --into STEP, or --matrix")
    drawn = {"controls": _CONTROLS if asked.controls is None else asked.controls, "seed": asked.seed or 0}
    with counted_progress("patching"):
        found = put_into(run, from_=asked.from_step, into=asked.into, parts=parts, donor=donor, **drawn)
    show_table(found.reset_index(), is_json=asked.json_output)


def _check_options(asked: Patch) -> None:
    """Refuse what only the other of the two ways to ask takes: it would be ignored."""
    of_one = {"--from": asked.from_step, "--into": asked.into, "--controls": asked.controls, "--seed": asked.seed}
    of_matrix = {"--steps": asked.steps, "-o": asked.out}  # --threads is a limit, which one thread keeps
    odd = [name for name, value in (of_one if asked.matrix else of_matrix).items() if value is not None]
    if odd and asked.matrix:
        raise UsageError(f"patch: given {listed(odd)} with --matrix, which tries every step in every other; leave that out")
    if odd:
        raise UsageError(f"patch: given {listed(odd)}, which is of the figure over all steps; add --matrix, or leave that out")


def _matrix(asked: Patch, run: Run, *, donor: Run | None, parts: list[str]) -> None:
    from interp.figures.patch_figure import patch_figure
    from interp.figures.saving import check_target, save
    from interp.interventions.patch_matrix import patch_matrix

    out = _OUT if asked.out is None else asked.out
    check_target(out)
    with counted_progress("patching") as on_step:
        steps = parse_steps(asked.steps, run)
        found = patch_matrix(run, parts=parts, steps=steps, donor=donor, threads=asked.threads, on_step=on_step)
    if asked.json_output:
        print_json(found.to_dict())
    say_written(save(patch_figure(found), out), is_json=asked.json_output)
