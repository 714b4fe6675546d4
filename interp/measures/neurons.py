"""Neurons: the frequency each one follows, the clusters they form, and their fit by degree-2 polynomials of its waves.

A neuron's share at frequency k is the energy of its 2-D Fourier transform in {1, C_k, S_k} x {1, C_k, S_k} without the constant,
over its total energy about its mean. These eight waves span the waves of frequency k in a, in b, in a + b and in a - b, so
four sums over lines of the grid give every share. Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError, unknown
from interp.harmonics.cyclic import CyclicHarmonics, FourierBasis
from interp.harmonics.grid import LINES, Line, line_index
from interp.measures.checks import check_finite, check_grid

Terms = Literal["degree_two", "sum", "difference"]
TERMS: tuple[Terms, ...] = get_args(Terms)

# Numbers processed at a time: about as many as a core's second-level cache holds.
BLOCK = 2**19


@dataclass(frozen=True, eq=False)
class NeuronFrequencies:
    """The frequency that each neuron follows.

    Args:
        frequency: the frequency with the largest share, 1..floor(p/2); 0 for dead neurons.
        share: that share, in 0..1; NaN for dead neurons.
        dead: whether the neuron is constant over all pairs (up to the rounding of its precision).
        in_cluster: whether the share exceeds the threshold.
        counts: number of neurons in each frequency's cluster; frequencies without one are left out.
    """

    frequency: Int64[Tensor, " d_mlp"]
    share: Float64[Tensor, " d_mlp"]
    dead: Bool[Tensor, " d_mlp"]
    in_cluster: Bool[Tensor, " d_mlp"]
    counts: dict[int, int]


@torch_threads(1)
def frequency_shares(x: Float[Tensor, "pair unit"], *, harmonics: CyclicHarmonics) -> Float64[Tensor, "frequency unit"]:
    """Share of each unit's variance over all pairs that each frequency's eight degree-2 waves explain; NaN for dead units.

    Shares of different frequencies add up to at most 1: waves that mix two frequencies belong to none. Sums over
    pairs are taken in the precision of x.

    Raises:
        UsageError: if x does not have a row for each row of the harmonics.

    >>> harmonics = CyclicHarmonics(5)
    >>> cos = harmonics.basis.cos(2)
    >>> frequency_shares(torch.outer(cos, cos).reshape(25, 1), harmonics=harmonics)[:, 0].round(decimals=6).tolist()
    [0.0, 1.0]
    """
    check_grid(x, harmonics, "units")
    return _shares(_sums(x, harmonics.n), harmonics.basis)


@torch_threads(1)
def neuron_frequencies(
    neurons: Float[Tensor, "pair d_mlp"], *, harmonics: CyclicHarmonics, threshold: float = 0.85
) -> NeuronFrequencies:
    """The frequency of each neuron, its share there, which neurons are dead, and the clusters.

    Args:
        neurons: activations after the non-linearity, for all p^2 pairs in row-major order.
        threshold: a neuron belongs to its frequency's cluster if its share exceeds this.

    Raises:
        UsageError: if an activation is not finite.

    >>> harmonics = CyclicHarmonics(7)
    >>> x = torch.stack([harmonics.basis.cos(2).repeat_interleave(7), torch.ones(49)], dim=1)
    >>> neuron_frequencies(x, harmonics=harmonics).counts
    {2: 1}
    """
    check_grid(neurons, harmonics, "neurons")
    sums = _sums(neurons, harmonics.n)
    check_finite(sums.energy, "energies of the neurons")
    share, frequency = _shares(sums, harmonics.basis).max(dim=0)
    dead = sums.dead
    frequency = torch.where(dead, 0, frequency + 1)
    in_cluster = ~dead & (share > threshold)
    counts = {k: n for k, n in enumerate(frequency[in_cluster].bincount().tolist()) if n}
    return NeuronFrequencies(frequency=frequency, share=share, dead=dead, in_cluster=in_cluster, counts=counts)


def key_frequencies_from_neurons(found: NeuronFrequencies) -> tuple[int, ...]:
    """The frequencies that have a cluster of neurons (rule `neurons`), ascending.

    >>> waves = CyclicHarmonics(7).basis.cos(2).repeat_interleave(7)
    >>> key_frequencies_from_neurons(neuron_frequencies(waves[:, None], harmonics=CyclicHarmonics(7)))
    (2,)
    """
    return tuple(sorted(found.counts))


@torch_threads(1)
def degree_two_fit(
    neurons: Float[Tensor, "pair d_mlp"],
    *,
    harmonics: CyclicHarmonics,
    frequency: Int[Tensor, " d_mlp"],
    terms: Terms = "degree_two",
) -> Float64[Tensor, "pair d_mlp"]:
    """Each neuron replaced by its mean plus its projection on waves of ONE frequency, its own.

    ``degree_two``: all eight waves, so that the fraction of variance explained is the neuron's share; ``sum`` or
    ``difference``: only cos and sin of w_k (a+b) or w_k (a-b).

    Args:
        frequency: a frequency per neuron, as `neuron_frequencies` gives; at 0 only the mean remains.

    Raises:
        UsageError: if the terms are unknown, or a frequency is not in 0..floor(n/2).

    >>> harmonics = CyclicHarmonics(7)
    >>> x = harmonics.basis.cos(2).repeat_interleave(7)[:, None]
    >>> torch.allclose(degree_two_fit(x, frequency=torch.tensor([2]), harmonics=harmonics), x)
    True
    """
    check_grid(neurons, harmonics, "neurons")
    basis = harmonics.basis
    if terms not in TERMS:
        raise unknown("terms of the fit", terms, TERMS)
    if not bool(((frequency >= 0) & (frequency <= basis.p // 2)).all()):
        raise UsageError(f"frequency: given {int(frequency.min())}..{int(frequency.max())}, expected values in 0..{basis.p // 2}")
    lines: tuple[Line, ...] = LINES if terms == "degree_two" else (terms,)
    sums = _sums(neurons, basis.p)
    own = (basis.row_frequency.to(neurons.device)[:, None] == frequency) & (frequency > 0)
    tables: list[tuple[Tensor, Tensor]] = []
    for line in lines:
        kept = _line_coefficients(sums, basis, line, alone=len(lines) == 1) * own
        table = basis.rows.to(neurons.device).T @ kept / basis.p**0.5
        tables.append((line_index(basis.p, line).to(neurons.device), table))
    fit = torch.empty(neurons.shape, dtype=torch.float64, device=neurons.device)
    for rows in _blocks(neurons):
        fit[rows] = sums.mean + sum(table[index[rows]] for index, table in tables)
    return fit


@dataclass(frozen=True, eq=False)
class _Sums:
    """What shares and fits need of the units: their means, and relative to them their energies and their sums over lines."""

    mean: Float[Tensor, " unit"]
    energy: Float64[Tensor, " unit"]
    lines: dict[Line, Float[Tensor, "p unit"]]
    dead: Bool[Tensor, " unit"]


def _blocks(x: Float[Tensor, "pair unit"]) -> Iterator[slice]:
    """Rows of x in blocks small enough to stay in the cache."""
    step = max(1, BLOCK // max(1, x.shape[1]))
    return (slice(start, start + step) for start in range(0, len(x), step))


def _sums(x: Float[Tensor, "pair unit"], p: int) -> _Sums:
    """One pass over x, some values of a at a time."""
    step, units = max(1, BLOCK // max(1, p * x.shape[1])), x.shape[1]
    of_a, of_b, of_sum, of_difference = (x.new_zeros(p, units) for _ in LINES)
    along_sum, along_difference = (line_index(p, line).to(x.device).reshape(p, p) for line in ("sum", "difference"))
    energy = torch.zeros(units, dtype=torch.float64, device=x.device)
    grid, buffer = x.reshape(p, p, units), x.new_empty(min(step, p), p, units)
    for some in (slice(start, min(start + step, p)) for start in range(0, p, step)):
        # About the mean of each a nothing cancels, and the sums over all other lines miss the same number each.
        torch.mean(grid[some], 1, out=of_a[some])
        block = torch.sub(grid[some], of_a[some, None], out=buffer[: some.stop - some.start])
        of_b += block.sum(dim=0)
        of_sum.index_add_(0, along_sum[some].flatten(), block.flatten(0, 1))
        of_difference.index_add_(0, along_difference[some].flatten(), block.flatten(0, 1))
        energy += block.square_().flatten(0, 1).sum(dim=0)
    mean = of_a.mean(dim=0)
    of_a -= mean
    energy += p * of_a.double().square().sum(dim=0)
    rounding = 8 * torch.finfo(x.dtype).eps
    dead = energy <= rounding**2 * (energy + len(x) * mean.double().square())
    return _Sums(mean, energy, {"a": p * of_a, "b": of_b, "sum": of_sum, "difference": of_difference}, dead)


def _shares(sums: _Sums, basis: FourierBasis) -> Float64[Tensor, "frequency unit"]:
    energy = torch.zeros(basis.p // 2 + 1, len(sums.mean), dtype=torch.float64, device=sums.mean.device)
    for line in LINES:
        energy.index_add_(0, basis.row_frequency.to(energy.device), _line_coefficients(sums, basis, line).square())
    return torch.where(sums.dead, torch.nan, energy[1:] / sums.energy)


def _line_coefficients(sums: _Sums, basis: FourierBasis, line: Line, *, alone: bool = False) -> Float64[Tensor, "p unit"]:
    """Coefficients on the unit waves (on the grid) in a, b, a + b or a - b, one row per Fourier row.

    The alternating wave in a - b equals that in a + b and is counted there, unless only a - b is asked for.
    """
    over = sums.lines[line]
    rows = basis.rows.to(over.device) @ over.double() / basis.p**0.5
    if basis.nyquist and line == "difference" and not alone:
        rows[-1] = 0
    return rows
