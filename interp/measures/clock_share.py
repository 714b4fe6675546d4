"""How much of the logits is a function of answer and class together: what a clock says."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import blocks
from interp.measures.checks import check_logits, rounding


@torch_threads(1)
def clock_share(
    logits: Float[Tensor, "pair p"], *, harmonics: CyclicHarmonics, pairs: Int64[Tensor, " chosen"]
) -> Float64[Tensor, ""]:
    """Share of the variance of some pairs' logits that depends on nothing but c - (a + b): a clock of any frequencies.

    With l the logits, centred over the classes of each pair, and g(e) the mean over the chosen pairs of l[a, b, a + b + e], the
    share is ``sum_pairs sum_e g(e)^2 / sum_pairs sum_c l^2``. It needs neither key frequencies nor labels: on unseen pairs it
    says how much of what the network thinks of them is the circuit's, 1 for any mixture of clocks, .8 for a pizza of one
    frequency, and about 1 / (number of pairs) for a lookup table, which says noise.

    Args:
        pairs: indices of the pairs that count, in the order of the harmonics.

    Returns:
        The share; 0 if these logits do not vary, NaN if one of them is not finite.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, or no pair is chosen.

    >>> from interp.synthetic import clock_logits
    >>> unseen = torch.tensor([3, 8, 20])
    >>> round(float(clock_share(clock_logits(5, [1, 2]), harmonics=CyclicHarmonics(5), pairs=unseen)), 9)
    1.0
    """
    check_logits(logits, harmonics)
    if not len(pairs):
        raise UsageError("pairs: given none, expected the indices of some")
    n, line = harmonics.n, harmonics.line.to(logits.device)
    total, energy = (torch.zeros(shape, dtype=torch.float64, device=logits.device) for shape in ((n, n), ()))
    for rows in blocks(len(pairs), n):
        chosen = pairs[rows].to(logits.device)
        x = logits.index_select(0, chosen).double()
        x -= x.mean(dim=1, keepdim=True)
        energy += x.square().sum()
        total.index_add_(0, line[chosen], x)
    element = torch.arange(n, device=logits.device)
    mean = total.gather(1, (element[:, None] + element) % n).sum(dim=0) / len(pairs)
    # In double precision: what logits that are equal leave of their own rounding is nothing that varies.
    is_flat = energy <= len(pairs) * n * (rounding(logits) / 64) ** 2
    return torch.where(is_flat, torch.zeros_like(energy), len(pairs) * mean.square().sum() / energy)
