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
from interp.networks.scored_attention import attention_of


@dataclass(frozen=True, eq=False)
class NeuronTables:
    """The neurons of one model, before their non-linearity, for the pair (a, b) and the neuron m:

    ``base[m, b] + sum_heads attention[head, 0, a, b] value(head, 0, a) + attention[head, 1, a, b] value(head, 1, b)
    + rest[head, a, b] value(head, 2, p)``, where ``value(head, position, token) = (read[head, token] + read[head, n_tokens +
    position]) . write[m, head]`` and ``rest`` is what attention leaves for `=`: total - the other two (without `=` there is no
    last term).

    Args:
        scores: where the model reads `=`, the scores of a and of b less that of `=`: of them ordinary attention is made.
        to_a: attention from the last position to a, where that is made of no such scores; what is left of the total goes to b.
        read: W_V read at the embedding of every token, then at that of every position (the bias b_V is with the positions).
        write: what each neuron makes of a head's value, W_O W_in.
        base: what does not go through a head; one column, or without `=`, where it depends on b, one for each b.
        total: the sum of a head's attention over all positions, 1 for ordinary attention.
        activation: the non-linearity.
    """

    scores: Float[np.ndarray, "head 2 p"] | None
    to_a: Float[np.ndarray, "head p p"] | None
    read: Float[np.ndarray, "head row d_head"]
    write: Float[np.ndarray, "d_mlp head d_head"]
    base: Float[np.ndarray, "d_mlp columns"]
    total: float
    activation: Literal["relu", "gelu"]

    @property
    def attention(self) -> Float[np.ndarray, "head 2 p p"]:
        """From the last position to a and to b."""
        if self.scores is not None:
            return attention_of(self.scores, self.total)
        assert self.to_a is not None
        return np.stack([self.to_a, self.total - self.to_a], axis=1)

    @property
    def compact(self) -> Float[np.ndarray, "head place *p"]:
        """The same in little space, as `interp.figures.Neurons` takes it: the scores, or attention to a alone."""
        if self.scores is not None:
            return self.scores
        assert self.to_a is not None
        return self.to_a[:, None]


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
    to_a = None if w.equals_sign else _numpy(pair_pattern(w).reshape(p, p, w.n_heads, 2)[..., 0].permute(2, 0, 1))
    return NeuronTables(
        scores=_numpy(_scores(w)) if w.equals_sign else None,
        to_a=to_a,
        read=_numpy(torch.cat([torch.einsum("td,hde->hte", w.W_E, w.W_V), positions], dim=1)),
        write=_numpy((w.W_O @ w.W_in).permute(2, 0, 1)),
        base=_numpy(base.T),
        total=w.attention_rate + (1 - w.attention_rate) * w.n_ctx,
        activation=w.activation,
    )


def _scores(w: Weights) -> Float[Tensor, "head 2 p"]:
    """Scores of a and of b less that of `=`, which asks the same of all pairs."""
    p, at = w.p, w.W_pos
    query = torch.einsum("d,hde->he", w.W_E[p] + at[2], w.W_Q) + (0 if w.b_Q is None else w.b_Q)
    asked = torch.einsum("he,hde->hd", query, w.W_K) / w.d_head**0.5  # a bias of the keys adds the same to all three
    scores = torch.stack([(w.W_E[:p] + at[place]) @ asked.T for place in (0, 1)])
    return (scores - (w.W_E[p] + at[2]) @ asked.T).permute(2, 0, 1)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().contiguous().numpy()
