"""Where a run lies outside the range of the corpus that the model was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interp.config.model_config import ModelConfig
from interp.config.optimizer_config import OptimizerConfig
from interp.forecasting.fitted import frozen

# What changes neither the task nor the course of training.
APART = ("recipe", "seed", "split.seed", "steps", "until_settled", "evaluate_every", "engine", "device", "threads", "checkpoints")
# Fields that came after the corpus, as they were for it: with these values a run is an ordinary one.
LATER: dict[str, Any] = {
    "changes": (),
    "split.blocks": "",
    **{f"model.{name}": getattr(ModelConfig(), name) for name in ModelConfig.later},
    **{f"optimizer.{name}": getattr(OptimizerConfig(), name) for name in OptimizerConfig.later},
}


_NONE = object()


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a configuration's fields, but for those that are `APART` and later ones at their defaults."""
    for name, value in config.items():
        path = f"{prefix}{name}"
        usual = LATER.get(path, _NONE)
        if path in APART or value == usual or (usual == () and not value):  # of an empty tuple JSON makes a list
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
