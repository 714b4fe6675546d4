"""Readout: the frequencies and phases of a network's neurons, put into an ideal clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Complex128, Float64, Int64
from torch import Generator, Tensor

from interp.errors import UsageError
from interp.harmonics.harmonics import line_means
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_tables
from interp.store.run import RunLike, as_run
from interp.tasks.modular import ModularTask
from interp.tasks.recognized import residues_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("as read", "equal sizes", "random phases", "random frequencies")


def readout(run: RunLike, *, steps: Sequence[int] | None = None, seed: int = 0) -> pd.DataFrame:
    """What accuracy would an ideal clock have that was made of what the neurons say at each step?

    Each neuron gives one frequency k, two phases and a size: over the sums s = a + b its mean activation has the coefficient
    ``c_j(k)``, and its column of the neuron-logit map W_L over the answers ``d_j(k)``; k is where ``|c_j d_j|`` is largest. The
    ideal clock has the logits ``sum_j |c_j d_j| cos(w_k s + arg c_j) cos(w_k c + arg d_j)``; its accuracy is over the p sums.
    Columns: ``as read``; ``equal sizes``, with ``|c d|`` = 1; the controls ``random phases`` (those of the output, given to other
    neurons) and ``random frequencies`` (drawn anew for each neuron, with its own phases there); and the network's own
    test accuracy.
    Source: the readout of arXiv 2603.23784, for ReLU neurons and any sizes.

    Args:
        run: of addition modulo p.
        steps: saved steps; by default all of them.
        seed: of the controls.

    Raises:
        UsageError: for a step that was not saved, or another task.
    """
    import pandas as pd

    run = as_run(run)
    if residues_of(run.task) != "add":
        raise UsageError(f"readout: given a run of {run.task.name}, expected addition modulo p: the ideal clock adds")
    rows = []
    for step in run.steps if steps is None else steps:
        checkpoint = run[step]
        found = accuracies(checkpoint.weights, seed=seed)
        rows.append({"step": step, **found, "test_accuracy": checkpoint.losses["test_accuracy"]})
    return pd.DataFrame(rows).set_index("step")


def accuracies(weights: Weights, *, seed: int = 0) -> dict[str, float]:
    """The accuracies of the ideal clocks of a network of addition, by the names of `COLUMNS`.

    >>> from interp.synthetic import clock_weights
    >>> accuracies(clock_weights(13, [2, 5]))["as read"]
    1.0
    """
    p, generator = weights.p, Generator().manual_seed(seed)
    c, d = _coefficients(weights)
    sizes = c.abs() * d.abs()
    own, neurons = sizes.argmax(dim=0), torch.arange(c.shape[1])
    drawn = torch.randint(0, len(c), own.shape, generator=generator)
    order = torch.randperm(len(own), generator=generator)
    size, ones = sizes[own, neurons], (sizes[own, neurons] > 0).double()
    phases = c[own, neurons].angle(), d[own, neurons].angle()
    clocks = {
        "as read": (own, size, *phases),
        "equal sizes": (own, ones, *phases),
        "random phases": (own, size, phases[0], phases[1][order]),
        "random frequencies": (drawn, size, c[drawn, neurons].angle(), d[drawn, neurons].angle()),
    }
    return {name: _accuracy(p, k + 1, amount, *turned) for name, (k, amount, *turned) in clocks.items()}


def _coefficients(weights: Weights) -> tuple[Complex128[Tensor, "frequency neuron"], Complex128[Tensor, "frequency neuron"]]:
    """Of each neuron's mean over a + b, and of its column of W_L over the answers, at each frequency 1..floor(p/2)."""
    p = weights.p
    harmonics = ModularTask(p, equals_sign=weights.equals_sign).harmonics
    assert harmonics is not None
    means = line_means(pair_tables(weights).neurons, harmonics, dtype=torch.float64)
    over_sums, over_answers = (torch.fft.fft(x.double(), dim=0)[1 : p // 2 + 1] for x in (means, weights.W_L))
    return over_sums, over_answers


def _accuracy(
    p: int,
    k: Int64[Tensor, " neuron"],
    size: Float64[Tensor, " neuron"],
    at_sum: Float64[Tensor, " neuron"],
    at_answer: Float64[Tensor, " neuron"],
) -> float:
    angle = (torch.arange(p)[:, None] * k % p).double() * (2 * torch.pi / p)
    logits = (size * (angle + at_sum).cos()) @ (angle + at_answer).cos().T
    return float((logits.argmax(dim=1) == torch.arange(p)).double().mean())
