"""The initial weights of a run, drawn from its seed."""

from __future__ import annotations

import torch

from interp.config.run_config import RunConfig
from interp.errors import UsageError
from interp.networks.initial_shapes import initial_shapes
from interp.networks.layered import Layered
from interp.networks.layered_shapes import TWO_EMBEDDINGS, Layout, is_bias, is_matrix, kind_of
from interp.networks.one_layer import Weights
from interp.networks.two_embeddings import TwoEmbeddings

Trained = Weights | Layered | TwoEmbeddings


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
    if model.unusual or model.activation == "square":  # the latter is unusual, which a type checker does not see
        raise UsageError(f"initial_weights: given {model.unusual}, expected the one-layer transformer; use initial_network")
    weights = Weights.from_tensors(tensors, activation=model.activation, attention_rate=model.attention_rate)
    return weights.to(device=config.device, dtype=getattr(torch, config.dtype))


def initial_network(config: RunConfig) -> Trained:
    """The initial network of a run of any architecture, drawn as `initial_weights` does.

    Matrices have the standard deviations of the one-layer transformer's, W_U being ``unembed.W_U``, LayerNorms begin as w = 1 and
    b = 0, biases are zero. An MLP of two embeddings has N(0, 1/2p) embeddings and an N(0, 1/d_mlp) output: the inverse of the
    number of inputs of each layer.
    """
    model = config.model
    kind = kind_of(model)
    if kind == "one-layer":
        return initial_weights(config)
    generator, tensors = torch.Generator().manual_seed(config.seed), {}
    for name, shape in initial_shapes(config).items():
        if is_matrix(name):
            tensors[name] = _scale_of(name, config, kind) * model.init_scale * torch.randn(shape, generator=generator)
        else:
            tensors[name] = torch.zeros(shape) if is_bias(name) or name.endswith(".b") else torch.ones(shape)
    placed = {name: tensor.to(device=config.device, dtype=getattr(torch, config.dtype)) for name, tensor in tensors.items()}
    return (
        TwoEmbeddings(placed, model.activation)
        if kind == TWO_EMBEDDINGS
        else Layered(placed, Layout.of(model, classes=config.classes))
    )


def _scale_of(name: str, config: RunConfig, kind: str) -> float:
    if kind == TWO_EMBEDDINGS:
        return float(config.model.d_mlp if name == "unembed.W_U" else 2 * config.task.p) ** -0.5
    return _scale("W_U" if name == "unembed.W_U" else name, config)


def _scale(name: str, config: RunConfig) -> float:
    if config.model.init == "transformer-lens":
        return 0.8 * config.model.d_model**-0.5
    return (config.task.n_tokens if name == "W_U" else config.model.d_model) ** -0.5
