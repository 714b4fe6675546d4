"""Numerical health of a run: what puts its numbers in doubt, on one checkpoint and over the whole history, and in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from interp import measures
from interp.errors import DataError, UsageError
from interp.networks.gradients import mean_loss_and_gradients
from interp.networks.one_layer import Weights
from interp.store.manifest import RESUME
from interp.store.missing import last_step
from interp.store.resume import read_resume
from interp.store.run import Run, RunLike, as_run

# Where the resume state keeps Adam's second moments.
_MOMENTS = "engine.adamw.exp_avg_sq"

# What Adam's epsilon is compared with; among what is unknown of a run, those of earlier versions have the first.
_EPSILON = {"optimizer", "optimizer.eps", "optimizer.beta2"}


def run_health(run: RunLike, *, step: int | None = None, weights: Weights | None = None) -> dict[str, Any]:
    """The numerical health of a run as plain values.

    - ``collapsed``: share of the training pairs whose ordinary float32 loss would be exactly 0, see `interp.measures.collapsed`.
    - ``spikes``: jumps of the training loss over all steps, see `interp.measures.loss_spikes`.
    - ``not_finite``: first step with a loss that is not a finite number; None if there is none.
    - ``gradient_ratio``: norm of the gradient of the mean training loss over the norm of the weights, per tensor and in all.
    - ``epsilon_share``: share of the weights whose update Adam's epsilon rules, see `interp.measures.adam_epsilon_share`; from
      Adam's second moments where the run still has them (``epsilon_from`` says ``second moments``), else from this checkpoint's
      gradient, whose squares they would be if it stood still (``gradient``). None if the optimizer is not known, or is not Adam.
    - ``warnings``: what follows from that, in sentences.

    Args:
        run: a recorded run, its directory, or its name.
        step: which checkpoint; the last by default.
        weights: of that checkpoint, if already read.

    Raises:
        UsageError: for a step that was not saved, a run without checkpoints, or one whose optimizer is not known: that of a loop
            of one's own.
    """
    run = as_run(run)
    last = last_step(run.path, run.steps)
    if not run.has_config:
        raise UsageError(f"run {run.path}: its loss and optimizer are not known, as it was not trained from a RunConfig")
    step = last if step is None else step
    weights, optimizer = run[step].weights if weights is None else weights, run.config.optimizer
    train = torch.from_numpy(run.split_at(step).train)
    pairs, labels = (torch.from_numpy(values)[train] for values in (run.task.pairs, run.task.labels))
    _, gradients, logits = mean_loss_and_gradients(weights, pairs, labels, loss=optimizer.loss)
    # Moments of the first update stand for those of a gradient that does not change.
    still = {name: gradient.double().square() * (1 - optimizer.beta2) for name, gradient in gradients.items()}
    moments, updates = (_second_moments(run) if step == run.steps[-1] else None) or (still, 1)
    source = "gradient" if moments is still else "second moments"
    # Epsilon is Adam's: SGD has none, and Muon's matrices neither.
    told = optimizer.name in ("adamw", "adam") and (
        not run.is_imported or not _EPSILON & set(run.provenance.get("unknown", _EPSILON))
    )
    epsilon = (
        measures.adam_epsilon_share(moments, step=updates, beta2=optimizer.beta2, eps=optimizer.eps)["total"] if told else None
    )
    steps, losses = _training_losses(run)
    spikes, not_finite = measures.loss_spikes(steps, losses), measures.first_not_finite(steps, losses)
    collapsed = float(measures.collapsed(logits, labels).double().mean())
    return {
        "step": step,
        "collapsed": collapsed,
        "spikes": [asdict(spike) for spike in spikes],
        "not_finite": not_finite,
        "gradient_ratio": measures.gradient_ratio(gradients, weights.tensors()),
        "epsilon_share": epsilon,
        "epsilon_from": source if told else None,
        "warnings": measures.health_warnings(
            collapsed_share=collapsed, spikes=spikes, not_finite=not_finite, epsilon_share=epsilon
        ),
    }


def _second_moments(run: Run) -> tuple[dict[str, Tensor], int] | None:
    """Adam's second moments as of the last update, and the number of updates; None where a run has finished and dropped them."""
    if not (run.path / RESUME).is_file():
        return None
    try:
        tensors = read_resume(run.path).tensors
    except DataError:  # damaged: the run's other numbers are unaffected
        return None
    updates = int(tensors["index"]) if "index" in tensors else 0
    return ({"all": tensors[_MOMENTS]}, updates) if updates > 0 and _MOMENTS in tensors else None


def _training_losses(run: Run) -> tuple[Int64[np.ndarray, " step"], Float64[np.ndarray, " step"]]:
    """Steps and training losses wherever there is one. An imported history has gaps, which read as NaN and say nothing."""
    steps, losses = run.history["step"].values, run.history["train_loss"].values
    known = ~np.isnan(losses) if run.is_imported else np.ones(len(losses), dtype=bool)
    return steps[known], losses[known]
