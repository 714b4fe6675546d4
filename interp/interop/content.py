"""The content of a file: state dicts with their epochs, configuration, losses, split; everything else by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeGuard

from interp.errors import DataError
from interp.interop.stored_losses import Placed, clues, number, place, place_shares
from interp.interop.untrusted import stored_attributes

# Under which names the state of an optimizer is stored: PyTorch's tutorials, Lightning's list, and shorter ones.
_OPTIMIZER = re.compile(r"(opt|optim|optimizer)s?(_?states?)?(_?dicts?)?", re.IGNORECASE)

State = Mapping[str, object]


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        states: state dicts with their epochs, ascending; or a single one without an epoch.
        config: the fields of its configuration; empty if it has none.
        rest: everything else, by name.
        notes: what was left out, or placed by inference, in words.
        precision: the stored precisions below float32, such as ``bfloat16``; the states are widened.
    """

    states: tuple[tuple[int | None, State], ...]
    config: Mapping[str, object]
    rest: Mapping[str, object]
    notes: tuple[str, ...] = ()
    precision: tuple[str, ...] = ()

    def losses(self, which: str) -> dict[int, float]:
        """The ``train`` or ``test`` losses by epoch; empty if there are none, or if the file does not tell their epochs."""
        return self.placed(which).by_epoch

    def losses_note(self, which: str) -> str | None:
        """How the epochs of the losses were found, or that they were not, if that was necessary."""
        return self.placed(which).note

    def accuracies(self, which: str) -> Placed:
        """The ``train`` or ``test`` accuracies as shares, at the epochs that the file names."""
        return place_shares(self.rest, which, clues(self.rest, self.config, [epoch for epoch, _ in self.states]))

    def placed(self, which: str) -> Placed:
        """The ``train`` or ``test`` losses, at the epochs that the file names; see `interp.interop.stored_losses`."""
        return place(self.rest, which, clues(self.rest, self.config, [epoch for epoch, _ in self.states]))

    def placed_by(self) -> set[str]:
        """The names of the lists of epochs at which losses and accuracies were placed."""
        return {placed.by for which in ("train", "test") for placed in (self.placed(which), self.accuracies(which))} - {""}

    def implied_step(self) -> tuple[int, str] | None:
        """The step of a single state without an epoch, from its losses, with a note; None if they do not tell.

        Losses of every update are one for each that was made; others were taken at epochs up to the last of theirs.
        """
        train = self.placed("train")
        if self.states[0][0] is not None or not train.epochs:
            return None
        if train.epochs == tuple(range(len(train.epochs))):
            return len(train.epochs), f"step {len(train.epochs)}: the file has so many training losses, one for each update"
        return train.epochs[-1], f"step {train.epochs[-1]}: the last epoch of its training losses; the file names no other"

    def carried_loss(self, which: str) -> float | None:
        """The last ``train`` or ``test`` loss, carried on to the update after the last training loss; None if it cannot be."""
        train = self.placed("train")
        return self.placed(which).carried(train.epochs[-1] + 1 if train.epochs else None)

    def final_loss(self, which: str) -> float | None:
        """The last ``train`` or ``test`` loss, if any is stored."""
        values, last = self.placed(which).values, self.rest.get(f"{which}_loss")
        if not values and last is None:
            return None
        found = values[-1] if values else number(last, f"{which}_loss")
        return found if isfinite(found) else None

    def optimizers(self) -> list[str]:
        """The names under which the state of an optimizer is stored, the most usual first."""
        found = [name for name, value in self.rest.items() if _OPTIMIZER.fullmatch(name) and _first_group(value)]
        return sorted(found, key=lambda name: (name != "optimizer", name))

    def optimizer(self) -> Mapping[str, object]:
        """The settings in the optimizer's state (lr, weight_decay, beta1, beta2, eps ...); empty if there is none."""
        group = next((group for value in map(self.rest.get, self.optimizers()) if (group := _first_group(value))), {})
        betas = group.get("betas")
        pair = dict(zip(("beta1", "beta2"), betas, strict=False)) if _is_list(betas) else {}
        return stored_attributes({**group, **pair})


def _first_group(value: object) -> Mapping[str, object]:
    """The settings of an optimizer's first group of parameters, or of that of the first of several; empty if there are none."""
    state = value[0] if _is_list(value) and value else value
    groups = state.get("param_groups") if isinstance(state, Mapping) else None
    return groups[0] if _is_list(groups) and groups and isinstance(groups[0], Mapping) else {}


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def integer(value: object, name: str) -> int:
    """A stored number as an integer >= 0.

    Raises:
        DataError: if it is something else.
    """
    found = number(value, name)
    if not isfinite(found) or found != int(found) or found < 0:
        raise DataError(f"{name}: given {found}, expected an integer >= 0")
    return int(found)
