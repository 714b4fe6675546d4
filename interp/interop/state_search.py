"""Where the weights are in what a file holds: one state dict, or several by step, under any of the usual names and nested."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from interp.errors import DataError
from interp.interop.content import State
from interp.interop.flat_states import alike, as_state, is_list, step_beside, step_number, weights_in

# Names of a model: the first one that holds one is taken.
FINAL = (
    "model", "state_dict", "model_state_dict", "model_state", "model_states", "net", "network", "params", "weights",
    "model_weights", "variables", "parameters", "module", "transformer",
)  # fmt: skip
# Losses that are taken once an epoch: a list of models that is as long has one for each epoch.
_LOSSES = ("train_losses", "train_loss", "losses", "loss_history")
# Names of the steps of a list of models.
_LISTS = ("epochs", "steps", "checkpoint_epochs", "checkpoint_steps", "iterations", "saved_epochs", "saved_steps", "save_epochs")
_KEY = re.compile(r"(?:(?:global_)?step|epoch|iter|iteration|ckpt|checkpoint|model|state)?[_\-= ]?(-?\d{1,30})", re.IGNORECASE)
_LEVELS = 8


@dataclass(frozen=True)
class Found:
    """State dicts of a file.

    Attributes:
        states: with their steps, ascending where they have any.
        where: how they are reached, such as ``trainer.net``; empty if the file is the state dict.
        around: the containers on the way, from the outside; what else they hold belongs to these states.
        notes: what was inferred.
        by: the names of the entries beside them that tell their steps.
    """

    states: tuple[tuple[int | None, State], ...]
    where: str
    around: tuple[Mapping[str, object], ...] = ()
    notes: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


def find_states(content: object) -> Found | None:
    """The state dicts in what a file holds; None if there are none.

    Raises:
        DataError: if there are several that could be meant, or a step is wrong.
    """
    return _Search().find(content, ())


@dataclass
class _Search:
    """Looks at each container once, whatever the number of places where it stands."""

    seen: dict[int, Found | None] = field(default_factory=dict)

    def find(self, content: object, path: tuple[str, ...]) -> Found | None:
        if not isinstance(content, Mapping | list | tuple) or len(path) > _LEVELS:
            return None
        if id(content) not in self.seen:
            self.seen[id(content)] = None
            found = self._in_mapping(content, path) if isinstance(content, Mapping) else self._in_list(content, path)
            self.seen[id(content)] = found
        return self.seen[id(content)]

    def _in_mapping(self, content: Mapping[str, object], path: tuple[str, ...]) -> Found | None:
        if (by_step := self._by_step(content, path)) is not None:
            return by_step
        weights = weights_in(content)
        listed = [self.find(value, (*path, name)) for name, value in weights.items() if is_list(value) or _is_numbered(value)]
        if series := [found for found in listed if found is not None and len(found.states) > 1]:
            return _around(content, _only(series))
        for name in FINAL:
            inner = content.get(name)
            if isinstance(inner, Mapping) and len(inner) and all(isinstance(value, Tensor) for value in inner.values()):
                plain = {str(key): value for key, value in inner.items()}
                return _around(content, Found(((None, plain),), ".".join((*path, name))))
            if isinstance(inner, Mapping) and (found := self.find(inner, (*path, name))) is not None:
                return _around(content, found)
        return self._state(content, weights, path)

    def _state(self, content: Mapping[str, object], weights: Mapping[str, object], path: tuple[str, ...]) -> Found | None:
        """A container that is a state dict but for what stands beside it, or has one under a name of its own."""
        nested = {name: state for name, value in weights.items() if (state := as_state(value)) is not None}
        flat = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
        if not flat and len(nested) > 1 and len({frozenset(state) for state in nested.values()}) == 1:
            raise _several([".".join((*path, name)) for name in nested])
        if not flat and len(nested) == 1:
            name, state = next(iter(nested.items()))
            return _around(content, Found(((None, state),), ".".join((*path, name))))
        if (whole := as_state({name: value for name, value in weights.items() if name in flat or name in nested})) is not None:
            return _around(content, Found(((None, whole),), ".".join(path)))
        inner = [found for name, value in weights.items() if (found := self.find(value, (*path, name))) is not None]
        return _around(content, _only(inner)) if inner else None

    def _by_step(self, content: Mapping[str, object], path: tuple[str, ...]) -> Found | None:
        """A table of states whose keys are steps."""
        if not content or not _is_numbered(content):
            return None
        entries = [self.find(value, (*path, str(key))) for key, value in content.items()]
        kept = [entry for entry in entries if entry is not None and len(entry.states) == 1]
        if len(kept) < len(entries) or not alike([entry.states[0][1] for entry in kept]):
            return None
        steps = [step_number(_number_in(key), ".".join(path) or "steps") for key in content]
        states = sorted(zip(steps, [entry.states[0][1] for entry in kept], strict=True), key=lambda state: state[0])
        return Found(tuple(states), ".".join(path))

    def _in_list(self, content: Sequence[object], path: tuple[str, ...]) -> Found | None:
        """A list of states, of containers with one each, or of pairs (step, state)."""
        kept = [self._entry(value, path) for value in content]
        found = [entry for entry in kept if entry is not None and len(entry.states) == 1]
        if not found or len(found) < len(content) or not alike([entry.states[0][1] for entry in found]):
            return None
        return Found(tuple(entry.states[0] for entry in found), ".".join(path), found[-1].around)

    def _entry(self, value: object, path: tuple[str, ...]) -> Found | None:
        if is_list(value) and len(value) == 2 and isinstance(value[0], int | float | str):
            found = self.find(value[1], path)
            return found and replace(
                found, states=tuple((step_number(_number_in(value[0]), "step"), state) for _, state in found.states)
            )
        return self.find(value, path)


def _around(content: Mapping[str, object], found: Found) -> Found:
    """The same with what its container says: the step of one state, the steps of several."""
    found = replace(found, around=(content, *found.around))
    if any(step is not None for step, _ in found.states):
        return found
    if len(found.states) == 1:
        return _with_steps(found, [step_beside(content)[0]])
    name = found.where.rpartition(".")[2]
    for listed in (*(f"{stem}_{kind}" for stem in (name, name.removesuffix("s")) for kind in ("epochs", "steps")), *_LISTS):
        value = content.get(listed)
        values = value.tolist() if isinstance(value, Tensor) and value.ndim == 1 else value
        if is_list(values) and len(values) == len(found.states):
            return _with_steps(replace(found, by=(listed,)), [step_number(step, listed) for step in values])
    losses = [value for value in (content.get(name) for name in _LOSSES) if is_list(value)]
    if any(len(values) == len(found.states) for values in losses):
        note = f"{found.where}: {len(found.states)} models and as many losses: their places were taken as steps, from 0"
        return _with_steps(replace(found, notes=(*found.notes, note)), [*range(len(found.states))])
    return found


def _with_steps(found: Found, steps: Sequence[int | None]) -> Found:
    return replace(found, states=tuple((step, state) for step, (_, state) in zip(steps, found.states, strict=True)))


def _only(found: Sequence[Found]) -> Found:
    if len(found) > 1:
        raise _several([one.where for one in found])
    return found[0]


def _several(places: Sequence[str]) -> DataError:
    shown = ", ".join(map(repr, places[:10])) + (", ..." if len(places) > 10 else "")
    return DataError(f"{len(places)} models are found in it, under {shown}; say which with --within NAME (known.within)")


def _is_numbered(content: object) -> bool:
    return isinstance(content, Mapping) and all(
        isinstance(name, int | float) or (isinstance(name, str) and _KEY.fullmatch(name) is not None) for name in content
    )


def _number_in(name: object) -> object:
    match = _KEY.fullmatch(name) if isinstance(name, str) else None
    return name if match is None else int(match[1])
