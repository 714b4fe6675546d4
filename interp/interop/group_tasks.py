"""What a model of the group-representation code has learned, and on which pairs: said by cfg.json or caller, or told by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interp.errors import DataError, UsageError
from interp.groups.published_orders import PERMUTED
from interp.interop.group_models import groups_of_order
from interp.interop.guess import Guess
from interp.interop.held_network import Held, HeldTask
from interp.interop.known import UnknownFactError
from interp.interop.stored_sizes import whole_number
from interp.interop.working import performance
from interp.networks.one_layer import Weights
from interp.tasks.modular import ModularTask
from interp.tasks.named import task
from interp.tasks.published_groups import published_task
from interp.tasks.recognized import residues_of
from interp.tasks.splits import Split, SplitConfig

# A numbering in which a model is right for so much more of the pairs is the one that it was trained with.
_BETTER = 0.2


def group_task_of(model: Held, group: str | None, *, untold: str = "no cfg.json") -> tuple[HeldTask, list[Guess]]:
    """The task of a group, or of the one whose products a model gives far better than those of others with as many elements.

    Args:
        model: the last one of a run.
        group: its name, if cfg.json or the caller says it.
        untold: why no cfg.json says it.

    Raises:
        UsageError: for a group of another order.
        UnknownFactError: if none is given and the model does none far better.
    """
    n, equals_sign = elements(model), model.equals_sign if isinstance(model, Weights) else False
    if group is not None:
        named = published_task(group, equals_sign=equals_sign)
        if named.p != n:
            raise UsageError(
                f"group: given {group}, which has {named.p} elements, but the tensors have {n}, as "
                f"{' or '.join(groups_of_order(n))} has"
            )
        return named, []
    tried = {name: published_task(name, equals_sign=equals_sign) for name in groups_of_order(n)}
    how = {name: performance(model, one, None, step=0).working for name, one in tried.items()}
    best, *others = sorted(how, key=lambda name: -how[name].excess)
    if how[best].is_mostly_right and all(how[best].is_far_better_than(how[other]) for other in others):
        why = f"not stored ({untold}), and the model is right for {how[best].accuracy:.1%} of its products"
        return tried[best], [Guess("group", best, why, {"group": others[0] if others else best})]
    raise UnknownFactError(
        f"group: it is not stored ({untold}), and the model gives the products of none of {', '.join(how)}, "
        f"which have {n} elements",
        {"group": best},
    )


def task_by_our_name(model: Held, name: str, stored: object) -> HeldTask:
    """The task of a name in `interp.task`, with its numbering.

    Args:
        model: the last one of a run.
        name: such as ``S3``.
        stored: the operation or the group that the file names; None if it names none.

    Raises:
        UsageError: for a name of no task, or of one that the model cannot have learned, or that the file contradicts.
    """
    n, equals_sign = elements(model), model.equals_sign if isinstance(model, Weights) else False
    named = task(name, equals_sign=equals_sign)
    if stored is not None:
        raise UsageError(f"task: given {name!r}, but the file says {stored!r}; leave it out")
    if not named.is_binary_operation or named.left_out is not None or not named.p == named.classes == n:
        size = f"{named.p} elements and {named.classes} answers" if named.is_binary_operation else f"{named.n_pairs} inputs"
        holes = "" if named.left_out is None else f", of which {len(named.left_out)} pairs have no answer"
        raise UsageError(
            f"task: given {name!r}, with {size}{holes}, expected an answer, one of {n}, to every pair of {n} elements"
        )
    residues = residues_of(named)
    return named if residues is None else ModularTask(n, residues, equals_sign=equals_sign)


def numbering_notes(model: Held, group: str | None) -> list[str]:
    """That a model gives the products of the caller's group far better in the numbering of `interp.group`, in words."""
    if group not in PERMUTED:
        return []
    equals_sign = model.equals_sign if isinstance(model, Weights) else False
    tasks = (published_task(group, equals_sign=equals_sign), task(group, equals_sign=equals_sign))
    theirs, ours = (performance(model, one, None, step=0).working for one in tasks)
    if not ours.is_far_better_than(theirs) and not (ours.is_mostly_right and ours.accuracy > theirs.accuracy + _BETTER):
        return []
    return [
        f"WARNING: the model is right for {theirs.accuracy:.1%} of the products of {group} as the group-representation code "
        f"numbers its elements (--group {group}), and for {ours.accuracy:.1%} as they are numbered here: give --task {group} "
        "(known.task) in its place"
    ]


def elements(model: Held) -> int:
    """Number of elements that a model multiplies."""
    return model.p if isinstance(model, Weights) else len(model.tensors()["embed_a.W_E"])


def drawn_split(config: Mapping[str, object], n_pairs: int) -> SplitConfig | Split:
    """The split of a cfg.json: the first int(frac_train n^2) of ``torch.randperm(n^2)``, seeded.

    With seed 0 that code does not shuffle: the first int(frac_train n^2) pairs, in row-major order, which no rule draws.

    Raises:
        DataError: if its seed or fraction can be none.
    """
    seed, fraction = whole_number(config.get("seed")), config.get("frac_train")
    if not isinstance(fraction, float) or not 0 < fraction < 1 or seed is None or not 0 <= seed < 2**63:
        raise DataError(
            f"cfg.json: given seed {config.get('seed')!r} and frac_train {fraction!r}, expected an integer and a number in (0, 1)"
        )
    count = int(fraction * n_pairs)
    if seed:
        return SplitConfig("torch", seed, fraction)
    if not 0 < count < n_pairs:
        raise DataError(f"cfg.json: given frac_train {fraction}, which leaves {count} of {n_pairs} pairs to train on")
    return Split(train=np.arange(count), test=np.arange(count, n_pairs))
