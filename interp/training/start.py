"""Start: where a run begins.

A run begins from a seed, or from the state of a training. This is the place for other beginnings, such as a step of another run
(whose kept moments are such a state) or the weights in a file: each is one more frozen value here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import UsageError, unknown

# What in an engine's state is not a moment: the norm that is kept to, and the signs with which neurons are taken.
_NO_MOMENTS = {"engine.norm", "engine.flipped"}


@dataclass(frozen=True)
class FromSeed:
    """Begin with the initial weights of the config.

    Args:
        seed: of the weights, in place of the config's; None for the config's.
    """

    seed: int | None = None


@dataclass(frozen=True, eq=False)
class FromState:
    """Begin with the state of a training of the same shape, at its step.

    Args:
        tensors: what `Training.state` gave, such as ``run.moments(500)``.
        moments: of the optimizer: ``kept``, which continues that training exactly if nothing else is changed, or ``fresh``,
            as before a first update (a warm-up begins anew).

    Raises:
        UsageError: if the tensors are not such a state.
    """

    tensors: Mapping[str, Tensor]
    moments: Literal["kept", "fresh"] = "kept"

    def __post_init__(self) -> None:
        if self.moments not in ("kept", "fresh"):
            raise unknown("moments", self.moments, ("kept", "fresh"))
        if missing := sorted({"index", "evaluations", "flat"} - self.tensors.keys()):
            raise UsageError(f"FromState: given a state without {', '.join(missing)}, expected what Training.state() returns")

    def state(self) -> dict[str, Tensor]:
        """The state to begin with."""
        if self.moments == "kept":
            return dict(self.tensors)
        return {
            name: torch.zeros_like(tensor) if name.startswith("engine.") and name not in _NO_MOMENTS else tensor
            for name, tensor in self.tensors.items()
        }

    def facts(self) -> dict[str, Any]:
        """Which state it is, as JSON values: its step and hash, and what becomes of the moments."""
        found = hashlib.sha256()
        for name in sorted(self.tensors):
            array = self.tensors[name].detach().cpu().numpy()
            found.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        return {"from": "state", "step": int(self.tensors["index"]), "sha256": found.hexdigest(), "moments": self.moments}


Start = FromSeed | FromState
SEEDED = FromSeed()  # where a run begins by default
