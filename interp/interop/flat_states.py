"""A state dict by flat names, from nested tables and lists of tensors; and what beside the tensors is no weight."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.content import State, integer
from interp.interop.stored_settings import our_name

# Names of the updates that were made, before those of epochs.
STEPS = ("global_step", "step", "train_step", "iteration", "iter", "update", "n_updates", "epoch", "current_epoch")
_NOT_WEIGHTS = re.compile(r"(opt|optim|opt_state|.*optimizer.*|.*scheduler.*|scaler|rng.*|.*callbacks|loops)", re.IGNORECASE)
_BESIDE = re.compile(
    r"(.*loss(es)?|.*acc(s|uracy|uracies)?|.*_indices|.*_data|.*_idx|.*_pairs|train_mask|test_mask|.*history|.*epochs|.*steps|metrics|train|test|val|labels|time)",
    re.IGNORECASE,
)


def step_number(value: object, name: str) -> int:
    """A stored step as an integer.

    Raises:
        DataError: if it is none, negative, or beyond the limit.
    """
    given = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    # Compared before it becomes a float, which tells integers apart up to 2^53 only.
    if isinstance(given, int) and not isinstance(given, bool) and given <= limits.STEP:
        return integer(given, name)
    step = given if isinstance(given, int) and not isinstance(given, bool) else integer(given, name)
    if step > limits.STEP:
        raise DataError(f"{name}: given {step:,}, expected an integer from 0 to {limits.STEP:,}")
    return step


def step_beside(container: Mapping[str, object]) -> tuple[int | None, str]:
    """The step that a container names, updates before epochs, and the name."""
    name = next((name for name in STEPS if container.get(name) is not None), None)
    return (None, "") if name is None else (step_number(container[name], name), name)


def as_state(value: object) -> State | None:
    """A state dict by flat names, from nested tables and lists of nothing but tensors; None if this is something else."""
    flat: dict[str, object] = {}
    if not isinstance(value, Mapping | list | tuple) or not _flatten(value, "", flat):
        return None
    return flat if any(isinstance(tensor, Tensor) and tensor.ndim > 1 for tensor in flat.values()) else None


def weights_in(container: Mapping[str, object]) -> dict[str, object]:
    """What in a container may be weights, by its name and kind: no losses, splits, optimizers, single settings."""
    return {
        str(name): value
        for name, value in container.items()
        if name not in STEPS
        and not _NOT_WEIGHTS.fullmatch(str(name)[: limits.TEXT])
        and not (_BESIDE.fullmatch(str(name)[: limits.TEXT]) and not isinstance(value, Mapping))
        and not _is_setting(str(name), value)
    }


def alike(states: Sequence[State]) -> bool:
    """Whether state dicts have one set of names and shapes. Layers of one model, which also come in lists, mostly differ."""
    shapes = [{name: tuple(value.shape) for name, value in state.items() if isinstance(value, Tensor)} for state in states]
    return all(shape == shapes[0] for shape in shapes)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether this is a list or tuple."""
    return isinstance(value, list | tuple)


def _is_setting(name: str, value: object) -> bool:
    single = (isinstance(value, Tensor) and value.numel() == 1) or not isinstance(value, Tensor | Mapping | list | tuple)
    return single and our_name(name) is not None


def _flatten(value: object, prefix: str, flat: dict[str, object]) -> bool:
    if isinstance(value, Tensor):
        flat[prefix] = value
    elif isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        return all(_flatten(part, f"{prefix}.{name}".lstrip("."), flat) for name, part in parts)
    return value is None or isinstance(value, Tensor)
