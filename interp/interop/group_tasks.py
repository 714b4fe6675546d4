"""What a model of the group-representation code has learned, and on which pairs: said by cfg.json or caller, or told by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interp.errors import DataError, UsageError
from interp.interop.group_models import groups_of_order
from interp.interop.guess import Guess
from interp.interop.held_network import Held, HeldTask
from interp.interop.known import UnknownFactError
from interp.interop.stored_sizes import whole_number
from interp.interop.working import performance
from interp.networks.one_layer import Weights
from interp.tasks.published_groups import published_task
from interp.tasks.splits import Split, SplitConfig


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
        task = published_task(group, equals_sign=equals_sign)
        if task.p != n:
            raise UsageError(
                f"group: given {group}, which has {task.p} elements, but the tensors have {n}, as "
                f"{' or '.join(groups_of_order(n))} has"
            )
        return task, []
    tried = {name: published_task(name, equals_sign=equals_sign) for name in groups_of_order(n)}
    how = {name: performance(model, task, None, step=0).working for name, task in tried.items()}
    best, *others = sorted(how, key=lambda name: -how[name].excess)
    if how[best].is_mostly_right and all(how[best].is_far_better_than(how[other]) for other in others):
        why = f"not stored ({untold}), and the model is right for {how[best].accuracy:.1%} of its products"
        return tried[best], [Guess("group", best, why, {"group": others[0] if others else best})]
    raise UnknownFactError(
        f"group: it is not stored ({untold}), and the model gives the products of none of {', '.join(how)}, "
        f"which have {n} elements",
        {"group": best},
    )


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
