"""Fourier spectra: of the embedding over residues, of the logits over pairs; and the circle of each frequency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.cores import torch_threads
from interp.harmonics.cyclic import CyclicHarmonics
from interp.measures.checks import check_finite, check_logits


@dataclass(frozen=True, eq=False)
class EmbeddingSpectrum:
    """Norms over d_model of a matrix's Fourier components.

    Args:
        rows: of each of the p rows, in the order of ``basis.names`` (constant, cos 1, sin 1, ...).
        frequencies: of each frequency k = 1..floor(p/2), cosine and sine together.
    """

    rows: Float64[Tensor, " p"]
    frequencies: Float64[Tensor, " frequency"]


@dataclass(frozen=True)
class Component:
    """One of the p x p two-dimensional waves: the names of its wave in a and in b, its norm and its share of the energy."""

    a: str
    b: str
    norm: float
    share: float


def embedding_spectrum(W_E: Float[Tensor, "p rest"], *, harmonics: CyclicHarmonics) -> EmbeddingSpectrum:
    """The spectrum of a matrix with residues along its first axis: W_E without its ``=`` row, or W_L.

    Raises:
        UsageError: if the first axis does not have length p.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1.

    >>> harmonics = CyclicHarmonics(5)
    >>> W_E = harmonics.basis.cos(2)[:, None] * torch.tensor([3.0, 4.0])
    >>> embedding_spectrum(W_E, harmonics=harmonics).frequencies.round(decimals=6).tolist()
    [0.0, 5.0]
    """
    rows, basis = harmonics.basis.row_norms(W_E), harmonics.basis
    energy = torch.zeros(basis.p // 2 + 1, dtype=torch.float64, device=rows.device)
    energy.index_add_(0, basis.row_frequency.to(rows.device), rows.square())
    return EmbeddingSpectrum(rows=rows, frequencies=energy[1:].sqrt())


def circle(W_E: Float[Tensor, "p d_model"], *, harmonics: CyclicHarmonics, frequency: int) -> Float64[Tensor, "p 2"]:
    """Where each residue lies in the plane of one frequency: W_E projected on the unit directions of its cosine and sine rows.

    The residues of a clock form a regular polygon. The alternating wave p/2 has no sine: its second column is 0. A direction of
    norm 0 gives zeros.
    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1.

    >>> harmonics = CyclicHarmonics(5)
    >>> W_E = torch.stack([harmonics.basis.cos(1), harmonics.basis.sin(1)], dim=1)
    >>> circle(W_E, harmonics=harmonics, frequency=1).norm(dim=1).std().item() < 1e-12
    True
    """
    x = W_E.double()
    directions = harmonics.basis.waves(frequency).to(x.device) @ x
    norms = directions.norm(dim=1, keepdim=True)
    unit = torch.where(norms > 0, directions / norms, directions * 0)
    points = x @ unit.T
    return torch.cat([points, torch.zeros_like(points[:, : 2 - points.shape[1]])], dim=1)


@torch_threads(1)
def logit_spectrum(logits: Float[Tensor, "pair p"], *, harmonics: CyclicHarmonics) -> Float64[Tensor, "p p"]:
    """Norm over the classes of each two-dimensional Fourier component of the logits over (a, b); rows: waves in a.

    The sum of squares is that of the logits. The circuit of a + b lies in the 2 x 2 blocks (cos k, sin k) x (cos k, sin k).
    Waves are computed in the precision of the logits, whose own rounding is as large as what that leaves.

    Raises:
        UsageError: if logits are not those of the harmonics' rows and classes.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1.

    >>> from interp.synthetic import clock_logits
    >>> (logit_spectrum(clock_logits(5, [2]), harmonics=CyclicHarmonics(5)) > 1e-12).sum().item()
    4
    """
    check_logits(logits, harmonics)
    p, waves = harmonics.n, harmonics.basis.rows.to(logits)
    norms = torch.empty(p, p, dtype=torch.float64, device=logits.device)
    for in_a, over_a in _by_parity(waves, logits.reshape(p, p, p)):
        for in_b, over_both in _by_parity(waves, over_a.transpose(0, 1)):
            norms[in_a[:, None], in_b] = torch.linalg.vector_norm(over_both, dim=2).T.double()
    return norms


def _by_parity(
    waves: Float[Tensor, "p p"], grid: Float[Tensor, "p m c"]
) -> Iterator[tuple[Int64[Tensor, " row"], Float[Tensor, "row m c"]]]:
    """``waves @ grid`` in two parts, each with its rows: cosines see only sums of x and -x, sines only differences.

    That halves the work. The alternating wave of even p is among the cosines.
    """
    p, half = len(waves), (len(waves) - 1) // 2
    row = torch.arange(p, device=grid.device)
    cosines, sines = (row == 0) | (row % 2 == 1), (row > 0) & (row % 2 == 0)
    folded = torch.empty_like(grid[: p // 2 + 1], memory_format=torch.contiguous_format)
    each, out = grid.unbind(), folded.unbind()
    for which, fold, first in ((cosines, torch.add, 0), (sines, torch.sub, 1)):
        for x in range(first, p // 2 + 1):
            if 1 <= x <= half:
                fold(each[x], each[p - x], out=out[x])
            else:
                out[x].copy_(each[x])  # 0, and p / 2, are their own opposites
        chosen = waves[which, first : p // 2 + 1] if first == 0 else waves[which, 1 : half + 1]
        part = folded if first == 0 else folded[1 : half + 1]
        yield row[which], (chosen @ part.flatten(1)).reshape(len(chosen), *grid.shape[1:])


def top_components(norms: Float[Tensor, "p p"], *, harmonics: CyclicHarmonics, n: int = 20) -> list[Component]:
    """The n largest components of a `logit_spectrum` other than the constant, largest first, with their share of its energy.

    Shares are of the energy without the constant component; a clock of K frequencies has 4 K components that are not 0.

    Raises:
        UsageError: if a norm is NaN or infinite.

    >>> from interp.synthetic import clock_logits
    >>> harmonics = CyclicHarmonics(5)
    >>> norms = logit_spectrum(clock_logits(5, [2]), harmonics=harmonics)
    >>> best = top_components(norms, harmonics=harmonics, n=1)[0]
    >>> round(best.share, 6)
    0.25
    """
    check_finite(norms, "logit spectrum")
    norms = norms.double().clone()
    norms[0, 0] = 0
    energy, names = norms.square().sum(), harmonics.basis.names
    values, places = norms.flatten().topk(min(n, norms.numel() - 1))
    return [
        Component(names[place // harmonics.n], names[place % harmonics.n], value, value**2 / float(energy) if energy else 0.0)
        for value, place in zip(values.tolist(), places.tolist(), strict=True)
    ]
