"""Excluded loss: the loss of the network without the waves of its circuit. Source: Nanda et al. 2023 (arXiv 2301.05217), 5.1.

What is taken away depends on a row's line (its answer) and the class alone. So the exponentials of a row's logits are computed
once, and each set of waves costs one product with a table of exponentials over (line, class): all terms are positive, and no
precision is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from interp.cores import torch_threads
from interp.harmonics.harmonics import Harmonics, Name, blocks, line_means
from interp.losses import cross_entropy
from interp.measures.checks import check_logits
from interp.measures.line_waves import line_waves

# Within this many nats the product of two exponentials is neither 0 nor infinite in float64.
_SPAN = 600.0


@torch_threads(1)
def excluded_logits(logits: Float[Tensor, "row n"], *, harmonics: Harmonics, keys: Collection[Name]) -> Float64[Tensor, "row n"]:
    """The logits without their projection on the waves of the key frequencies; the mean is kept.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, or a key is not one of their names.

    >>> from interp.harmonics import CyclicHarmonics
    >>> from interp.synthetic import clock_logits
    >>> excluded_logits(clock_logits(5, [1]), harmonics=CyclicHarmonics(5), keys=[1]).abs().max().item() < 1e-12
    True
    """
    check_logits(logits, harmonics)
    _, removed = line_waves(line_means(logits, harmonics, dtype=torch.float64), harmonics, keys)
    return logits.double() - removed[harmonics.line.to(logits.device)]


def excluded_loss(
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    *,
    harmonics: Harmonics,
    keys: Collection[Name],
    pairs: Int[Tensor, " chosen"] | None = None,
    means: Float64[Tensor, "n n"] | None = None,
) -> Float64[Tensor, " chosen"]:
    """Cross-entropy in nats of `excluded_logits`, one value per row; the paper takes the mean over the training pairs.

    For an exact clock with all its frequencies excluded it is ln n.

    Args:
        pairs: indices of the rows to evaluate, to save time; the projection is always fitted on all rows.
        means: `interp.harmonics.line_means` of the logits in float64, where they are at hand, to save time.

    Raises:
        UsageError: as `excluded_logits`.

    >>> from interp.harmonics import CyclicHarmonics
    >>> from interp.synthetic import clock_logits
    >>> logits, harmonics = clock_logits(5, [1, 2], amplitude=4.0), CyclicHarmonics(5)
    >>> excluded_loss(logits, harmonics.line, harmonics=harmonics, keys=[1, 2])[0]  # ln 5
    tensor(1.6094, dtype=torch.float64)
    """
    return excluded_losses(logits, labels, [keys], harmonics=harmonics, pairs=pairs, means=means)[0]


def excluded_loss_single(
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    *,
    harmonics: Harmonics,
    keys: Collection[Name],
    pairs: Int[Tensor, " chosen"] | None = None,
    means: Float64[Tensor, "n n"] | None = None,
) -> dict[Name, Float64[Tensor, " chosen"]]:
    """`excluded_loss` with one frequency excluded at a time: one value per row for each frequency.

    Args:
        pairs: as for `excluded_loss`.
        means: as for `excluded_loss`.

    Raises:
        UsageError: as `excluded_logits`.

    >>> from interp.harmonics import CyclicHarmonics
    >>> from interp.synthetic import clock_logits
    >>> logits, harmonics = clock_logits(5, [1], amplitude=4.0), CyclicHarmonics(5)
    >>> singles = excluded_loss_single(logits, harmonics.line, harmonics=harmonics, keys=[1])
    >>> {k: tuple(losses.shape) for k, losses in singles.items()}
    {1: (25,)}
    """
    harmonics.projector(keys)  # the error for a name that is not one of theirs
    names = [name for name in harmonics.names if name in set(keys)]
    found = excluded_losses(logits, labels, [[name] for name in names], harmonics=harmonics, pairs=pairs, means=means)
    return dict(zip(names, found, strict=True))


@torch_threads(1)
def excluded_losses(
    logits: Float[Tensor, "row n"],
    labels: Int[Tensor, " row"],
    key_sets: Sequence[Collection[Name]],
    *,
    harmonics: Harmonics,
    pairs: Int[Tensor, " chosen"] | None = None,
    means: Float64[Tensor, "n n"] | None = None,
) -> Float64[Tensor, "set chosen"]:
    """`excluded_loss` for each of several sets of frequencies, in one pass over the logits."""
    check_logits(logits, harmonics)
    n, line = harmonics.n, harmonics.line.to(logits.device)
    if not key_sets:
        return logits.new_empty(0, len(line if pairs is None else pairs), dtype=torch.float64)
    means = line_means(logits, harmonics, dtype=torch.float64) if means is None else means
    removed = means.new_empty(len(key_sets), n, n)
    for keys, table in zip(key_sets, removed, strict=True):
        table.copy_(line_waves(means, harmonics, keys)[1])
    waves = _Removed.of(removed)
    # Rows of one line follow each other, so that all of them share one product.
    order = (line if pairs is None else line[pairs]).argsort()
    rows = order if pairs is None else pairs[order]
    losses, x = means.new_empty(len(key_sets), len(rows)), means.new_empty(0, n)
    for block in blocks(len(rows), n):
        chosen = rows[block]
        x = x if len(x) == len(chosen) else means.new_empty(len(chosen), n)
        x.copy_(logits.index_select(0, chosen))
        losses[:, block] = waves.losses(x, labels[chosen], line[chosen])
    found = torch.empty_like(losses)
    found[:, order] = losses
    return found


@dataclass(frozen=True, eq=False)
class _Removed:
    """What each set of waves takes away from each class on each line, its least value on a line, and its exponentials."""

    removed: Float64[Tensor, "set n n"]
    least: Float64[Tensor, "set n"]
    kept: Float64[Tensor, "n n set"]
    span: float

    @classmethod
    def of(cls, removed: Float64[Tensor, "set n n"]) -> _Removed:
        least, most = removed.amin(dim=2), removed.amax(dim=2)
        kept = (least[:, :, None] - removed).exp().permute(1, 2, 0).contiguous()
        return cls(removed, least, kept, float((most - least).max()))

    def losses(
        self, x: Float64[Tensor, "row n"], labels: Int[Tensor, " row"], line: Int64[Tensor, " row"]
    ) -> Float64[Tensor, "set row"]:
        """Loss of some rows, in the order of their lines, without each set of waves; x is overwritten."""
        top, (lowest, highest) = x.amax(dim=1), x.aminmax()
        if not float(highest - lowest) + self.span < _SPAN:  # also where a logit is not a finite number
            return torch.stack([cross_entropy(x - table[line], labels) for table in self.removed])
        right = x.gather(1, labels[:, None]).T - self.removed[:, line, labels]
        wrong = x.sub_(top[:, None]).exp_().scatter_(1, labels[:, None], 0.0)
        sums, start = wrong.new_empty(len(x), len(self.removed)), 0
        for at, size in enumerate(line.bincount().tolist()):
            if size:
                torch.mm(wrong[start : start + size], self.kept[at], out=sums[start : start + size])
                start += size
        # As in `interp.losses.cross_entropy`: the threshold makes softplus exact.
        return F.softplus(sums.log_().T + top - self.least[:, line] - right, threshold=40.0)
