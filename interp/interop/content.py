"""Taking a file's content apart: state dicts with their epochs, configuration, losses, split; everything else is listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import TypeGuard

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from interp.errors import DataError
from interp.interop.stored_losses import Placed, clues, loss_lists, number, place
from interp.interop.untrusted import stored_attributes
from interp.networks.tensor_layout import describe

# Where a series of state dicts and its epochs are stored: the names in the official code, then those in TransformerLens' demo.
_SERIES = {"state_dicts": "epochs", "checkpoints": "checkpoint_epochs"}
_FINAL = ("model", "state_dict", "model_state_dict")
_SPLITS = (("train_indices", "test_indices"), ("train_data", "test_data"))
_READ = {*_SERIES, *_SERIES.values(), *_FINAL, *(name for names in _SPLITS for name in names)}
_READ |= {"config", "epoch", "train_losses", "test_losses", "train_loss", "test_loss", "optimizer"}

State = Mapping[str, object]


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        states: state dicts with their epochs, ascending; or a single one without an epoch.
        config: the fields of its configuration; empty if it has none.
        rest: everything else, by name.
        notes: what was left out, or placed by inference, in words.
    """

    states: tuple[tuple[int | None, State], ...]
    config: Mapping[str, object]
    rest: Mapping[str, object]
    notes: tuple[str, ...] = ()

    def losses(self, which: str) -> dict[int, float]:
        """The ``train`` or ``test`` losses by epoch; empty if there are none, or if the file does not tell their epochs."""
        return self.placed(which).by_epoch

    def losses_note(self, which: str) -> str | None:
        """How the epochs of the losses were found, or that they were not, if that was necessary."""
        return self.placed(which).note

    def placed(self, which: str) -> Placed:
        """The ``train`` or ``test`` losses, at the epochs that the file names; see `interp.interop.stored_losses`."""
        return place(self.rest, which, clues(self.rest, self.config, [epoch for epoch, _ in self.states]))

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

    def split(self, p: int) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " test"]] | None:
        """Stored train and test pairs as indices a * p + b, if both are stored."""
        for train, test in _SPLITS:
            if train in self.rest and test in self.rest:
                return _indices(self.rest[train], p, train), _indices(self.rest[test], p, test)
        return None

    def optimizer(self) -> Mapping[str, object]:
        """The settings in the optimizer's state (lr, weight_decay, beta1, beta2, eps ...); empty if there is none."""
        state = self.rest.get("optimizer")
        groups = state.get("param_groups") if isinstance(state, Mapping) else None
        group = groups[0] if _is_list(groups) and groups and isinstance(groups[0], Mapping) else {}
        betas = group.get("betas")
        pair = dict(zip(("beta1", "beta2"), betas, strict=False)) if _is_list(betas) else {}
        return stored_attributes({**group, **pair})


def take_apart(content: object) -> Content:
    """The parts of what `read_untrusted` returned.

    Raises:
        DataError: if it contains no state dict, or if a series and its epochs do not match.
    """
    if is_state(content):
        return Content(states=((None, content),), config={}, rest={})
    if not isinstance(content, Mapping):
        raise DataError(f"given a {type(content).__name__}, expected a state dict, or a dict that holds one")
    final = next((content[name] for name in _FINAL if is_state(content.get(name))), None)
    series = next(((content[a], content.get(b), a, b) for a, b in _SERIES.items() if a in content), None)
    if final is None and series is None:
        raise DataError(
            f"given a dict of {', '.join(map(repr, [*content][:20]))}; expected a state dict, "
            f"or one under {' or '.join(map(repr, _FINAL))}, or several under {' or '.join(map(repr, _SERIES))}"
        )
    states = _read_series(*series) if series else []
    notes: list[str] = []
    epoch = integer(content["epoch"], "epoch") if content.get("epoch") is not None else None
    if final is not None:
        notes += _add_final(states, final, epoch)
    rest = {str(name): value for name, value in content.items()}
    losses = {name.partition("/")[0] for which in ("train", "test") for name in loss_lists(rest, which)}
    if unread := [name for name in rest if name not in _READ | losses]:
        notes.append(f"not read from the file: {', '.join(sorted(unread))}")
    return Content(states=tuple(states), config=stored_attributes(content.get("config")), rest=rest, notes=tuple(notes))


def is_state(value: object) -> TypeGuard[State]:
    """Whether this is a state dict: names of tensors, and nothing else."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def _read_series(states: object, epochs: object, name: str, epochs_name: str) -> list[tuple[int | None, State]]:
    found = [state for state in states if is_state(state)] if _is_list(states) else []
    if not found or not _is_list(states) or len(found) < len(states):
        raise DataError(f"{name}: given {describe(states)}, expected a list of state dicts")
    steps = [integer(epoch, epochs_name) for epoch in _listed(epochs, epochs_name)]
    if len(steps) != len(found):
        raise DataError(f"{epochs_name}: given {len(steps)} epochs for {len(found)} state dicts, expected one for each")
    for before, after in pairwise(steps):
        if after <= before:
            raise DataError(f"{epochs_name}: given {after} after {before}, expected ascending epochs")
    if len(found) > 1 and _storage(found[0]) == _storage(found[-1]):
        raise DataError(
            f"{name}: all {len(found)} state dicts are one and the same tensors (they were stored without being copied), "
            "so that only the last exists; import that one alone from a file of its own"
        )
    return list(zip(steps, found, strict=True))


def _add_final(states: list[tuple[int | None, State]], final: State, epoch: int | None) -> list[str]:
    """Append the final model to the series, if it is not there already and its epoch is known."""
    if not states:
        states.append((epoch, final))
        return []
    last, state = states[-1]
    same = final.keys() == state.keys() and all(_equal(final[name], state[name]) for name in final)
    if same:
        return []
    if epoch is None or last is None or epoch <= last:
        return [f"the final model is none of the checkpoints and has no later epoch of its own (given {epoch}): it was left out"]
    states.append((epoch, final))
    return []


def _equal(one: object, other: object) -> bool:
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape and bool((one == other).all())


def _storage(state: State) -> list[int]:
    return [tensor.untyped_storage().data_ptr() for tensor in state.values() if isinstance(tensor, Tensor)]


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _listed(value: object, name: str) -> Iterable[object]:
    if isinstance(value, Tensor) and value.ndim == 1:
        return value.tolist()
    if not isinstance(value, list | tuple):
        raise DataError(f"{name}: given {describe(value)}, expected a list with the epoch of each state dict")
    return value


def integer(value: object, name: str) -> int:
    """A stored number as an integer >= 0.

    Raises:
        DataError: if it is something else.
    """
    found = number(value, name)
    if not isfinite(found) or found != int(found) or found < 0:
        raise DataError(f"{name}: given {found}, expected an integer >= 0")
    return int(found)


def _indices(value: object, p: int, name: str) -> Int64[np.ndarray, " pair"]:
    """Pair indices from a list or tensor of indices, or of (a, b) or (a, b, =) rows."""
    try:
        found = np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{name}: given {describe(value)}, expected indices or pairs ({error})") from error
    if found.dtype.kind not in "iu" or found.ndim not in (1, 2) or (found.ndim == 2 and found.shape[1] not in (2, 3)):
        raise DataError(f"{name}: given an array {found.shape} of {found.dtype}, expected indices (n,) or pairs (n, 2)")
    found = found.astype(np.int64)
    return found if found.ndim == 1 else found[:, 0] * p + found[:, 1]
