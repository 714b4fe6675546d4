"""The logits of an ideal clock and an ideal pizza, from their formulas."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.cyclic import FourierBasis
from interp.tasks.modular import ModularTask, Operation


def clock_logits(
    p: int, frequencies: Collection[int], *, amplitude: float | Sequence[float] = 1.0, operation: Operation = "add"
) -> Float64[Tensor, "pair p"]:
    """An ideal clock: logits ``sum_k A_k cos w_k(a + b - c)`` for all pairs, exact.

    Args:
        amplitude: A_k, a single one for all frequencies or one for each.
        operation: ``add``, or ``subtract`` for a - b.

    Raises:
        UsageError: if a frequency does not exist or occurs twice, amplitudes do not match, or the operation is neither
            ``add`` nor ``subtract``.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 3.

    >>> clock_logits(5, [1, 2], amplitude=2.0)[0].round(decimals=6).tolist()
    [4.0, -1.0, -1.0, -1.0, -1.0]
    """
    right = _answers(p, operation)
    residue = torch.arange(p)
    return sum(
        (size * _cos(k * (right[:, None] - residue), p) for k, size in sizes(p, frequencies, amplitude)),
        start=torch.zeros(p * p, p, dtype=torch.float64),
    )


def pizza_logits(
    p: int, frequencies: Collection[int], *, amplitude: float | Sequence[float] = 1.0, operation: Operation = "add"
) -> Float64[Tensor, "pair p"]:
    """An ideal pizza: logits ``sum_k A_k |cos(w_k (a - b) / 2)| cos w_k(a + b - c)`` for all pairs, exact.

    For ``subtract`` it is ``|cos(w_k (a + b) / 2)| cos w_k(a - b - c)``.

    Raises:
        UsageError: as `clock_logits`.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 3.

    >>> pizza_logits(5, [1])[2 * 5 + 2].argmax().item()
    4
    """
    right, other = _answers(p, operation), _answers(p, "subtract" if operation == "add" else "add")
    residue = torch.arange(p)
    return sum(
        (
            # cos(w/2) of the other combination of a and b: its angles have period 2 p, which the absolute value reduces to p.
            size * _cos(k * other, 2 * p).abs()[:, None] * _cos(k * (right[:, None] - residue), p)
            for k, size in sizes(p, frequencies, amplitude)
        ),
        start=torch.zeros(p * p, p, dtype=torch.float64),
    )


def sizes(p: int, frequencies: Collection[int], amplitude: float | Sequence[float]) -> list[tuple[int, float]]:
    """Each frequency, checked, with its amplitude.

    Raises:
        UsageError: if a frequency occurs twice, or there are not as many amplitudes as frequencies.
    """
    basis = FourierBasis(p)
    checked = [basis.check(k) for k in frequencies]
    amplitudes = [float(amplitude)] * len(checked) if isinstance(amplitude, int | float) else [float(a) for a in amplitude]
    if len(set(checked)) != len(checked) or len(amplitudes) != len(checked):
        raise UsageError(f"given frequencies {checked} with {len(amplitudes)} amplitudes, expected distinct ones with one each")
    return list(zip(checked, amplitudes, strict=True))


def _answers(p: int, operation: Operation) -> Tensor:
    if operation not in ("add", "subtract"):
        raise UsageError(f"operation: given {operation!r}, expected add or subtract: a clock adds angles")
    return torch.from_numpy(ModularTask(p, operation).labels)


def _cos(steps: Tensor, period: int) -> Float64[Tensor, ...]:
    """cos(2 pi steps / period); the integer is reduced first, so that the result is exact to one rounding."""
    return torch.cos((steps % period).double() * (2 * torch.pi / period))
