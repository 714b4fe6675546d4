"""What was made of a file: format and reason, tensor by tensor, what was guessed, and how well the model then works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

from torch import Tensor

from interp.errors import DataError
from interp.interop.content import State
from interp.interop.guess import Guess
from interp.interop.held_network import Held, HeldTask
from interp.interop.opened import Opened
from interp.interop.untrusted import stored_attributes
from interp.interop.working import Performance, Working, performance, working
from interp.networks.one_layer import Weights
from interp.networks.tensor_layout import describe
from interp.tasks.modular import ModularTask, Operation
from interp.tasks.splits import Split

_MANY = 64  # tries; a model has nine matrices
_AS_LARGE = 1.5  # of two losses; one published is from some updates before or after


@dataclass(frozen=True, eq=False)
class Account:
    """What was made of a file.

    Attributes:
        why: why it was taken for its format.
        tensors: their name -> our name and the axes of theirs.
        ignored: their names of tensors that were not read, with their shapes: masks, constants, what a map drops.
        dropped: those of them that a map drops.
        config: the configuration that was found.
        guesses: what was guessed.
        performance: loss and accuracy of the last model.
        warnings: what is wrong with it, in words.
    """

    why: str
    tensors: Mapping[str, str]
    ignored: Mapping[str, str]
    dropped: tuple[str, ...]
    config: Mapping[str, object]
    guesses: tuple[Guess, ...]
    performance: Performance
    warnings: tuple[str, ...]

    def notes(self) -> list[str]:
        """How the tensors were read, what was dropped, and how well the model works, in words."""
        told = [f"{guess.what}: {guess.value} ({guess.why})" for guess in self.guesses if guess.what in _TOLD]
        if self.dropped:
            told.append(f"dropped, as the map says: {', '.join(f'{name} ({self.ignored[name]})' for name in self.dropped)}")
        return [*told, *self.result()]

    def result(self) -> list[str]:
        """How well the last model works, with the warnings, in words."""
        return [f"the {self.performance.of}: {self.performance}", *self.warnings]


# Guesses that only the reading of names makes; the others have notes of their own.
_TOLD = ("tensors", "axes", "orientation", "unembedding", "positions")


def account_of(
    opened: Opened,
    weights: Held,
    task: HeldTask,
    *,
    split: Split | None,
    step: int | None,
    logged_loss: float | None = None,
    guesses: Sequence[Guess] = (),
) -> Account:
    """The account of a file whose last model and task are known.

    Args:
        logged_loss: the training loss of the last model in a log; a stored one comes first.
    """
    state, layout = opened.content.states[-1][1], opened.layout
    how = performance(weights, task, split, step=step)
    turns = isinstance(weights, Weights) and isinstance(task, ModularTask)
    tensors = {name: f"{ours} ({axes})" for name, (ours, axes) in layout.tensors.items() if name in state or ".*." in name}
    tensors |= {f"{name} (again)": f"{ours} ({axes})" for name, (ours, axes) in layout.tied.items() if name in state}
    return Account(
        why=opened.why,
        tensors=tensors,
        ignored={name: describe(state[name]) for name in sorted((layout.masks | layout.constants) & state.keys())},
        dropped=opened.dropped,
        config=stored_attributes(opened.config),
        guesses=(*opened.guesses, *guesses),
        performance=how,
        warnings=tuple(_warnings(opened, state, how, opened.content.final_loss("train") or logged_loss, turns=turns)),
    )


def _warnings(opened: Opened, state: State, found: Performance, published: float | None, *, turns: bool) -> Iterator[str]:
    """A model that is right no more often than by chance, or too seldom for one that was trained: perhaps it was not, perhaps a
    matrix is the wrong way round."""
    how = found.working
    if how.is_near_chance:
        yield (
            f"WARNING: the model is right for {how.accuracy:.2%} of the pairs, and a constant answer would be for "
            f"{how.chance:.2%}: it has not learned {how.operation}, or a tensor is not what it was taken for, or the other way "
            "round"
        )
    elif found.is_too_seldom_right and not _explained(found, published):
        of, right = ("all pairs", how.accuracy) if found.train is None else ("its training pairs", found.train[1])
        fewer = ", or it was trained on no more of them" if found.train is None else ", or these are not its training pairs"
        yield (
            f"WARNING: the model is right for {right:.2%} of {of}, far more than by chance and fewer than a trained model: "
            f"its training was stopped early{fewer}, or a fact that was assumed (activation, heads, operation) is another, or a "
            "tensor is not what it was taken for"
        )
    else:
        return
    square = [name for name in opened.layout.tensors if _is_square(state.get(name))]
    if square and turns:
        yield f"square, so that no shape tells their orientation: {', '.join(square)}{_turned(opened, state, square, how)}"


def _explained(found: Performance, published: float | None) -> bool:
    """Whether the training loss that was published with a model is as large as the one that it has here."""
    measured = found.loss if found.train is None else found.train[0]
    return published is not None and measured <= _AS_LARGE * published


def _turned(opened: Opened, state: State, square: Sequence[str], how: Working) -> str:
    """Which transposition makes the model work far better, if one does: of one tensor, of two, or of all."""
    sets = chain(
        ([name] for name in square), ([one, other] for i, one in enumerate(square) for other in square[i + 1 :]), [[*square]]
    )
    tried = [
        (names, better) for names, _ in zip(sets, range(_MANY), strict=False) if (better := _with(opened, state, names, how))
    ]
    if not tried:
        return "; transposing one, two or all of them makes no difference that matters"
    names, better = max(tried, key=lambda pair: (pair[1].excess, -len(pair[0])))
    return f"; with {' and '.join(names)} transposed it would be right for {better.accuracy:.2%} of the pairs"


def _with(opened: Opened, state: State, names: Sequence[str], how: Working) -> Working | None:
    turned = {name: value.mT for name in names if isinstance(value := state[name], Tensor)}
    try:
        model = opened.read({**state, **turned})
        found = working(cast(Weights, model), [cast(Operation, how.operation)])
    except DataError:
        return None
    return found if found.is_far_better_than(how) else None


def _is_square(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim >= 2 and value.shape[-1] == value.shape[-2] > 1
