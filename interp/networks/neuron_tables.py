"""Neurons as arrays for pictures: small tables from which a page makes the map of any neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_pattern


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


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().contiguous().numpy()
