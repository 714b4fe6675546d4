"""Patching: parts of one checkpoint in another, each beside as large a change that is random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from torch import Generator, Tensor

from interp.errors import UsageError
from interp.interventions.activation_patching import activation_rows, check_hooks, is_hook
from interp.interventions.parts import check_clusters, check_parts, put
from interp.interventions.random_parts import permuted_neurons, random_direction
from interp.interventions.readings import COLUMNS, Reader
from interp.networks.one_layer import Weights
from interp.observing.keys import key_frequencies
from interp.store.run import Run, RunLike, as_run
from interp.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "nothing"
Draw = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Generator], dict[str, Tensor] | None]
CONTROLS: dict[str, Draw] = {"random direction": random_direction, "permuted neurons": permuted_neurons}


def patch(
    run: RunLike,
    *,
    from_: int,
    into: int,
    parts: Sequence[str] = ("embedding", "attention", "mlp", "unembedding"),
    donor: RunLike | None = None,
    controls: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """What works when parts of one checkpoint are put into another: each part alone, then one after the other up to all of them.

    A row for each patch, and for each of its controls the mean over random draws: ``random direction`` (the changed entries of
    each tensor become random ones of the same norm, at the same angle to those that were there) and ``permuted neurons``
    (the donor's neurons that were put there, if they are several, in another order in each tensor). Columns: losses (nats) and
    accuracies on training and test pairs, the restricted loss (all pairs) and the excluded loss (training pairs) with the donor's
    last key frequencies. Where changes of the run took pairs out or added some, those of its last step. A donor in another
    precision gives what the run's precision has of it.

    Args:
        run: whose checkpoint is patched.
        from_: the step that gives.
        into: the step that takes.
        parts: tensors and groups of them (``W_E``, ``attention``), ``heads:0+2``, ``neurons:3+4``, ``cluster:5`` (the
            donor's neurons of frequency 5), ``keys:5+9`` (directions of W_E); or hook points such as
            ``blocks.0.mlp.hook_post``, at which the donor's activations are given, beside those of other pairs. They stand alone,
            after the tensors.
        donor: the run that gives, if it is another.
        controls: draws of each control.
        seed: of the draws.

    Raises:
        UsageError: for a step that was not saved, a part that is not there, or a donor of another shape, function (activation,
            attention rate) or task.

    >>> from dataclasses import replace
    >>> import tempfile, interp
    >>> config = replace(interp.recipe("demo"), steps=20, engine="reference")
    >>> run = interp.record(config, tempfile.mkdtemp(), "run", progress=False)
    >>> table = interp.patch(run, from_=20, into=0, parts=["all"], controls=1)
    >>> bool(abs(table.loc[("all", "patched"), "test_loss"] - run[20].losses["test_loss"]) < 1e-4)
    True
    """
    import pandas as pd

    if not isinstance(controls, Integral) or controls < 0:
        raise UsageError(f"controls: given {controls!r}, expected a whole number >= 0")
    if not isinstance(seed, Integral):
        raise UsageError(f"seed: given {seed!r}, expected a whole number")
    if isinstance(parts, str):
        raise UsageError(f"parts: given {parts!r}, expected a list of parts, such as [{parts!r}]")
    run = as_run(run)
    giver = giver_of(run, donor)
    mine = run[into].weights
    theirs = as_precise(giver[from_].weights, mine)
    hooks, tensors = [part for part in parts if is_hook(part)], [part for part in parts if not is_hook(part)]
    check_hooks(hooks, mine)
    if tensors or not hooks:
        check_parts(tensors, mine, run.task)
        check_clusters(tensors, [theirs], run.task)
    reader = Reader(run.task, run.split_at(run.steps[-1]), keys_of(giver))
    patches = {part: [part] for part in tensors}
    patches |= {" + ".join(tensors[: i + 1]): tensors[: i + 1] for i in range(1, len(tensors))}
    rows = {(NOTHING, "patched", 1): reader.of(mine), ("donor", "patched", 1): reader.of(theirs)}
    for number, (name, together) in enumerate(patches.items()):
        seeds = [seed + 1000 * number + i for i in range(controls)]
        rows |= {(name, *key): row for key, row in _one(reader, put_all(together, theirs, mine, run.task), mine, seeds).items()}
    for hook in hooks:
        found = activation_rows(hook, theirs, mine, reader=reader, seeds=range(seed, seed + controls))
        rows |= {(hook, *key): row for key, row in found.items()}
    index = pd.MultiIndex.from_tuples([key[:2] for key in rows], names=["part", "what"])
    return pd.DataFrame([{"draws": key[2], **row} for key, row in rows.items()], index=index, columns=["draws", *COLUMNS])


def _one(
    reader: Reader, patched: Mapping[str, Tensor], mine: Weights, seeds: Sequence[int]
) -> dict[tuple[str, int], dict[str, float]]:
    """The readings of a patch and of its controls, by what it is and the number of draws."""
    found = {("patched", 1): reader.of(like(mine, patched))}
    for control, draw in CONTROLS.items():
        if drawn := _drawn(draw, mine, patched, seeds):
            found[control, len(drawn)] = _mean([reader.of(like(mine, one)) for one in drawn])
    return found


def giver_of(run: Run, donor: RunLike | None) -> Run:
    """The run that gives: another that fits, or the run itself, also where it is named as its own donor.

    Raises:
        UsageError: as `check_donor`.
    """
    giver = run if donor is None else as_run(donor)
    if giver.path.resolve() == run.path.resolve():
        giver = run
    check_donor(run, giver)
    return giver


def as_precise(weights: Weights, other: Weights) -> Weights:
    """Weights in the precision of others, into which parts of them are put."""
    return weights.map(lambda tensor: tensor.to(other.W_E.dtype))


def check_donor(run: Run, giver: Run) -> None:
    """Refuse a donor whose tensors, function or task are not those of the run.

    Raises:
        UsageError: naming what differs.
    """
    for one in (run, giver):
        if one.kind != "one-layer":
            raise UsageError(f"run {one.path} has networks of kind {one.kind!r}, expected one-layer transformers")
    if run.task != giver.task:
        given, expected = _told(giver.task, run.task)
        raise UsageError(f"donor: given a run of {given}, expected {expected}, which {run.path} learns")
    mine, theirs = (one[one.steps[0]].weights for one in (run, giver))
    for name in ("activation", "attention_rate"):
        if (there := getattr(theirs, name)) != (here := getattr(mine, name)):
            raise UsageError(
                f"donor: given networks with {name} {there}, expected {here}: the same weights would be another function here"
            )
    shapes = [{name: tuple(tensor.shape) for name, tensor in one.tensors().items()} for one in (mine, theirs)]
    for name in {**shapes[0], **shapes[1]}:
        if shapes[0].get(name) != shapes[1].get(name):
            there = f"{shapes[1].get(name, 'no such tensor')}, expected {shapes[0].get(name, 'none')}"
            raise UsageError(f"donor: {name}: given {there}: parts fit only between networks of one shape")


def _told(task: Task, other: Task) -> tuple[str, str]:
    """Two tasks in words that tell them apart."""
    if task.name != other.name:
        return task.name, other.name
    read, other_read = (one.inputs.shape[1] for one in (task, other))
    if read != other_read:
        return f"{task.name} that reads {read} tokens", f"one that reads {other_read} (with = they are 3)"
    return f"{task.name} with other inputs or answers", f"those of {other.name}"


def keys_of(run: Run) -> tuple[int | str, ...]:
    """The key frequencies of a run's last checkpoint."""
    return key_frequencies(run[run.steps[-1]].weights, task=run.task)


def put_all(parts: Sequence[str], donor: Weights, into: Weights, task: Task) -> dict[str, Tensor]:
    """The tensors of a network with several parts of another, of the same task."""
    found = into
    for part in parts:
        found = like(into, put(part, donor, found, task))
    return found.tensors()


def like(weights: Weights, tensors: Mapping[str, Tensor]) -> Weights:
    """Weights of these tensors, of which everything else is that of others."""
    return Weights.from_tensors(tensors, activation=weights.activation, attention_rate=weights.attention_rate)


def _drawn(draw: Draw, mine: Weights, patched: Mapping[str, Tensor], seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """Controls of a patch, one for each seed; none where the control does not apply."""
    found = (draw(mine.tensors(), patched, Generator().manual_seed(seed)) for seed in seeds)
    return [tensors for tensors in found if tensors is not None]


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
