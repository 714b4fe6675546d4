"""How much of the logits the clock's formula explains: their coefficients on the cubes cos w_k(a + b - c)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from interp.cores import torch_threads
from interp.harmonics.cyclic import CyclicHarmonics, FourierBasis
from interp.harmonics.harmonics import copied, line_means
from interp.losses import cross_entropy
from interp.measures.checks import check_logits, rounding


@dataclass(frozen=True, eq=False)
class CosineFit:
    """The best approximation of logits by ``sum_k alpha_k cube_k`` over some frequencies.

    Args:
        frequencies: the frequencies of the fit, ascending.
        alpha: their coefficients on the unit cubes.
        fve: fraction of the logits' variance that the fit explains.
        loss: cross-entropy in nats of the fitted logits alone, one value per pair.
    """

    frequencies: tuple[int, ...]
    alpha: Float64[Tensor, " frequency"]
    fve: Float64[Tensor, ""]
    loss: Float64[Tensor, " pair"]


@torch_threads(1)
def centred_energy(logits: Float[Tensor, "row n"]) -> Float64[Tensor, ""]:
    """Sum of squares of logits about the mean of each row, which no loss depends on: what shares of their variance are of.

    Each row is summed in the precision of the logits, rows in float64.

    >>> round(centred_energy(torch.tensor([[1.0, 3.0], [5.0, 5.0]])).item(), 6)
    2.0
    """
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    for _, x in copied(logits, logits.dtype):
        total += torch.linalg.vector_norm(x.sub_(x.mean(dim=1, keepdim=True)), dim=1).double().square().sum()
    return total


@torch_threads(1)
def cos_coefficients(
    logits: Float[Tensor, "pair p"], *, harmonics: CyclicHarmonics, means: Float64[Tensor, "p p"] | None = None
) -> Float64[Tensor, " frequency"]:
    """alpha_k for each frequency: inner products of the logits with the cubes cos w_k(a+b-c), scaled to norm 1.

    The norm is over all (a, b, c). Logits A cos w_k(a+b-c) have ``alpha_k = A sqrt(p^3 / 2)`` (Nyquist: ``A sqrt(p^3)``).

    Args:
        means: `interp.harmonics.line_means` of the logits in float64, where they are at hand, to save time.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1.

    >>> from interp.synthetic import clock_logits
    >>> alpha = cos_coefficients(clock_logits(5, [2], amplitude=3.0), harmonics=CyclicHarmonics(5))
    >>> (alpha / (5**3 / 2) ** 0.5).round(decimals=6).tolist()
    [0.0, 3.0]
    """
    check_logits(logits, harmonics)
    means = line_means(logits, harmonics, dtype=torch.float64) if means is None else means
    return _coefficients(means, harmonics.basis)


@torch_threads(1)
def cos_fit(
    logits: Float[Tensor, "pair p"],
    labels: Int[Tensor, " pair"],
    *,
    harmonics: CyclicHarmonics,
    keys: Collection[int],
    means: Float64[Tensor, "p p"] | None = None,
    energy: Float64[Tensor, ""] | None = None,
) -> CosineFit:
    """Fit logits by the cubes cos w_k(a+b-c) of some frequencies; the fraction of variance explained and the loss of the fit.

    ``fve = sum_k alpha_k^2 / sum (l - mean_c l)^2``: logits are centred over the classes of each pair, which changes no loss; NaN
    if they then do not vary.
    The loss is that of ``sum_k alpha_k cube_k`` alone, without any mean.

    Args:
        means: as for `cos_coefficients`.
        energy: `centred_energy` of the logits, where it is at hand, to save time.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes, or a key is not one of their names.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1.

    >>> from interp.synthetic import clock_logits
    >>> harmonics = CyclicHarmonics(5)
    >>> fit = cos_fit(clock_logits(5, [2], amplitude=3.0), harmonics.line, harmonics=harmonics, keys=[2])
    >>> round(fit.fve.item(), 6)
    1.0
    """
    check_logits(logits, harmonics)
    basis, p = harmonics.basis, harmonics.n
    chosen_keys = tuple(sorted({basis.check(k) for k in keys}))
    chosen = torch.tensor([k - 1 for k in chosen_keys], dtype=torch.int64)
    alpha = cos_coefficients(logits, harmonics=harmonics, means=means)[chosen]
    energy = centred_energy(logits) if energy is None else energy
    # Row a + b - c of the fit, for one wave of unit norm on Z/p: cubes have norm p more.
    profile = (alpha @ basis.rows[2 * chosen + 1].to(alpha.device)) / p
    residue = torch.arange(p, device=alpha.device)
    fitted = profile[(residue[:, None] - residue) % p]
    cases, case = torch.unique(harmonics.line.to(alpha.device) * p + labels, return_inverse=True)
    loss = cross_entropy(fitted[cases // p], cases % p)[case]
    # Of logits that are equal but for their rounding there is no variance to be explained.
    varies = energy > len(logits) * p * (rounding(logits) / 64) ** 2
    return CosineFit(chosen_keys, alpha, torch.where(varies, alpha.square().sum() / energy, torch.nan), loss)


def _coefficients(means: Float64[Tensor, "p p"], basis: FourierBasis) -> Float64[Tensor, " frequency"]:
    """Coefficients, from the mean logits over the lines a + b = s as a function of (s, c)."""
    p = basis.p
    residue = torch.arange(p, device=means.device)
    offset = ((residue[:, None] - residue) % p).flatten()
    by_offset = torch.zeros(p, dtype=torch.float64, device=means.device).index_add_(0, offset, means.flatten())
    # means are sums over p pairs divided by p, and a unit cube is a unit cosine divided by p: the factors cancel.
    return (basis.rows[1::2].to(means.device) @ by_offset).contiguous()
