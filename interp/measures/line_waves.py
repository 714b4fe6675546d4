"""A function of the answer taken apart: its constant and its part in some waves, also where some answers have no row."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from interp.harmonics.harmonics import Harmonics, Name


def line_waves(
    means: Float64[Tensor, "n rest"],
    harmonics: Harmonics,
    keys: Collection[Name],
    *,
    counts: Int[Tensor, " n"] | None = None,
) -> tuple[Float64[Tensor, " rest"], Float64[Tensor, "n rest"]]:
    """Constant and key waves of means over the rows of each answer: their mean over all rows, and their projection.

    Of answers without a row nothing is known: constant and waves are then fitted to the others by least squares.

    Args:
        means: row s is the mean over the rows whose answer is s.
        harmonics: whose waves.
        keys: their names.
        counts: how many rows each answer has; by default those of the harmonics.

    >>> from interp.harmonics import CyclicHarmonics
    >>> harmonics = CyclicHarmonics(5)
    >>> means = (3 + harmonics.basis.cos(1))[:, None]
    >>> constant, waves = line_waves(means, harmonics, [1], counts=torch.tensor([5, 5, 0, 5, 5]))
    >>> torch.allclose(constant + waves, means)
    True
    """
    projector = harmonics.projector(keys).to(means.device)
    counts = torch.bincount(harmonics.line, minlength=harmonics.n) if counts is None else counts
    known = (counts > 0).to(means.device)
    if bool(known.all()):
        return counts.to(means) @ means / int(counts.sum()), projector @ means
    functions = torch.cat([torch.ones_like(projector[:, :1]), projector], dim=1)
    found = torch.linalg.pinv(functions[known], rtol=1e-9) @ means[known]
    return found[0], projector @ found[1:]
