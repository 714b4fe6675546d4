"""Hooked activations, streamed over the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError, unknown
from interp.store.run import Run

if TYPE_CHECKING:
    from transformer_lens import ActivationCache


def activations(
    run: Run,
    names: str | Sequence[str] | Callable[[str], bool] | None = None,
    *,
    steps: Iterable[int] | None = None,
    pairs: Int64[np.ndarray, "pair 2"] | None = None,
) -> Iterator[tuple[int, ActivationCache]]:
    """Stream the activations at hook points over a run's checkpoints: yields (step, cache), one checkpoint in memory at a time.

    Args:
        run: a recorded run.
        names: hook names as in TransformerLens (``"blocks.0.mlp.hook_post"``), one or several, a filter, or None for all.
        steps: which checkpoints; all by default.
        pairs: the inputs, integers (n, 2); all p^2 pairs by default.

    Raises:
        UsageError: for a hook name or step that does not exist, with the nearest right one, before anything is computed.
    """
    import torch

    from interp.networks.hooked import HookedModel  # imports transformer_lens, which takes seconds

    chosen = choose_steps(run, steps)
    wanted = [names] if isinstance(names, str) else names
    if wanted is not None and not callable(wanted):
        known = HookedModel(run[chosen[0]].weights).hook_dict
        for name in wanted:
            if name not in known:
                raise unknown("hook", name, known)
    inputs = torch.from_numpy(run.task.pairs if pairs is None else pairs)

    def stream() -> Iterator[tuple[int, ActivationCache]]:
        for step in chosen:
            with torch.no_grad():
                yield step, HookedModel(run[step].weights).run_with_cache(inputs, names_filter=wanted)[1]

    return stream()


def choose_steps(run: Run, steps: Iterable[int] | None, *, measured: bool = False) -> list[int]:
    """The steps asked for, ascending; by default all whose checkpoints are there or, if so asked, that were measured.

    Raises:
        UsageError: for a step that was not saved, or if there is none.
    """
    if not run.steps:
        raise UsageError(f"run {run.path} has no checkpoints yet")
    known = (*run.steps, *run.manifest.thinned_steps) if measured else run.steps
    chosen = sorted(set(known if steps is None else steps))
    if not chosen:
        raise UsageError("steps: given none, expected at least one of the run's checkpoints")
    for step in chosen:
        run.sha256(step)  # the error for a step that was not saved
    return chosen
