"""Which pairs a published model was trained on: from a rule and a seed, or found by the loss published with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64

from interp.errors import DataError, UsageError
from interp.interop.held_network import Held, HeldTask, all_logits
from interp.losses import cross_entropy
from interp.networks.one_layer import Weights, forward
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split, SplitConfig


@torch.no_grad()
def pair_losses(weights: Held, task: HeldTask) -> Float64[np.ndarray, " pair"]:
    """Cross-entropy over ALL output classes for each of the p^2 pairs, in float64; a training loss is a mean of these."""
    if not isinstance(weights, Weights):
        found: Float64[np.ndarray, " pair"] = cross_entropy(all_logits(weights, task), torch.from_numpy(task.labels)).numpy()
        return found
    exact = weights.to(device="cpu", dtype=torch.float64)
    losses: Float64[np.ndarray, " pair"] = cross_entropy(
        forward(exact, task.pairs).all_logits, torch.from_numpy(task.labels)
    ).numpy()
    return losses


def recover_split(
    weights: Weights,
    task: ModularTask,
    *,
    train_loss: float,
    test_loss: float | None = None,
    rule: SplitConfig = SplitConfig(rule="python", seed=0, fraction=0.3),  # noqa: B008 # a frozen value
    seeds: Iterable[int] = range(100),
    tolerance: float = 0.01,
) -> SplitConfig:
    """The one split among a rule's seeds under which the model has the published losses.

    Args:
        task: the task that the model learned.
        train_loss: the published mean training loss of exactly this model, over all output classes.
        test_loss: the published mean test loss, if known; then both must fit.
        rule: split rule and fraction; those of the official grokking code by default. Its seed is not used.
        seeds: the seeds to try.
        tolerance: largest relative difference between a loss and the published one.

    Raises:
        DataError: if no seed fits, or several do (an untrained model has nearly the same loss on any split).
    """
    if not (train_loss > 0 and tolerance > 0):
        raise UsageError(f"recover_split: given train_loss {train_loss} and tolerance {tolerance}, expected numbers > 0")
    losses = pair_losses(weights, task)
    try:
        errors = {seed: misfit(losses, replace(rule, seed=seed).draw(task), train_loss, test_loss) for seed in seeds}
    except ValueError as error:
        raise UsageError(f"recover_split: {error}") from error
    if not errors:
        raise UsageError("recover_split: given no seeds, expected at least one")
    fitting = [seed for seed, error in errors.items() if error <= tolerance]
    if len(fitting) == 1:
        return replace(rule, seed=fitting[0])
    what = f"rule {rule.rule!r}, fraction {rule.fraction}, {len(errors)} seeds, published training loss {train_loss:.6g}"
    if fitting:
        raise DataError(
            f"recover_split: seeds {', '.join(map(str, fitting[:10]))} all fit within {tolerance:.2%} ({what}): the loss does "
            "not tell them apart; give the test loss too, a smaller tolerance, or the seed"
        )
    best = min(errors, key=lambda seed: errors[seed])
    raise DataError(
        f"recover_split: no seed fits within {tolerance:.2%} ({what}); the nearest, {best}, is off by {errors[best]:.2%}; "
        "try more seeds, another rule, or another fraction"
    )


def fits(weights: Weights, task: ModularTask, split: Split, *, train_loss: float, test_loss: float | None = None) -> float:
    """Largest relative difference between the losses of a model under a split and the published ones."""
    return misfit(pair_losses(weights, task), split, train_loss, test_loss)


def misfit(losses: Float64[np.ndarray, " pair"], split: Split, train_loss: float, test_loss: float | None = None) -> float:
    """Largest relative difference between the means of losses over a split's pairs and the published ones."""
    train = abs(float(losses[split.train].mean()) / train_loss - 1)
    return train if not test_loss else max(train, abs(float(losses[split.test].mean()) / test_loss - 1))
