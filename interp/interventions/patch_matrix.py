"""What of each checkpoint already works in each other: parts of every step put into every step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from interp.cores import check_threads, side_by_side
from interp.errors import UsageError
from interp.interventions.activation_patching import is_hook
from interp.interventions.parts import check_clusters, check_parts
from interp.interventions.patching import as_precise, giver_of, like, put_all
from interp.interventions.scoring import scorer
from interp.observing.streaming import evenly
from interp.store.run import RunLike, as_run
from interp.wording import listed

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger("interp")

MOST_STEPS = 40  # of a matrix, unless they are named


def patch_matrix(
    run: RunLike,
    *,
    parts: Sequence[str],
    steps: Sequence[int] | None = None,
    donor: RunLike | None = None,
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Test loss (nats) and test accuracy with parts of every step in every other, over ``into`` and ``from_``.

    The diagonal of a run with itself is the run (where changes took pairs out or added some: on the test pairs of its last step).
    Where a row is high far right of the diagonal, all but the parts already works
    at its step; where a column is high far from it, its parts do.

    Args:
        run: whose checkpoints are patched.
        parts: as for `patch`, but hook points.
        steps: at most 40 of the saved steps, evenly chosen, by default.
        donor: the run that gives, if it is another; those of its checkpoints that are nearest to these steps
            are taken, each once.
        threads: patches that are tried at once; all cores that this process may use by default.
        on_step: called with (patches done, patches in all).

    Raises:
        UsageError: as `patch`.
    """
    import xarray as xr

    run = as_run(run)
    giver = giver_of(run, donor)
    if hook := next((part for part in parts if is_hook(part)), None) if not isinstance(parts, str) else None:
        raise UsageError(f"parts: given {hook!r}, a hook point, expected tensors and groups of them; `interp.patch` takes both")
    chosen = evenly(run.steps, MOST_STEPS) if steps is None else list(dict.fromkeys(steps))
    if not chosen:
        raise UsageError("steps: given none, expected saved steps")
    taken = [run[step].weights for step in chosen]
    columns = chosen if giver is run else list(dict.fromkeys(giver.nearest(step).step for step in chosen))
    if columns != chosen:
        log.warning("donor %s has not all of these steps: the nearest that it has are taken, %s", giver.name, listed(columns))
    given = taken if giver is run else [as_precise(giver[step].weights, taken[0]) for step in columns]
    check_parts(parts, taken[0], run.task)
    check_clusters(parts, reversed(given), run.task)  # late ones first, which have them
    cells = [(i, j) for i in range(len(taken)) for j in range(len(given))]
    score = scorer(run, taken[0], networks=len(cells))
    found = np.zeros((2, len(taken), len(given)))

    def one(cell: tuple[int, int]) -> tuple[float, float]:
        i, j = cell
        return score(like(taken[i], put_all(parts, given[j], taken[i], run.task)))

    for done, (cell, values) in enumerate(
        zip(cells, side_by_side(one, cells, threads=check_threads(threads)), strict=True), start=1
    ):
        found[:, cell[0], cell[1]] = values
        if on_step is not None:
            on_step(done, len(cells))
    coordinates = {"into": chosen, "from_": columns}
    names = ("test_loss", "test_accuracy")
    whose = giver.name if giver is run or giver.name != run.name else str(giver.path)
    attributes = {"run": run.name, "donor": whose, "parts": " + ".join(parts)}
    return xr.Dataset({n: (("into", "from_"), v) for n, v in zip(names, found, strict=True)}, coordinates, attributes)
