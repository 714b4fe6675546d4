"""Hooked activations, streamed over the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError, as_list, unknown
from interp.networks.shapes import KIND as ONE_LAYER
from interp.store.run import Run, RunLike, as_run

if TYPE_CHECKING:
    from torch import Tensor
    from transformer_lens import ActivationCache


def activations(
    run: RunLike,
    names: str | Sequence[str] | Callable[[str], bool] | None = None,
    *,
    steps: int | Iterable[int] | None = None,
    pairs: Int64[np.ndarray, "pair 2"] | None = None,
) -> Iterator[tuple[int, ActivationCache | Mapping[str, Tensor]]]:
    """Stream the activations at hook points over a run's checkpoints: yields (step, cache), one checkpoint in memory at a time.

    Of networks other than the one-layer transformer the cache is a dict of what they compute, by site, with ``logits``.

    Args:
        run: a recorded run, its directory, or its name.
        names: hook names as in TransformerLens (``"blocks.0.mlp.hook_post"``), one or several, a filter, or None for all.
        steps: which checkpoints; all by default.
        pairs: the inputs, integers (n, 2); all p^2 pairs by default.

    Raises:
        UsageError: for a hook name or step that does not exist, with the nearest right one, before anything is computed.
    """
    import torch

    run = as_run(run)
    chosen = choose_steps(run, steps)
    wanted = [names] if isinstance(names, str) else names
    if run.kind != ONE_LAYER:
        return _of_any_network(run, chosen, wanted, pairs)
    from interp.networks.hooked import HookedModel  # imports transformer_lens, which takes seconds

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


def _of_any_network(
    run: Run,
    steps: Sequence[int],
    wanted: Sequence[str] | Callable[[str], bool] | None,
    pairs: Int64[np.ndarray, "pair 2"] | None,
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """The same of a network that is no one-layer transformer: what it computes, by site."""
    import torch

    inputs = run.task.inputs
    if pairs is not None:
        inputs = np.concatenate([pairs, np.tile(inputs[:1, 2:], (len(pairs), 1))], axis=1)
    sites = run[steps[0]].network.activations(inputs[:1]).keys()
    if wanted is not None and not callable(wanted):
        for name in wanted:
            if name not in sites:
                raise unknown("hook", name, sites)
    chosen = [name for name in sites if wanted is None or (wanted(name) if callable(wanted) else name in wanted)]

    def stream() -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        for step in steps:
            with torch.no_grad():
                found = run[step].network.activations(inputs)
            yield step, {name: found[name] for name in chosen}

    return stream()


def evenly(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of some steps, evenly chosen, the first and the last among them.

    >>> evenly(range(0, 100, 10), 4)
    [0, 30, 60, 90]
    """
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def choose_steps(run: Run, steps: int | Iterable[int] | None, *, measured: bool = False) -> list[int]:
    """The steps asked for, ascending; by default all whose checkpoints are there or, if so asked, that were measured.

    Raises:
        UsageError: for a step that was not saved, or if there is none.
    """
    if not run.steps:
        raise UsageError(f"run {run.path} has no checkpoints yet")
    known = (*run.steps, *run.manifest.thinned_steps) if measured else run.steps
    chosen = list(known) if steps is None else as_list(steps, "steps", of=Integral)
    if not chosen:
        raise UsageError("steps: given none, expected at least one of the run's checkpoints")
    for step in chosen:
        run.sha256(step)  # the error for a step that was not saved
    return sorted(set(chosen))
