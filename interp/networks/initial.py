"""The initial weights of a run, drawn from its seed."""

from __future__ import annotations

import torch

from interp.config.run_config import RunConfig
from interp.networks.initial_shapes import initial_shapes
from interp.networks.one_layer import Weights


def initial_weights(config: RunConfig) -> Weights:
    """Draw the initial weights on the CPU, in float32, from ``torch.Generator().manual_seed(config.seed)``.

    ``nanda``: every matrix N(0, 1/d_model), W_U N(0, 1/d_vocab). ``transformer-lens``: every matrix N(0, 0.64/d_model). Biases
    are zero. All are multiplied by ``init_scale``, then moved to the device and precision of the config, so that the
    same seed gives the same weights everywhere.
    """
    model = config.model
    generator = torch.Generator().manual_seed(config.seed)
    tensors = {}
    for name, shape in initial_shapes(config).items():
        if name.startswith("W_"):
            scale = _scale(name, config) * model.init_scale
            tensors[name] = scale * torch.randn(shape, generator=generator)
        else:
            tensors[name] = torch.zeros(shape)
    weights = Weights.from_tensors(tensors, activation=model.activation, attention_rate=model.attention_rate)
    return weights.to(device=config.device, dtype=getattr(torch, config.dtype))


def _scale(name: str, config: RunConfig) -> float:
    if config.model.init == "transformer-lens":
        return 0.8 * config.model.d_model**-0.5
    return (config.task.n_tokens if name == "W_U" else config.model.d_model) ** -0.5
