"""One neuron over all pairs, and its best fit by the waves of one frequency."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Harmonics, take_rows
from interp.measures.checks import check_finite
from interp.measures.neurons import degree_two_fit, neuron_frequencies
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_tables
from interp.wording import counted, percent


@dataclass(frozen=True, eq=False)
class NeuronMap:
    """One neuron over all pairs, and its best fit by the waves of one frequency; rows are a, columns b.

    Args:
        activation: after the non-linearity.
        fit: its mean plus its projection on the eight waves {1, cos w_k, sin w_k}(a) x {1, cos w_k, sin w_k}(b) of its frequency,
            the mean alone if it is dead; NaN for pairs that the harmonics leave out. Source: Nanda et al. 2023 (arXiv
            2301.05217), section 4.2.
        frequency: the one that explains most; 0 for a dead neuron, which is the same for all these pairs, and where nothing is
        fitted.
        share: fraction of the variance over these pairs that the fit explains, in 0..1; NaN for a dead neuron.
    """

    activation: Float[np.ndarray, "p p"]
    fit: Float[np.ndarray, "p p"]
    frequency: int
    share: float

    def __repr__(self) -> str:
        p = len(self.activation)
        told = f"frequency {self.frequency} explains {percent(self.share)}" if self.frequency else "it follows no frequency"
        return f"NeuronMap({p} x {p}: {told})"


@torch.no_grad()
def neuron_map(weights: Weights, neuron: int, harmonics: Harmonics | None) -> NeuronMap:
    """One neuron's map and its fit, in single precision.

    Args:
        weights: the model.
        neuron: its number, 0..d_mlp - 1.
        harmonics: of the task; only addition modulo n, or what becomes it, has a fit.

    Raises:
        UsageError: for a neuron that the model does not have, or whose activations are not finite.

    >>> from interp.synthetic import clock_weights
    >>> found = neuron_map(clock_weights(7, [2]), 0, CyclicHarmonics(7))
    >>> found.activation.shape, found.frequency
    ((7, 7), 2)
    """
    check_neuron(neuron, weights.d_mlp)
    p, m = weights.p, slice(neuron, neuron + 1)
    # A model with this neuron alone: the other neurons take nearly all of the time.
    b_in = None if weights.b_in is None else weights.b_in[m]
    alone = replace(weights, W_in=weights.W_in[:, m], W_out=weights.W_out[m], b_in=b_in)
    activation = pair_tables(alone).neurons
    grid, fit = activation.float().reshape(p, p).numpy(), torch.full((p * p,), torch.nan, dtype=torch.float64)
    if not isinstance(harmonics, CyclicHarmonics):
        check_finite(activation, "activations of the neuron")
        return NeuronMap(grid, fit.float().reshape(p, p).numpy(), 0, float("nan"))
    rows = take_rows(harmonics, activation)
    found = neuron_frequencies(rows, harmonics=harmonics)
    fitted = degree_two_fit(rows, harmonics=harmonics, frequency=found.frequency)[:, 0]
    fit[slice(None) if harmonics.rows is None else harmonics.rows] = fitted
    return NeuronMap(grid, fit.float().reshape(p, p).numpy(), int(found.frequency), float(found.share))


def check_neuron(neuron: int, d_mlp: int) -> None:
    """Error unless a model of d_mlp neurons has one of this number."""
    if not isinstance(neuron, int | np.integer) or isinstance(neuron, bool) or not 0 <= neuron < d_mlp:
        raise UsageError(
            f"neuron: given {neuron!r}, expected 0..{d_mlp - 1}, as the model has {counted(d_mlp, 'neuron')}; the figure "
            "neuron_frequencies shows what each of them follows"
        )
