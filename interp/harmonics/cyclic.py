"""The cyclic group: the real, orthonormal Fourier basis of functions on the integers modulo p, and the harmonics of addition.

Conventions, used throughout the toolkit: ``w_k = 2 pi k / p``; frequencies k = 1..floor(p/2); row 0 of the basis is the
constant 1/sqrt(p), row 2k-1 the cosine and row 2k the sine of frequency k, COSINE FIRST; for even p the last row is the
alternating (Nyquist) wave k = p/2, which has no sine. There are always exactly p rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.grid import line_index
from interp.harmonics.harmonics import Name


@dataclass(frozen=True)
class FourierBasis:
    """The p orthonormal waves on Z/p, as a value that can be called on data.

    ``F = basis.rows`` satisfies ``F F^T = I``; ``basis(x) = x F^T`` gives the p coefficients along the last axis.

    >>> basis = FourierBasis(5)
    >>> basis.names
    ('constant', 'cos 1', 'sin 1', 'cos 2', 'sin 2')
    >>> basis(torch.ones(5)).abs().round(decimals=6).tolist()
    [2.236068, 0.0, 0.0, 0.0, 0.0]
    """

    p: int

    def __post_init__(self) -> None:
        if not isinstance(self.p, int) or isinstance(self.p, bool) or self.p < 2:
            raise UsageError(f"FourierBasis: given p = {self.p!r}, expected an integer >= 2")

    @property
    def frequencies(self) -> range:
        """All frequencies, 1..floor(p/2), including the highest."""
        return range(1, self.p // 2 + 1)

    @property
    def nyquist(self) -> int | None:
        """The frequency p/2 of the alternating wave, which has a cosine but no sine; None for odd p."""
        return self.p // 2 if self.p % 2 == 0 else None

    @cached_property
    def rows(self) -> Float64[Tensor, "p p"]:
        """The orthonormal waves, one per row, over x = 0..p-1."""
        p, x = self.p, torch.arange(self.p)
        k = (torch.arange(p) + 1) // 2
        # Reducing k x modulo p in integers keeps every entry exact to one rounding, for any p.
        angle = ((k[:, None] * x) % p).double() * (2 * torch.pi / p)
        rows = torch.where((x % 2 == 1)[:, None], angle.cos(), angle.sin())
        rows *= (2 / p) ** 0.5
        rows[0] = p**-0.5
        if self.nyquist:
            rows[-1] = (1 - 2 * (x % 2)).double() * p**-0.5
        return rows

    @cached_property
    def row_frequency(self) -> Int64[Tensor, " p"]:
        """Frequency of each row: 0, 1, 1, 2, 2, ..."""
        return (torch.arange(self.p) + 1) // 2

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each row: ``constant``, ``cos 1``, ``sin 1``, ..."""
        return ("constant", *(f"{'cos' if i % 2 else 'sin'} {(i + 1) // 2}" for i in range(1, self.p)))

    def check(self, frequency: Name) -> int:
        """The frequency itself, or an error that says which ones exist."""
        if isinstance(frequency, str) or int(frequency) not in self.frequencies:
            raise UsageError(f"frequency: given {frequency!r}, expected 1..{self.p // 2} for p = {self.p}")
        return int(frequency)

    def cos(self, frequency: int) -> Float64[Tensor, " p"]:
        """The unit cosine wave of a frequency (for even p and k = p/2: the alternating wave)."""
        return self.rows[2 * self.check(frequency) - 1]

    def sin(self, frequency: int) -> Float64[Tensor, " p"]:
        """The unit sine wave of a frequency.

        Raises:
            UsageError: for the Nyquist frequency p/2, whose sine is zero everywhere.
        """
        if self.check(frequency) == self.nyquist:
            raise UsageError(f"frequency {frequency} of p = {self.p} is the alternating wave: it has no sine")
        return self.rows[2 * frequency]

    def waves(self, frequency: int) -> Float64[Tensor, "wave p"]:
        """The unit waves of a frequency: cosine and sine, or the alternating wave alone."""
        return self.rows[self.row_frequency == self.check(frequency)]

    def __call__(self, x: Float[Tensor, "*batch p"]) -> Float64[Tensor, "*batch p"]:
        """Coefficients of x along its last axis, ``x F^T``.

        Raises:
            UsageError: if the last axis does not have length p.
        """
        self._check_length(x, -1)
        return x.double() @ self.rows.to(x.device).T

    def inverse(self, coefficients: Float[Tensor, "*batch p"]) -> Float64[Tensor, "*batch p"]:
        """The function with these coefficients, ``c F``; the inverse of calling the basis."""
        self._check_length(coefficients, -1)
        return coefficients.double() @ self.rows.to(coefficients.device)

    def transform_2d(self, x: Float[Tensor, "*batch p p"]) -> Float64[Tensor, "*batch p p"]:
        """Coefficients over (a, b) of functions on the p x p grid, ``F M F^T`` for each matrix M[a, b]."""
        self._check_length(x, -2)
        return self.rows.to(x.device) @ self(x)

    def inverse_2d(self, coefficients: Float[Tensor, "*batch p p"]) -> Float64[Tensor, "*batch p p"]:
        """The functions on the p x p grid with these coefficients, ``F^T C F``."""
        self._check_length(coefficients, -2)
        return self.rows.to(coefficients.device).T @ self.inverse(coefficients)

    def frequency_norms(self, x: Float[Tensor, "p ..."]) -> Float64[Tensor, " frequency"]:
        """Norm of each frequency's waves in x, whose FIRST axis is the residues (as in W_E without its ``=`` row, or W_L).

        Entry k - 1 is ``||(F x)[rows of k]||``, for k = 1..floor(p/2), taken over everything after the first axis.
        """
        energy = self.row_norms(x).square()
        total = torch.zeros(self.p // 2 + 1, dtype=torch.float64, device=energy.device)
        return total.index_add_(0, self.row_frequency.to(energy.device), energy)[1:].sqrt()

    def row_norms(self, x: Float[Tensor, "p ..."]) -> Float64[Tensor, " p"]:
        """Norm of each of the p Fourier rows of x (residues first), over everything after the first axis."""
        self._check_length(x, 0)
        return (self.rows.to(x.device) @ x.double().reshape(self.p, -1)).norm(dim=1)

    def _check_length(self, x: Tensor, axis: int) -> None:
        if x.ndim <= (1 if axis == -2 else 0) or x.shape[axis] != self.p:
            raise UsageError(
                f"FourierBasis({self.p}): given an array of shape {tuple(x.shape)}, expected length {self.p} along axis {axis}"
            )


@dataclass(frozen=True, eq=False)
class CyclicHarmonics:
    """The harmonics of addition modulo n on all pairs (i, j), row-major: the answer is i + j, the names are frequencies.

    Args:
        modulus: n.
        rows: the task's row for each of the n^2 pairs (i, j); in their own order by default.
        classes: the task's residue for each element 0..n-1; the element itself by default.

    >>> harmonics = CyclicHarmonics(5)
    >>> harmonics.names, harmonics.line[:6].tolist()
    ((1, 2), [0, 1, 2, 3, 4, 1])
    """

    modulus: int
    rows: Int64[Tensor, " row"] | None = None
    classes: Int64[Tensor, " n"] | None = None

    @property
    def n(self) -> int:
        """Number of group elements: the modulus."""
        return self.modulus

    @cached_property
    def basis(self) -> FourierBasis:
        """The Fourier basis of functions on Z/n."""
        return FourierBasis(self.modulus)

    @cached_property
    def line(self) -> Int64[Tensor, " row"]:
        """i + j modulo n."""
        return line_index(self.modulus, "sum")

    @cached_property
    def difference(self) -> Int64[Tensor, " row"]:
        """i - j modulo n."""
        return line_index(self.modulus, "difference")

    @property
    def names(self) -> tuple[int, ...]:
        """The frequencies, 1..floor(n/2)."""
        return tuple(self.basis.frequencies)

    def projector(self, names: Collection[Name]) -> Float64[Tensor, "n n"]:
        """The matrix that projects a function on Z/n (first axis) onto the waves of some frequencies; symmetric and idempotent.

        Raises:
            UsageError: if a frequency is not in 1..floor(n/2).
        """
        wanted = torch.tensor(sorted({self.basis.check(k) for k in names}), dtype=torch.int64)
        waves = self.basis.rows[torch.isin(self.basis.row_frequency, wanted)]
        return waves.T @ waves

    def norms(self, x: Float[Tensor, "n rest"]) -> Float64[Tensor, " frequency"]:
        """Norm of the cosine and sine of each frequency together in x (group elements first)."""
        return self.basis.frequency_norms(x)
