"""Whether a change can be made in a run: before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.config.changes import Ablate, Change, DecayTensor, RandomSet, ScaleTensor, Symmetry
from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.config.model_config import ModelConfig
    from interp.config.optimizer_config import OptimizerConfig
    from interp.tasks.task import Task

# Fields of the optimizer that cannot be changed while it trains: what it remembers means nothing to another.
FIXED = ("name", "momentum", "batch_size", "decay_only")


def check_change(change: Change, *, steps: int, task: Task) -> None:
    """Refuse a change that a run cannot have.

    Args:
        change: what is changed.
        steps: of the run.
        task: that it learns.

    Raises:
        UsageError: if it begins when the run is over, names frequencies that there are not, all of them, or those of a task whose
            residues do not stand in the order of its group.
    """
    where = f"changes: given {str(change)!r}"
    if not isinstance(change.start, str) and change.start >= steps:
        raise UsageError(f"{where}: it begins at step {change.start}, but the run ends at step {steps}")
    if not isinstance(change.what, Ablate):
        return
    from interp.tasks.recognized import residues_of  # only here: most runs have no such change

    if residues_of(task) is None or (isinstance(change.what.frequencies, str) and task.harmonics is None):
        raise UsageError(
            f"{where}: given {task.name}, expected addition or subtraction modulo p, in which waves run over residues in their "
            "own order"
        )
    p = task.classes
    named, most = change.what.frequencies, p // 2
    if isinstance(named, tuple) and (odd := [k for k in named if not 1 <= k <= most]):
        raise UsageError(f"{where}: given frequency {odd[0]}, expected 1..{most} for p = {p}")
    number = named.number if isinstance(named, RandomSet) else len(named) if isinstance(named, tuple) else 0
    if number >= most:
        raise UsageError(f"{where}: these are all {most} frequencies of p = {p}, without which no answer is left; expected fewer")


def check_possible(change: Change, model: ModelConfig, optimizer: OptimizerConfig) -> None:
    """Refuse a change that is made for another network or optimizer.

    Raises:
        UsageError: for one that reads the one-layer transformer, in a run of another network or one with dropout or batches; for
            another weight decay of a tensor, where it is not AdamW's on all tensors.
    """
    where, what = f"changes: given {str(change)!r}", change.what
    if isinstance(what, Ablate | Symmetry | ScaleTensor | DecayTensor) and model.unusual:
        raise UsageError(f"{where}: it is made for the one-layer transformer, given {model.unusual}")
    if isinstance(what, Ablate) and what.site == "neurons" and (model.dropout or optimizer.batch_size is not None):
        raise UsageError(f"{where}: it trains on the full batch without dropout, given dropout or batches")
    if isinstance(what, DecayTensor) and (optimizer.name not in ("adamw", "muon") or optimizer.decay_only):
        raise UsageError(f"{where}: it is made for decoupled weight decay of all tensors; use optimizer.decay_only instead")
