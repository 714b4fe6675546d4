"""The activation of a model whose file does not name it: the one with which it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interp.interop.guess import Guess
from interp.interop.working import Working, working
from interp.networks.one_layer import Weights
from interp.networks.shapes import ACTIVATIONS, Activation

# A model that errs with one activation at most half as often as with another, by more than this share of the pairs, has that one.
_LEAST = 0.02
_GENERALIZED = 0.9


@dataclass(frozen=True)
class Likely:
    """The activation that a model is taken to have, with what is said of it."""

    activation: Activation
    notes: tuple[str, ...]
    guess: Guess


def likely_activation(make: Callable[[Activation], Weights]) -> Likely:
    """relu, unless the model is right far more often with another activation.

    Args:
        make: the model with an activation.
    """
    return chosen_activation({name: working(make(name)) for name in ACTIVATIONS})


def chosen_activation(found: Mapping[Activation, Working]) -> Likely:
    """The activation of a model, by how well it works with each, the usual one first."""
    first, *others = found
    best = max(others, key=lambda name: found[name].accuracy)
    taken, other = (best, first) if is_clearly_better(found[best], found[first]) else (first, best)
    odds = f"{found[taken].accuracy:.1%} of the pairs with it, for {found[other].accuracy:.1%} with {other}"
    change = {"activation": other}
    if taken == first:
        notes = (f"the activation is not stored: {first} was assumed", *_doubt(found))
        return Likely(taken, notes, Guess("activation", taken, "it is not stored", change))
    notes = (f"the activation is not stored: {taken} was taken, because the model is right for {odds}", *_doubt(found))
    return Likely(taken, notes, Guess("activation", taken, f"it is not stored, and the model is right for {odds}", change))


def is_clearly_better(one: Working, other: Working) -> bool:
    """Whether a model works, and errs at most half as often as another, by a difference that matters."""
    errs, other_errs = 1 - one.accuracy, 1 - other.accuracy
    return one.works and errs <= other_errs / 2 and other_errs - errs > _LEAST


def _doubt(found: Mapping[Activation, Working]) -> list[str]:
    """That a model works with none as one that has generalized does."""
    best = max(found.values(), key=lambda how: how.accuracy)
    if not best.works or best.accuracy >= _GENERALIZED:
        return []
    odds = ", ".join(f"{name}: {how.accuracy:.1%}" for name, how in found.items())
    return [
        f"WARNING: the activation is not stored, and the model is right for less than {_GENERALIZED:.0%} of all pairs with each "
        f"that can be held ({odds}): unless it has learned its training pairs only, its activation is another"
    ]
