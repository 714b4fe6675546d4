"""How much each key frequency does: what the network loses without it, what it explains of the logits, who follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from interp.observing.key_rules import KeyRule
from interp.observing.series import about

if TYPE_CHECKING:
    import xarray as xr

# A frequency is idle if it explains less of the logits than this, and the loss without it is less than this of what it is without
# the one that matters most.
IDLE = 0.01
# Shares of the largest that the rules ask for, see `interp.key_frequencies`.
_QUARTER = 0.25


@dataclass(frozen=True)
class KeyWork:
    """A key frequency at the last checkpoint.

    Args:
        name: the frequency, or the representation.
        without: training loss when it alone is taken out of the logits; None if that was not measured.
        explained: share of the logits' variance that cos w_k(a+b-c) explains; None if not measured.
        neurons: how many follow it; None if not measured.
        is_idle: whether it does almost no work, by all of these that were measured, of which two are needed.
        omitted_by: rules that would not have chosen it.
    """

    name: int | str
    without: float | None = None
    explained: float | None = None
    neurons: int | None = None
    is_idle: bool = False
    omitted_by: tuple[KeyRule, ...] = field(default=())


def work_of_keys(series: xr.Dataset) -> list[KeyWork]:
    """The key frequencies of a series, those that do most first; in their own order where nothing was measured that tells."""
    keys = about(series).key_frequencies or ()
    without = _of_keys(series, "excluded_loss_single", "key_frequency", keys)
    explained = {k: v**2 for k, v in _of_keys(series, "cos_coefficient", "frequency", keys).items()}
    neurons = {k: int(v) for k, v in _of_keys(series, "cluster_size", "frequency", keys).items()}
    most = max(without.values(), default=0.0)
    found = []
    for k in keys:
        signs = []
        if k in without and most > 0:
            signs.append(without[k] < IDLE * most)
        if k in explained:
            signs.append(explained[k] < IDLE)
        if k in neurons:
            signs.append(neurons[k] == 0)
        is_idle = len(signs) > 1 and all(signs)
        found.append(KeyWork(k, without.get(k), explained.get(k), neurons.get(k), is_idle, _omitted_by(series, k)))
    return sorted(found, key=lambda one: (one.is_idle, -(one.without or 0.0)))


def _omitted_by(series: xr.Dataset, key: int | str) -> tuple[KeyRule, ...]:
    """The rules that do not choose a frequency at the last checkpoint, as far as what they read was measured."""
    found: list[KeyRule] = []
    variables: Mapping[KeyRule, str] = {"embedding": "embedding_norm", "coefficients": "cos_coefficient"}
    for rule, variable in variables.items():
        values = _last(series, variable)
        if key in values and not values[key] > _QUARTER * max(values.values()):
            found.append(rule)
    clusters = _last(series, "cluster_size")
    if key in clusters and not clusters[key]:
        found.append("neurons")
    return tuple(found)


def _of_keys(series: xr.Dataset, variable: str, axis: str, keys: tuple[int | str, ...]) -> dict[int | str, float]:
    values = _last(series, variable, axis)
    return {k: values[k] for k in keys if k in values and np.isfinite(values[k])}


def _last(series: xr.Dataset, variable: str, axis: str = "frequency") -> dict[int | str, float]:
    """The values of a variable at the last checkpoint, by frequency."""
    if variable not in series or axis not in series[variable].dims:
        return {}
    last = series[variable].isel(step=-1)
    return {_name(k): float(value) for k, value in zip(last[axis].values, last.values, strict=True)}


def _name(value: object) -> int | str:
    return str(value) if isinstance(value, str) else int(value)  # type: ignore[call-overload]  # numpy's integers
