"""Start: where a run begins. From a seed, from the state of a training, or from given weights: each is one frozen value here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from interp.config.changes import Change
from interp.errors import UsageError, unknown
from interp.networks.network import Network

# What in an engine's state is not a moment: the norm that is kept to, and the signs with which neurons are taken.
_NO_MOMENTS = {"engine.norm", "engine.flipped"}
_ENGINE = "engine."


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
        lineage: what else the run says of where it begins, as JSON values.

    Raises:
        UsageError: if the tensors are not such a state.
    """

    tensors: Mapping[str, Tensor]
    moments: Literal["kept", "fresh"] = "kept"
    lineage: Mapping[str, Any] = field(default_factory=dict)

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
        step = int(self.tensors["index"])
        own = {"from": "state", "step": step, "sha256": _digest(self.tensors), "moments": self.moments}
        return {**own, **self.lineage}


def begun_at_phases(schedule: Sequence[Change], tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """When the changes that wait for a phase began in the training of a state, by their number, as JSON has it."""
    waiting = {number for number, change in enumerate(schedule) if isinstance(change.start, str)}
    found = enumerate(tensors["changes.began"].tolist() if waiting and "changes.began" in tensors else ())
    return {str(number): step for number, step in found if number in waiting and step >= 0}


@dataclass(frozen=True, eq=False)
class FromWeights:
    """Begin with given weights, and with an optimizer as before a first update.

    Args:
        weights: of the shape that the config says, such as ``run[500].weights`` or ``interp.load_weights("model.pth")``.
        step: the step that they are.
        evaluations: (step, sum of squared weights, test accuracy) at the evaluations until then, by which it is told whether the
            run has settled.
        lineage: what else the run says of where it begins, as JSON values.
        mask: by tensor, which weights there are; the others are set to 0 after every update.
        moments: of the optimizer, taken from elsewhere: `moments_in` the state of a training of the same shape; fresh by default.
    """

    weights: Network
    step: int = 0
    evaluations: tuple[tuple[float, float, float], ...] = ()
    lineage: Mapping[str, Any] = field(default_factory=dict)
    mask: Mapping[str, Tensor] | None = None
    moments: Mapping[str, Tensor] | None = None

    def facts(self) -> dict[str, Any]:
        """Which weights they are, as JSON values: their step and hash, and those of the moments if they have some."""
        taken = "elsewhere" if self.moments else "fresh"
        own = {"from": "weights", "step": self.step, "sha256": _digest(self.weights.tensors()), "moments": taken}
        apart = {"mask": self.mask, "moments_sha256": self.moments}
        return {**own, **{name: _digest(tensors) for name, tensors in apart.items() if tensors}, **self.lineage}


def moments_in(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The optimizer's moments and its number of updates in the state of a training, such as ``run.moments(500)``, by name."""
    return {
        name.removeprefix(_ENGINE): tensor
        for name, tensor in state.items()
        if name.startswith(_ENGINE) and name not in _NO_MOMENTS
    }


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash of tensors with their names, types and shapes."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().numpy()
        found.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


Start = FromSeed | FromState | FromWeights
SEEDED = FromSeed()  # where a run begins by default
