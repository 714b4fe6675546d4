"""Controls of a patch: as large a change in a random direction, at the same angle; and the same neurons in another order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from interp.interventions.parts import NEURON_AXIS


def turned(mine: Float[Tensor, " n"], theirs: Float[Tensor, " n"], generator: Generator) -> Float[Tensor, " n"]:
    """Something random of the norm of `theirs`, at the same angle to `mine`.

    ``|d| (cos t r + sin t u)``: r is the direction of `mine`, t the angle between both, u a random direction orthogonal to r.
    """
    drawn = torch.randn(mine.shape, generator=generator, dtype=torch.float64).to(mine)
    r = mine / mine.norm().clamp(min=torch.finfo(mine.dtype).tiny)
    drawn -= (drawn @ r) * r
    along = theirs @ r
    across = (theirs - along * r).norm()
    return along * r + across * drawn / drawn.norm().clamp(min=torch.finfo(mine.dtype).tiny)


def random_direction(mine: Mapping[str, Tensor], patched: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """The patched tensors with the entries that were changed turned into a random direction, tensor by tensor."""
    found = dict(mine)
    for name, tensor in patched.items():
        changed = tensor != mine[name]
        if not bool(changed.any()):
            continue
        found[name] = mine[name].clone()
        found[name][changed] = turned(mine[name][changed], tensor[changed], generator)
    return found


def permuted_neurons(mine: Mapping[str, Tensor], patched: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor] | None:
    """The patched tensors with the neurons that were put there in an order of its own in each; the others stay.

    None for a patch without neurons, or with a single one, whose only order is the patch itself.
    """
    found, any_of_them = dict(patched), False
    for name, axis in NEURON_AXIS.items():
        if name not in patched:
            continue
        changed = (patched[name] != mine[name]).movedim(axis, 0).reshape(patched[name].shape[axis], -1)
        given = changed.any(dim=1).nonzero().flatten()
        if len(given) > 1:
            order = given[torch.randperm(len(given), generator=generator)]
            found[name] = patched[name].index_copy(axis, given, patched[name].index_select(axis, order))
            any_of_them = True
    return found if any_of_them else None
