"""What files can be held as, and what it computes on all inputs of a task."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_tables
from interp.networks.two_embeddings import TwoEmbeddings
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask

Held = Weights | TwoEmbeddings
HeldTask = ModularTask | TableTask


@torch.no_grad()
def all_logits(model: Held, task: HeldTask) -> Float64[Tensor, "pair classes"]:
    """Logits over all output classes, for all pairs, in float64 on the CPU."""
    if isinstance(model, Weights):
        return pair_tables(model.to(device="cpu", dtype=torch.float64)).all_logits
    exact = {name: tensor.detach().to(device="cpu", dtype=torch.float64) for name, tensor in model.tensors().items()}
    return model.with_tensors(exact).logits(torch.from_numpy(task.inputs))
