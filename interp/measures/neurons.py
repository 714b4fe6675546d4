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
from interp.measures.line_sums import BLOCK, LineSums, line_sums

Terms = Literal["degree_two", "sum", "difference"]
TERMS: tuple[Terms, ...] = get_args(Terms)


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
    return _shares(line_sums(x, harmonics=harmonics), harmonics.basis)


@torch_threads(1)
def neuron_frequencies(
    neurons: Float[Tensor, "pair d_mlp"] | LineSums, *, harmonics: CyclicHarmonics, threshold: float = 0.85
) -> NeuronFrequencies:
    """The frequency of each neuron, its share there, which neurons are dead, and the clusters.

    Args:
        neurons: activations after the non-linearity, for all p^2 pairs in row-major order; or their `line_sums`.
        threshold: a neuron belongs to its frequency's cluster if its share exceeds this.

    Raises:
        UsageError: if an activation is not finite.

    >>> harmonics = CyclicHarmonics(7)
    >>> x = torch.stack([harmonics.basis.cos(2).repeat_interleave(7), torch.ones(49)], dim=1)
    >>> neuron_frequencies(x, harmonics=harmonics).counts
    {2: 1}
    """
    sums = _summed(neurons, harmonics)
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
    if terms not in TERMS:
        raise unknown("terms of the fit", terms, TERMS)
    if not bool(((frequency >= 0) & (frequency <= harmonics.n // 2)).all()):
        raise UsageError(
            f"frequency: given {int(frequency.min())}..{int(frequency.max())}, expected values in 0..{harmonics.n // 2}"
        )
    fit = torch.empty(neurons.shape, dtype=torch.float64, device=neurons.device)
    for rows, fitted in fit_blocks(
        line_sums(neurons, harmonics=harmonics), harmonics=harmonics, frequency=frequency, terms=terms
    ):
        fit[rows] = fitted
    return fit


def fit_blocks(
    sums: LineSums, *, harmonics: CyclicHarmonics, frequency: Int[Tensor, " d_mlp"], terms: Terms = "degree_two"
) -> Iterator[tuple[slice, Float64[Tensor, "some_pairs d_mlp"]]]:
    """`degree_two_fit` from the neurons' `line_sums`, as many pairs at a time as stay in the cache."""
    basis, device = harmonics.basis, sums.mean.device
    lines: tuple[Line, ...] = LINES if terms == "degree_two" else (terms,)
    own = (basis.row_frequency.to(device)[:, None] == frequency) & (frequency > 0)
    tables: list[tuple[Tensor, Tensor]] = []
    for line in lines:
        kept = _line_coefficients(sums, basis, line, alone=len(lines) == 1) * own
        table = basis.rows.to(device).T @ kept / basis.p**0.5
        tables.append((line_index(basis.p, line).to(device), table))
    step = max(1, BLOCK // max(1, len(sums.mean)))
    for rows in (slice(start, start + step) for start in range(0, basis.p**2, step)):
        yield rows, sums.mean + sum(table[index[rows]] for index, table in tables)


def _summed(neurons: Float[Tensor, "pair d_mlp"] | LineSums, harmonics: CyclicHarmonics) -> LineSums:
    if not isinstance(neurons, LineSums):
        check_grid(neurons, harmonics, "neurons")
        return line_sums(neurons, harmonics=harmonics)
    if len(neurons.lines["a"]) != harmonics.n:
        raise UsageError(f"neurons: given sums over the lines of p = {len(neurons.lines['a'])}, expected p = {harmonics.n}")
    return neurons


def _shares(sums: LineSums, basis: FourierBasis) -> Float64[Tensor, "frequency unit"]:
    energy = torch.zeros(basis.p // 2 + 1, len(sums.mean), dtype=torch.float64, device=sums.mean.device)
    for line in LINES:
        energy.index_add_(0, basis.row_frequency.to(energy.device), _line_coefficients(sums, basis, line).square())
    return torch.where(sums.dead, torch.nan, energy[1:] / sums.energy)


def _line_coefficients(sums: LineSums, basis: FourierBasis, line: Line, *, alone: bool = False) -> Float64[Tensor, "p unit"]:
    """Coefficients on the unit waves (on the grid) in a, b, a + b or a - b, one row per Fourier row.

    The alternating wave in a - b equals that in a + b and is counted there, unless only a - b is asked for.
    """
    over = sums.lines[line]
    rows = basis.rows.to(over.device) @ over.double() / basis.p**0.5
    if basis.nyquist and line == "difference" and not alone:
        rows[-1] = 0
    return rows
