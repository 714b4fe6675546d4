"""Chimera, transplant and ticket: networks made of parts of others, trained on beside their controls."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from torch import Generator

from interp.config.run_config import RunConfig
from interp.errors import UsageError, unknown
from interp.interventions.masks import By, Mask, clustered, largest, of_magnitude, of_neurons, shuffled
from interp.interventions.parts import check_clusters, check_parts
from interp.interventions.patching import check_donor, like, put_all
from interp.interventions.random_parts import random_direction
from interp.interventions.trained_on import Made, check_steps, norm_of, outcomes, train_on
from interp.networks.initial import initial_weights
from interp.networks.one_layer import Weights
from interp.store.run import Run, RunLike, as_run

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("interp")

_TRANSPLANTED = ("attention", "W_in")  # unless others are asked for
# For how many steps what was made is trained on, unless others are asked for; a run's name says others.
_STEPS, _STEPS_TRANSPLANTED = 6_000, 3_000
_KEPT = 0.6  # the share of each matrix that a ticket of magnitude keeps, unless another is asked for


def chimera(
    run: RunLike, other: RunLike, *, step: int, steps: int = _STEPS, root: str | Path | None = None, progress: bool = True
) -> pd.DataFrame:
    """Does the direction of the weights or their length decide which circuit forms?

    Of two runs at one step: the direction of each with the length (total norm) of the other, and each as it is (the control), all
    trained on alike: by the first run's configuration and pairs, with a new optimizer. The table has the key frequencies of each
    at the end, and the share of them in common with the ends of both runs.

    Args:
        run: the first run, by whose configuration all are trained on.
        other: the second, of the same shape and task.
        step: the step at which both are taken.
        steps: for how many they are trained on.
        root: where the four runs are kept; by default beside the first.
        progress: show progress bars.

    Raises:
        UsageError: for a step that was not saved, a run of another shape or task, or the same run twice.
    """
    run, other = as_run(run), as_run(other)
    if run.path.resolve() == other.path.resolve():
        raise UsageError(f"chimera: given {run.path} twice, expected two runs: one's direction with the other's length")
    check_donor(run, other)
    check_steps(steps)
    names = (run.name, other.name) if run.name != other.name else (run.name, f"the-other-{run.name}")
    found = dict(zip(names, (run[step].weights, other[step].weights), strict=True))
    norms, config, made = {name: norm_of(weights) for name, weights in found.items()}, _config(run, steps), []
    for direction, weights in found.items():
        for length in found:
            scale = norms[length] / norms[direction]
            facts = {"direction of": direction, "length of": length, "norm": round(norms[length], 4)}
            scaled = weights if direction == length else times(weights, scale)
            name = f"{direction}-with-length-of-{length}-at{step}-by-{names[0]}{_for(steps, _STEPS)}"  # by whose configuration
            made.append(Made(name, facts, scaled, config))
    runs = train_on(made, _beside(run, root), progress=progress)
    return outcomes(made, runs, of=dict(zip(names, (run, other), strict=True)))


def transplant(
    run: RunLike,
    *,
    step: int,
    parts: Sequence[str] = _TRANSPLANTED,
    seeds: Sequence[int] | None = None,
    steps: int = _STEPS_TRANSPLANTED,
    root: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Do parts of a grokked network let a random one generalize at once?

    For each seed: new initial weights with the parts of the run at a step, the same with as large a change in a random direction
    (see `interp.patch`), and the new weights alone; all trained on alike.

    Args:
        run: that gives the parts.
        step: at which it does.
        parts: see `interp.patch`.
        seeds: of the initial weights, and of the random directions; by default 0, or 1 where that is the run's own seed, whose
            initial weights are those that its parts grew from.
        steps: for how many they are trained.
        root: where the runs are kept; by default beside the donor.
        progress: show progress bars.

    Raises:
        UsageError: for a step that was not saved, or a part that is not there.
    """
    run = as_run(run)
    check_steps(steps)
    donor, made = run[step].weights, []
    check_parts(parts, donor, run.task)
    check_clusters(parts, [donor], run.task)
    for seed in _checked(_others(run) if seeds is None else seeds):
        if seed == run.config.seed:
            log.warning("seed %s is that of %s: its initial weights are no random ones, the parts grew from them", seed, run.name)
        config = replace(_config(run, steps), seed=seed)
        new = initial_weights(config)
        patched = put_all(parts, donor, new, run.task)
        controls = random_direction(new.tensors(), patched, Generator().manual_seed(seed))
        arms = {"transplant": like(new, patched), "random direction": like(new, controls), "nothing": new}
        of = "" if tuple(parts) == _TRANSPLANTED else f"-of-{'-'.join(part.replace(':', '') for part in parts)}"
        for what, weights in arms.items():
            name = _named(run, step, what if what == "nothing" else f"{what}{of}", seed)
            made.append(Made(f"{name}{_for(steps, _STEPS_TRANSPLANTED)}", {"seed": seed, "what": what}, weights, config))
    return outcomes(made, train_on(made, _beside(run, root), progress=progress), of={run.name: run})


def ticket(
    run: RunLike,
    *,
    step: int,
    keep: float | None = None,
    by: By = "magnitude",
    seeds: Sequence[int] = (0,),
    steps: int = _STEPS,
    root: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Is the circuit in the initial weights, once the right ones are chosen?

    The mask of a late checkpoint, on the run's own initial weights, is the ticket. By ``magnitude`` it keeps, in each matrix, the
    given share of weights that are largest there; by ``clusters`` the neurons that follow a key frequency (columns of W_in, rows
    of W_out), and all else. Beside it: for each seed, a random mask (of entries, or of as many neurons); the dense weights scaled
    to the ticket's norm; and, by clusters, the largest entries of W_in and W_out, as many as the neurons have. Masked weights are
    0 and stay so.

    Args:
        run: whose mask and initial weights are taken.
        step: at which the mask is.
        keep: the share of each matrix that stays, by magnitude; 0.6 by default.
        by: what the mask is of.
        seeds: of the random masks.
        steps: for how many all are trained.
        root: where the runs are kept; by default beside the run.
        progress: show progress bars.

    Raises:
        UsageError: for a run without its step 0, a step that was not saved, or a share not in (0, 1]; by clusters, for a share,
            for a task whose answers have no frequencies, or if no neuron follows a key frequency at that step.
    """
    run = as_run(run)
    check_steps(steps)
    share = _share(keep, by)
    if run.steps[0] != 0:
        raise UsageError(
            f"run {run.path}: its first checkpoint is that of step {run.steps[0]:,}; a ticket is put on the weights of step 0: "
            "ask the run that this one was forked or imported from"
        )
    late, first, config = run[step].weights, run[run.steps[0]].weights, _config(run, steps)
    drawn = _of_magnitude(late, share, _checked(seeds)) if by == "magnitude" else _of_clusters(late, run, _checked(seeds))
    dense = times(first, norm_of(masked_by(first, drawn[0].mask)) / norm_of(first))
    made = []
    for number, one in enumerate(drawn):
        facts = {"what": one.what, "seed": one.seed, "keep": one.keep}
        name = f"{_named(run, step, f'{one.what} {one.tag}', one.seed)}{_for(steps, _STEPS)}"
        made.append(Made(name, facts, masked_by(first, one.mask), config, one.mask))
        if not number:
            what = "dense, of its norm"
            name = f"{_named(run, step, f'{what} {one.tag}', 0)}{_for(steps, _STEPS)}"
            made.append(Made(name, {**facts, "what": what}, dense, config))
    return outcomes(made, train_on(made, _beside(run, root), progress=progress), of={run.name: run})


def _share(keep: float | None, by: By) -> float:
    """The share of each matrix that a mask of magnitude keeps."""
    if by not in get_args(By):
        raise unknown("by", by, get_args(By))
    if keep is not None and by == "clusters":
        raise UsageError(
            f"keep: given {keep!r} by clusters, where the neurons that follow a key frequency are kept, however many they are; "
            "leave it out, or take the mask by magnitude"
        )
    if keep is not None and (not isinstance(keep, Real) or not 0 < keep <= 1):
        raise UsageError(f"keep: given {keep!r}, expected a share in (0, 1]")
    return _KEPT if keep is None else keep


@dataclass(frozen=True)
class _Drawn:
    """A mask: what it is, the seed that drew it, the share that it keeps of what it masks, and its mark in names of runs."""

    what: str
    seed: int
    keep: float
    tag: str
    mask: Mask


def _of_magnitude(late: Weights, keep: float, seeds: Sequence[int]) -> list[_Drawn]:
    own, tag = of_magnitude(late, keep), f"keep{keep:.15g}"
    found = [_Drawn("ticket", 0, keep, tag, own)]
    for seed in seeds:
        generator = Generator().manual_seed(seed)
        found.append(_Drawn("random mask", seed, keep, tag, {name: shuffled(mask, generator) for name, mask in own.items()}))
    return found


def _of_clusters(late: Weights, run: Run, seeds: Sequence[int]) -> list[_Drawn]:
    kept = clustered(late, run.task)
    share, tag = float(kept.double().mean()), "clusters"
    if not share:
        raise UsageError("by: given clusters, but no neuron follows a key frequency at this step; take a later one")
    largest_ones = {name: largest(getattr(late, name), share) for name in ("W_in", "W_out")}
    found = [_Drawn("ticket", 0, share, tag, of_neurons(late, kept)), _Drawn("largest entries", 0, share, tag, largest_ones)]
    for seed in seeds:
        neurons = shuffled(kept, Generator().manual_seed(seed))
        found.append(_Drawn("random neurons", seed, share, tag, of_neurons(late, neurons)))
    return found


def masked_by(weights: Weights, mask: Mask) -> Weights:
    """The weights with those that a mask does not have at 0."""
    tensors = weights.tensors()
    return like(weights, {name: tensor * mask[name] if name in mask else tensor for name, tensor in tensors.items()})


def times(weights: Weights, factor: float) -> Weights:
    """The weights, all of them times a factor."""
    return weights.map(lambda tensor: tensor * factor)


def _config(run: Run, steps: int) -> RunConfig:
    """What networks made of a run are trained by: its configuration, for so many steps, without its changes."""
    return replace(
        run.config, steps=steps, until_settled=False, changes=(), checkpoints=replace(run.config.checkpoints, moments=())
    )


def _others(run: Run) -> list[int]:
    """A seed whose initial weights are not the run's own."""
    return [int(run.config.seed == 0)]


def _named(run: Run, step: int, what: str, seed: int) -> str:
    return f"{run.name}-at{step}-{what.replace(', ', '-').replace(' ', '-')}-seed{seed}"


def _for(steps: int, usual: int) -> str:
    """What a run's name says of its steps, where they are not the usual ones."""
    return "" if steps == usual else f"-for{steps}"


def _beside(run: Run, root: str | Path | None) -> Path:
    return run.path.resolve().parent if root is None else Path(root)


def _checked(seeds: Sequence[int]) -> Sequence[int]:
    if not isinstance(seeds, Sequence) or isinstance(seeds, str) or not all(isinstance(seed, Integral) for seed in seeds):
        raise UsageError(f"seeds: given {seeds!r}, expected a list of whole numbers, such as [0, 1, 2]")
    if not seeds:
        raise UsageError("seeds: given none, expected at least one")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds: given {list(seeds)}, expected each once: one of them twice draws the same twice")
    return seeds
