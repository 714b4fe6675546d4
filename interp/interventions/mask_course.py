"""How much the masks of successive checkpoints have in common, beside what masks drawn at random would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from numbers import Real
from typing import TYPE_CHECKING

from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.interventions.masks import clustered, of_magnitude
from interp.store.run import RunLike, as_run

if TYPE_CHECKING:
    import pandas as pd

MAGNITUDE, CLUSTERS = "magnitude", "clusters"


def mask_overlap(run: RunLike, *, keep: float = 0.6, steps: Sequence[int] | None = None) -> pd.DataFrame:
    """Is the ticket found early? Jaccard's index of the masks of successive checkpoints, and of each with the last.

    A row for each step. Columns, for the masks of ``magnitude`` (the largest entries of each matrix) and, where answers have
    frequencies, of ``clusters`` (the neurons that follow a key frequency of their own step): the index of this mask with the one
    before, ``(by chance)`` that of two masks of the same sizes drawn at random, ``with last`` and ``with last (by chance)`` the
    same for the mask of the last step. NaN where there is none before, or neither mask has an entry.

    By chance: two of n and m of N entries have n m / N in common on average, so that the index is (n m / N) / (n + m - n m / N);
    of several matrices numerator and denominator are sums.

    Args:
        run: a run of one-layer transformers.
        keep: the share of each matrix that the mask of magnitude keeps.
        steps: saved steps, ascending; by default all of them.

    Raises:
        UsageError: for a step that was not saved, or a share not in (0, 1].

    >>> from dataclasses import replace
    >>> import tempfile, interp
    >>> config = replace(interp.recipe("demo"), steps=20, engine="reference")
    >>> run = interp.record(config, tempfile.mkdtemp(), "run", progress=False)
    >>> found = interp.mask_overlap(run, keep=0.5, steps=[0, 20])
    >>> bool(found["magnitude"][20] > found["magnitude (by chance)"][20])
    True
    """
    import pandas as pd

    if not isinstance(keep, Real) or not 0 < keep <= 1:
        raise UsageError(f"keep: given {keep!r}, expected a share in (0, 1]")
    run = as_run(run)
    if run.kind != "one-layer":
        raise UsageError(f"run {run.path} has networks of kind {run.kind!r}, expected one-layer transformers")
    chosen = list(run.steps) if steps is None else sorted(set(steps))
    if not chosen:
        raise UsageError("steps: given none, expected saved steps")
    has_clusters = isinstance(run.task.harmonics, CyclicHarmonics)

    def masks(step: int) -> dict[str, Mapping[str, Tensor]]:
        weights = run[step].weights
        found: dict[str, Mapping[str, Tensor]] = {MAGNITUDE: of_magnitude(weights, keep)}
        return {**found, CLUSTERS: {"neurons": clustered(weights, run.task)}} if has_clusters else found

    last, before, rows = masks(chosen[-1]), None, []
    for step in chosen:
        now = masks(step)
        row: dict[str, float] = {"step": step}
        for rule, mask in now.items():
            pairs = (("", None if before is None else before[rule]), (" with last", last[rule]))
            for label, other in pairs:
                found, chance = (nan, nan) if other is None else overlap(mask, other)
                row |= {f"{rule}{label}": found, f"{rule}{label} (by chance)": chance}
        rows.append(row)
        before = now
    return pd.DataFrame(rows).set_index("step")


def overlap(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> tuple[float, float]:
    """Jaccard's index of two masks, all their tensors taken together, and that of random ones of the same sizes; NaN of nothing.

    >>> import torch
    >>> mask = torch.tensor([True, True, False, False])
    >>> overlap({"W": mask}, {"W": mask}), overlap({"W": mask}, {"W": ~mask})
    ((1.0, 0.3333333333333333), (0.0, 0.3333333333333333))
    """
    common = expected = either = 0.0
    for name, mask in one.items():
        n, m = int(mask.sum()), int(other[name].sum())
        common += int((mask & other[name]).sum())
        expected += n * m / mask.numel()
        either += n + m
    return (common / (either - common), expected / (either - expected)) if either else (nan, nan)
