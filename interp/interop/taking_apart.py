"""What a file holds as `Content`: states by step, their precision, configuration, and everything else by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard

from torch import Tensor

from interp.errors import DataError
from interp.interop.containers import limits
from interp.interop.containers.widening import short_precisions, widened
from interp.interop.content import Content, State
from interp.interop.flat_states import STEPS, is_list, step_beside, step_number, weights_in
from interp.interop.known import Known
from interp.interop.prefixes import common_prefix, without_prefix
from interp.interop.split_file import STORED_PAIRS
from interp.interop.state_search import FINAL, Found, find_states
from interp.interop.stored_losses import KINDS, curve_lists, is_single, stored_rows, unread_curves, with_curves
from interp.interop.stored_settings import CONFIGS, joined, loose_settings, stored_config
from interp.networks.tensor_layout import describe

# Where a series of state dicts and its epochs are stored: the names in the official code, then those in TransformerLens' demo.
_SERIES = {"state_dicts": "epochs", "checkpoints": "checkpoint_epochs"}
_READ = {*_SERIES, *_SERIES.values(), *FINAL, *STEPS, *CONFIGS}
# A list of pairs that does not fit is noted where the split is looked for.
_READ |= {*STORED_PAIRS}
_NOTHING = Known()
_SHOWN = 40  # names in a note, and letters of each


def take_apart(content: object, known: Known = _NOTHING) -> Content:
    """The parts of what `interp.interop.untrusted.read_untrusted` returned.

    Raises:
        DataError: if it contains no state dict, or several that could be meant, or if a series and its steps do not match.
    """
    found = _official_series(content) if not known.within else _within(content, known.within)
    found = find_states(content) if found is None and not known.within else found
    if found is None:
        raise _nothing_found(content)
    around, notes = found.around, list(found.notes)
    states = _checked(found, known)
    if len(states) > 1 or found.states[0][0] is not None:
        notes += _add_final(states, around[0] if around else {})
    return _content(tuple(states), found, around, notes)


def _content(
    states: Sequence[tuple[int | None, State]], found: Found, around: Sequence[Mapping[str, object]], notes: list[str]
) -> Content:
    config, renamed = stored_config(around)
    for container in around:
        weights = weights_in(container)
        config = joined(config, loose_settings({name: value for name, value in container.items() if name not in weights}))
    for name in states[-1][1]:
        limits.check("the name of a tensor", len(name), limits.TEXT, "letters")
    limits.check("a model", max(len(state) for _, state in states), limits.TENSORS, "tensors")
    prefix = common_prefix([name for _, state in states for name in state])
    short = short_precisions(state for _, state in states)
    if found.where and found.where not in (*_SERIES, "model"):
        notes.append(f"the model was read from {found.where!r}")
    if prefix:
        notes.append(f"the prefix {prefix!r} before every name was left out")
    if short:
        notes.append(f"stored in {' and '.join(short)}: widened to float32 as it was read")
    rest = with_curves({str(name): value for container in reversed(around) for name, value in container.items()})
    content = Content(
        states=tuple((step, widened(without_prefix(state, prefix))) for step, state in states),
        config=config,
        rest=rest,
        precision=short,
    )
    if unread := _unread(around[0], found, content) if around else []:
        notes.append(f"not read from the file: {_some(unread)}")
    more = [f"and {len(renamed) - _SHOWN} more fields"] if len(renamed) > _SHOWN else []
    return replace(content, notes=(*notes, *renamed[:_SHOWN], *more))


def _some(names: Sequence[str]) -> str:
    return ", ".join(name[:_SHOWN] for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _within(content: object, path: str) -> Found | None:
    """What is found at a path; the step that is named nearest to it."""
    inside, way = content, []
    for name in path.split("."):
        if not isinstance(inside, Mapping) or name not in inside:
            held = ", ".join(map(repr, [*inside][:20])) if isinstance(inside, Mapping) else type(inside).__name__
            raise DataError(f"within: given {path!r}, but there is no {name!r} in it; there are {held}")
        way.append(inside)
        inside = inside[name]
    found = find_states(inside)
    if found is None:
        return None
    told = next((step for container in reversed(way) if (step := step_beside(container)[0]) is not None), None)
    states = tuple((told if step is None and len(found.states) == 1 else step, state) for step, state in found.states)
    return replace(found, states=states, around=(*way, *found.around), where=f"{path}.{found.where}".rstrip("."))


def _unread(container: Mapping[str, object], found: Found, content: Content) -> list[str]:
    """The entries of a file that nothing was taken from."""
    state, rest = found.states[-1][1], content.rest
    taken = {found.where.partition(".")[0]} if found.where else {name for name in weights_in(container) if _is_part(name, state)}
    taken |= {str(name) for name, value in container.items() if loose_settings({str(name): value})}
    curves = {name.partition("/")[0] for which in ("train", "test") for kind in KINDS for name in curve_lists(rest, which, kind)}
    curves |= {name for name in rest if stored_rows({name: rest[name]})}
    curves |= {name for name in ("train_loss", "test_loss") if is_single(rest.get(name))}
    unread = {str(name) for name in container} - _READ - taken - curves
    unread -= {*found.by, *content.optimizers(), *content.placed_by()}
    return sorted(unread | {name for name in unread_curves(rest) if "/" in name})


def _is_part(name: str, state: State) -> bool:
    """Whether an entry of a file is a tensor of its model, or a table of such."""
    return name in state or any(tensor.startswith(f"{name}.") for tensor in state)


def _nothing_found(content: object) -> DataError:
    if not isinstance(content, Mapping):
        return DataError(f"given a {type(content).__name__}, expected a state dict, or a dict that holds one")
    return DataError(
        f"given a dict of {', '.join(repr(name)[:60] for name in [*content][:20])}; expected a state dict, or one under "
        f"{', '.join(map(repr, FINAL[:8]))} or the like, or several by step under {' or '.join(map(repr, _SERIES))}"
    )


def _official_series(content: object) -> Found | None:
    """A list of state dicts under one of the names that always have their epochs beside them."""
    if not isinstance(content, Mapping):
        return None
    name = next((name for name in _SERIES if name in content), None)
    if name is None or (name == "checkpoints" and not is_list(content[name])):
        return None
    values, epochs = content[name], content.get(_SERIES[name])
    states = [value for value in values if _is_flat(value)] if is_list(values) else []
    if epochs is None and find_states(content) is not None:
        return None
    if not states or not is_list(values) or len(states) < len(values):
        raise DataError(f"{name}: given {describe(values)}, expected a list of state dicts")
    steps = [step_number(epoch, _SERIES[name]) for epoch in _listed(epochs, _SERIES[name])]
    if len(steps) != len(states):
        raise DataError(f"{_SERIES[name]}: given {len(steps)} epochs for {len(states)} state dicts, expected one for each")
    for before, after in pairwise(steps):
        if after <= before:
            raise DataError(f"{_SERIES[name]}: given {after} after {before}, expected ascending epochs")
    return Found(tuple(zip(steps, states, strict=True)), name, (content,))


def _checked(found: Found, known: Known) -> list[tuple[int | None, State]]:
    """The states with the caller's steps, if there are any; each after the one before it, and of its own."""
    states = list(found.states)
    where = found.where or "the file"
    if known.steps:
        if len(known.steps) != len(states):
            raise DataError(f"steps: given {len(known.steps)} for {len(states)} models in {where}, expected one for each")
        states = [(step_number(step, "steps"), state) for step, (_, state) in zip(known.steps, states, strict=True)]
    steps = [step for step, _ in states]
    if len(states) > 1 and any(step is None for step in steps):
        raise DataError(
            f"{where}: {len(states)} models without their steps; give them, in their order, with --steps (known.steps)"
        )
    for before, after in pairwise(step for step in steps if step is not None):
        if after <= before:
            raise DataError(f"{where}: given step {after} after step {before}, expected ascending steps")
    if len(states) > 1 and _storage(states[0][1]) == _storage(states[-1][1]):
        raise DataError(
            f"{where}: all {len(states)} state dicts are one and the same tensors (they were stored without being copied), "
            "so that only the last exists; import that one alone from a file of its own"
        )
    return states


def _add_final(states: list[tuple[int | None, State]], container: Mapping[str, object]) -> list[str]:
    """Append the final model to the series, if it is not there already and its epoch is known."""
    final = next((state for name in FINAL if _is_flat(state := container.get(name))), None)
    last, state = states[-1]
    if final is None or final is state or len(states) < 2:
        return []
    if final.keys() == state.keys() and all(_equal(final[name], state[name]) for name in final):
        return []
    name = next((name for name in STEPS if container.get(name) is not None), None)
    epoch = None if name is None else step_number(container[name], name)
    if epoch is None or last is None or epoch <= last:
        return [f"the final model is none of the checkpoints and has no later epoch of its own (given {epoch}): it was left out"]
    states.append((epoch, final))
    return []


def _equal(one: object, other: object) -> bool:
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape and bool((one == other).all())


def _storage(state: State) -> list[int]:
    return [tensor.untyped_storage().data_ptr() for tensor in state.values() if isinstance(tensor, Tensor)]


def _is_flat(value: object) -> TypeGuard[State]:
    return isinstance(value, Mapping) and len(value) > 0 and all(isinstance(tensor, Tensor) for tensor in value.values())


def _listed(value: object, name: str) -> Iterable[object]:
    if isinstance(value, Tensor) and value.ndim == 1:
        return value.tolist()
    if not is_list(value):
        raise DataError(f"{name}: given {describe(value)}, expected a list with the epoch of each state dict")
    return value
