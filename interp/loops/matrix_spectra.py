"""Named matrices of a module, measured at every checkpoint: norm, singular values and, along the answers, their waves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import xarray as xr
from torch import Tensor

from interp import measures
from interp.errors import UsageError, unknown
from interp.harmonics.harmonics import Harmonics, take_classes
from interp.observing.analysis import Analysis
from interp.observing.view import View

NAME = "matrices"
_QUESTION = """How large are the named matrices, and which waves are they made of?

The singular values of each and, where its rows are the tokens or the answers, the norm of each frequency along them. A circuit
has few large ones.

Measured: Frobenius norm; singular values; norm of the k-th part of the first n rows along the n answers, and their effective
number (sum e_k)^2 / sum e_k^2 of squared norms e_k.
"""


def matrix_spectra(matrices: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Analysis:
    """The analysis of some of a module's matrices.

    Args:
        matrices: what they are called, such as ``W_E``, and the names of their tensors.
        tensors: those of the module.

    Raises:
        UsageError: for a name that is no tensor's, with the nearest; for a tensor that is no matrix.

    >>> matrix_spectra({"W_E": "weight"}, {"weight": torch.eye(3)}).name
    'matrices'
    """
    if not isinstance(matrices, Mapping) or not all(isinstance(text, str) for pair in matrices.items() for text in pair):
        raise UsageError(
            f"matrices: given {matrices!r:.60}, expected names of tensors by what they are called: {{'W_E': 'embed.weight'}}"
        )
    for label, name in matrices.items():
        if name not in tensors:
            raise unknown("tensor", name, tensors)
        if tensors[name].ndim != 2 or not label.isidentifier():
            raise UsageError(
                f"matrices: given {label!r}: {name!r} of shape {tuple(tensors[name].shape)}, expected a name and a matrix"
            )

    def measure(view: View) -> dict[str, xr.DataArray | float]:
        found: dict[str, xr.DataArray | float] = {}
        now = view.network.tensors()
        for label, name in matrices.items():
            found |= _of(label, now[name].detach(), view.harmonics)
        return found

    return Analysis(NAME, question=_QUESTION, measure=measure)


def _of(label: str, matrix: Tensor, harmonics: Harmonics | None) -> dict[str, xr.DataArray | float]:
    values = torch.linalg.svdvals(matrix.double())
    found: dict[str, xr.DataArray | float] = {
        f"{label}_norm": float(matrix.double().norm()),
        f"{label}_singular_values": xr.DataArray(values.cpu().numpy(), dims=f"{label}_value"),
    }
    if harmonics is None or len(matrix) < _least_rows(harmonics):
        return found
    norms = harmonics.norms(take_classes(harmonics, matrix)).cpu().numpy()
    waves = xr.DataArray(norms, dims="part", coords={"part": list(harmonics.names)})
    return {**found, f"{label}_waves": waves, f"{label}_effective_number": float(measures.effective_number(norms))}


def _least_rows(harmonics: Harmonics) -> int:
    return harmonics.n if harmonics.classes is None else int(harmonics.classes.max()) + 1
