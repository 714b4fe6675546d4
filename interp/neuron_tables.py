"""What the neurons read, as tables over single tokens: small enough for a page to carry and to make any neuron's map from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.pair_tables import pair_tables
from interp.weights import Weights


@dataclass(frozen=True, eq=False)
class NeuronTables:
    """The neurons of one model, before their non-linearity, for the pair (a, b):

    ``base[b] + sum_heads attention[head, 0, a, b] values[head, 0, a] + attention[head, 1, a, b] values[head, 1, b]
    + rest[head, a, b] equals[head]``, where ``rest`` is what attention leaves for `=`: total - the other two (without `=`
    there is no last term).

    Args:
        attention: from the last position to a and to b.
        values: what each token adds to each neuron through each head, at the positions of a and of b.
        equals: the same for `=`; zeros without it.
        base: what does not go through a head; one row, or without `=`, where it depends on b, one for each b.
        total: the sum of a head's attention over all positions, 1 for ordinary attention.
        activation: the non-linearity.
    """

    attention: Float[np.ndarray, "head 2 p p"]
    values: Float[np.ndarray, "head 2 p d_mlp"]
    equals: Float[np.ndarray, "head d_mlp"]
    base: Float[np.ndarray, "rows d_mlp"]
    total: float
    activation: Literal["relu", "gelu"]


@torch.no_grad()
def neuron_tables(weights: Weights) -> NeuronTables:
    """The tables of a model, in single precision.

    >>> from interp.synthetic import clock_weights
    >>> neuron_tables(clock_weights(5, [1])).values.shape
    (2, 2, 5, 25)
    """
    w, p = weights, weights.p
    pattern = pair_tables(w).pattern.reshape(p, p, w.n_heads, w.n_ctx)
    positions = [w.W_E[:p] + w.W_pos[0], w.W_E[:p] + w.W_pos[1], *([w.W_E[p:] + w.W_pos[2]] if w.equals_sign else [])]
    values = [_through_heads(w, x) for x in positions]
    base = positions[-1] @ w.W_in
    for bias in (w.b_in, None if w.b_O is None else w.b_O @ w.W_in):
        base = base if bias is None else base + bias
    return NeuronTables(
        attention=_numpy(pattern[..., :2].permute(2, 3, 0, 1)),
        values=_numpy(torch.stack(values[:2], dim=1)),
        equals=_numpy(values[2][:, 0] if w.equals_sign else torch.zeros(w.n_heads, w.d_mlp)),
        base=_numpy(base),
        total=w.attention_rate + (1 - w.attention_rate) * w.n_ctx,
        activation=w.activation,
    )


def _through_heads(w: Weights, x: Float[Tensor, "token d_model"]) -> Float[Tensor, "head token d_mlp"]:
    v = torch.einsum("td,hde->hte", x, w.W_V)
    if w.b_V is not None:
        v = v + w.b_V[:, None]
    return torch.einsum("hte,hem->htm", v, w.W_O @ w.W_in)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().contiguous().numpy()
