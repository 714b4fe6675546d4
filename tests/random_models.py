"""Random models of any architecture that Weights can hold, for tests."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from interp.networks.one_layer import Weights
from interp.networks.shapes import SHAPES
from interp.synthetic import lookup_weights

BIASES = [name for name in SHAPES if name.startswith("b_")]


def random_weights(
    p: int = 7,
    *,
    equals_sign: bool = True,
    equals_class: bool = False,
    n_heads: int = 2,
    d_head: int = 3,
    d_model: int = 10,
    d_mlp: int = 12,
    biases: list[str] = BIASES,
    activation: str = "relu",
    attention_rate: float = 1.0,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Weights:
    """Normal weights of the usual initial size, normal biases."""
    sizes = {
        "d_vocab": p + equals_sign, "n_ctx": 2 + equals_sign, "d_model": d_model, "n_heads": n_heads, "d_head": d_head,
        "d_mlp": d_mlp, "classes": p + equals_class,
    }  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn([sizes[axis] for axis in axes], generator=generator, dtype=dtype) * d_model**-0.5
        for name, axes in SHAPES.items()
        if name.startswith("W_") or name in biases
    }
    return Weights.from_tensors(tensors, activation=activation, attention_rate=attention_rate)


def all_pairs(p: int) -> Tensor:
    """All p^2 pairs, row-major."""
    return torch.cartesian_prod(torch.arange(p), torch.arange(p))


def assert_same(one: Weights, other: Weights) -> None:
    """Both models have the same tensors, bit for bit, and the same function."""
    assert one.tensors().keys() == other.tensors().keys()
    for name, tensor in one.tensors().items():
        assert tensor.dtype == other.tensors()[name].dtype, name
        assert torch.equal(tensor, other.tensors()[name]), name
    assert (one.activation, one.attention_rate) == (other.activation, other.attention_rate)


def architectures(*, attention_rates: tuple[float, ...] = (1.0, 0.0, 0.3), **fixed: object) -> st.SearchStrategy[Weights]:
    """Small random models over the whole range of architectures."""
    choices: dict[str, st.SearchStrategy[object]] = {
        "p": st.integers(2, 9),
        "equals_sign": st.booleans(),
        "n_heads": st.integers(1, 3),
        "d_head": st.integers(1, 4),
        "d_model": st.integers(2, 9),
        "d_mlp": st.integers(1, 9),
        "biases": st.lists(st.sampled_from(BIASES), unique=True),
        "activation": st.sampled_from(["relu", "gelu"]),
        "attention_rate": st.sampled_from(attention_rates),
        "seed": st.integers(0, 2**31),
    }
    choices |= {name: st.just(value) for name, value in fixed.items()}
    # Only a model that reads `=` can have a class for it; any model may have p + 1 classes as far as shapes go.
    return st.fixed_dictionaries(choices | {"equals_class": st.booleans()}).map(lambda kwargs: random_weights(**kwargs))


def memorizer(train: np.ndarray, p: int) -> Weights:
    """A lookup table of the training pairs in the architecture of the official code: 5 heads (3 idle), biases in the MLP only."""
    table = lookup_weights(p, train, amplitude=12.0)
    wider = {"d_model": 5 * p, "n_heads": 5}
    tensors = {}
    for name, tensor in ({"b_out": torch.zeros(table.d_model)} | table.tensors()).items():
        tensors[name] = torch.zeros([wider.get(axis, n) for axis, n in zip(SHAPES[name], tensor.shape, strict=True)]).double()
        tensors[name][tuple(slice(n) for n in tensor.shape)] = tensor
    # A direction of its own that is 1 at `=` takes the place of the bias of the queries.
    tensors["W_pos"][2, 4 * p] = 1
    tensors["W_Q"][:, 4 * p] = tensors.pop("b_Q")
    return Weights.from_tensors(tensors)
