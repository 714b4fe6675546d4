"""The shapes of the tensors that a configuration asks for, without making any. Nothing here imports torch."""

from __future__ import annotations

from math import prod

from interp.config.run_config import RunConfig
from interp.networks.layered_shapes import LAYERED, Layout, has_bias, kind_of, two_embedding_axes
from interp.networks.shapes import SHAPES

_BIASES = {"none": (), "mlp": ("b_in", "b_out"), "all": ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U")}


def initial_shapes(config: RunConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a run's model, by name, in the order of `SHAPES` or, of other networks, of the computation.

    >>> initial_shapes(RunConfig())["W_Q"]
    (4, 128, 32)
    """
    model, task = config.model, config.task
    sizes = {
        "d_vocab": task.n_tokens, "n_ctx": task.n_ctx, "d_model": model.d_model, "n_heads": model.n_heads,
        "d_head": model.d_model // model.n_heads, "d_mlp": model.d_mlp, "classes": config.classes,
    }  # fmt: skip
    kind = kind_of(model)
    if kind == "one-layer":
        present = {name: axes for name, axes in SHAPES.items() if name.startswith("W_") or name in _BIASES[model.biases]}
    else:
        axes_of = (
            Layout.of(model, classes=config.classes).axes() if kind == LAYERED else two_embedding_axes(tied=model.tied_embeddings)
        )
        present = {name: axes for name, axes in axes_of.items() if has_bias(name, model.biases)}
        sizes["p"] = task.p
    return {name: tuple(sizes[axis] for axis in axes) for name, axes in present.items()}


def n_parameters(config: RunConfig) -> int:
    """Number of scalars in a run's model.

    >>> n_parameters(RunConfig())
    226688
    """
    return sum(prod(shape) for shape in initial_shapes(config).values())
