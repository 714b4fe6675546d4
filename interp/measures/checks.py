"""What a measure refuses: arrays whose shape does not fit its harmonics, and values that are not finite."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import NotFiniteError, UsageError
from interp.harmonics.harmonics import Harmonics


def check_grid(x: Tensor, harmonics: Harmonics, name: str) -> None:
    """Error unless x has one row for each row of the harmonics, and one more axis."""
    rows = len(harmonics.line)
    if x.ndim != 2 or x.shape[0] != rows:
        raise UsageError(f"{name}: given shape {tuple(x.shape)}, expected ({rows}, ...): a row per input")


def check_logits(logits: Tensor, harmonics: Harmonics) -> None:
    """Error unless logits are those of the n group elements on all rows."""
    expected = (len(harmonics.line), harmonics.n)
    if logits.ndim != 2 or tuple(logits.shape) != expected:
        raise UsageError(
            f"logits: given shape {tuple(logits.shape)}, expected {expected}: all pairs in row-major order (all inputs) and the "
            f"{harmonics.n} answers only (leave out the `=` class)"
        )


def check_finite(x: Tensor, name: str) -> None:
    """Error if a value in x is NaN or infinite: for functions whose result (a choice, a count) could not show it."""
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x)).sum())
        raise NotFiniteError(f"{name}: {bad} of {x.numel()} values are NaN or infinite; no conclusion can be drawn from them")


def rounding(x: Float[Tensor, ...]) -> float:
    """How much values that are equal may differ by their rounding, and that of sums over them: 64 units in the last place, two of
    half precision, of which a hundred are the number itself.

    Their size is that of some 64 rows: of values that are all equal it is that of all.
    """
    if not x.numel():
        return 0.0
    least, most = x[:: max(1, len(x) // 64)].aminmax()
    units = 64 if x.dtype.itemsize >= 4 else 2
    return units * torch.finfo(x.dtype).eps * float(torch.maximum(-least, most))
