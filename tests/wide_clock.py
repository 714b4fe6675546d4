"""A clock, whose answers are right, in an architecture of any size: what is added to it is zero."""

from __future__ import annotations

import torch

from interp.networks.one_layer import Weights
from interp.networks.shapes import SHAPES
from interp.synthetic import clock_weights


def wide_clock(
    p: int = 13,
    *,
    n_heads: int = 4,
    d_head: int = 4,
    d_model: int = 16,
    d_mlp: int = 72,
    equals_sign: bool = True,
    equals_class: bool = False,
    biases: bool = True,
    operation: str = "add",
) -> Weights:
    """Right for every pair. The residual stream and each head are turned at random, so that no matrix is like its transpose."""
    clock = clock_weights(p, [1, 2], directions=6, equals_sign=equals_sign, operation=operation, amplitude=4.0)
    wanted = {
        "d_vocab": p + equals_sign, "n_ctx": 2 + equals_sign, "d_model": d_model, "n_heads": n_heads, "d_head": d_head,
        "d_mlp": d_mlp, "classes": p + equals_class,
    }  # fmt: skip
    given = clock.tensors()
    tensors = {}
    for name, axes in SHAPES.items():
        if name in given or biases:
            tensors[name] = torch.zeros([wanted[axis] for axis in axes], dtype=torch.float64)
        if name in given:
            tensors[name][tuple(slice(n) for n in given[name].shape)] = given[name]
    return turned(Weights.from_tensors(tensors))


def turned(w: Weights) -> Weights:
    """The same function in another basis of the residual stream, of each head, and in another order of the neurons."""
    generator = torch.Generator().manual_seed(0)
    residual, inside = (_rotation(n, generator) for n in (w.d_model, w.d_head))
    order = torch.randperm(w.d_mlp, generator=generator)
    tensors = w.tensors()
    for name in ("W_E", "W_pos", "b_O", "b_out"):
        tensors |= {name: tensors[name] @ residual} if name in tensors else {}
    for name in ("W_Q", "W_K", "W_V"):
        tensors[name] = residual.T @ tensors[name] @ inside
    for name in ("b_Q", "b_K", "b_V"):
        tensors |= {name: tensors[name] @ inside} if name in tensors else {}
    tensors["W_O"] = inside.T @ tensors["W_O"] @ residual
    tensors["W_in"] = (residual.T @ tensors["W_in"])[:, order]
    tensors |= {"b_in": tensors["b_in"][order]} if "b_in" in tensors else {}
    tensors["W_out"] = (tensors["W_out"] @ residual)[order]
    tensors["W_U"] = residual.T @ tensors["W_U"]
    return Weights.from_tensors(tensors)


def _rotation(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
