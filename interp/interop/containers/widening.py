"""Half and 8-bit precision become float32 as soon as they are read, so that no sum is ever taken in less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

SHORT = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)


def widened(state: Mapping[str, object]) -> dict[str, object]:
    """The same names; float32 copies in place of tensors of 16 or 8 bits. Every number is represented exactly.

    >>> widened({"W_E": torch.ones(2, dtype=torch.bfloat16)})["W_E"].dtype
    torch.float32
    """
    return {name: value.float() if isinstance(value, Tensor) and value.dtype in SHORT else value for name, value in state.items()}


def short_precisions(states: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """The names of the precisions below float32 in some state dicts, such as ``bfloat16``."""
    found = {value.dtype for state in states for value in state.values() if isinstance(value, Tensor)}
    return tuple(sorted(str(dtype).removeprefix("torch.") for dtype in found if dtype in SHORT))
