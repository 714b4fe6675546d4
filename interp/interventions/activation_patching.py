"""Activations of one checkpoint at a hook point while another runs: what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from interp.errors import UsageError, unknown
from interp.interventions.readings import Reader
from interp.networks.hooked import HookedModel
from interp.networks.one_layer import Weights

CONTROL = "other pairs"


def is_hook(part: str) -> bool:
    """Whether a part is the name of a hook point, such as ``blocks.0.mlp.hook_post``."""
    return "." in part or part.startswith("hook_")  # of the embeddings


def check_hooks(hooks: Sequence[str], weights: Weights) -> None:
    """Refuse hook points that there are not, and one that is given twice.

    Raises:
        UsageError: naming it, with the nearest one that there is.
    """
    if twice := next((hook for hook in hooks if list(hooks).count(hook) > 1), None):
        raise UsageError(f"parts: given {twice!r} more than once")
    known = HookedModel(weights).hook_names if hooks else ()
    for hook in hooks:
        if hook not in known:
            raise UsageError(f"parts: {unknown('hook point', hook, known)}")


def activation_rows(
    hook: str, donor: Weights, into: Weights, *, reader: Reader, seeds: Sequence[int]
) -> dict[tuple[str, int], dict[str, float]]:
    """The readings of a network that is given another's activations at a hook point; and, as a control, those of other pairs.

    Args:
        hook: its name.
        donor: whose activations are given, for all pairs.
        into: what runs.
        reader: of the logits.
        seeds: of the order of pairs, one for each draw.
    """
    pairs = torch.from_numpy(reader.task.pairs)
    value = HookedModel(donor).run_with_cache(pairs, names_filter=hook)[1][hook]
    found = {("patched", 1): reader(_logits(into, pairs, hook, value))}
    drawn = [torch.randperm(len(pairs), generator=Generator().manual_seed(seed)) for seed in seeds]
    if drawn:
        rows = [reader(_logits(into, pairs, hook, value[order])) for order in drawn]
        found[CONTROL, len(drawn)] = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return found


@torch.no_grad()
def _logits(weights: Weights, pairs: Tensor, hook: str, value: Tensor) -> Float[Tensor, "pair p"]:
    model = HookedModel(weights)
    found = model.run_with_hooks(pairs, return_type="logits", fwd_hooks=[(hook, lambda _, hook: value)])  # noqa: ARG005  by name
    return found[:, -1, : weights.p]
