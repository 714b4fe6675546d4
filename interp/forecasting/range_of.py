"""Where a run lies outside the range of the corpus that the model was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interp.forecasting.fitted import frozen

# What changes neither the task nor the course of training.
APART = ("recipe", "seed", "split.seed", "steps", "until_settled", "evaluate_every", "engine", "device", "threads", "checkpoints")


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a configuration's fields, but for those that are `APART`."""
    for name, value in config.items():
        path = f"{prefix}{name}"
        if path in APART:
            continue
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def outside(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What lies outside, in words; empty inside the range."""
    within, given = frozen().within, dict(leaves(config))
    if not given:
        return ("its configuration is not known",)
    found = [f"{path} is not known" for path in within if path not in given]
    for path, value in given.items():
        known = within.get(path)
        if known is None:
            found.append(f"{path} = {value} is not in the corpus")
        elif isinstance(known, Mapping):
            if not (isinstance(value, int | float) and known["low"] <= value <= known["high"]):
                found.append(f"{path} = {value:g} is outside {known['low']:g} to {known['high']:g}")
        elif value not in known:
            found.append(f"{path} = {value} is not in the corpus")
    return tuple(found)
