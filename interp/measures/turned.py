"""Logits with the classes of each pair counted from its answer: what no shift of a or b changes in a circuit that adds."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.cores import torch_threads

# Numbers processed at a time, so that they stay in a core's second-level cache.
_BLOCK = 2**16


def turned(logits: Float[Tensor, "p p p"]) -> Float[Tensor, "p p p"]:
    """For all a, b and each e: the logit of the class a + b + e modulo p.

    >>> logits = torch.arange(27.0).reshape(3, 3, 3)
    >>> turned(logits)[1, 1].tolist()  # the classes 2, 0, 1
    [14.0, 12.0, 13.0]
    """
    return logits.gather(2, _class_of(len(logits), logits.device))


def _class_of(p: int, device: torch.device) -> Int64[Tensor, "p p p"]:
    """a + b + e modulo p: entry a + b + e of the residues, three times over, so that nothing is written out."""
    return (torch.arange(3 * p, device=device) % p).as_strided((p, p, p), (1, 1, 1))


@torch_threads(1)
def turned_sums(
    logits: Float[Tensor, "pair p"],
    groups: Int64[Tensor, " pair"],
    n_groups: int,
    *,
    centre: Float[Tensor, " p"] | None = None,
) -> tuple[Float64[Tensor, "group p"], Float[Tensor, " pair"]]:
    """Sums of `turned` logits over groups of pairs, and each pair's norm over the classes.

    Args:
        groups: the group of each pair, 0..n_groups - 1.
        centre: if given, logits are first centred over the classes of each pair, and this is taken from each class.
    """
    p = logits.shape[1]
    class_of = _class_of(p, logits.device)
    grid, group, step = logits.reshape(p, p, p), groups.reshape(p, p), min(p, max(1, _BLOCK // p**2))
    total = torch.zeros(n_groups, p, dtype=torch.float64, device=logits.device)
    # The same buffers for all blocks: memory that is new each time costs more than the arithmetic.
    centred, ordered = (logits.new_empty(step, p, p) for _ in range(2))
    double, sizes = total.new_empty(step, p, p), logits.new_empty(p, p)
    for first in range(0, p, step):
        n = min(step, p - first)
        x, some = grid[first : first + n], slice(first, first + n)
        if centre is not None:
            x = torch.sub(x, x.mean(dim=2, keepdim=True), out=centred[:n]).sub_(centre)
        torch.linalg.vector_norm(x, dim=2, out=sizes[some])
        block = double[:n].copy_(torch.gather(x, 2, class_of[some], out=ordered[:n]))
        total.index_add_(0, group[some].flatten(), block.flatten(0, 1))
    return total, sizes.flatten()
