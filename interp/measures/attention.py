"""Attention heads: how the attention from the last position varies with (a, b), and which frequency it follows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.cores import torch_threads
from interp.harmonics.cyclic import CyclicHarmonics
from interp.measures.checks import check_finite
from interp.measures.neurons import frequency_shares


@dataclass(frozen=True, eq=False)
class HeadFrequencies:
    """The frequency that the attention of each head to each position follows.

    Args:
        frequency: the best single frequency, 1..floor(p/2); 0 where attention does not vary.
        fve: fraction of its variance explained by that frequency's degree-2 waves; NaN where attention does not vary.
        mean: mean attention over all pairs.
    """

    frequency: Int64[Tensor, "head pos"]
    fve: Float64[Tensor, "head pos"]
    mean: Float64[Tensor, "head pos"]


@torch_threads(1)
def head_frequencies(pattern: Float[Tensor, "pair head pos"], *, harmonics: CyclicHarmonics) -> HeadFrequencies:
    """Fit the attention to each position, as a function of (a, b), by degree-2 waves of the best single frequency.

    Args:
        pattern: attention from the last position for all p^2 pairs in row-major order; position 0 is a, 1 is b.

    Raises:
        UsageError: if an attention weight is not finite.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.2 and appendix C.1.

    >>> harmonics = CyclicHarmonics(5)
    >>> to_a = 0.5 + 0.1 * harmonics.basis.cos(2).repeat_interleave(5)
    >>> heads = head_frequencies(torch.stack([to_a, 1 - to_a], dim=1)[:, None], harmonics=harmonics)
    >>> heads.frequency.tolist(), heads.fve.round(decimals=6).tolist()
    ([[2, 2]], [[1.0, 1.0]])
    """
    check_finite(pattern, "attention")
    pairs, heads, positions = pattern.shape
    units = pattern.reshape(pairs, heads * positions)
    fve, frequency = frequency_shares(units, harmonics=harmonics).max(dim=0)
    frequency = torch.where(fve.isnan(), 0, frequency + 1)
    return HeadFrequencies(
        frequency=frequency.reshape(heads, positions),
        fve=fve.reshape(heads, positions),
        mean=pattern.double().mean(dim=0),
    )
