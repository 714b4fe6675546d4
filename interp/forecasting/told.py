"""What a run's configuration says: of an imported run, only what was known of it, and no default in the place of the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from interp.store.manifest import IMPORTED

# What nobody says of an imported run, whatever its configuration has: its budget, and settings that no file holds.
NEVER = (
    "steps",
    "until_settled",
    "evaluate_every",
    "checkpoints",
    "model.init_scale",
    "optimizer.loss",
    "optimizer.warmup_steps",
)
# What earlier versions, which did not say what was unknown, may have made up.
_BEFORE = ("split", "optimizer", "model.init")


def told(config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run as nested plain values, without what is not known of it.

    Args:
        config: with a value for every field.
        facts: of the run, as `interp.Run.facts` has them.

    >>> facts = {"engine": "imported", "provenance": {"unknown": ["optimizer.lr"]}}
    >>> told({"steps": 100, "optimizer": {"lr": 1e-3, "eps": 1e-8}}, facts)
    {'optimizer': {'eps': 1e-08}}
    """
    if facts.get("engine") != IMPORTED:
        return dict(config)
    provenance = facts.get("provenance", {})
    return _without(config, {*provenance.get("unknown", _BEFORE), *NEVER})


def _without(values: Mapping[str, Any], paths: Collection[str], prefix: str = "") -> dict[str, Any]:
    return {
        name: _without(value, paths, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        for name, value in values.items()
        if f"{prefix}{name}" not in paths
    }
