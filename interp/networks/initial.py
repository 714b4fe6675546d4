"""The initial weights of a run, drawn from its seed."""

from __future__ import annotations

import torch

from interp.config.run_config import RunConfig
from interp.networks.one_layer import Weights
from interp.networks.shapes import SHAPES

_BIASES = {"none": (), "mlp": ("b_in", "b_out"), "all": ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U")}


def initial_weights(config: RunConfig) -> Weights:
    """Draw the initial weights on the CPU, in float32, from ``torch.Generator().manual_seed(config.seed)``.

    ``nanda``: every matrix N(0, 1/d_model), W_U N(0, 1/d_vocab). ``transformer-lens``: every matrix N(0, 0.64/d_model). Biases
    are zero. All are multiplied by ``init_scale``, then moved to the device and precision of the config, so that the
    same seed gives the same weights everywhere.
    """
    model, task = config.model, config.task
    sizes = {
        "d_vocab": task.n_tokens, "n_ctx": task.n_ctx, "d_model": model.d_model, "n_heads": model.n_heads,
        "d_head": model.d_model // model.n_heads, "d_mlp": model.d_mlp, "classes": config.classes,
    }  # fmt: skip
    generator = torch.Generator().manual_seed(config.seed)
    tensors = {}
    for name, axes in SHAPES.items():
        shape = [sizes[axis] for axis in axes]
        if name.startswith("W_"):
            scale = _scale(name, config) * model.init_scale
            tensors[name] = scale * torch.randn(shape, generator=generator)
        elif name in _BIASES[model.biases]:
            tensors[name] = torch.zeros(shape)
    weights = Weights.from_tensors(tensors, activation=model.activation, attention_rate=model.attention_rate)
    return weights.to(device=config.device, dtype=getattr(torch, config.dtype))


def _scale(name: str, config: RunConfig) -> float:
    if config.model.init == "transformer-lens":
        return 0.8 * config.model.d_model**-0.5
    return (config.task.n_tokens if name == "W_U" else config.model.d_model) ** -0.5
