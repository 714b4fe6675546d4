"""Neurons as arrays for pictures: small tables from which a page makes any neuron's map, and one neuron's map with its fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import UsageError
from interp.fourier import FourierBasis
from interp.measures.group import Frame
from interp.measures.neurons import degree_two_fit, neuron_frequencies
from interp.pair_tables import pair_pattern, pair_tables
from interp.weights import Weights
from interp.wording import counted


@dataclass(frozen=True, eq=False)
class NeuronTables:
    """The neurons of one model, before their non-linearity, for the pair (a, b) and the neuron m:

    ``base[m, b] + sum_heads attention[head, 0, a, b] value(head, 0, a) + attention[head, 1, a, b] value(head, 1, b)
    + rest[head, a, b] value(head, 2, p)``, where ``value(head, position, token) = (read[head, token] + read[head, n_tokens +
    position]) . write[m, head]`` and ``rest`` is what attention leaves for `=`: total - the other two (without `=` there is no
    last term).

    Args:
        attention: from the last position to a and to b.
        read: W_V read at the embedding of every token, then at that of every position (the bias b_V is with the positions).
        write: what each neuron makes of a head's value, W_O W_in.
        base: what does not go through a head; one column, or without `=`, where it depends on b, one for each b.
        total: the sum of a head's attention over all positions, 1 for ordinary attention.
        activation: the non-linearity.
    """

    attention: Float[np.ndarray, "head 2 p p"]
    read: Float[np.ndarray, "head row d_head"]
    write: Float[np.ndarray, "d_mlp head d_head"]
    base: Float[np.ndarray, "d_mlp columns"]
    total: float
    activation: Literal["relu", "gelu"]


@torch.no_grad()
def neuron_tables(weights: Weights) -> NeuronTables:
    """The tables of a model, in single precision.

    >>> from interp.synthetic import clock_weights
    >>> neuron_tables(clock_weights(5, [1])).read.shape  # p tokens, `=`, 3 positions
    (2, 9, 2)
    """
    w, p = weights, weights.p
    positions = torch.einsum("td,hde->hte", w.W_pos, w.W_V) + (0 if w.b_V is None else w.b_V[:, None])
    last = (w.W_E[p:] if w.equals_sign else w.W_E[:p]) + w.W_pos[-1]
    base = last @ w.W_in
    for bias in (w.b_in, None if w.b_O is None else w.b_O @ w.W_in):
        base = base if bias is None else base + bias
    return NeuronTables(
        attention=_numpy(pair_pattern(w).reshape(p, p, w.n_heads, w.n_ctx)[..., :2].permute(2, 3, 0, 1)),
        read=_numpy(torch.cat([torch.einsum("td,hde->hte", w.W_E, w.W_V), positions], dim=1)),
        write=_numpy((w.W_O @ w.W_in).permute(2, 0, 1)),
        base=_numpy(base.T),
        total=w.attention_rate + (1 - w.attention_rate) * w.n_ctx,
        activation=w.activation,
    )


@dataclass(frozen=True, eq=False)
class NeuronMap:
    """One neuron over all pairs, and its best fit by the waves of one frequency; rows are a, columns b.

    Args:
        activation: after the non-linearity.
        fit: its mean plus its projection on the eight waves {1, cos w_k, sin w_k}(a) x {1, cos w_k, sin w_k}(b) of its frequency,
            the mean alone if it is dead; NaN for pairs that the frame leaves out. Source: Nanda et al. 2023 (arXiv 2301.05217),
            section 4.2.
        frequency: the one that explains most, of the frame's modulus; 0 for a dead neuron, which is the same for all the frame's
            pairs.
        share: fraction of the variance over the frame's pairs that the fit explains, in 0..1; NaN for a dead neuron.
    """

    activation: Float[np.ndarray, "p p"]
    fit: Float[np.ndarray, "p p"]
    frequency: int
    share: float


@torch.no_grad()
def neuron_map(weights: Weights, neuron: int, frame: Frame) -> NeuronMap:
    """One neuron's map and its fit, in single precision.

    Args:
        weights: the model.
        neuron: its number, 0..d_mlp - 1.
        frame: in which the operation is addition, see `interp.measures.addition_frame`.

    Raises:
        UsageError: for a neuron that the model does not have, or whose activations are not finite.

    >>> from interp.measures import addition_frame
    >>> from interp.synthetic import clock_weights
    >>> found = neuron_map(clock_weights(7, [2]), 0, addition_frame(7, "add"))
    >>> found.activation.shape, found.frequency
    ((7, 7), 2)
    """
    check_neuron(neuron, weights.d_mlp)
    p, m = weights.p, slice(neuron, neuron + 1)
    # A model with this neuron alone: the other neurons take nearly all of the time.
    b_in = None if weights.b_in is None else weights.b_in[m]
    alone = replace(weights, W_in=weights.W_in[:, m], W_out=weights.W_out[m], b_in=b_in)
    activation = pair_tables(alone).neurons
    rows, basis = frame.rows(activation), FourierBasis(frame.modulus)
    found = neuron_frequencies(rows, basis=basis)
    fit = torch.full((p * p,), torch.nan, dtype=torch.float64)
    fit[frame.pairs] = degree_two_fit(rows, basis=basis, frequency=found.frequency)[:, 0]
    return NeuronMap(_numpy(activation.reshape(p, p)), _numpy(fit.reshape(p, p)), int(found.frequency), float(found.share))


def check_neuron(neuron: int, d_mlp: int) -> None:
    """Error unless a model of d_mlp neurons has one of this number."""
    if not isinstance(neuron, int | np.integer) or isinstance(neuron, bool) or not 0 <= neuron < d_mlp:
        raise UsageError(
            f"neuron: given {neuron!r}, expected 0..{d_mlp - 1}, as the model has {counted(d_mlp, 'neuron')}; the figure "
            "neuron_frequencies shows what each of them follows"
        )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().contiguous().numpy()
