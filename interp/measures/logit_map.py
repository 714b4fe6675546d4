"""Weights: their sums of squares, and the directions in which the neuron-logit map W_L reads the neurons."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import line_means
from interp.measures.checks import check_grid


@dataclass(frozen=True, eq=False)
class NeuronLogitMap:
    """The values of the paper's Table 1 and the residual beside them.

    Args:
        share: share of ||W_L||^2 in the key frequencies' (cos, sin) rows of F W_L.
        residual: 1 - share.
        fve: per key frequency: fraction of the variance of ``u_k . MLP(a, b)`` explained by cos w_k(a+b) alone and of
            ``v_k . MLP(a, b)`` by sin w_k(a+b) alone, u_k and v_k being the cos and sin rows (NaN for the Nyquist frequency's
            sine, which does not exist, and where nothing varies).
    """

    share: Float64[Tensor, ""]
    residual: Float64[Tensor, ""]
    fve: dict[int, tuple[float, float]]


def sum_squared_weights(tensors: Mapping[str, Float[Tensor, ...]]) -> dict[str, float]:
    """Sum of squares of each named tensor, and of all of them as ``total``; accumulated in float64.

    Raises:
        UsageError: if a tensor is named ``total``.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1.

    >>> sum_squared_weights({"W_E": torch.ones(2, 3), "W_U": torch.full((2,), 2.0)})
    {'W_E': 6.0, 'W_U': 8.0, 'total': 14.0}
    """
    if "total" in tensors:
        raise UsageError("sum_squared_weights: a tensor is named 'total', which is the name of the sum of all")
    sums = {name: float(tensor.detach().double().square().sum()) for name, tensor in tensors.items()}
    return {**sums, "total": sum(sums.values())}


@torch_threads(1)
def neuron_logit_map(
    W_L: Float[Tensor, "p d_mlp"],
    neurons: Float[Tensor, "pair d_mlp"],
    *,
    harmonics: CyclicHarmonics,
    keys: Collection[int],
    read: Float[Tensor, "pair p"] | None = None,
) -> NeuronLogitMap:
    """How W_L reads the neurons: the share of its norm in the key rows, and the wave along each key direction of the neurons.

    Args:
        read: ``neurons W_L^T``, where it is at hand, to save time.

    Raises:
        UsageError: if neurons are not those of the harmonics' rows, or a key frequency does not exist.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1 and Table 1.
    """
    check_grid(neurons, harmonics, "neurons")
    basis = harmonics.basis
    rows = basis.rows.to(W_L.device) @ W_L.double()
    energy = rows.square().sum(dim=1)
    frequencies = sorted({basis.check(k) for k in keys})
    kept = torch.isin(basis.row_frequency, torch.tensor(frequencies, dtype=torch.int64)).to(W_L.device)
    # Along a row of F W_L the neurons say what their logits do along that row of F.
    source, along = (neurons, rows[kept]) if read is None else (read, basis.rows.to(read.device)[kept])
    fve = _fraction_explained((source @ along.T.to(source.dtype)).double(), harmonics, kept)
    share = energy[kept].sum() / energy.sum()
    found = dict(zip(torch.nonzero(kept).flatten().tolist(), fve.tolist(), strict=True))
    return NeuronLogitMap(share, 1 - share, {k: (found[2 * k - 1], found.get(2 * k, float("nan"))) for k in frequencies})


def _fraction_explained(
    projected: Float64[Tensor, "pair direction"], harmonics: CyclicHarmonics, kept: Tensor
) -> Float64[Tensor, " direction"]:
    """For each direction, the fraction of its variance explained by the one wave of the row it came from."""
    centred = projected - projected.mean(dim=0)
    waves = harmonics.basis.rows.to(projected.device)[kept]
    coefficient = (waves * line_means(centred, harmonics).T).sum(dim=1) * harmonics.n**0.5
    return coefficient.square() / centred.square().sum(dim=0)
